import type { ProtocolVersion } from '../../../lib/mqtt/packet.ts'
import { field, forVersions, join, type PacketCase, raw } from './case.ts'

/** What is not UTF-8, or may not be sent as such. */
const ill: [what: string, bytes: number[]][] = [
  ['a lone continuation byte', [0x61, 0x80]],
  ['an overlong slash', [0xc0, 0xaf]],
  ['an overlong form of three bytes', [0xe0, 0x80, 0xaf]],
  ['an overlong form of four bytes', [0xf0, 0x80, 0x80, 0xaf]],
  ['the surrogate U+D800', [0xed, 0xa0, 0x80]],
  ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ['a sequence that is cut off', [0x61, 0xe2, 0x82]],
  ['a code point above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['the byte FE', [0xfe]]
]

/** Every string of the packets but those in properties. */
const fields: { name: string; connect?: true; bytes(text: Buffer, version: ProtocolVersion): Buffer }[] = [
  { name: 'Client Identifier of CONNECT', connect: true, bytes: (text, version) => connect(version, 0x02, text) },
  {
    name: 'Will Topic of CONNECT',
    connect: true,
    bytes: (text, version) => connect(version, 0x06, field('c'), join(none(version)), text, field('bye'))
  },
  { name: 'User Name of CONNECT', connect: true, bytes: (text, version) => connect(version, 0x82, field('c'), text) },
  { name: 'Topic Name of PUBLISH', bytes: (text, version) => raw(0x30, text, ...none(version)) },
  { name: 'Topic Filter of SUBSCRIBE', bytes: (text, version) => raw(0x82, 0, 1, ...none(version), text, 0) },
  { name: 'Topic Filter of UNSUBSCRIBE', bytes: (text, version) => raw(0xa2, 0, 1, ...none(version), text) }
]

export const stringCases: PacketCase[] = forVersions([4, 5], version =>
  fields.flatMap(({ name, connect, bytes }) => {
    const refused = { version, reasonCode: 0x81, ...(connect ? { connackVersion: version } : {}) }
    return [
      ...ill.map(([what, text]) => ({
        title: `[MQTT-1.5.4-1] ${what} in the ${name}`,
        bytes: bytes(field(Buffer.from(text)), version),
        ...refused
      })),
      {
        title: `[MQTT-1.5.4-2] U+0000 at the end of the ${name}`,
        bytes: bytes(field('a\u0000'), version),
        ...refused
      }
    ]
  })
)

function connect(version: ProtocolVersion, flags: number, ...payload: Buffer[]): Buffer {
  return raw(0x10, field('MQTT'), version, flags, 0, 60, ...none(version), ...payload)
}

/** The empty properties of MQTT 5. */
function none(version: ProtocolVersion): number[] {
  return version === 5 ? [0] : []
}
