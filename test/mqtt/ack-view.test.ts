import t from 'tap'
import { AckView, viewAck, writeAck } from '../../lib/mqtt/ack-view.ts'
import { Frame, readFrame } from '../../lib/mqtt/frame.ts'
import { acknowledgementCases } from './packets/acknowledgement.ts'

t.test('an acknowledgement is accepted and refused as decodePacket() does', async t => {
  const frame = new Frame()
  const view = new AckView()
  for (const entry of acknowledgementCases) {
    readFrame(entry.bytes, 0, entry.bytes.length, 1000, frame)
    const code = viewAck(entry.bytes, frame, entry.version, view)
    if ('packet' in entry) {
      t.equal(code, 0, entry.title)
      t.match(entry.packet, { messageId: view.packetId, reasonCode: view.reasonCode }, entry.title)
    } else {
      t.equal(code, entry.reasonCode, entry.title)
    }
  }
})

t.test('a success is written in four bytes', async t => {
  const out = Buffer.alloc(6, 0xee)
  t.equal(writeAck(out, 1, 0x62, 0xabcd), 5)
  t.strictSame([...out], [0xee, 0x62, 2, 0xab, 0xcd, 0xee])
})
