import type { ProtocolVersion, PublishPacket } from '../../../lib/mqtt/packet.ts'
import { field, forVersions, join, type PacketCase, properties, raw } from './case.ts'

function message(changes: Partial<PublishPacket> = {}): PublishPacket {
  return {
    cmd: 'publish',
    topic: 'a/b',
    payload: Buffer.from('hi'),
    qos: 0,
    retain: false,
    dup: false,
    messageId: undefined,
    properties: {},
    ...changes
  }
}
const payload = Buffer.from('hi')
/** The empty properties of MQTT 5, nothing before it. */
function none(version: ProtocolVersion): number[] {
  return version === 5 ? [0] : []
}
function withProperties(...content: (number | Buffer)[]): Buffer {
  return raw(0x30, field('a/b'), properties(...content), payload)
}
function refused5(title: string, reasonCode: number, ...content: (number | Buffer)[]): PacketCase {
  return { title: `${title} (5)`, version: 5, bytes: withProperties(...content), reasonCode }
}

export const publishCases: PacketCase[] = [
  ...forVersions([3, 4, 5], version => [
    { title: 'PUBLISH at QoS 0', version, bytes: raw(0x30, field('a/b'), ...none(version), payload), packet: message() },
    {
      title: 'PUBLISH at QoS 1, retained',
      version,
      bytes: raw(0x33, field('a/b'), 1, 2, ...none(version), payload),
      packet: message({ qos: 1, retain: true, messageId: 258 })
    },
    {
      title: 'PUBLISH at QoS 2, sent again',
      version,
      bytes: raw(0x3c, field('a/b'), 0xff, 0xff, ...none(version), payload),
      packet: message({ qos: 2, dup: true, messageId: 65535 })
    },
    {
      title: 'PUBLISH without a payload',
      version,
      bytes: raw(0x31, field('a/b'), ...none(version)),
      packet: message({ retain: true, payload: Buffer.alloc(0) })
    },
    {
      title: 'PUBLISH with a payload of 200 bytes',
      version,
      bytes: raw(0x30, field('a/b'), ...none(version), Buffer.alloc(200, 1)),
      packet: message({ payload: Buffer.alloc(200, 1) })
    },
    {
      title: '[MQTT-3.3.1-4] PUBLISH at QoS 3',
      version,
      bytes: raw(0x36, field('a/b'), 0, 1, ...none(version), payload),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-2.2.1-3] PUBLISH with Packet Identifier 0',
      version,
      bytes: raw(0x32, field('a/b'), 0, 0, ...none(version), payload),
      reasonCode: 0x82
    },
    {
      title: 'PUBLISH that ends inside the Packet Identifier',
      version,
      bytes: raw(0x32, field('a/b'), 0),
      reasonCode: 0x81
    },
    { title: 'PUBLISH that ends inside the Topic Name', version, bytes: raw(0x30, 0, 9, payload), reasonCode: 0x81 },
    { title: 'PUBLISH that ends inside the length of the Topic Name', version, bytes: raw(0x30, 0), reasonCode: 0x81 },
    {
      title: '[MQTT-4.7.3-1] PUBLISH with an empty Topic Name and nothing in its place',
      version,
      bytes: raw(0x30, field(''), ...none(version), payload),
      reasonCode: 0x82
    },
    {
      title: '[MQTT-3.3.2-2] PUBLISH to a Topic Name with a wildcard',
      version,
      bytes: raw(0x30, field('a/#'), ...none(version), payload),
      reasonCode: 0x90
    },
    {
      title: '[MQTT-1.5.4-2] PUBLISH to a Topic Name with U+0000',
      version,
      bytes: raw(0x30, field('a\u0000'), ...none(version), payload),
      reasonCode: 0x81
    },
    {
      title: '[MQTT-1.5.4-1] PUBLISH to a Topic Name that is not UTF-8',
      version,
      bytes: raw(0x30, field(Buffer.from([0x61, 0xc0, 0x80])), ...none(version), payload),
      reasonCode: 0x81
    }
  ]),
  ...forVersions([4, 5], version => ({
    title: '[MQTT-3.3.1-2] PUBLISH at QoS 0 with DUP',
    version,
    bytes: raw(0x38, field('a/b'), ...none(version), payload),
    reasonCode: 0x81
  })),
  {
    title: 'PUBLISH at QoS 0 with DUP (3.1)',
    version: 3,
    bytes: raw(0x38, field('a/b'), payload),
    packet: message({ dup: true })
  },
  {
    title: 'PUBLISH with a padded Remaining Length (3.1.1)',
    version: 4,
    bytes: join([0x30, 0x87, 0x80, 0x00, field('a/b'), payload]),
    packet: message()
  },
  {
    title: '[MQTT-1.5.5-1] PUBLISH with a padded Remaining Length (5)',
    version: 5,
    bytes: join([0x30, 0x88, 0x00, field('a/b'), 0, payload]),
    reasonCode: 0x81
  },
  {
    title: 'PUBLISH with every property a client may send (5)',
    version: 5,
    bytes: withProperties(
      ...[0x26, field('b'), field('1'), 0x01, 1, 0x02, 0xff, 0, 0, 1, 0x23, 1, 0, 0x08, field('re/ply')],
      ...[0x09, field(Buffer.from([0, 255])), 0x26, field('a'), field('2'), 0x03, field('text')]
    ),
    packet: message({
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 0xff000001,
        topicAlias: 256,
        responseTopic: 're/ply',
        correlationData: Buffer.from([0, 255]),
        contentType: 'text',
        userProperties: [
          ['b', '1'],
          ['a', '2']
        ]
      }
    })
  },
  {
    title: 'PUBLISH with properties of 300 bytes (5)',
    version: 5,
    bytes: withProperties(0x26, field('k'), field('v'.repeat(294))),
    packet: message({ properties: { userProperties: [['k', 'v'.repeat(294)]] } })
  },
  {
    title: 'PUBLISH with a Topic Alias in place of the Topic Name (5)',
    version: 5,
    bytes: raw(0x30, field(''), properties(0x23, 0, 3), payload),
    packet: message({ topic: '', properties: { topicAlias: 3 } })
  },
  {
    title: '[MQTT-2.2.2-1] PUBLISH without a Property Length (5)',
    version: 5,
    bytes: raw(0x30, field('a/b')),
    reasonCode: 0x81
  },
  {
    title: 'PUBLISH with a Property Length beyond the packet (5)',
    version: 5,
    bytes: raw(0x30, field('a/b'), 3, payload),
    reasonCode: 0x81
  },
  {
    title: 'PUBLISH with a Property Length one byte beyond the packet (5)',
    version: 5,
    bytes: raw(0x30, field('a/b'), 2, 0x01),
    reasonCode: 0x81
  },
  {
    title: '[MQTT-1.5.5-1] PUBLISH with a padded Property Length (5)',
    version: 5,
    bytes: raw(0x30, field('a/b'), 0x80, 0x00, payload),
    reasonCode: 0x81
  },
  {
    title: 'PUBLISH with a Property Length of five bytes (5)',
    version: 5,
    bytes: raw(0x30, field('a/b'), 0x80, 0x80, 0x80, 0x80, 0x01, payload),
    reasonCode: 0x81
  },
  {
    title: 'PUBLISH that ends inside the Property Length (5)',
    version: 5,
    bytes: raw(0x30, field('a/b'), 0x80),
    reasonCode: 0x81
  },
  refused5('section 2.2.2.2: PUBLISH with an unknown property', 0x81, 0x04, 0),
  refused5('section 2.2.2.2: PUBLISH with a property of CONNECT', 0x81, 0x11, 0, 0, 0, 1),
  refused5('PUBLISH with a number cut off by the Property Length', 0x81, 0x02, 0, 0, 0),
  refused5('PUBLISH with a string cut off by the Property Length', 0x81, 0x03, 0, 9, 0x61),
  refused5('PUBLISH with a user property cut off after its name', 0x81, 0x26, field('k')),
  refused5('[MQTT-3.3.2-8] PUBLISH with Topic Alias 0', 0x94, 0x23, 0, 0),
  refused5('[MQTT-3.3.4-6] PUBLISH with a Subscription Identifier', 0x82, 0x0b, 1),
  refused5('PUBLISH with Payload Format Indicator 2', 0x82, 0x01, 2),
  refused5('PUBLISH with two Payload Format Indicators', 0x82, 0x01, 0, 0x01, 0),
  refused5('section 3.3.2.3.3: PUBLISH with two Message Expiry Intervals', 0x82, 0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1),
  refused5('section 3.3.2.3.4: PUBLISH with two Topic Aliases', 0x82, 0x23, 0, 1, 0x23, 0, 1),
  refused5('section 3.3.2.3.5: PUBLISH with two Response Topics', 0x82, 0x08, field('a'), 0x08, field('a')),
  refused5('section 3.3.2.3.6: PUBLISH with two pieces of Correlation Data', 0x82, 0x09, field(''), 0x09, field('')),
  refused5('section 3.3.2.3.9: PUBLISH with two Content Types', 0x82, 0x03, field(''), 0x03, field('')),
  refused5('[MQTT-3.3.2-14] PUBLISH with a wildcard in the Response Topic', 0x82, 0x08, field('a/+')),
  refused5('[MQTT-4.7.3-1] PUBLISH with an empty Response Topic', 0x82, 0x08, field('')),
  refused5('[MQTT-3.3.2-13] PUBLISH with a Response Topic that is not UTF-8', 0x81, 0x08, field(Buffer.from([0xff]))),
  refused5('[MQTT-3.3.2-19] PUBLISH with U+0000 in the Content Type', 0x81, 0x03, field('\u0000')),
  refused5(
    '[MQTT-1.5.7-1] PUBLISH with a user property that is not UTF-8',
    0x81,
    0x26,
    field('k'),
    field(Buffer.from([0xe0, 0x80, 0x80]))
  )
]
