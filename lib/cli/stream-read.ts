import { Lines } from '../admin/lines.ts'
import type { RecordJson } from '../admin/record-json.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { painter } from './paint.ts'
import { formatRecord, type RecordFormat } from './record-text.ts'
import type { StreamSource } from './stream-source.ts'

export interface ReadFlags {
  from: string
  limit?: number
  filter?: string
  format: RecordFormat
}

/** Prints records and ends. */
export async function readStream(source: StreamSource, name: string, flags: ReadFlags, context: CliContext): Promise<void> {
  await print(source.read(name, flags, context.signal), flags.format, context)
  if (context.signal.aborted) throw new CommandFailure('interrupted', exitCodes.interrupted)
}

export interface TailFlags {
  lines: number
  filter?: string
  format: RecordFormat
}

/** Prints the last `lines` records, then new ones until it is interrupted. */
export async function tailStream(source: StreamSource, name: string, flags: TailFlags, context: CliContext): Promise<void> {
  const { earliestOffset, nextOffset } = await source.describe(name, context.signal)
  const from = String(Math.max(earliestOffset, nextOffset - flags.lines))
  if (nextOffset === earliestOffset && context.err.isTTY) {
    context.err.write(`stream ${name} is empty; waiting for records (try: tributary demo)\n`)
  }
  await print(source.read(name, { from, filter: flags.filter, follow: true }, context.signal), flags.format, context)
}

async function print(records: AsyncIterable<RecordJson>, format: RecordFormat, { out, env, signal }: CliContext): Promise<void> {
  const lines = new Lines(out)
  const paint = painter(out, env)
  try {
    for await (const record of records) {
      lines.add(formatRecord(record, format, paint))
      if (lines.full) await lines.drained(signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    lines.flush()
  }
}
