import { field, forVersions, type PacketCase, properties, raw } from './case.ts'

/** PINGREQ, DISCONNECT, AUTH, and what a client never sends. */
export const connectionCases: PacketCase[] = [
  ...forVersions([3, 4, 5], version => [
    { title: 'PINGREQ', version, bytes: raw(0xc0), packet: { cmd: 'pingreq' } },
    { title: 'PINGREQ with a body', version, bytes: raw(0xc0, 0), reasonCode: 0x81 },
    { title: 'DISCONNECT in two bytes', version, bytes: raw(0xe0), packet: { cmd: 'disconnect', reasonCode: 0, properties: {} } },
    { title: 'packet type 0', version, bytes: raw(0x00), reasonCode: 0x81 },
    { title: 'CONNACK from a client', version, bytes: raw(0x20, 0, 0), reasonCode: 0x82 },
    { title: 'SUBACK from a client', version, bytes: raw(0x90, 0, 1, 0), reasonCode: 0x82 },
    { title: 'UNSUBACK from a client', version, bytes: raw(0xb0, 0, 1), reasonCode: 0x82 },
    { title: 'PINGRESP from a client', version, bytes: raw(0xd0), reasonCode: 0x82 },
    {
      title: 'section 2.1.4: a Remaining Length of five bytes',
      version,
      bytes: Buffer.from([0xc0, 0x80, 0x80, 0x80, 0x80, 0x01]),
      reasonCode: 0x81
    }
  ]),
  ...forVersions([4, 5], version => [
    { title: '[MQTT-2.1.3-1] PINGREQ with a reserved flag set', version, bytes: raw(0xc1), reasonCode: 0x81 },
    { title: '[MQTT-3.14.1-1] DISCONNECT with a reserved flag set', version, bytes: raw(0xe2), reasonCode: 0x81 }
  ]),
  ...forVersions([3, 4], version => [
    { title: 'DISCONNECT with a reason code, which is of MQTT 5', version, bytes: raw(0xe0, 0), reasonCode: 0x81 },
    { title: 'AUTH, which is of MQTT 5', version, bytes: raw(0xf0, 0x18, properties(0x15, field('m'))), reasonCode: 0x81 }
  ]),
  {
    title: 'PINGREQ with a padded Remaining Length (3.1.1)',
    version: 4,
    bytes: Buffer.from([0xc0, 0x80, 0x00]),
    packet: { cmd: 'pingreq' }
  },
  {
    title: '[MQTT-1.5.5-1] PINGREQ with a padded Remaining Length (5)',
    version: 5,
    bytes: Buffer.from([0xc0, 0x80, 0x00]),
    reasonCode: 0x81
  },
  {
    title: 'DISCONNECT with a reason code (5)',
    version: 5,
    bytes: raw(0xe0, 4),
    packet: { cmd: 'disconnect', reasonCode: 4, properties: {} }
  },
  {
    title: 'DISCONNECT with every property a client may send (5)',
    version: 5,
    bytes: raw(0xe0, 0x98, properties(0x11, 0, 0, 0, 9, 0x1f, field('bye'), 0x26, field('k'), field('v'))),
    packet: {
      cmd: 'disconnect',
      reasonCode: 0x98,
      properties: { sessionExpiryInterval: 9, reasonString: 'bye', userProperties: [['k', 'v']] }
    }
  },
  {
    title: '[MQTT-3.14.2-1] DISCONNECT with a reason code only servers use (5)',
    version: 5,
    bytes: raw(0xe0, 0x8b),
    reasonCode: 0x82
  },
  {
    title: '[MQTT-3.14.2-1] DISCONNECT with a reason code nobody uses (5)',
    version: 5,
    bytes: raw(0xe0, 0x7f),
    reasonCode: 0x82
  },
  {
    title: 'section 3.14.2.2.5: DISCONNECT with a Server Reference (5)',
    version: 5,
    bytes: raw(0xe0, 0, properties(0x1c, field('other'))),
    reasonCode: 0x82
  },
  { title: 'DISCONNECT with bytes after its properties (5)', version: 5, bytes: raw(0xe0, 0, 0, 0), reasonCode: 0x81 },
  {
    title: 'section 3.14.2.2.2: DISCONNECT with two Session Expiry Intervals (5)',
    version: 5,
    bytes: raw(0xe0, 0, properties(0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1)),
    reasonCode: 0x82
  },
  {
    title: 'AUTH that continues (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m'), 0x16, field('d'), 0x1f, field('why'))),
    packet: {
      cmd: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d'), reasonString: 'why' }
    }
  },
  {
    title: 'AUTH that authenticates again (5)',
    version: 5,
    bytes: raw(0xf0, 0x19, properties(0x15, field('m'))),
    packet: { cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'm' } }
  },
  {
    title: '[MQTT-3.15.1-1] AUTH with a reserved flag set (5)',
    version: 5,
    bytes: raw(0xf1, 0x18, properties(0x15, field('m'))),
    reasonCode: 0x81
  },
  { title: '[MQTT-3.15.2-1] AUTH in two bytes, which means Success (5)', version: 5, bytes: raw(0xf0), reasonCode: 0x82 },
  {
    title: '[MQTT-3.15.2-1] AUTH that says Success (5)',
    version: 5,
    bytes: raw(0xf0, 0, properties(0x15, field('m'))),
    reasonCode: 0x82
  },
  {
    title: 'section 3.15.2.2.2: AUTH without an Authentication Method (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, 0),
    reasonCode: 0x82
  },
  {
    title: 'AUTH with every property a client may send (5)',
    version: 5,
    bytes: raw(
      0xf0,
      0x19,
      properties(
        0x26,
        field('k'),
        field('1'),
        0x16,
        field(Buffer.from([0, 255])),
        0x15,
        field('m'),
        0x1f,
        field('why'),
        0x26,
        field('k'),
        field('2')
      )
    ),
    packet: {
      cmd: 'auth',
      reasonCode: 0x19,
      properties: {
        userProperties: [
          ['k', '1'],
          ['k', '2']
        ],
        authenticationData: Buffer.from([0, 255]),
        authenticationMethod: 'm',
        reasonString: 'why'
      }
    }
  },
  {
    title: 'AUTH with Authentication Data of no bytes (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m'), 0x16, field(''))),
    packet: { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm', authenticationData: Buffer.alloc(0) } }
  },
  ...(
    [
      ['Authentication Method', [0x15, field('m'), 0x15, field('m')]],
      ['Authentication Data', [0x15, field('m'), 0x16, field('d'), 0x16, field('d')]],
      ['Reason String', [0x15, field('m'), 0x1f, field('a'), 0x1f, field('b')]]
    ] as const
  ).map(
    ([name, content]): PacketCase => ({
      title: `section 3.15.2.2: AUTH with ${name} twice (5)`,
      version: 5,
      bytes: raw(0xf0, 0x18, properties(...content)),
      reasonCode: 0x82
    })
  ),
  {
    title: 'AUTH with a property of CONNECT (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m'), 0x11, 0, 0, 0, 1)),
    reasonCode: 0x81
  },
  {
    title: 'AUTH with a property nobody knows (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m'), 0x7e, 0)),
    reasonCode: 0x81
  },
  ...[0x01, 0x17, 0x1a, 0x80, 0x8c, 0xff].map(
    (code): PacketCase => ({
      title: `[MQTT-3.15.2-1] AUTH that says 0x${code.toString(16)} (5)`,
      version: 5,
      bytes: raw(0xf0, code, properties(0x15, field('m'))),
      reasonCode: 0x82
    })
  ),
  {
    title: '[MQTT-1.5.4-1] AUTH with an Authentication Method that is no UTF-8 (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field(Buffer.from([0xff])))),
    reasonCode: 0x81
  },
  {
    title: '[MQTT-1.5.4-2] AUTH with U+0000 in its Authentication Method (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m\0'))),
    reasonCode: 0x81
  },
  {
    title: '[MQTT-1.5.5-1] AUTH with a padded Remaining Length (5)',
    version: 5,
    bytes: Buffer.from([0xf0, 0x86, 0x00, 0x18, 0x04, 0x15, 0x00, 0x01, 0x6d]),
    reasonCode: 0x81
  },
  {
    title: 'AUTH that ends inside its Authentication Data (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m'), 0x16, 0, 5, 0x64)),
    reasonCode: 0x81
  },
  {
    title: 'AUTH whose Property Length goes beyond its end (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, 5, 0x15, field('m')),
    reasonCode: 0x81
  },
  {
    title: 'AUTH with bytes after its properties (5)',
    version: 5,
    bytes: raw(0xf0, 0x18, properties(0x15, field('m')), 0),
    reasonCode: 0x81
  },
  { title: 'AUTH without a Property Length (5)', version: 5, bytes: raw(0xf0, 0x18), reasonCode: 0x81 }
]
