import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Stream } from '../../lib/stream/contract.ts'
import { Streams } from '../../lib/stream/streams.ts'

const nothing = Buffer.alloc(0)

function append(stream: Stream, payload: string): void {
  const bytes = Buffer.from(payload)
  stream.append(stream.source('a', 'device'), 1, false, 1, 0, nothing, bytes, 0, bytes.length)
}

async function payloads(stream: Stream): Promise<string[]> {
  const found: string[] = []
  for await (const record of stream.read({ from: 'earliest' })) found.push(record.payload.toString())
  return found
}

t.test('a sync after seal() writes what was appended before it and leaves the rest for the next one', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-seal-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const retention = { ageMs: 0, bytes: 0 }
  const declarations = [{ name: 's', filter: '#', key: 'clientId' as const, partitions: 1, retention, ack: 'synced' as const }]
  const streams = await Streams.open({ folder, declarations })
  const stream = streams.get('s')!
  append(stream, 'one')
  stream.seal()
  append(stream, 'two')
  t.ok(stream.pendingBytes > 0)
  await stream.sync()
  t.same(await payloads(stream), ['one'])
  t.ok(stream.dirty)
  stream.seal()
  append(stream, 'three')
  stream.seal()
  await stream.sync()
  t.same(await payloads(stream), ['one', 'two', 'three'], 'seals add up')
  append(stream, 'four')
  stream.seal()
  append(stream, 'five')
  await streams.close()
  const again = await Streams.open({ folder, declarations })
  t.same(await payloads(again.get('s')!), ['one', 'two', 'three', 'four', 'five'], 'close writes everything')
  await again.close()
})

t.test('a sync after seal() of a clean stream writes nothing that came in between', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-seal-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const retention = { ageMs: 0, bytes: 0 }
  const declarations = [{ name: 's', filter: '#', key: 'clientId' as const, partitions: 1, retention, ack: 'synced' as const }]
  const streams = await Streams.open({ folder, declarations })
  const stream = streams.get('s')!
  stream.seal()
  t.notOk(stream.dirty)
  append(stream, 'one')
  await stream.sync()
  t.same(await payloads(stream), [])
  t.ok(stream.dirty)
  await stream.sync()
  t.same(await payloads(stream), ['one'])
  t.notOk(stream.dirty)
  await streams.close()
})
