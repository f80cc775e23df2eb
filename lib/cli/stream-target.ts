import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'

/** Where an export goes. Nothing is under the final name before `commit()`. */
export interface Target {
  /** For messages. */
  name: string
  out: Writable
  /** Throws once a write has failed, so that a long export does not go on into nothing. */
  check(): void
  /** Resolves when everything is on disk under its name. */
  commit(): Promise<void>
  /** Removes what was written. */
  discard(): Promise<void>
}

/** `-` is standard output. A regular file is written beside its name and put in place by renaming. */
export async function openTarget(output: string, context: CliContext): Promise<Target> {
  if (output === '-') {
    const nothing = async (): Promise<void> => {}
    return { name: 'standard output', out: context.out, check: () => {}, commit: nothing, discard: nothing }
  }
  // A device or pipe is written as it is; only a regular file can be put in place by renaming.
  const existing = await stat(output).catch(() => undefined)
  const direct = existing !== undefined && !existing.isFile()
  // Two exports to one name must not write into each other's file.
  const file = direct ? output : `${output}.${process.pid}.partial`
  const out = createWriteStream(file, { flush: !direct })
  await opened(out, output)
  // A full disk shows when somebody writes or waits; without a listener it would end the process before.
  let failure: Error | undefined
  out.on('error', error => {
    failure = error
  })
  const check = (): void => {
    if (failure !== undefined) throw cannotWrite(output, failure)
  }
  return {
    name: output,
    out,
    check,
    commit: async () => {
      check()
      out.end()
      try {
        await finished(out)
        if (!direct) await rename(file, output)
      } catch (cause) {
        throw cannotWrite(output, cause)
      }
    },
    discard: async () => {
      out.destroy()
      if (!out.closed) await once(out, 'close').catch(() => {})
      if (!direct) await rm(file, { force: true })
    }
  }
}

async function opened(out: WriteStream, output: string): Promise<void> {
  try {
    await once(out, 'open')
  } catch (cause) {
    throw cannotWrite(output, cause)
  }
}

function cannotWrite(output: string, cause: unknown): CommandFailure {
  return new CommandFailure(`cannot write ${output}: ${(cause as Error).message}`, exitCodes.failure, { cause })
}
