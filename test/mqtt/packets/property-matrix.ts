import { field, join, type PacketCase, properties, raw } from './case.ts'

/** All properties of table 2-4 with a sound value; written down again here, so that the decoder's table is checked by another. */
const values: Record<number, Buffer> = {
  1: Buffer.from([1]),
  2: Buffer.from([0, 0, 0, 9]),
  3: field('text'),
  8: field('re/ply'),
  9: field('data'),
  11: Buffer.from([7]),
  17: Buffer.from([0, 0, 0, 9]),
  18: field('id'),
  19: Buffer.from([0, 9]),
  21: field('method'),
  22: field('data'),
  23: Buffer.from([1]),
  24: Buffer.from([0, 0, 0, 9]),
  25: Buffer.from([1]),
  26: field('info'),
  28: field('server'),
  31: field('reason'),
  33: Buffer.from([0, 9]),
  34: Buffer.from([0, 9]),
  35: Buffer.from([0, 9]),
  36: Buffer.from([1]),
  37: Buffer.from([1]),
  38: join([field('k'), field('v')]),
  39: Buffer.from([0, 0, 1, 0]),
  40: Buffer.from([1]),
  41: Buffer.from([1]),
  42: Buffer.from([1])
}
const ids = Object.keys(values).map(Number)
const userProperty = 0x26
const strings = new Set([0x03, 0x08, 0x12, 0x15, 0x1a, 0x1c, 0x1f])

interface Carrier {
  name: string
  /** What table 2-4 lets it carry from a client. */
  carries: number[]
  /** Reason codes other than Malformed Packet for what it may not carry. */
  refuses?: Record<number, number>
  connect?: true
  /** `block`: Property Length and properties. */
  bytes(block: Buffer): Buffer
}

const acknowledgement = [0x1f, 0x26]
const carriers: Carrier[] = [
  {
    name: 'CONNECT',
    connect: true,
    carries: [0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27],
    bytes: block => raw(0x10, field('MQTT'), 5, 2, 0, 60, block, field('c'))
  },
  {
    name: 'CONNECT, in the will',
    connect: true,
    carries: [0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26],
    bytes: block => raw(0x10, field('MQTT'), 5, 6, 0, 60, 0, field('c'), block, field('w'), field('bye'))
  },
  {
    name: 'PUBLISH',
    carries: [0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26],
    // Not from a client [MQTT-3.3.4-6], but not unheard of either.
    refuses: { 11: 0x82 },
    bytes: block => raw(0x30, field('a'), block)
  },
  { name: 'PUBACK', carries: acknowledgement, bytes: block => raw(0x40, 0, 1, 0, block) },
  { name: 'PUBREC', carries: acknowledgement, bytes: block => raw(0x50, 0, 1, 0, block) },
  { name: 'PUBREL', carries: acknowledgement, bytes: block => raw(0x62, 0, 1, 0, block) },
  { name: 'PUBCOMP', carries: acknowledgement, bytes: block => raw(0x70, 0, 1, 0, block) },
  { name: 'SUBSCRIBE', carries: [0x0b, 0x26], bytes: block => raw(0x82, 0, 1, block, field('a'), 0) },
  { name: 'UNSUBSCRIBE', carries: [0x26], bytes: block => raw(0xa2, 0, 1, block, field('a')) },
  { name: 'DISCONNECT', carries: [0x11, 0x1c, 0x1f, 0x26], bytes: block => raw(0xe0, 0, block) },
  { name: 'AUTH', carries: [0x15, 0x16, 0x1f, 0x26], bytes: block => raw(0xf0, 0x18, block) }
]

/** Every property in every packet that may not carry it, twice where it may stand once, cut off, and with text that is none. */
export const propertyMatrixCases: PacketCase[] = carriers.flatMap(carrier =>
  ids.flatMap(id => {
    const one = join([id, values[id]!])
    if (!carrier.carries.includes(id)) {
      return [refused(carrier, `section 2.2.2.2: ${at(carrier, id)}`, carrier.refuses?.[id] ?? 0x81, one)]
    }
    const cases = [refused(carrier, `${at(carrier, id)}, cut off`, 0x81, one.subarray(0, -1))]
    if (id !== userProperty) cases.push(refused(carrier, `${at(carrier, id)}, twice`, 0x82, one, one))
    if (strings.has(id)) {
      cases.push(
        refused(carrier, `[MQTT-1.5.4-2] ${at(carrier, id)}, with U+0000`, 0x81, join([id, field('a\u0000')])),
        refused(carrier, `[MQTT-1.5.4-1] ${at(carrier, id)}, not UTF-8`, 0x81, join([id, field(Buffer.from([0xc3]))]))
      )
    }
    if (id === userProperty) {
      const ill = field(Buffer.from([0xc3]))
      cases.push(
        refused(carrier, `[MQTT-1.5.7-1] ${at(carrier, id)}, its name not UTF-8`, 0x81, join([id, ill, field('v')])),
        refused(carrier, `[MQTT-1.5.7-1] ${at(carrier, id)}, its value not UTF-8`, 0x81, join([id, field('k'), ill]))
      )
    }
    return cases
  })
)

function at({ name }: Carrier, id: number): string {
  return `property 0x${id.toString(16).padStart(2, '0')} of ${name}`
}

function refused(carrier: Carrier, title: string, reasonCode: number, ...content: Buffer[]): PacketCase {
  return {
    title: `${title} (5)`,
    version: 5,
    bytes: carrier.bytes(properties(...content)),
    reasonCode,
    ...(carrier.connect ? { connackVersion: 5 } : {})
  }
}
