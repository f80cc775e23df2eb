import type { AdminSources } from '../../lib/admin/contract.ts'
import type { GroupJson } from '../../lib/admin/group-schemas.ts'
import type { ClientJson } from '../../lib/admin/routes-clients.ts'
import { TributaryError } from '../../lib/errors.ts'
import type { Stream } from '../../lib/stream/contract.ts'

/** What an admin server shows in a test: nothing but what is given. */
export function adminSources(streams: readonly Stream[], overrides: Partial<AdminSources> = {}): AdminSources {
  return {
    problems: () => [],
    renderMetrics: async () => '',
    streams: { all: () => streams, get: name => streams.find(stream => stream.name === name) },
    declaration: () => ({
      filter: 'devices/#',
      key: 'clientId',
      partitions: 2,
      retention: { ageMs: 0, bytes: 5000 },
      cleanup: 'compact' as const,
      ack: 'synced'
    }),
    applied: { apply: unused, planChange: unused },
    clients: () => [],
    groups: () => [],
    groupControl: noGroups,
    ...overrides
  }
}

function unused(): Promise<never> {
  return Promise.reject(new Error('this test has no applied streams'))
}

const unknown = async (): Promise<never> => {
  throw new TributaryError('TRB_GROUP_UNKNOWN', 'there are no groups here')
}

const noGroups: NonNullable<AdminSources['groupControl']> = {
  describeOne: unknown,
  reset: unknown,
  remove: unknown,
  leases: { poll: unknown, commit: unknown, leave: () => false }
}

export function clientJson(clientId: string, extra: Partial<ClientJson> = {}): ClientJson {
  return {
    clientId,
    connected: true,
    protocolVersion: 4,
    sessionExpirySeconds: 0,
    subscriptions: [],
    backlog: 0,
    inflight: 0,
    bytesReceived: 0,
    bytesSent: 0,
    ...extra
  }
}

export function groupJson(group: string, extra: Partial<GroupJson> = {}): GroupJson {
  const counts = { end: 0, lag: 0, committed: 0, redelivered: 0, deadLetters: 0, lost: 0 }
  return { stream: 'telemetry', group, filter: '#', members: [], partitions: [], ...counts, ...extra }
}
