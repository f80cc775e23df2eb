import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import t from 'tap'
import { utf8Error } from '../../lib/mqtt/utf8.ts'

/** Node's own check, as an oracle. */
function isSound(bytes: Uint8Array): boolean {
  return isUtf8(bytes) && !bytes.includes(0)
}

t.test('[MQTT-1.5.4-1] every sequence of up to two bytes is judged as Node judges it', async t => {
  const wrong: number[][] = []
  for (let a = 0; a < 256; a++) {
    if ((utf8Error(Buffer.from([a]), 0, 1) === undefined) !== isSound(Buffer.from([a]))) wrong.push([a])
    for (let b = 0; b < 256; b++) {
      const bytes = Buffer.from([a, b])
      if ((utf8Error(bytes, 0, 2) === undefined) !== isSound(bytes)) wrong.push([a, b])
    }
  }
  t.strictSame(wrong, [])
})

t.test('[MQTT-1.5.4-1] the edges of three and four byte sequences are judged as Node judges them', async t => {
  const leads = [0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]
  const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]
  const wrong: number[][] = []
  for (const a of leads) {
    for (const b of edges) {
      for (const c of edges) {
        for (const tail of [[], [0x80], [0xbf], [0x7f], [0xc0]]) {
          const bytes = Buffer.from([a, b, c, ...tail])
          if ((utf8Error(bytes, 0, bytes.length) === undefined) !== isSound(bytes)) wrong.push([...bytes])
        }
      }
    }
  }
  t.strictSame(wrong, [])
})

t.test('random bytes and random text are judged as Node judges them', async t => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.string({ unit: 'binary' }).map(Buffer.from)), bytes => {
      return (utf8Error(bytes, 0, bytes.length) === undefined) === isSound(bytes)
    }),
    { numRuns: 3000 }
  )
  t.pass()
})

t.test('a sequence that goes on beyond the end is cut off there', async t => {
  const bytes = Buffer.from('aé€😀')
  t.equal(utf8Error(bytes, 0, bytes.length), undefined)
  for (const end of [2, 4, 5, 7, 8, 9]) t.match(utf8Error(bytes, 0, end), 'MQTT-1.5.4-1', `${end} bytes`)
  t.match(utf8Error(Buffer.from('a\u0000b'), 0, 3), 'MQTT-1.5.4-2')
})
