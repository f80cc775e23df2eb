import { Command, CommanderError } from 'commander'
import { TributaryError } from '../errors.ts'
import { version } from '../version.ts'
import { addTokenOption } from './admin-token.ts'
import { addApplyCommand } from './apply.ts'
import { addCheckCommand } from './check.ts'
import { addClientCommands } from './client.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'
import { addDeadLetterCommands } from './dead-letter.ts'
import { addDemoCommand } from './demo.ts'
import { addGroupCommands } from './group.ts'
import { painter } from './paint.ts'
import { addPasswdCommand } from './passwd.ts'
import { addSchemaCommands } from './schema.ts'
import { addStartCommand } from './start.ts'
import { addStreamCommands } from './stream.ts'
import { addTokenCommand } from './token.ts'

/** Runs one command; `args` are those after the name of the program. Resolves with the exit code. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await buildProgram(context).parseAsync([...args], { from: 'user' })
    return exitCodes.success
  } catch (error) {
    return report(error, context)
  }
}

function buildProgram(context: CliContext): Command {
  const program = new Command('tributary')
    .description('An MQTT broker for telemetry that keeps its word: what it acknowledged is on disk.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .configureOutput({
      writeOut: text => context.out.write(text),
      writeErr: text => context.err.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false
    })
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText('after', helpEnd)
  addStartCommand(program, context)
  addCheckCommand(program, context)
  addDemoCommand(program, context)
  addStreamCommands(program, context)
  addApplyCommand(program, context)
  addClientCommands(program, context)
  addGroupCommands(program, context)
  addDeadLetterCommands(program, context)
  addSchemaCommands(program, context)
  addPasswdCommand(program, context)
  addTokenCommand(program, context)
  addTokenOption(program, context)
  return program
}

const helpEnd = `
Examples:
  $ tributary start                             run the broker with the embedded default
  $ tributary demo                              publish some telemetry to it
  $ tributary stream tail telemetry             watch it arrive
  $ tributary check --print > tributary.yaml    begin a configuration of your own

Exit codes: ${exitCodes.success} done, ${exitCodes.failure} failed (the message says why), ${exitCodes.usage} wrong command line, ${exitCodes.interrupted} interrupted.`

function report(error: unknown, context: CliContext): number {
  // Commander has printed its message already; help and version come as errors of code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage
  const paint = painter(context.err, context.env)
  if (error instanceof CommandFailure) {
    context.err.write(`${paint('red', 'error:')} ${error.message}\n`)
    return error.exitCode
  }
  if (error instanceof TributaryError) {
    context.err.write(`${paint('red', 'error:')} ${error.message} ${paint('dim', `(${error.code})`)}\n`)
    return exitCodes.failure
  }
  // Not foreseen, so the stack is what helps.
  context.err.write(`${paint('red', 'error:')} ${error instanceof Error ? error.stack : String(error)}\n`)
  return exitCodes.failure
}
