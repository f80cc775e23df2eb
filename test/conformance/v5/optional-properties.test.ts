import mqttPacket from 'mqtt-packet'
import t, { type Test } from 'tap'
import { encodePacket } from '../../../lib/mqtt/encode.ts'
import type { Properties, ServerPacket } from '../../../lib/mqtt/packet.ts'
import type { AnyPacket } from '../../support/raw-client.ts'

const why: Properties = { reasonString: 'because it is so' }
const more: Properties = {
  userProperties: [
    ['unit', 'first'],
    ['unit', 'second']
  ]
}

const puback: ServerPacket = { cmd: 'puback', messageId: 7, reasonCode: 0x97, properties: {} }
const pubrec: ServerPacket = { cmd: 'pubrec', messageId: 7, reasonCode: 0x97, properties: {} }
const pubrel: ServerPacket = { cmd: 'pubrel', messageId: 7, reasonCode: 0x92, properties: {} }
const pubcomp: ServerPacket = { cmd: 'pubcomp', messageId: 7, reasonCode: 0x92, properties: {} }
const suback: ServerPacket = { cmd: 'suback', messageId: 7, granted: [0, 0x87, 2], properties: {} }
const unsuback: ServerPacket = { cmd: 'unsuback', messageId: 7, granted: [0, 0x11], properties: {} }
const disconnect: ServerPacket = { cmd: 'disconnect', reasonCode: 0x9c, properties: { serverReference: 'other.example' } }
const auth: ServerPacket = {
  cmd: 'auth',
  reasonCode: 0x18,
  properties: { authenticationMethod: 'method', authenticationData: Buffer.from('data') }
}

/** Each packet, and what is left out when there is no room. Those of CONNACK are told elsewhere. */
const cases: { title: string; packet: ServerPacket; optional: Properties }[] = [
  { title: '[MQTT-3.4.2-2] a PUBACK with a Reason String', packet: puback, optional: why },
  { title: '[MQTT-3.4.2-3] a PUBACK with User Properties', packet: puback, optional: more },
  { title: 'a PUBACK with both', packet: puback, optional: { ...why, ...more } },
  { title: '[MQTT-3.5.2-2] a PUBREC with a Reason String', packet: pubrec, optional: why },
  { title: '[MQTT-3.5.2-3] a PUBREC with User Properties', packet: pubrec, optional: more },
  { title: 'a PUBREC with both', packet: pubrec, optional: { ...why, ...more } },
  { title: '[MQTT-3.6.2-2] a PUBREL with a Reason String', packet: pubrel, optional: why },
  { title: '[MQTT-3.6.2-3] a PUBREL with User Properties', packet: pubrel, optional: more },
  { title: 'a PUBREL with both', packet: pubrel, optional: { ...why, ...more } },
  { title: '[MQTT-3.7.2-2] a PUBCOMP with a Reason String', packet: pubcomp, optional: why },
  { title: '[MQTT-3.7.2-3] a PUBCOMP with User Properties', packet: pubcomp, optional: more },
  { title: 'a PUBCOMP with both', packet: pubcomp, optional: { ...why, ...more } },
  { title: '[MQTT-3.9.2-1] a SUBACK with a Reason String', packet: suback, optional: why },
  { title: '[MQTT-3.9.2-2] a SUBACK with User Properties', packet: suback, optional: more },
  { title: 'a SUBACK with both', packet: suback, optional: { ...why, ...more } },
  { title: '[MQTT-3.11.2-1] an UNSUBACK with a Reason String', packet: unsuback, optional: why },
  { title: '[MQTT-3.11.2-2] an UNSUBACK with User Properties', packet: unsuback, optional: more },
  { title: 'an UNSUBACK with both', packet: unsuback, optional: { ...why, ...more } },
  { title: '[MQTT-3.14.2-3] a DISCONNECT with a Reason String', packet: disconnect, optional: why },
  { title: '[MQTT-3.14.2-4] a DISCONNECT with User Properties', packet: disconnect, optional: more },
  { title: 'a DISCONNECT with both', packet: disconnect, optional: { ...why, ...more } },
  { title: '[MQTT-3.15.2-2] an AUTH with a Reason String', packet: auth, optional: why },
  { title: '[MQTT-3.15.2-3] an AUTH with User Properties', packet: auth, optional: more },
  { title: 'an AUTH with both', packet: auth, optional: { ...why, ...more } }
]

for (const { title, packet, optional } of cases) {
  t.test(`${title} goes without when that is too large for the client`, t => checkRoom(t, packet, optional))
}

/** With exactly enough room the properties are there; with a byte less they are not, and everything else is. */
function checkRoom(t: Test, packet: ServerPacket, optional: Properties): void {
  const own = packet.cmd === 'pingresp' ? {} : packet.properties
  const full = { ...packet, properties: { ...own, ...optional } } as ServerPacket
  const bare = encodePacket(packet, 5)
  const whole = encodePacket(full, 5)
  const { properties } = decode(whole)
  if (optional.reasonString) t.same(properties?.reasonString, optional.reasonString)
  if (optional.userProperties) t.same({ ...(properties?.userProperties as object) }, { unit: ['first', 'second'] })
  t.same(encodePacket(full, 5, whole.length), whole)
  t.same(encodePacket(full, 5, whole.length - 1), bare)
  t.same(encodePacket(full, 5, bare.length), bare)
  t.ok(bare.length < whole.length)
  t.end()
}

function decode(bytes: Buffer): { properties?: Record<string, unknown> } {
  const decoded: AnyPacket[] = []
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on('packet', packet => decoded.push(packet as AnyPacket))
  parser.parse(bytes)
  return decoded[0] as { properties?: Record<string, unknown> }
}
