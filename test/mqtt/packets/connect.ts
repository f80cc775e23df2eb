import type { ConnectPacket, ProtocolVersion } from '../../../lib/mqtt/packet.ts'
import { field, forVersions, join, type PacketCase, properties, raw } from './case.ts'

const name31 = field('MQIsdp')
const name = field('MQTT')
/** Fixed beginning up to the Keep Alive of 60 seconds; of MQTT 5 without the properties. */
function head(version: ProtocolVersion, flags: number): Buffer {
  return join([version === 3 ? name31 : name, version, flags, 0, 60])
}
function connect(version: ProtocolVersion, flags: number, ...payload: Buffer[]): Buffer {
  return raw(0x10, head(version, flags), ...(version === 5 ? [0] : []), ...payload)
}
function plain(version: ProtocolVersion, changes: Partial<ConnectPacket> = {}): ConnectPacket {
  return {
    cmd: 'connect',
    protocolVersion: version,
    bridgeMode: false,
    clientId: 'c',
    clean: true,
    keepalive: 60,
    username: undefined,
    password: undefined,
    will: undefined,
    properties: {},
    ...changes
  }
}
/** A CONNECT of MQTT 5 with these properties. */
function withProperties(...content: (number | Buffer)[]): Buffer {
  return raw(0x10, head(5, 2), properties(...content), field('c'))
}
function withWillProperties(...content: (number | Buffer)[]): Buffer {
  return raw(0x10, head(5, 6), 0, field('c'), properties(...content), field('w'), field('bye'))
}
function refused5(title: string, reasonCode: number, bytes: Buffer): PacketCase {
  return { title: `${title} (5)`, version: 5, bytes, reasonCode, connackVersion: 5 }
}
const all: ProtocolVersion[] = [3, 4, 5]

