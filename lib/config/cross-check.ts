import { isLoopback } from './anonymous.ts'
import type { Config, ListenerConfig } from './config.ts'
import type { Path } from './problem.ts'

/** A rule over several keys that a configuration of valid keys breaks. */
export interface Contradiction {
  path: Path
  expected: string
  got: string
  hint: string
}

/** What is wrong although every key alone is right. */
export function findContradictions(config: Config): Contradiction[] {
  return [
    ...config.listeners.flatMap((listener, index) => anonymousFromAnywhere(config, listener, index)),
    ...config.listeners.flatMap(missingAuthorities),
    ...samePort(config),
    ...nobodyGetsIn(config),
    ...scramWithoutPasswords(config),
    ...namesThatDifferInCase(config),
    ...uncommittedBelowPacket(config)
  ]
}

function anonymousFromAnywhere({ access }: Config, listener: ListenerConfig, index: number): Contradiction[] {
  if (!access.anonymous || listener.anonymous !== 'allow-on-loopback' || isLoopback(listener.host)) return []
  return [
    {
      path: ['listeners', index, 'host'],
      expected: 'a loopback address, as clients without credentials are let in',
      got: `anonymous access on ${listener.host}, which other machines can reach`,
      hint: 'set `access: { anonymous: false }`, or say on this listener `anonymous: deny` or `anonymous: allow-from-anywhere`'
    }
  ]
}

function missingAuthorities(listener: ListenerConfig, index: number): Contradiction[] {
  if (!('clientCertificate' in listener) || listener.clientCertificate === 'none' || listener.ca !== undefined) return []
  return [
    {
      path: ['listeners', index, 'ca'],
      expected: `the file of authorities that sign client certificates, as clientCertificate is ${listener.clientCertificate}`,
      got: 'nothing',
      hint: 'for example `ca: devices-ca.pem`'
    }
  ]
}

function samePort({ listeners, admin }: Config): Contradiction[] {
  const places: { path: Path; host: string; port: number }[] = listeners.map(({ host, port }, index) => ({
    path: ['listeners', index, 'port'],
    host,
    port
  }))
  if (admin !== false) places.push({ path: ['admin', 'port'], ...admin })
  const seen = new Set<string>()
  return places.flatMap(({ path, host, port }) => {
    const address = `${host}:${port}`
    const taken = port !== 0 && seen.has(address)
    seen.add(address)
    return taken ? [{ path, expected: 'an address of its own', got: `${address} a second time`, hint: 'set another port' }] : []
  })
}

function nobodyGetsIn({ access, listeners }: Config): Contradiction[] {
  if (access.anonymous || access.passwordFile !== undefined || access.hooks !== undefined) return []
  if (listeners.some(listener => 'clientCertificate' in listener && listener.clientCertificate !== 'none')) return []
  return [
    {
      path: ['access', 'anonymous'],
      expected: 'some way for clients to come in',
      got: 'anonymous: false without passwordFile, hooks or a listener that asks for client certificates',
      hint: 'run `tributary passwd passwords USERNAME` and set `passwordFile: passwords`'
    }
  ]
}

function scramWithoutPasswords({ access }: Config): Contradiction[] {
  if (access.scram !== true || access.passwordFile !== undefined) return []
  return [
    {
      path: ['access', 'scram'],
      expected: 'a passwordFile with the verifiers of SCRAM',
      got: 'scram: true without passwordFile',
      hint: 'run `tributary passwd passwords USERNAME --scram` and set `passwordFile: passwords`'
    }
  ]
}

/** Streams are folders, and some file systems take `Telemetry` and `telemetry` for the same one. */
function namesThatDifferInCase({ streams }: Config): Contradiction[] {
  const seen = new Map<string, string>()
  return Object.keys(streams).flatMap(name => {
    const other = seen.get(name.toLowerCase())
    seen.set(name.toLowerCase(), name)
    if (other === undefined) return []
    const expected = 'a name that differs from others in more than upper and lower case'
    return [{ path: ['streams', name], expected, got: `"${name}" beside "${other}"`, hint: 'rename one of the two' }]
  })
}

function uncommittedBelowPacket({ limits }: Config): Contradiction[] {
  if (limits.maxUncommittedBytes >= limits.maxPacketBytes) return []
  return [
    {
      path: ['limits', 'maxUncommittedBytes'],
      expected: `at least maxPacketBytes (${limits.maxPacketBytes})`,
      got: String(limits.maxUncommittedBytes),
      hint: 'raise maxUncommittedBytes or lower maxPacketBytes'
    }
  ]
}
