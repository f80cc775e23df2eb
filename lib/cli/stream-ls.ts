import type { CliContext } from './context.ts'
import { painter } from './paint.ts'
import type { StreamSource } from './stream-source.ts'
import { formatTable } from './table.ts'
import { formatAge, formatBytes, formatCount } from './units.ts'

export async function listStreams(source: StreamSource, { json }: { json?: boolean }, context: CliContext): Promise<void> {
  const streams = await source.list(context.signal)
  if (json) {
    context.out.write(`${JSON.stringify(streams, undefined, 2)}\n`)
    return
  }
  if (streams.length === 0) {
    context.out.write('no streams: declare one under "streams" in the configuration\n')
    return
  }
  const now = Date.now()
  const rows = streams.map(stream => [
    stream.name,
    stream.filter ?? '-',
    formatCount(stream.records),
    formatBytes(stream.bytes),
    formatAge(stream.oldest, now),
    formatAge(stream.newest, now)
  ])
  const columns = [
    { title: 'STREAM' },
    { title: 'FILTER' },
    { title: 'RECORDS', align: 'right' as const },
    { title: 'SIZE', align: 'right' as const },
    { title: 'OLDEST' },
    { title: 'NEWEST' }
  ]
  context.out.write(formatTable(columns, rows, painter(context.out, context.env)))
}
