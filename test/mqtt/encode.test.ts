import t from 'tap'
import { connackReturnCode, encodePacket } from '../../lib/mqtt/encode.ts'
import type { ProtocolVersion, ServerPacket } from '../../lib/mqtt/packet.ts'
import { packetErrorOf } from './decode-one.ts'
import { field, properties, raw } from './packets/case.ts'

const none = {}
const why = { reasonString: 'why' }
const whyBytes = properties(0x1f, field('why'))

const table: [title: string, version: ProtocolVersion, packet: ServerPacket, bytes: Buffer][] = [
  ['CONNACK', 4, { cmd: 'connack', sessionPresent: true, reasonCode: 0, properties: none }, raw(0x20, 1, 0)],
  [
    'CONNACK without Session Present, which 3.1 does not know',
    3,
    { cmd: 'connack', sessionPresent: true, reasonCode: 0, properties: none },
    raw(0x20, 0, 0)
  ],
  [
    '[MQTT3-3.2.2-4] CONNACK that refuses and has no session',
    4,
    { cmd: 'connack', sessionPresent: true, reasonCode: 5, properties: none },
    raw(0x20, 0, 5)
  ],
  [
    'CONNACK with a reason code of MQTT 5 said in a return code',
    4,
    { cmd: 'connack', sessionPresent: false, reasonCode: 0x87, properties: why },
    raw(0x20, 0, 5)
  ],
  [
    'CONNACK with a reason code that has no return code',
    4,
    { cmd: 'connack', sessionPresent: false, reasonCode: 0x80, properties: none },
    raw(0x20, 0, 3)
  ],
  ['CONNACK', 5, { cmd: 'connack', sessionPresent: true, reasonCode: 0, properties: none }, raw(0x20, 1, 0, 0)],
  [
    '[MQTT-3.2.2-6] CONNACK that refuses and has no session',
    5,
    { cmd: 'connack', sessionPresent: true, reasonCode: 0x87, properties: why },
    raw(0x20, 0, 0x87, whyBytes)
  ],
  [
    'CONNACK with every property',
    5,
    {
      cmd: 'connack',
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 1,
        receiveMaximum: 2,
        maximumQoS: 1,
        retainAvailable: true,
        maximumPacketSize: 3,
        assignedClientIdentifier: 'id',
        topicAliasMaximum: 4,
        reasonString: 'r',
        userProperties: [
          ['k', 'v'],
          ['k', 'w']
        ],
        wildcardSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: true,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 5,
        responseInformation: 'i',
        serverReference: 's',
        authenticationMethod: 'm',
        authenticationData: Buffer.from([1])
      }
    },
    raw(
      0x20,
      ...[0, 0],
      properties(
        ...[0x11, 0, 0, 0, 1, 0x12, field('id'), 0x13, 0, 5, 0x15, field('m'), 0x16, field(Buffer.from([1]))],
        ...[0x1a, field('i'), 0x1c, field('s'), 0x1f, field('r'), 0x21, 0, 2, 0x22, 0, 4, 0x24, 1, 0x25, 1],
        ...[0x26, field('k'), field('v'), 0x26, field('k'), field('w'), 0x27, 0, 0, 0, 3, 0x28, 0, 0x29, 1, 0x2a, 0]
      )
    )
  ],
  ['PUBACK', 4, { cmd: 'puback', messageId: 513, reasonCode: 0x10, properties: why }, raw(0x40, 2, 1)],
  ['PUBREC', 3, { cmd: 'pubrec', messageId: 513, reasonCode: 0, properties: none }, raw(0x50, 2, 1)],
  ['PUBREL', 4, { cmd: 'pubrel', messageId: 513, reasonCode: 0, properties: none }, raw(0x62, 2, 1)],
  ['PUBCOMP', 5, { cmd: 'pubcomp', messageId: 513, reasonCode: 0, properties: none }, raw(0x70, 2, 1)],
  ['PUBACK with a code', 5, { cmd: 'puback', messageId: 513, reasonCode: 0x10, properties: none }, raw(0x40, 2, 1, 0x10)],
  ['PUBACK with a reason', 5, { cmd: 'puback', messageId: 513, reasonCode: 0, properties: why }, raw(0x40, 2, 1, 0, whyBytes)],
  ['SUBACK', 3, { cmd: 'suback', messageId: 1, granted: [0, 1, 2, 0x87], properties: why }, raw(0x90, 0, 1, 0, 1, 2, 0x80)],
  ['SUBACK', 4, { cmd: 'suback', messageId: 1, granted: [2, 0x8f], properties: none }, raw(0x90, 0, 1, 2, 0x80)],
  ['SUBACK', 5, { cmd: 'suback', messageId: 1, granted: [2, 0x8f], properties: why }, raw(0x90, 0, 1, whyBytes, 2, 0x8f)],
  ['UNSUBACK', 4, { cmd: 'unsuback', messageId: 1, granted: [0, 0x11], properties: none }, raw(0xb0, 0, 1)],
  ['UNSUBACK', 5, { cmd: 'unsuback', messageId: 1, granted: [0, 0x11], properties: none }, raw(0xb0, 0, 1, 0, 0, 0x11)],
  ['PINGRESP', 4, { cmd: 'pingresp' }, raw(0xd0)],
  ['DISCONNECT', 5, { cmd: 'disconnect', reasonCode: 0, properties: none }, raw(0xe0)],
  ['DISCONNECT with a code', 5, { cmd: 'disconnect', reasonCode: 0x8b, properties: none }, raw(0xe0, 0x8b)],
  [
    'DISCONNECT with a server reference',
    5,
    { cmd: 'disconnect', reasonCode: 0x9c, properties: { serverReference: 'b' } },
    raw(0xe0, 0x9c, properties(0x1c, field('b')))
  ],
  [
    'AUTH',
    5,
    { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } },
    raw(0xf0, 0x18, properties(0x15, field('m')))
  ],
  [
    'AUTH that says Success, with data',
    5,
    { cmd: 'auth', reasonCode: 0, properties: { authenticationMethod: 'm', authenticationData: Buffer.from([0, 255]) } },
    raw(0xf0, 0, properties(0x15, field('m'), 0x16, field(Buffer.from([0, 255]))))
  ],
  ['AUTH that says Success and nothing more', 5, { cmd: 'auth', reasonCode: 0, properties: none }, raw(0xf0)],
  [
    'CONNACK with the end of an exchange',
    5,
    {
      cmd: 'connack',
      sessionPresent: false,
      reasonCode: 0,
      properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d') }
    },
    raw(0x20, 0, 0, properties(0x15, field('m'), 0x16, field('d')))
  ]
]

