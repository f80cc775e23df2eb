import { type Command, InvalidArgumentError } from 'commander'
import { type CliContext, CommandFailure } from './context.ts'
import type { Fleet, FleetTotals } from './fleet.ts'
import { painter } from './paint.ts'
import { positiveNumber } from './stream.ts'
import { formatCount } from './units.ts'

interface DemoFlags {
  devices: number
  rate: number
  seconds?: number
  url: URL
}

const URL_DEFAULT = 'mqtt://127.0.0.1:1883'
const STATUS_EVERY_MS = 250
/** How long the last acknowledgements are waited for. */
const GOODBYE_MS = 5_000

/** `tributary demo` */
export function addDemoCommand(program: Command, context: CliContext): void {
  program
    .command('demo')
    .summary('simulate a small fleet of devices')
    .description(
      'Simulate devices that publish JSON telemetry at QoS 1 to devices/<id>/telemetry. They survive a\n' +
        'restart of the broker: what was not acknowledged is sent again. Ends with Ctrl-C or after --seconds.'
    )
    .option('--devices <count>', 'how many devices', positiveNumber, 10)
    .option('--rate <rate>', 'messages per second and device', positiveRate, 1)
    .option('--seconds <seconds>', 'stop after this time', positiveRate)
    .option('--url <url>', 'broker to publish to, mqtt://[user:password@]host[:port]', brokerUrl, new URL(URL_DEFAULT))
    .addHelpText(
      'after',
      '\nExamples:\n  $ tributary demo --devices 100 --rate 5 --seconds 30\n  $ tributary demo --url mqtt://pump-7:secret@broker.example'
    )
    .action((flags: DemoFlags) => demo(flags, context))
}

async function demo(flags: DemoFlags, context: CliContext): Promise<void> {
  const failed = new AbortController()
  const { fleet, problem } = await assemble(flags, failed)
  const stops = [context.signal, failed.signal]
  if (flags.seconds !== undefined) stops.push(AbortSignal.timeout(flags.seconds * 1000))
  const stop = AbortSignal.any(stops)

  fleet.start()
  const status = setInterval(() => showStatus(fleet, context), STATUS_EVERY_MS)
  await aborted(stop)
  clearInterval(status)
  // A second Ctrl-C ends the process, so nobody has to sit this out.
  await fleet.stop(failed.signal.aborted ? failed.signal : AbortSignal.timeout(GOODBYE_MS))
  if (context.err.isTTY) context.err.write('\r\u001b[K')

  if (failed.signal.aborted) throw new CommandFailure(problem())
  context.out.write(goodbye(fleet.totals, flags.url, context))
  const missing = fleet.totals.published - fleet.totals.acknowledged
  if (missing > 0) throw new CommandFailure(`${formatCount(missing)} messages were not acknowledged${detail(problem())}`)
}

/** `problem` is what went wrong last; `failed` is aborted when going on makes no sense. */
async function assemble(flags: DemoFlags, failed: AbortController): Promise<{ fleet: Fleet; problem: () => string }> {
  const { Fleet } = await import('./fleet.ts')
  const { url } = flags
  const link = {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port || 1883),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) })
  }
  let problem = ''
  const fleet = new Fleet(
    { devices: flags.devices, rate: flags.rate, link },
    {
      refused: reason => {
        problem = `the broker at ${url.host} refuses: ${reason}`
        failed.abort()
      },
      offline: reason => {
        problem = `no broker answers at ${url.host} (${reason})`
        if (fleet.everOnline) return
        problem += ': start one with "tributary start", or say where it is with --url'
        failed.abort()
      }
    }
  )
  return { fleet, problem: () => problem }
}

function showStatus(fleet: Fleet, { err, env }: CliContext): void {
  if (!err.isTTY) return
  const paint = painter(err, env)
  const { published, acknowledged, ackMs, reconnects } = fleet.totals
  const parts = [
    `${formatCount(fleet.online)} devices online`,
    `${formatCount(published)} published`,
    paint('green', `${formatCount(acknowledged)} acknowledged`),
    `${ackMs.toFixed(1)} ms to the ack`
  ]
  if (reconnects > 0) parts.push(`${formatCount(reconnects)} reconnects`)
  err.write(`\r\u001b[K  ${parts.join(paint('dim', ' · '))}`)
}

function goodbye(totals: FleetTotals, url: URL, { out, env }: CliContext): string {
  const paint = painter(out, env)
  const { published, acknowledged, reconnects, skipped, ackMs } = totals
  const extra = [
    ...(reconnects > 0 ? [`${formatCount(reconnects)} reconnects`] : []),
    ...(skipped > 0 ? [`${formatCount(skipped)} readings skipped because too much was unacknowledged`] : [])
  ]
  return (
    `${formatCount(published)} published to ${url.host}, ${paint('green', `${formatCount(acknowledged)} acknowledged`)}, ` +
    `${ackMs.toFixed(1)} ms to the ack${extra.length === 0 ? '' : `; ${extra.join('; ')}`}\n`
  )
}

function detail(problem: string): string {
  return problem === '' ? '' : `: ${problem}`
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function positiveRate(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 100_000)) throw new InvalidArgumentError('expected a number above 0')
  return value
}

function brokerUrl(text: string): URL {
  if (!URL.canParse(text) || !text.startsWith('mqtt://')) throw new InvalidArgumentError(`expected a URL such as ${URL_DEFAULT}`)
  return new URL(text)
}
