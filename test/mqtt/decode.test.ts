import t from 'tap'
import { decodePacket } from '../../lib/mqtt/decode.ts'
import { Frame, readFrame } from '../../lib/mqtt/frame.ts'
import { decodeOne, packetErrorOf } from './decode-one.ts'
import { packetTable } from './packet-table.ts'
import { field, raw } from './packets/case.ts'

for (const entry of packetTable) {
  if ('packet' in entry) {
    t.test(`${entry.title} is accepted`, async t => {
      t.strictSame(decodeOne(entry.bytes, entry.version), entry.packet)
    })
  } else {
    t.test(`${entry.title} is refused with 0x${entry.reasonCode.toString(16)}`, async t => {
      const error = packetErrorOf(() => decodeOne(entry.bytes, entry.version))
      t.ok(error, 'is refused')
      t.equal(error?.code, 'TRB_PROTOCOL')
      t.equal(error?.reasonCode, entry.reasonCode)
      t.equal(error?.connackReturnCode, entry.connackReturnCode)
      t.equal(error?.protocolVersion, entry.connackVersion)
    })
  }
}

t.test('titles of the table are unique, so that a failure names its case', async t => {
  const titles = packetTable.map(entry => entry.title)
  t.strictSame(
    titles.filter((title, i) => titles.indexOf(title) !== i),
    []
  )
})

t.test('every prefix of a packet is incomplete, never an error and never a packet', async t => {
  const frame = new Frame()
  for (const entry of packetTable) {
    if (!('packet' in entry)) continue
    for (let length = 0; length < entry.bytes.length; length++) {
      const next = readFrame(entry.bytes, 0, length, 1000, frame)
      if (next !== 0) t.fail(`${entry.title}: ${length} bytes give ${next}`)
    }
  }
})

t.test('a decoded packet shares no memory with the chunk it came in', async t => {
  for (const entry of packetTable) {
    if (!('packet' in entry)) continue
    const bytes = Buffer.from(entry.bytes)
    const packet = decodeOne(bytes, entry.version)
    bytes.fill(0xff)
    t.strictSame(packet, entry.packet, entry.title)
  }
})

t.test('decodePacket() says so when it is handed a PUBLISH', async t => {
  const bytes = raw(0x30, field('a'))
  const frame = new Frame()
  readFrame(bytes, 0, bytes.length, 100, frame)
  t.equal(packetErrorOf(() => decodePacket(bytes, frame, 4))?.reasonCode, 0x83)
})

t.test('every reason code of tables 3-4 to 3-7 and 3-13 is accepted from a client, no other', async t => {
  const receipt = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
  const release = [0x00, 0x92]
  const expected = new Map([
    [0x40, receipt],
    [0x50, receipt],
    [0x62, release],
    [0x70, release],
    [0xe0, [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]]
  ])
  for (const [firstByte, codes] of expected) {
    const accepted: number[] = []
    for (let code = 0; code < 256; code++) {
      const bytes = firstByte === 0xe0 ? raw(firstByte, code) : raw(firstByte, 0, 1, code)
      const error = packetErrorOf(() => decodeOne(bytes, 5))
      if (error === undefined) accepted.push(code)
      else if (error.reasonCode !== 0x82) t.fail(`0x${code.toString(16)} is refused with 0x${error.reasonCode.toString(16)}`)
    }
    t.strictSame(accepted, codes, `first byte 0x${firstByte.toString(16)}`)
  }
})
