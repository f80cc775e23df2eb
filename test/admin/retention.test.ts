import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { MemoryFileSystem } from '../stream/memory-file-system.ts'
import { append, openLog } from '../stream/open-log.ts'
import { adminSources } from './sources.ts'

/** More than the buffers of a connection take, so that a reader who is paused stands in the middle. */
const RECORDS = 2_500
const PAYLOAD_BYTES = 10_000
const SEGMENTS_LEFT = 3

/** A reader that stops taking anything, whose stream then loses most of its segments. */
async function outrun(t: { teardown(fn: () => unknown): unknown }, query: string) {
  const log = await openLog(new MemoryFileSystem(), { segmentBytesMax: 256 * 1024 })
  t.teardown(() => log.close())
  for (let i = 0; i < RECORDS; i++) {
    append(log, 'x'.repeat(PAYLOAD_BYTES))
    if (i % 20 === 19) await log.sync()
  }
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([log]) })
  t.teardown(() => server.close())
  const request = get(`${server.url}/streams/${log.name}/records?${query}`)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.pause()
  while (log.segments.length > SEGMENTS_LEFT) await log.removeOldest()
  let text = ''
  response.setEncoding('utf8')
  response.on('data', chunk => (text += chunk))
  let ended = 'ended'
  response.on('error', (error: NodeJS.ErrnoException) => (ended = error.code ?? 'failed'))
  response.resume()
  await new Promise(resolve => response.once('close', resolve))
  const lines: { offset: number; gap?: { fromOffset: number; toOffset: number }; error?: string }[] = text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  return { lines, ended, earliestOffset: log.stats().earliestOffset }
}

/** Where the lines stop telling about every offset, one after the other; undefined when they tell about all. */
function firstUntold(lines: Awaited<ReturnType<typeof outrun>>['lines']): number | undefined {
  let next = 0
  for (const { offset, gap } of lines) {
    if ((gap?.fromOffset ?? offset) !== next) return next
    next = gap?.toOffset ?? next + 1
  }
  return next === RECORDS ? undefined : next
}

t.test('a reader that retention overtakes is told which offsets it does not get, and gets all others', async t => {
  const { lines, ended, earliestOffset } = await outrun(t, 'out-of-range=earliest')
  t.equal(ended, 'ended')
  t.equal(firstUntold(lines), undefined)
  const gaps = lines.flatMap(({ gap }) => gap ?? [])
  t.ok(gaps.length > 0 && gaps.every(({ toOffset }) => toOffset <= earliestOffset), 'retention did overtake it')
})

t.test('by default a reader that retention overtakes ends with the reason and a connection that breaks off', async t => {
  const { lines, ended } = await outrun(t, '')
  t.equal(ended, 'ECONNRESET')
  t.match(lines.at(-1), { error: 'TRB_OFFSET_OUT_OF_RANGE', message: /has been removed by retention/ })
  t.ok(lines.length > 1 && lines.length < RECORDS, `${lines.length} lines came`)
})
