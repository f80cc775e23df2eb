import type { Command } from 'commander'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import type { CliContext } from './context.ts'
import { painter, printable } from './paint.ts'
import { formatTable } from './table.ts'
import { formatCount } from './units.ts'

/** What is shown of a client; the admin endpoint sends more. */
interface ClientRow {
  clientId: string
  connected: boolean
  address?: string
  listener?: string
  username?: string
  protocolVersion?: number
  subscriptions?: readonly string[]
  backlog?: number
  inflight?: number
}

/** `tributary client ls` */
export function addClientCommands(program: Command, context: CliContext): void {
  program
    .command('client')
    .summary('look at connected clients and kept sessions')
    .command('ls')
    .summary('list clients')
    .option('--admin <url>', 'admin listener of a running broker', ADMIN_URL_DEFAULT)
    .option('--json', 'print JSON')
    .action((options: { admin: string; json?: boolean }) => listClients(options, context))
}

async function listClients({ admin, json }: { admin: string; json?: boolean }, context: CliContext): Promise<void> {
  const client = new AdminClient(admin, 'start it with "tributary start", or say where it is with --admin URL')
  const { clients } = await client.json<{ clients: ClientRow[] }>('GET', '/clients', context.signal)
  if (json) {
    context.out.write(`${JSON.stringify(clients, undefined, 2)}\n`)
    return
  }
  if (clients.length === 0) {
    context.out.write('no clients are connected and no sessions are kept\n')
    return
  }
  context.out.write(formatTable(columns, clients.map(row), painter(context.out, context.env)))
}

const columns = [
  { title: 'CLIENT' },
  { title: 'STATE' },
  { title: 'FROM' },
  { title: 'USER' },
  { title: 'MQTT' },
  { title: 'SUBSCRIPTIONS', align: 'right' as const },
  { title: 'QUEUED', align: 'right' as const },
  { title: 'INFLIGHT', align: 'right' as const }
]

const versions = new Map([
  [3, '3.1'],
  [4, '3.1.1'],
  [5, '5']
])

function row(client: ClientRow): string[] {
  return [
    printable(client.clientId),
    client.connected ? 'connected' : 'away',
    client.address || '-',
    printable(client.username ?? '-'),
    versions.get(client.protocolVersion ?? 0) ?? '-',
    formatCount(client.subscriptions?.length ?? 0),
    formatCount(client.backlog ?? 0),
    formatCount(client.inflight ?? 0)
  ]
}
