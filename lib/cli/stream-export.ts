import type { StreamJson } from '../admin/stream-json.ts'
import { parseReadFrom } from '../stream/read-from.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { ProgressBar } from './progress-bar.ts'
import type { Column } from './stream-columns.ts'
import { openParquetSink } from './stream-parquet.ts'
import { CsvSink, type ExportFormat, NdjsonSink, type RecordSink } from './stream-sink.ts'
import type { ReadRequest, StreamSource } from './stream-source.ts'
import { openTarget, type Target } from './stream-target.ts'
import { formatCount } from './units.ts'

export interface ExportFlags extends Omit<ReadRequest, 'follow'> {
  format: ExportFormat
  /** `-` = standard output */
  output: string
  columns?: readonly Column[]
  /** How Parquet has payloads. */
  payload: 'binary' | 'text'
  /** CSV for spreadsheets: nothing in it is a formula. */
  spreadsheet?: boolean
  quiet?: boolean
}

/**
 * Writes records to a file and says on stderr how far it is. A file appears under its name only once it is complete: an export
 * that fails or is interrupted leaves what was there before.
 */
export async function exportStream(source: StreamSource, name: string, flags: ExportFlags, context: CliContext): Promise<void> {
  const startedMs = performance.now()
  // Before the file is made: a stream that does not exist must not leave one.
  const stream = await source.describe(name, context.signal)
  if (flags.format === 'parquet' && flags.output === '-' && context.out.isTTY) {
    throw new CommandFailure('a terminal cannot show Parquet: name a file with --output', exitCodes.usage)
  }
  const target = await openTarget(flags.output, context)
  const state: State = { records: 0, fraction: undefined }
  const bar = new ProgressBar(context.err, () => ({ ...state, elapsedMs: performance.now() - startedMs }))
  try {
    const sink = await openSink(target.out, flags, context)
    if (!flags.quiet) bar.start()
    const extent = extentOf(stream, flags)
    for await (const record of source.read(name, flags, context.signal)) {
      const behind = sink.add(record)
      if (behind !== undefined) await behind
      target.check()
      advance(state, extent, record.offset)
    }
    context.signal.throwIfAborted()
    await sink.finish()
    await target.commit()
    bar.stop()
    if (!flags.quiet) context.err.write(summary(name, target, sink, state.records, performance.now() - startedMs))
  } catch (error) {
    bar.stop()
    await target.discard()
    if (context.signal.aborted) throw new CommandFailure('interrupted: nothing was exported', exitCodes.interrupted)
    target.check()
    throw error
  }
}

function openSink(out: Target['out'], flags: ExportFlags, { signal }: CliContext): Promise<RecordSink> | RecordSink {
  const { format, columns, payload, spreadsheet = false } = flags
  if (format === 'parquet') return openParquetSink(out, { columns, payload, signal })
  return format === 'csv' ? new CsvSink(out, columns, spreadsheet, signal) : new NdjsonSink(out, columns, signal)
}

/** Which offsets the export goes through, as far as that is known before. */
interface Extent {
  /** undefined: from the first record that comes on. */
  start: number | undefined
  end: number
  limit: number
}

function extentOf({ earliestOffset, nextOffset }: StreamJson, { from, to, limit }: ExportFlags): Extent {
  const [first, last] = [parseReadFrom(from), to === undefined ? undefined : parseReadFrom(to)]
  const offset = typeof first === 'object' && 'offset' in first ? first.offset : undefined
  return {
    start: first === 'earliest' ? earliestOffset : offset,
    end: typeof last === 'object' && 'offset' in last ? Math.min(last.offset, nextOffset) : nextOffset,
    limit: limit ?? Number.POSITIVE_INFINITY
  }
}

interface State {
  records: number
  fraction: number | undefined
}

function advance(state: State, extent: Extent, offset: number): void {
  state.records++
  extent.start ??= offset
  const passed = (offset + 1 - extent.start) / Math.max(1, extent.end - extent.start)
  state.fraction = Math.max(passed, state.records / extent.limit)
}

function summary(name: string, target: Target, sink: RecordSink, records: number, elapsedMs: number): string {
  const seconds = (elapsedMs / 1000).toFixed(1)
  const lines = [`exported ${formatCount(records)} records of ${name} to ${target.name} in ${seconds} s`]
  for (const [column, count] of sink.misfits) {
    lines.push(`${formatCount(count)} values of ${column} had another type than those before and were left empty`)
  }
  return `${lines.join('\n')}\n`
}
