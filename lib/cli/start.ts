import { once } from 'node:events'
import type { Command } from 'commander'
import type { Logger } from '../logger.ts'
import type { Server } from '../server.ts'
import { version } from '../version.ts'
import type { CliContext } from './context.ts'
import { painter } from './paint.ts'

/** `tributary start` */
export function addStartCommand(program: Command, context: CliContext): void {
  program
    .command('start')
    .summary('run the broker')
    .description(
      'Run the broker until Ctrl-C or SIGTERM. It then takes no more messages, finishes what it has\n' +
        'accepted, says goodbye to its clients and exits with 0. A second Ctrl-C exits with 1 at once.\n' +
        'As a service it reads password, token, ACL and certificate files again at SIGHUP.'
    )
    .option('-c, --config <file>', 'YAML file; without one the embedded default is used (see: tributary check --print)')
    .option('--data <dir>', 'folder for everything that is kept; takes the place of "data" in the configuration')
    .action((options: { config?: string; data?: string }) => start(options, context))
}

async function start(options: { config?: string; data?: string }, context: CliContext): Promise<void> {
  // Loaded here, so that the other commands start without them: 0.1 s instead of 0.5.
  const { loadConfig } = await import('../config/load.ts')
  const { createLogger } = await import('../logger.ts')
  const { Server } = await import('../server.ts')
  const config = loadConfig({ file: options.config, dataFolder: options.data })
  const logger = createLogger(config.log, context.err)
  const server = await Server.start(config, { logger })
  context.onHangup?.(() => void reload(server, logger))
  const streams = Object.fromEntries(server.streams.declared().map(({ stream, filter }) => [stream.name, { filter }]))
  context.out.write(welcome(server, { data: config.data, streams }, options.config !== undefined, context))
  if (!context.signal.aborted) await once(context.signal, 'abort')
  const paint = painter(context.out, context.env)
  context.out.write(`\n  ${paint('dim', 'Finishing what was accepted. Ctrl-C again stops at once.')}\n`)
  await server.close()
  context.out.write(`  ${paint('green', 'Stopped.')} Everything that was acknowledged is on disk.\n`)
}

/** What is not valid stays as it was, and the log says why. */
async function reload(server: Server, logger: Logger): Promise<void> {
  try {
    await server.reload()
    logger.info('passwords, access rules, admin tokens and certificates were read again')
  } catch (error) {
    logger.error({ err: error }, 'not everything could be read again; what could not is as it was')
  }
}

const listenerNames = { tcp: 'MQTT', tls: 'MQTT, TLS', ws: 'WebSocket', wss: 'WebSocket, TLS' }

/** Where it listens, where its data is and what to type next. */
export function welcome(
  server: Pick<Server, 'addresses' | 'adminUrl'>,
  { data, streams }: { data: string; streams: Readonly<Record<string, { filter: string }>> },
  configured: boolean,
  { out, env }: Pick<CliContext, 'out' | 'env'>
): string {
  const paint = painter(out, env)
  const facts: [string, string][] = server.addresses.map(({ transport, url }) => [listenerNames[transport], paint('cyan', url)])
  if (server.adminUrl !== undefined) facts.push(['Admin', paint('cyan', server.adminUrl)])
  facts.push(['Data', data])
  for (const [name, { filter }] of Object.entries(streams)) facts.push(['Stream', `${name} ${paint('dim', `keeps ${filter}`)}`])
  const width = Math.max(...facts.map(([label]) => label.length))
  const lines = facts.map(([label, text]) => `  ${paint('dim', label.padEnd(width))}  ${text}`)
  return `\n  ${paint('bold', `Tributary ${version()}`)} is running\n\n${lines.join('\n')}\n${configured ? '' : nextSteps(paint)}\n`
}

function nextSteps(paint: ReturnType<typeof painter>): string {
  const step = (command: string, what: string) => `    ${command.padEnd(38)}${paint('dim', what)}\n`
  return (
    '\n  In another terminal:\n\n' +
    step('npx tributary demo', 'a small fleet of devices publishes telemetry') +
    step('npx tributary stream tail telemetry', 'watch the records arrive') +
    `\n  ${paint('dim', 'Ctrl-C stops it; nothing that was acknowledged is lost.')}\n`
  )
}
