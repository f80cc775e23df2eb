import { join } from 'node:path'
import type { Logger } from 'pino'
import { LevelStore, lockFolder } from '../persistence/index.ts'
import { Access } from './access/access.ts'
import type { PeerIdentity } from './access/contract.ts'
import { Health } from './admin/health.ts'
import type { AdminServer } from './admin/server.ts'
import { AppliedStreams, openManifest } from './apply/applied-streams.ts'
import { Broker, type BrokerOptions } from './broker/broker.ts'
import { Cleanup } from './composition/cleanup.ts'
import { openDesk, openLetterLog } from './composition/letters.ts'
import { brokerLimits, closeAll, drain, openListeners } from './composition/reception.ts'
import { schemaDesk, withOwn } from './composition/sources.ts'
import { isLoopback } from './config/anonymous.ts'
import type { Config } from './config/config.ts'
import type { DeadLetterDesk } from './dead-letter/dead-letter-desk.ts'
import type { Listener } from './listener/contract.ts'
import { Counters } from './metrics/counters.ts'
import { Metrics } from './metrics/registry.ts'
import { ConfiguredIntakes } from './schema/configured-intakes.ts'
import { SchemaRegistry } from './schema/registry.ts'
import { NodeFileSystem } from './stream/file-system.ts'
import type { ConsumerGroups } from './stream/groups/groups.ts'
import { StorageGuard } from './stream/storage-guard.ts'
import { Streams } from './stream/streams.ts'
import { silentLogger, systemClock } from './stream/surroundings.ts'
import { version } from './version.ts'

export interface ServerOptions {
  logger?: Logger
}

/** Where clients come in. */
export interface ServerAddress {
  transport: PeerIdentity['transport']
  host: string
  /** The port really bound. */
  port: number
  url: string
}

/**
 * A whole broker in this process: storage, access, engine, admin server and listeners as the configuration says. The one place
 * that knows every room; it opens them from the bottom up and closes them so that nothing accepted is lost.
 */
export class Server {
  readonly broker: Broker
  readonly streams: Streams
  /** Streams as code: what `tributary apply` brings about. */
  readonly applied: AppliedStreams
  /** Undefined when the configuration keeps no dead letters. */
  readonly deadLetters: DeadLetterDesk | undefined
  readonly #parts: Parts
  #closing: Promise<void> | undefined

  private constructor(parts: Parts) {
    this.#parts = parts
    this.broker = parts.broker
    this.streams = parts.streams
    this.applied = parts.applied
    this.deadLetters = parts.deadLetters
  }

  /**
   * Opens everything, or nothing: when one part cannot be opened, those before it are closed again and its error is thrown.
   * @throws TributaryError TRB_DATA_LOCKED, TRB_ACCESS_FILE_INVALID, TRB_LISTENER_FAILED, TRB_STORE_CORRUPT, TRB_STREAM_CORRUPT
   */
  static async start(config: Config, options: ServerOptions = {}): Promise<Server> {
    const cleanup = new Cleanup(options.logger)
    try {
      return new Server(await openParts(config, options, cleanup))
    } catch (error) {
      await cleanup.run()
      throw error
    }
  }

  /** Consumer groups of streams: to join one in this process, and to look after them. */
  get groups(): ConsumerGroups {
    return this.broker.groups
  }

  get addresses(): ServerAddress[] {
    return this.#parts.listeners.map(({ transport, host, port, url }) => ({ transport, host, port, url }))
  }

  /** Undefined when the configuration has no admin listener. */
  get adminUrl(): string | undefined {
    return this.#parts.admin?.url
  }

  /** Why `/readyz` says no; empty when it says yes. */
  problems(): string[] {
    return this.#parts.health.problems()
  }

