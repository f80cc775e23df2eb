import type { Readable, Writable } from 'node:stream'

/** What a command may touch of the world. Tests put streams of their own in here. */
export interface CliContext {
  out: Writable & { isTTY?: boolean; columns?: number }
  err: Writable & { isTTY?: boolean; columns?: number }
  in: Readable & { isTTY?: boolean; setRawMode?(raw: boolean): unknown }
  env: Readonly<Record<string, string | undefined>>
  /** Aborted by the first Ctrl-C or SIGTERM. A command that goes on until it is told to stop ends by this and exits with 0. */
  signal: AbortSignal
  /** Calls back at each SIGHUP that asks for files to be read again. Left out where there are no signals. */
  onHangup?(reload: () => void): void
}

/** Documented in the help of the program; scripts rely on them. */
export const exitCodes = {
  success: 0,
  /** What was asked for could not be done; the message says why. */
  failure: 1,
  /** The command line was wrong. */
  usage: 2,
  /** Ctrl-C before the command was done; as shells count it, 128 + SIGINT. */
  interrupted: 130
} as const

/** A failure that was foreseen: printed as one line, without a stack. */
export class CommandFailure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = exitCodes.failure, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
