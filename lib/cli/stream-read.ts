import { Lines } from '../admin/lines.ts'
import type { RecordJson } from '../admin/record-json.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { painter } from './paint.ts'
import { RecordPrinter, type TextFlags } from './record-text.ts'
import type { ReadRequest, StreamSource } from './stream-source.ts'

export interface ReadFlags extends Omit<ReadRequest, 'follow'>, TextFlags {}

/** Prints records and ends. */
export async function readStream(source: StreamSource, name: string, flags: ReadFlags, context: CliContext): Promise<void> {
  await print(source.read(name, flags, context.signal), flags, context)
  if (context.signal.aborted) throw new CommandFailure('interrupted', exitCodes.interrupted)
}

export interface TailFlags extends Omit<ReadRequest, 'from' | 'limit' | 'follow'>, TextFlags {
  lines: number
}

/** Prints the last `lines` records, then new ones until it is interrupted or has come to `to`. */
export async function tailStream(source: StreamSource, name: string, flags: TailFlags, context: CliContext): Promise<void> {
  const { earliestOffset, nextOffset } = await source.describe(name, context.signal)
  const { to, filter, partition, key } = flags
  const from = String(Math.max(earliestOffset, nextOffset - flags.lines))
  if (nextOffset === earliestOffset && context.err.isTTY) {
    context.err.write(`stream ${name} is empty; waiting for records (try: tributary demo)\n`)
  }
  await print(source.read(name, { from, to, filter, partition, key, follow: true }, context.signal), flags, context)
}

async function print(records: AsyncIterable<RecordJson>, flags: TextFlags, { out, env, signal }: CliContext): Promise<void> {
  const lines = new Lines(out)
  const printer = new RecordPrinter(flags, painter(out, env), out.isTTY ? (out.columns ?? 80) : undefined)
  try {
    for await (const record of records) {
      lines.add(printer.print(record))
      if (lines.full) await lines.drained(signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    lines.flush()
  }
}