  /** Reads password file, ACL file, tokens of the admin API and certificates again. What is not valid is reported and the old one stays in force. */
  async reload(): Promise<void> {
    const { access, admin, listeners } = this.#parts
    const results = await Promise.allSettled([access.reload(), admin?.reload(), ...listeners.map(listener => listener.reload())])
    const errors = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []))
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, errors.map(error => error.message).join('\n'))
  }

  /**
   * Ends gracefully: not ready, no new connections, what was accepted is written and acknowledged, clients are told, files are
   * closed. Called again it returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= closeParts(this.#parts)
    return this.#closing
  }
}

interface Parts {
  config: Config
  logger: Logger | undefined
  health: Health
  access: Access
  streams: Streams
  applied: AppliedStreams
  broker: Broker
  deadLetters: DeadLetterDesk | undefined
  admin: AdminServer | undefined
  listeners: Listener[]
  cleanup: Cleanup
}

async function openParts(config: Config, { logger }: ServerOptions, cleanup: Cleanup): Promise<Parts> {
  const lock = await lockFolder(config.data)
  cleanup.add('data folder', () => lock.release())
  const counters = new Counters()
  const health = new Health()

  const store = await LevelStore.open({ folder: join(config.data, 'store'), ...(logger ? { logger } : {}) })
  cleanup.add('session store', () => store.close())
  const fileSystem = new NodeFileSystem()
  const folder = join(config.data, 'streams')
  const manifest = await openManifest(fileSystem, folder, config.streams, logger ?? silentLogger)
  const declared = Object.entries({ ...manifest.streams, ...config.streams })
  const declarations = declared.map(([name, settings]) => ({ name, ...settings }))
  let storage: StorageGuard | undefined
  const onSync = (_stream: string, _seconds: number, bytes: number) => storage?.appended(bytes)
  const streams = await Streams.open({ folder, declarations, fileSystem, onSync, ...(logger ? { logger } : {}) })
  cleanup.add('streams', () => streams.close())
  const letterLog = await openLetterLog(config, { store, counters, logger, cleanup })
  const registry = await SchemaRegistry.open({ folder: join(config.data, 'schemas'), fileSystem })
  const settings = (name: string) =>
    config.streams[name] ?? (Object.hasOwn(manifest.streams, name) ? manifest.streams[name] : undefined)
  const intakes = new ConfiguredIntakes({ registry, settings, logger })
  const access = await Access.load(config.access)

  const broker = new Broker({
    ...(access.hooks as BrokerOptions | undefined),
    store,
    streams: streams.declared(),
    intake: name => intakes.of(name),
    access,
    ackRules: config.ack,
    limits: brokerLimits(config),
    features: config.features,
    responseTopicPrefix: config.responseTopicPrefix,
    serverReference: config.serverReference,
    counters,
    ...(letterLog ? { deadLetters: letterLog } : {}),
    logger,
    onCommit: (part, error) => {
      health.wrote(part, error)
      if (error !== undefined) storage?.failed(error)
    }
  })
  const guard = new StorageGuard({
    ...{ folder, fileSystem, limits: config.storage, clock: systemClock, logger: logger ?? silentLogger },
    streams: () => streams.all(),
    // One that keeps the last record of each key would not be that any more.
    cuttable: ({ name }) => streams.declaration(name)?.cleanup !== 'compact',
    onChange: reason => {
      health.readOnly = reason
      broker.setReadOnly(reason)
    }
  })
  storage = guard
  cleanup.add('storage', () => guard.close())
  // Closed after the broker, so that /readyz can be asked while it drains.
  let admin: AdminServer | undefined
  cleanup.add('admin server', async () => admin?.close())
  cleanup.add('broker', () => drain(broker, config, logger))
  await broker.listen()
  intakes.started()
  await guard.start()
  const applied = new AppliedStreams({
    ...{ manifest, streams, folder, fileSystem },
    configured: config.streams,
    follower: broker.streamChanges!,
    clock: systemClock,
    logger: logger ?? silentLogger,
    objection: (name, settings) => intakes.objection(name, settings)
  })
  cleanup.add('applied streams', () => applied.close())

  const deadLetters = letterLog && openDesk(config, letterLog, broker, logger)
  const readable = withOwn(streams, letterLog?.stream)
  const metrics = new Metrics({
    counters,
    streams: () => readable.all().map(stream => stream.stats()),
    deadLetters: letterLog && (() => letterLog.stats()),
    sessions: () => ({ sessions: broker.sessionCount, subscriptions: broker.subscriptionCount }),
    groups: () => broker.describeGroups(),
    retainedMessages: () => store.retainedCount,
    storage: () => guard.state,
    intakes: () => broker.describeIntakes(),
    version: version()
  })
  const sources = {
    problems: () => health.problems(),
    renderMetrics: async () => {
      await broker.groups.measureAges()
      return metrics.renderMetrics()
    },
    streams: readable,
    declaration: (name: string) => streams.declaration(name),
    applied,
    clients: () => broker.describeClients(),
    groups: async () => {
      await broker.groups.measureAges()
      return broker.describeGroups()
    },
    groupControl: broker.groups,
    deadLetters,
    schemas: schemaDesk(registry, intakes)
  }
  if (config.admin !== false) {
    // Loaded here, so that a broker without it does not pay for it.
    const { openAdminServer } = await import('./admin/server.ts')
    const { maxReaders: readersMax, ...settings } = config.admin
    admin = await openAdminServer({ ...settings, limits: { readersMax }, sources, ...(logger ? { log: logger } : {}) })
    if (!isLoopback(settings.host) && settings.tokenFile === undefined) {
      logger?.warn({ url: admin.url }, 'the admin listener has no tokens and can be read from other machines')
    }
  }

  const listeners: Listener[] = []
  cleanup.add('listeners', () => closeAll(listeners))
  await openListeners(config, { broker, counters, logger, listeners })
  health.phase = 'open'
  return { config, logger, health, access, streams, applied, broker, deadLetters, admin, listeners, cleanup }
}

async function closeParts({ health, logger, cleanup }: Parts): Promise<void> {
  health.phase = 'closing'
  logger?.debug('closing')
  const failed = await cleanup.run()
  if (failed.length > 0) throw failed[0]
  logger?.debug('closed')
}
