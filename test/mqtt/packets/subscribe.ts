import type { ProtocolVersion, SubscribePacket, SubscriptionRequest } from '../../../lib/mqtt/packet.ts'
import { field, forVersions, type PacketCase, properties, raw } from './case.ts'

function none(version: ProtocolVersion): number[] {
  return version === 5 ? [0] : []
}
function request(topic: string, changes: Partial<SubscriptionRequest> = {}): SubscriptionRequest {
  return { topic, qos: 0, nl: false, rap: false, rh: 0, ...changes }
}
function subscribe(subscriptions: SubscriptionRequest[], changes: Partial<SubscribePacket> = {}): SubscribePacket {
  return { cmd: 'subscribe', messageId: 10, subscriptions, properties: {}, ...changes }
}
/** A SUBSCRIBE of MQTT 5 to `filter` with these options. */
function withOptions(filter: string, options: number): Buffer {
  return raw(0x82, 0, 10, 0, field(filter), options)
}
function withProperties(...content: (number | Buffer)[]): Buffer {
  return raw(0x82, 0, 10, properties(...content), field('a'), 0)
}

export const subscribeCases: PacketCase[] = [
  ...forVersions([3, 4, 5], version => [
    {
      title: 'SUBSCRIBE to three filters',
      version,
      bytes: raw(0x82, 0, 10, ...none(version), field('a/+'), 0, field('#'), 1, field('é'), 2),
      packet: subscribe([request('a/+'), request('#', { qos: 1 }), request('é', { qos: 2 })])
    },
    {
      title: 'SUBSCRIBE to a filter the broker will refuse in its SUBACK',
      version,
      bytes: raw(0x82, 0, 10, ...none(version), field('a/#/b'), 0),
      packet: subscribe([request('a/#/b')])
    },
    {
      title: '[MQTT-3.8.3-2] SUBSCRIBE without a filter',
      version,
      bytes: raw(0x82, 0, 10, ...none(version)),
      reasonCode: 0x82
    },
    {
      title: '[MQTT-2.2.1-3] SUBSCRIBE with Packet Identifier 0',
      version,
      bytes: raw(0x82, 0, 0, ...none(version), field('a'), 0),
      reasonCode: 0x82
    },
    {
      title: 'SUBSCRIBE without options after the last filter',
      version,
      bytes: raw(0x82, 0, 10, ...none(version), field('a')),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-3.8.3-1] SUBSCRIBE to a filter that is not UTF-8',
      version,
      bytes: raw(0x82, 0, 10, ...none(version), field(Buffer.from([0x80])), 0),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-3.8.1-1] SUBSCRIBE with flags 0',
      version,
      bytes: raw(0x80, 0, 10, ...none(version), field('a'), 0),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-3.8.1-1] SUBSCRIBE with both QoS flags',
      version,
      bytes: raw(0x86, 0, 10, ...none(version), field('a'), 0),
      reasonCode: 0x81
    },
    {
      title: 'UNSUBSCRIBE from two filters',
      version,
      bytes: raw(0xa2, 0, 10, ...none(version), field('a/+'), field('b')),
      packet: { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/+', 'b'], properties: {} }
    },
    {
      title: '[MQTT-3.10.3-2] UNSUBSCRIBE without a filter',
      version,
      bytes: raw(0xa2, 0, 10, ...none(version)),
      reasonCode: 0x82
    },
    {
      title: '[MQTT-2.2.1-3] UNSUBSCRIBE with Packet Identifier 0',
      version,
      bytes: raw(0xa2, 0, 0, ...none(version), field('a')),
      reasonCode: 0x82
    },
    {
      title: 'UNSUBSCRIBE that ends inside a filter',
      version,
      bytes: raw(0xa2, 0, 10, ...none(version), 0, 2, 0x61),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-3.10.3-1] UNSUBSCRIBE from a filter with U+0000',
      version,
      bytes: raw(0xa2, 0, 10, ...none(version), field('\u0000')),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-3.10.1-1] UNSUBSCRIBE with flags 0',
      version,
      bytes: raw(0xa0, 0, 10, ...none(version), field('a')),
      reasonCode: 0x81
    }
  ]),
  ...forVersions([3, 4], version => ({
    title: '[MQTT3-3.8.3-4] SUBSCRIBE at QoS 3',
    version,
    bytes: raw(0x82, 0, 10, field('a'), 3),
    reasonCode: 0x81
  })),
  {
    title: '[MQTT3-3.8.3-4] SUBSCRIBE with reserved bits beside the QoS (3.1.1)',
    version: 4,
    bytes: raw(0x82, 0, 10, field('a'), 4),
    reasonCode: 0x81
  },
  {
    title: 'SUBSCRIBE with DUP and with unused bits beside the QoS (3.1)',
    version: 3,
    bytes: raw(0x8a, 0, 10, field('a'), 0xfd),
    packet: subscribe([request('a', { qos: 1 })])
  },
  {
    title: 'UNSUBSCRIBE with DUP (3.1)',
    version: 3,
    bytes: raw(0xaa, 0, 10, field('a')),
    packet: { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a'], properties: {} }
  },
  ...forVersions([4, 5], version => ({
    title: '[MQTT-3.8.1-1] SUBSCRIBE with DUP',
    version,
    bytes: raw(0x8a, 0, 10, ...none(version), field('a'), 0),
    reasonCode: 0x81
  })),
  {
    title: 'SUBSCRIBE with every option and property (5)',
    version: 5,
    bytes: raw(0x82, 0, 10, properties(0x0b, 0xff, 0xff, 0xff, 0x7f, 0x26, field('k'), field('v')), field('a'), 0x2e),
    packet: subscribe([request('a', { qos: 2, nl: true, rap: true, rh: 2 })], {
      properties: { subscriptionIdentifiers: [268_435_455], userProperties: [['k', 'v']] }
    })
  },
  {
    title: 'SUBSCRIBE to a shared filter (5)',
    version: 5,
    bytes: withOptions('$share/g/a', 0x11),
    packet: subscribe([request('$share/g/a', { qos: 1, rh: 1 })])
  },
  {
    title: '[MQTT-3.8.3-4] SUBSCRIBE to a shared filter with No Local (5)',
    version: 5,
    bytes: withOptions('$share/g/a', 4),
    reasonCode: 0x82
  },
  {
    title: '[MQTT-3.8.3-5] SUBSCRIBE with reserved option bit 6 (5)',
    version: 5,
    bytes: withOptions('a', 0x40),
    reasonCode: 0x81
  },
  {
    title: '[MQTT-3.8.3-5] SUBSCRIBE with reserved option bit 7 (5)',
    version: 5,
    bytes: withOptions('a', 0x80),
    reasonCode: 0x81
  },
  { title: 'section 3.8.3.1: SUBSCRIBE with Retain Handling 3 (5)', version: 5, bytes: withOptions('a', 0x30), reasonCode: 0x82 },
  { title: 'section 3.8.3.1: SUBSCRIBE at QoS 3 (5)', version: 5, bytes: withOptions('a', 3), reasonCode: 0x82 },
  {
    title: 'section 3.8.2.1.2: SUBSCRIBE with Subscription Identifier 0 (5)',
    version: 5,
    bytes: withProperties(0x0b, 0),
    reasonCode: 0x82
  },
  {
    title: 'section 3.8.2.1.2: SUBSCRIBE with two Subscription Identifiers (5)',
    version: 5,
    bytes: withProperties(0x0b, 1, 0x0b, 2),
    reasonCode: 0x82
  },
  {
    title: '[MQTT-1.5.5-1] SUBSCRIBE with a padded Subscription Identifier (5)',
    version: 5,
    bytes: withProperties(0x0b, 0x81, 0x00),
    reasonCode: 0x81
  },
  {
    title: 'section 2.2.2.2: SUBSCRIBE with a Reason String (5)',
    version: 5,
    bytes: withProperties(0x1f, field('a')),
    reasonCode: 0x81
  },
  { title: '[MQTT-2.2.2-1] SUBSCRIBE without a Property Length (5)', version: 5, bytes: raw(0x82, 0, 10), reasonCode: 0x81 },
  {
    title: 'UNSUBSCRIBE with user properties (5)',
    version: 5,
    bytes: raw(0xa2, 0, 10, properties(0x26, field('k'), field('v')), field('a')),
    packet: { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a'], properties: { userProperties: [['k', 'v']] } }
  },
  {
    title: 'section 2.2.2.2: UNSUBSCRIBE with a Subscription Identifier (5)',
    version: 5,
    bytes: raw(0xa2, 0, 10, properties(0x0b, 1), field('a')),
    reasonCode: 0x81
  }
]
