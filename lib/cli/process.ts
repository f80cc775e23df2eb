import type { CliContext } from './context.ts'
import { runCli } from './main.ts'

/** Runs the command line of this process and sets its exit code. */
export async function runProcess(): Promise<void> {
  const interrupted = new AbortController()
  onSignals(() => {
    // The first one asks for an orderly end, the second one means it.
    if (interrupted.signal.aborted) process.exit(1)
    interrupted.abort()
  })
  const args = process.argv.slice(2)
  endQuietlyWithReader(args[0] === 'start')
  const { stdout: out, stderr: err, stdin, env } = process
  const context: CliContext = { out, err, in: stdin, env, signal: interrupted.signal, onHangup }
  process.exitCode = await runCli(args, context)
  // Not process.exit(): what was written to a pipe may still be on its way.
  stdin.unref?.()
}

/**
 * Under `npm start` one Ctrl-C arrives twice: from the terminal, which tells every process, and from npm, which passes on what it
 * was told. Nobody presses it again as fast as that. Milliseconds.
 */
const ECHO_MS = 300

function onSignals(stop: () => void): void {
  let last: { signal: string; atMs: number } | undefined
  const onSignal = (signal: string) => {
    const atMs = performance.now()
    const isEcho = last?.signal === signal && atMs - last.atMs < ECHO_MS
    last = { signal, atMs }
    if (!isEcho) stop()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
}

/** On a terminal SIGHUP says that the terminal is gone, and ends the process as it always does; a service is meant to reload. */
function onHangup(reload: () => void): void {
  if (!process.stdout.isTTY && !process.stdin.isTTY) process.on('SIGHUP', reload)
}

/** Nobody reads on (`| head`): that is the end of a command, but not of a broker. */
function endQuietlyWithReader(isBroker: boolean): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      if (!isBroker) process.exit(0)
    })
  }
}
