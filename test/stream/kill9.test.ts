import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { openStreamReader } from '../../lib/stream/read-only-log.ts'
import { Streams } from '../../lib/stream/streams.ts'
import { wrong } from './compacted.ts'
import { keyAt, payloadAt } from './kill9-records.ts'
import { collect } from './open-log.ts'

const child = fileURLToPath(new URL('./kill9-child.js', import.meta.url))
const compactingChild = fileURLToPath(new URL('./compaction-kill9-child.js', import.meta.url))
const rounds = 6

/** Runs the child until it has promised `records` more records, kills it, and returns the last promise it printed. */
async function runAndKill(args: string[], records: number): Promise<{ started: number; promised: number }> {
  // Without the test runner's loaders, which cost more time than the child.
  const env = { ...process.env, NODE_OPTIONS: '' }
  const running = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(running, 'exit')
  let text = ''
  for await (const chunk of running.stdout) {
    text += String(chunk)
    const lines = text.split('\n')
    if (lines.length > 1 && Number(lines.at(-2)) >= Number(lines[0]) + records) running.kill('SIGKILL')
  }
  const [, signal] = await exited
  t.equal(signal, 'SIGKILL')
  const promises = text.split('\n').slice(0, -1).map(Number)
  return { started: promises[0]!, promised: promises.at(-1)! }
}

t.test('after kill -9 every record whose sync was reported is there, whole and in order', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-kill9-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  let promised = 0
  for (let round = 0; round < rounds; round++) {
    const run = await runAndKill([child, folder, String(1 + round * 40)], 1 + round * 200)
    t.ok(run.started >= promised, `${run.started} of ${promised} records came back`)
    promised = run.promised
    const reader = await openStreamReader(folder, 'log')
    const records = await collect(reader.read({ from: 'earliest' }))
    t.ok(records.length >= promised)
    t.strictSame(reader.gaps, [])
    const wrong = records.findIndex(
      ({ offset, payload }, i) => offset !== i || payload.toString() !== `record ${i} ${'x'.repeat(i % 300)}`
    )
    t.equal(wrong, -1)
  }
  t.ok(promised > 1000)
  const retention = { ageMs: 0, bytes: 0 }
  const declaration = { name: 'log', filter: '#', key: 'clientId' as const, partitions: 4, retention, ack: 'synced' as const }
  const streams = await Streams.open({ folder, declarations: [declaration] })
  t.ok(streams.get('log')!.nextOffset >= promised)
  await streams.close()
})

t.test('after kill -9 in the middle of compaction every last value is there, once, and nothing comes back', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-kill9-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  let promised = 0
  let removed = 0
  for (let round = 0; round < rounds; round++) {
    const run = await runAndKill([compactingChild, folder], 300 + round * 170)
    t.ok(run.started >= promised, `${run.started} of ${promised} records came back`)
    promised = run.promised
    const reader = await openStreamReader(folder, 'log')
    const appended = Array.from({ length: reader.nextOffset }, (_, i) => ({ key: keyAt(i), payload: payloadAt(i) }))
    const records = await collect(reader.read({ from: 'earliest' }))
    t.equal(wrong(records, appended), undefined)
    removed = reader.nextOffset - records.length
    t.strictSame(reader.gaps, [])
  }
  t.ok(removed > 0, 'something was compacted')
})
