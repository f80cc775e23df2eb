import { field, join, type PacketCase, properties, raw } from './case.ts'

interface Sound {
  name: string
  firstByte: number
  body: Buffer
  /** Where MQTT 5 has another form, or the packet at all. */
  body5?: Buffer
}

/** A sound packet of each type a client sends (PUBLISH aside, whose flags all mean something). */
const sound: Sound[] = [
  { name: 'PUBACK', firstByte: 0x40, body: Buffer.from([0, 1]) },
  { name: 'PUBREC', firstByte: 0x50, body: Buffer.from([0, 1]) },
  { name: 'PUBREL', firstByte: 0x62, body: Buffer.from([0, 1]) },
  { name: 'PUBCOMP', firstByte: 0x70, body: Buffer.from([0, 1]) },
  { name: 'SUBSCRIBE', firstByte: 0x82, body: join([0, 1, field('a'), 0]), body5: join([0, 1, 0, field('a'), 0]) },
  { name: 'UNSUBSCRIBE', firstByte: 0xa2, body: join([0, 1, field('a')]), body5: join([0, 1, 0, field('a')]) },
  { name: 'PINGREQ', firstByte: 0xc0, body: Buffer.alloc(0) },
  { name: 'DISCONNECT', firstByte: 0xe0, body: Buffer.alloc(0) }
]
const auth: Sound = { name: 'AUTH', firstByte: 0xf0, body: join([0x18, properties(0x15, field('m'))]) }

/** Each reserved flag of each type turned over alone, and a Remaining Length of five bytes under each type. */
export const fixedHeaderCases: PacketCase[] = [
  ...([4, 5] as const).flatMap(version =>
    [...sound, ...(version === 5 ? [auth] : [])].flatMap(({ name, firstByte, body, body5 }) =>
      [1, 2, 4, 8].map(bit => ({
        title: `[MQTT-2.1.3-1] ${name} with flag bit ${bit} turned over (${version === 5 ? '5' : '3.1.1'})`,
        version,
        bytes: raw(firstByte ^ bit, version === 5 && body5 !== undefined ? body5 : body),
        reasonCode: 0x81
      }))
    )
  ),
  ...([4, 5] as const).flatMap(version =>
    [0x10, 0x30, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0].map(firstByte => ({
      title: `section 2.1.4: first byte 0x${firstByte.toString(16)}, Remaining Length of five bytes (${version === 5 ? '5' : '3.1.1'})`,
      version,
      bytes: Buffer.from([firstByte, 0xff, 0xff, 0xff, 0xff, 0x01]),
      reasonCode: 0x81
    }))
  )
]
