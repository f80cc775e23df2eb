import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { Lines } from '../admin/lines.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { csvHeader, recordCsv } from './record-text.ts'
import type { StreamSource } from './stream-source.ts'
import { formatCount } from './units.ts'

export interface ExportFlags {
  from: string
  limit?: number
  filter?: string
  format: 'ndjson' | 'csv'
  /** `-` = standard output */
  output: string
}

const PROGRESS_EVERY = 10_000

/** Writes records to a file and says on stderr how far it is. A file appears under its name only once it is complete. */
export async function exportStream(source: StreamSource, name: string, flags: ExportFlags, context: CliContext): Promise<void> {
  const started = Date.now()
  // Before the file is made: a stream that does not exist must not leave one.
  await source.describe(name, context.signal)
  const target = await openTarget(flags.output, context)
  try {
    const count = await copy(source, name, flags, target.out, context)
    await target.commit()
    const seconds = ((Date.now() - started) / 1000).toFixed(1)
    progress(context, `exported ${formatCount(count)} records of ${name} to ${target.name} in ${seconds} s\n`)
  } catch (error) {
    await target.discard()
    if (context.signal.aborted) throw new CommandFailure('interrupted: nothing was exported', exitCodes.interrupted)
    throw error
  }
}

async function copy(source: StreamSource, name: string, flags: ExportFlags, out: Writable, context: CliContext): Promise<number> {
  const lines = new Lines(out)
  const csv = flags.format === 'csv'
  let count = 0
  if (csv) lines.add(`${csvHeader}\r`)
  for await (const record of source.read(name, flags, context.signal)) {
    lines.add(csv ? `${recordCsv(record)}\r` : JSON.stringify(record))
    if (lines.full) await lines.drained(context.signal)
    if (++count % PROGRESS_EVERY === 0 && context.err.isTTY) progress(context, `${formatCount(count)} records`)
  }
  lines.flush()
  context.signal.throwIfAborted()
  return count
}

/** Replaces the progress line on a terminal; elsewhere only the last word is printed. */
function progress({ err }: CliContext, text: string): void {
  err.write(err.isTTY ? `\r\u001b[K${text}` : text)
}

interface Target {
  name: string
  out: Writable
  commit(): Promise<void>
  discard(): Promise<void>
}

async function openTarget(output: string, context: CliContext): Promise<Target> {
  if (output === '-') return { name: 'standard output', out: context.out, commit: async () => {}, discard: async () => {} }
  // A device or pipe is written as it is; only a regular file can be put in place by renaming.
  const existing = await stat(output).catch(() => undefined)
  const direct = existing !== undefined && !existing.isFile()
  const file = direct ? output : `${output}.partial`
  const out = createWriteStream(file)
  await opened(out, output)
  return {
    name: output,
    out,
    commit: async () => {
      out.end()
      await finished(out)
      if (!direct) await rename(file, output)
    },
    discard: async () => {
      out.destroy()
      if (!direct) await rm(file, { force: true })
    }
  }
}

async function opened(out: WriteStream, output: string): Promise<void> {
  try {
    await once(out, 'open')
  } catch (cause) {
    throw new CommandFailure(`cannot write ${output}: ${(cause as Error).message}`, exitCodes.failure, { cause })
  }
}