for (const [title, version, packet, bytes] of table) {
  t.test(`${title} is encoded for version ${version}`, async t => {
    t.strictSame(encodePacket(packet, version), bytes)
  })
}

t.test('a SUBACK with many codes has a Remaining Length of two bytes', async t => {
  const granted = Array.from({ length: 300 }, () => 1)
  t.strictSame(encodePacket({ cmd: 'suback', messageId: 7, granted, properties: none }, 4), raw(0x90, 0, 7, ...granted))
})

t.test(
  '[MQTT-3.2.2-19] [MQTT-3.2.2-20] Reason String and user properties are left out where they would make the packet too large',
  async t => {
    const packet: ServerPacket = {
      cmd: 'connack',
      sessionPresent: false,
      reasonCode: 0x87,
      properties: { reasonString: 'a long story', userProperties: [['k', 'v']], serverKeepAlive: 5 }
    }
    const whole = encodePacket(packet, 5)
    t.strictSame(encodePacket(packet, 5, whole.length), whole)
    t.strictSame(encodePacket(packet, 5, whole.length - 1), raw(0x20, 0, 0x87, properties(0x13, 0, 5)))
    t.strictSame(encodePacket({ cmd: 'pingresp' }, 5, 1), raw(0xd0))
  }
)

t.test(
  '[MQTT-3.15.2-2] [MQTT-3.15.2-3] an AUTH that is too large loses Reason String and user properties, never its method',
  async t => {
    const reasonString = 'a long story'
    const userProperties: [string, string][] = [['k', 'v']]
    const packet: ServerPacket = {
      cmd: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'm', reasonString, userProperties }
    }
    const whole = encodePacket(packet, 5)
    t.strictSame(encodePacket(packet, 5, whole.length), whole)
    t.strictSame(encodePacket(packet, 5, whole.length - 1), raw(0xf0, 0x18, properties(0x15, field('m'))))
  }
)

t.test('what a peer would hang up on is not encoded', async t => {
  const attempts: [string, ServerPacket, ProtocolVersion][] = [
    ['DISCONNECT to 3.1.1', { cmd: 'disconnect', reasonCode: 0x8b, properties: none }, 4],
    [
      '[MQTT-3.15.2-1] AUTH that asks to authenticate again',
      { cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'm' } },
      5
    ],
    ['[MQTT-3.15.2-1] AUTH with a refusal', { cmd: 'auth', reasonCode: 0x87, properties: { authenticationMethod: 'm' } }, 5],
    ['AUTH to 3.1', { cmd: 'auth', reasonCode: 0x18, properties: none }, 3],
    ['a property of CONNACK in a PUBACK', { cmd: 'puback', messageId: 1, reasonCode: 0, properties: { serverKeepAlive: 1 } }, 5],
    [
      '[MQTT-3.14.2-2] Session Expiry Interval in a DISCONNECT',
      { cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } },
      5
    ],
    ['U+0000 in a string', { cmd: 'puback', messageId: 1, reasonCode: 0, properties: { reasonString: 'a\u0000' } }, 5],
    [
      'a string of 65,536 bytes',
      { cmd: 'puback', messageId: 1, reasonCode: 0, properties: { reasonString: 'a'.repeat(65_536) } },
      5
    ]
  ]
  for (const [title, packet, version] of attempts)
    t.ok(
      packetErrorOf(() => encodePacket(packet, version)),
      title
    )
})

t.test('refusals have a return code in 3.1.1 where it has a word for them', async t => {
  const codes = [0x00, 0x84, 0x85, 0x88, 0x89, 0x86, 0x8c, 0x87, 0x8a, 0x97, 0x95, 0x81]
  t.strictSame(codes.map(connackReturnCode), [0, 1, 2, 3, 3, 4, 4, 5, 5, 3, undefined, undefined])
})
