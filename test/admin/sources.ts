import type { AdminSources } from '../../lib/admin/contract.ts'
import type { ClientJson } from '../../lib/admin/routes-clients.ts'
import type { GroupJson } from '../../lib/admin/routes-groups.ts'
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
      ack: 'synced'
    }),
    applied: { apply: unused, planChange: unused },
    clients: () => [],
    groups: () => [],
    ...overrides
  }
}

function unused(): Promise<never> {
  return Promise.reject(new Error('this test has no applied streams'))
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
  return { stream: 'telemetry', group, filter: '#', members: [], lag: 0, partitions: [], ...extra }
}
