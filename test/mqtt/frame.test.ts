import t from 'tap'
import { Frame, isLengthPadded, readFrame } from '../../lib/mqtt/frame.ts'

const big = 268_435_460

t.test('a frame says type, flags and where the body lies', async t => {
  const frame = new Frame()
  const bytes = Buffer.from([0xff, 0x6a, 0x02, 0x01, 0x02, 0xff])
  t.equal(readFrame(bytes, 1, 6, big, frame), 5)
  t.match(frame, { type: 6, flags: 10, bodyStart: 3, bodyEnd: 5, lengthBytes: 1 })
})

t.test('section 2.1.4: the Remaining Length has one to four bytes', async t => {
  const table: [number[], number][] = [
    [[0x00], 0],
    [[0x7f], 127],
    [[0x80, 0x01], 128],
    [[0xff, 0x7f], 16_383],
    [[0x80, 0x80, 0x01], 16_384],
    [[0xff, 0xff, 0x7f], 2_097_151],
    [[0x80, 0x80, 0x80, 0x01], 2_097_152]
  ]
  const frame = new Frame()
  for (const [length, body] of table) {
    const bytes = Buffer.alloc(1 + length.length + body)
    bytes.set([0x30, ...length])
    t.equal(readFrame(bytes, 0, bytes.length, big, frame), bytes.length, `${body} bytes`)
    t.equal(frame.bodyEnd - frame.bodyStart, body)
    t.notOk(isLengthPadded(bytes, frame))
    t.equal(readFrame(bytes, 0, bytes.length - 1, big, frame), 0, 'one byte less is incomplete')
  }
})

t.test('four bytes that all go on are malformed before a fifth has come', async t => {
  t.equal(readFrame(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]), 0, 5, big, new Frame()), -1)
  t.equal(readFrame(Buffer.from([0x30, 0x80, 0x80, 0x80]), 0, 4, big, new Frame()), 0)
})

t.test('a packet is too large by its whole size, and that is known before its body', async t => {
  const frame = new Frame()
  const bytes = Buffer.from([0x32, 0x08, 0, 0, 0, 0, 0, 0, 0, 0])
  t.equal(readFrame(bytes, 0, 10, 10, frame), 10)
  t.equal(readFrame(bytes, 0, 10, 9, frame), -2)
  t.equal(readFrame(bytes, 0, 2, 9, frame), -2)
  t.equal(frame.type, 3)
  t.equal(readFrame(Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f]), 0, 5, 1 << 20, frame), -2)
})

t.test('an incomplete packet says how far it will reach as soon as its length is known', async t => {
  const frame = new Frame()
  const bytes = Buffer.from([0xc0, 0, 0x30, 0x80, 0x01, 0, 1])
  readFrame(bytes, 0, 7, big, frame)
  t.equal(readFrame(bytes, 2, 7, big, frame), 0)
  t.equal(frame.bodyEnd, 133)
  t.equal(readFrame(bytes, 2, 4, big, frame), 0)
  t.equal(frame.bodyEnd, 0)
  t.equal(readFrame(bytes, 2, 3, big, frame), 0)
  t.equal(frame.bodyEnd, 0)
})

t.test('padding is seen even when the body is empty', async t => {
  const frame = new Frame()
  const padded = Buffer.from([0xc0, 0x80, 0x00])
  t.equal(readFrame(padded, 0, 3, big, frame), 3)
  t.ok(isLengthPadded(padded, frame))
  const plain = Buffer.from([0xc0, 0x00])
  readFrame(plain, 0, 2, big, frame)
  t.notOk(isLengthPadded(plain, frame))
})

t.test('packets of a chunk are read one after the other', async t => {
  const bytes = Buffer.from([0xc0, 0, 0x40, 2, 0, 1, 0xe0, 0, 0x30])
  const frame = new Frame()
  const types: number[] = []
  let at = 0
  for (let next = readFrame(bytes, at, 9, big, frame); next > 0; next = readFrame(bytes, at, 9, big, frame)) {
    types.push(frame.type)
    at = next
  }
  t.strictSame(types, [12, 4, 14])
  t.equal(at, 8)
})