export const connectCases: PacketCase[] = [
  ...forVersions(all, version => [
    { title: 'CONNECT with nothing optional', version, bytes: connect(version, 2, field('c')), packet: plain(version) },
    {
      title: 'CONNECT with will, user name and password',
      version,
      bytes: connect(
        version,
        0xf6,
        field('c'),
        ...(version === 5 ? [Buffer.from([0])] : []),
        field('w/t'),
        field('bye'),
        field('me'),
        field('pw')
      ),
      packet: plain(version, {
        username: 'me',
        password: Buffer.from('pw'),
        will: { topic: 'w/t', payload: Buffer.from('bye'), qos: 2, retain: true, properties: {} }
      })
    },
    {
      title: '[MQTT-3.1.2-12] CONNECT with Will QoS 3',
      version,
      bytes: connect(version, 0x1e, field('c'), ...(version === 5 ? [Buffer.from([0])] : []), field('w'), field('bye')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT-4.7.3-1] CONNECT with an empty Will Topic',
      version,
      bytes: connect(version, 6, field('c'), ...(version === 5 ? [Buffer.from([0])] : []), field(''), field('bye')),
      reasonCode: 0x90,
      connackVersion: version
    },
    {
      title: '[MQTT-4.7.0-1] CONNECT with a wildcard in the Will Topic',
      version,
      bytes: connect(version, 6, field('c'), ...(version === 5 ? [Buffer.from([0])] : []), field('a/+'), field('bye')),
      reasonCode: 0x90,
      connackVersion: version
    },
    {
      title: 'CONNECT with bytes after the last field',
      version,
      bytes: connect(version, 2, field('c'), Buffer.from([0])),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: 'CONNECT that ends inside the Client Identifier',
      version,
      bytes: connect(version, 2, Buffer.from([0, 5, 0x63])),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: 'CONNECT that ends inside the Keep Alive',
      version,
      bytes: raw(0x10, version === 3 ? name31 : name, version, 2, 0),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT-1.5.4-2] CONNECT with U+0000 in the Client Identifier',
      version,
      bytes: connect(version, 2, field('a\u0000b')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT-1.5.4-1] CONNECT with a surrogate in the Client Identifier',
      version,
      bytes: connect(version, 2, field(Buffer.from([0xed, 0xa0, 0x80]))),
      reasonCode: 0x81,
      connackVersion: version
    }
  ]),
  ...forVersions([4, 5], version => [
    {
      title: '[MQTT-3.1.2-3] CONNECT with the reserved flag set',
      version,
      bytes: connect(version, 3, field('c')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT-3.1.2-11] CONNECT with Will QoS but no will',
      version,
      bytes: connect(version, 0x0a, field('c')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT-3.1.2-13] CONNECT with Will Retain but no will',
      version,
      bytes: connect(version, 0x22, field('c')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: 'CONNECT with an empty Client Identifier and a clean start',
      version,
      bytes: connect(version, 2, field('')),
      packet: plain(version, { clientId: '' })
    },
    {
      title: 'CONNECT whose User Name is missing',
      version,
      bytes: connect(version, 0x82, field('c')),
      reasonCode: 0x81,
      connackVersion: version
    }
  ]),
  ...forVersions([3, 4], version => [
    {
      title: '[MQTT3-3.1.2-22] CONNECT with a password but no user name',
      version,
      bytes: connect(version, 0x42, field('c'), field('pw')),
      reasonCode: 0x81,
      connackVersion: version
    },
    {
      title: '[MQTT3-3.1.3-8] CONNECT with an empty Client Identifier and a session to keep',
      version,
      bytes: connect(version, 0, field('')),
      reasonCode: 0x85,
      connackReturnCode: 2,
      connackVersion: version
    },
    {
      title: 'CONNECT of a bridge',
      version,
      bytes: raw(0x10, version === 3 ? name31 : name, version | 0x80, 2, 0, 60, field('c')),
      packet: plain(version, { bridgeMode: true })
    }
  ]),
  {
    title: 'CONNECT with an empty Client Identifier (3.1)',
    version: 3,
    bytes: connect(3, 2, field('')),
    reasonCode: 0x85,
    connackReturnCode: 2,
    connackVersion: 3
  },
  {
    title: 'CONNECT with flags for a user name and a password that are not there (3.1)',
    version: 3,
    bytes: connect(3, 0xc2, field('c')),
    packet: plain(3)
  },
  {
    title: 'CONNECT with will flags that mean nothing (3.1)',
    version: 3,
    bytes: connect(3, 0x3b, field('c')),
    packet: plain(3)
  },
  {
    title: 'CONNECT with an empty Client Identifier and a session to keep (5)',
    version: 5,
    bytes: connect(5, 0, field('')),
    packet: plain(5, { clientId: '', clean: false })
  },
  {
    title: 'CONNECT with a password but no user name (5)',
    version: 5,
    bytes: connect(5, 0x42, field('c'), field('pw')),
    packet: plain(5, { password: Buffer.from('pw') })
  },
  {
    title: '[MQTT-1.5.4-3] CONNECT keeps the U+FEFF at the beginning of a Client Identifier (3.1.1)',
    version: 4,
    bytes: connect(4, 2, field(Buffer.from([0xef, 0xbb, 0xbf, 0x63]))),
    packet: plain(4, { clientId: '\ufeffc' })
  },
  {
    title: '[MQTT-3.1.2-2] CONNECT with protocol level 2 (3.1.1)',
    version: 4,
    bytes: raw(0x10, name, 2, 2, 0, 60, field('c')),
    reasonCode: 0x84,
    connackReturnCode: 1,
    connackVersion: 4
  },
  {
    title: '[MQTT-3.1.2-2] CONNECT with protocol level 6 (5)',
    version: 5,
    bytes: raw(0x10, name, 6, 2, 0, 60, 0, field('c')),
    reasonCode: 0x84,
    connackReturnCode: 1,
    connackVersion: 5
  },
  {
    title: '[MQTT-3.1.2-2] CONNECT of MQIsdp with protocol level 5 (3.1)',
    version: 3,
    bytes: raw(0x10, name31, 5, 2, 0, 60, 0, field('c')),
    reasonCode: 0x84,
    connackReturnCode: 1,
    connackVersion: 4
  },
  {
    title: '[MQTT-3.1.2-1] CONNECT with another protocol name (3.1.1)',
    version: 4,
    bytes: raw(0x10, field('mqtt'), 4, 2, 0, 60, field('c')),
    reasonCode: 0x84
  },
  {
    title: 'CONNECT that ends before the protocol level (3.1.1)',
    version: 4,
    bytes: raw(0x10, name),
    reasonCode: 0x81
  },
  {
    title: '[MQTT-2.1.3-1] CONNECT with flags in the fixed header (3.1.1)',
    version: 4,
    bytes: raw(0x12, head(4, 2), field('c')),
    reasonCode: 0x81
  },
  {
    title: 'CONNECT with a padded Remaining Length, which 3.1.1 does not forbid (3.1.1)',
    version: 4,
    bytes: join([0x10, 0x8d, 0x00, head(4, 2), field('c')]),
    packet: plain(4)
  },
  refused5('[MQTT-1.5.5-1] CONNECT with a padded Remaining Length', 0x81, join([0x10, 0x8e, 0x00, head(5, 2), 0, field('c')])),
  {
    title: 'CONNECT with every property there is (5)',
    version: 5,
    bytes: withProperties(
      Buffer.from([0x11, 0xff, 0xff, 0xff, 0xff, 0x21, 0, 10, 0x27, 0, 1, 0, 0, 0x22, 0, 5, 0x19, 1, 0x17, 0]),
      ...[0x26, field('b'), field('1'), 0x26, field('a'), field('2'), 0x26, field('b'), field('')],
      ...[0x15, field('SCRAM'), 0x16, field('xyz')]
    ),
    packet: plain(5, {
      properties: {
        sessionExpiryInterval: 0xffffffff,
        receiveMaximum: 10,
        maximumPacketSize: 65536,
        topicAliasMaximum: 5,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: [
          ['b', '1'],
          ['a', '2'],
          ['b', '']
        ],
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from('xyz')
      }
    })
  },
  {
    title: 'CONNECT with every will property there is (5)',
    version: 5,
    bytes: withWillProperties(
      Buffer.from([0x18, 0, 0, 0, 7, 0x01, 1, 0x02, 0, 0, 1, 0]),
      ...[0x03, field('text'), 0x08, field('re'), 0x09, field('id'), 0x26, field('k'), field('v')]
    ),
    packet: plain(5, {
      will: {
        topic: 'w',
        payload: Buffer.from('bye'),
        qos: 0,
        retain: false,
        properties: {
          willDelayInterval: 7,
          payloadFormatIndicator: 1,
          messageExpiryInterval: 256,
          contentType: 'text',
          responseTopic: 're',
          correlationData: Buffer.from('id'),
          userProperties: [['k', 'v']]
        }
      }
    })
  },
  refused5('[MQTT-2.2.2-1] CONNECT without a Property Length', 0x81, raw(0x10, head(5, 2))),
  refused5('CONNECT with a Property Length beyond the packet', 0x81, raw(0x10, head(5, 2), 9, field('c'))),
  refused5(
    '[MQTT-1.5.5-1] CONNECT with a padded Property Length',
    0x81,
    raw(0x10, head(5, 2), Buffer.from([0x80, 0x00]), field('c'))
  ),
  refused5(
    'CONNECT with a Property Length of five bytes',
    0x81,
    raw(0x10, head(5, 2), Buffer.from([0x80, 0x80, 0x80, 0x80, 1]), field('c'))
  ),
  refused5('section 2.2.2.2: CONNECT with an unknown property', 0x81, withProperties(0x7f, 0)),
  refused5('section 2.2.2.2: CONNECT with a property of PUBLISH', 0x81, withProperties(0x23, 0, 1)),
  refused5('section 2.2.2.2: CONNECT with a will property outside the will', 0x81, withProperties(0x18, 0, 0, 0, 1)),
  refused5('section 2.2.2.2: CONNECT with a property of CONNECT inside the will', 0x81, withWillProperties(0x11, 0, 0, 0, 1)),
  refused5('CONNECT with a property cut off by the Property Length', 0x81, withProperties(0x11, 0, 0)),
  refused5('CONNECT with a user property cut off after its name', 0x81, withProperties(0x26, field('k'))),
  refused5('[MQTT-1.5.7-1] CONNECT with U+0000 in a user property', 0x81, withProperties(0x26, field('k'), field('\u0000'))),
  refused5(
    'section 3.1.2.11.2: CONNECT with two Session Expiry Intervals',
    0x82,
    withProperties(0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1)
  ),
  refused5('section 3.1.2.11.3: CONNECT with Receive Maximum 0', 0x82, withProperties(0x21, 0, 0)),
  refused5('section 3.1.2.11.4: CONNECT with Maximum Packet Size 0', 0x82, withProperties(0x27, 0, 0, 0, 0)),
  refused5('section 3.1.2.11.6: CONNECT with Request Response Information 2', 0x82, withProperties(0x19, 2)),
  refused5('section 3.1.2.11.7: CONNECT with Request Problem Information 2', 0x82, withProperties(0x17, 2)),
  refused5(
    'section 3.1.2.11.9: CONNECT with two Authentication Methods',
    0x82,
    withProperties(0x15, field('a'), 0x15, field('a'))
  ),
  refused5('section 3.1.2.11.10: CONNECT with Authentication Data alone', 0x82, withProperties(0x16, field('a'))),
  refused5('CONNECT with Payload Format Indicator 2 in the will', 0x82, withWillProperties(0x01, 2)),
  refused5(
    '[MQTT-3.3.2-14] CONNECT with a wildcard in the Response Topic of the will',
    0x82,
    withWillProperties(0x08, field('a/#'))
  )
]
