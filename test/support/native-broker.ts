import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerIdentity } from '../../lib/access/contract.ts'
import { Broker, type BrokerOptions, type Clock } from '../../lib/broker/broker.ts'
import type { AckMode } from '../../lib/broker/native/stream-targets.ts'
import type { DeadLetterPolicy } from '../../lib/dead-letter/contract.ts'
import { DeadLetterLog } from '../../lib/dead-letter/dead-letter-log.ts'
import { type KeptLetter, readLetter } from '../../lib/dead-letter/letter-record.ts'
import { type OpenLetterStream, openDeadLetterStream } from '../../lib/dead-letter/open.ts'
import { Counters } from '../../lib/metrics/counters.ts'
import type { RetentionPolicy, Stream, StreamRecord } from '../../lib/stream/contract.ts'
import type { FileSystem } from '../../lib/stream/file-system.ts'
import { defaultGroupSettings, type GroupSettings } from '../../lib/stream/groups/contract.ts'
import { Streams } from '../../lib/stream/streams.ts'
import type { SessionStore } from '../../persistence/contract.ts'
import type { OpenDb } from '../../persistence/database.ts'
import { LevelStore } from '../../persistence/level-store.ts'

/** Time that only moves when the test says so. */
export class ManualClock implements Clock {
  nowMs = 1_700_000_000_000

  now(): number {
    return this.nowMs
  }

  advance(ms: number): void {
    this.nowMs += ms
  }
}

export interface TestBrokerOptions extends Omit<BrokerOptions, 'store' | 'streams'> {
  folder?: string
  ack?: AckMode
  streamFilter?: string
  /** How consumer groups treat what is not acknowledged. */
  groups?: Partial<GroupSettings>
  retention?: RetentionPolicy
  /** Streams beside `telemetry`, by name, with their filters. */
  moreStreams?: Record<string, string>
  /** Puts something between the broker and its store, or a stream. */
  wrapStore?: (store: SessionStore) => SessionStore
  wrapStream?: (stream: Stream) => Stream
  peer?: PeerIdentity
  /** Keeps dead letters. */
  letters?: Partial<DeadLetterPolicy>
  fileSystem?: FileSystem
  /** How the session store's database is opened. */
  openDb?: OpenDb
}

interface Parts {
  broker: Broker
  store: LevelStore
  streams: Streams
  letterStreams: OpenLetterStream | undefined
  deadLetters: DeadLetterLog | undefined
  server: Server
}

/** A broker on a real store and a real stream in a temporary folder, behind a TCP port. */
export class TestBroker {
  readonly folder: string
  readonly broker: Broker
  readonly store: LevelStore
  readonly streams: Streams
  readonly port: number
  /** Undefined unless the options have `letters`. */
  readonly deadLetters: DeadLetterLog | undefined
  readonly #letterStreams: OpenLetterStream | undefined
  readonly #server: Server
  readonly #options: TestBrokerOptions
  #stopped = false

  private constructor(folder: string, parts: Parts, options: TestBrokerOptions) {
    const { broker, store, streams, letterStreams, deadLetters, server } = parts
    this.folder = folder
    this.broker = broker
    this.store = store
    this.streams = streams
    this.#letterStreams = letterStreams
    this.deadLetters = deadLetters
    this.#server = server
    this.#options = options
    this.port = (server.address() as AddressInfo).port
  }

  static async start(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions = {}): Promise<TestBroker> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'tributary-test-')))
    const started = await TestBroker.#open(folder, options)
    t.teardown(async () => {
      await started.stop()
      await rm(folder, { recursive: true, force: true })
    })
    return started
  }

  static async #open(folder: string, options: TestBrokerOptions): Promise<TestBroker> {
    const {
      ack = 'synced',
      streamFilter = 'devices/#',
      groups,
      retention = { ageMs: 0, bytes: 0 },
      moreStreams = {},
      wrapStore,
      wrapStream,
      peer,
      fileSystem,
      openDb,
      letters,
      ...brokerOptions
    } = options
    const store = await LevelStore.open({ folder: join(folder, 'store'), ...(openDb ? { openDb } : {}) })
    const declaration = {
      name: 'telemetry',
      filter: streamFilter,
      key: 'clientId' as const,
      partitions: 4,
      retention,
      ack,
      groups: { ...defaultGroupSettings, ...groups }
    }
    const streams = await Streams.open({
      folder: join(folder, 'streams'),
      declarations: [declaration, ...Object.entries(moreStreams).map(([name, filter]) => ({ ...declaration, name, filter }))],
      ...(fileSystem ? { fileSystem } : {})
    })
    const counters = brokerOptions.counters ?? new Counters()
    const letterStreams =
      letters &&
      (await openDeadLetterStream({
        folder: join(folder, 'streams'),
        retention: { ageMs: 0, bytes: 0 },
        ...(fileSystem ? { fileSystem } : {})
      }))
    const wrapped = wrapStore ? wrapStore(store) : store
    const now = () => (brokerOptions.clock ?? Date).now()
    const deadLetters =
      letterStreams && new DeadLetterLog({ stream: letterStreams.stream, store: wrapped, counters, now, policy: letters })
    const broker = new Broker({
      ...brokerOptions,
      ...(deadLetters ? { deadLetters } : {}),
      counters,
      store: wrapped,
      streams: streams.declared().map(({ stream, ...one }) => ({ ...one, stream: wrapStream ? wrapStream(stream) : stream }))
    })
    await broker.listen()
    const server = createServer(socket => broker.accept(socket, undefined, peer))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TestBroker(folder, { broker, store, streams, letterStreams, deadLetters, server }, options)
  }

  /** Everything in the stream, durable records only. */
  async records(name = 'telemetry'): Promise<StreamRecord[]> {
    const records: StreamRecord[] = []
    const stream = this.streams.get(name)
    if (stream) for await (const record of stream.read({ from: 'earliest' })) records.push(record)
    return records
  }

  /** Dead letters that are on disk. */
  async letters(): Promise<KeptLetter[]> {
    const letters: KeptLetter[] = []
    if (this.deadLetters)
      for await (const record of this.deadLetters.stream.read({ from: 'earliest' })) letters.push(readLetter(record))
    return letters
  }

  /** Stops this broker and starts another one on the same folder. */
  async restart(t: { teardown(fn: () => unknown): unknown }, options: TestBrokerOptions = this.#options): Promise<TestBroker> {
    await this.stop()
    const next = await TestBroker.#open(this.folder, options)
    t.teardown(() => next.stop())
    return next
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#server.close()
    await new Promise<void>((resolve, reject) => this.broker.close(error => (error ? reject(error) : resolve())))
    const synced = await Promise.allSettled([this.deadLetters?.sync()])
    const closed = await Promise.allSettled([this.#letterStreams?.close(), this.streams.close()])
    const stored = await Promise.allSettled([this.store.close()])
    for (const result of [...synced, ...closed, ...stored]) if (result.status === 'rejected') throw result.reason
  }
}
