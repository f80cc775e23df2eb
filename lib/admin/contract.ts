import type { RetentionPolicy, Stream } from '../stream/contract.ts'

/** What the admin server shows. It only looks: nothing here changes the broker. */
export interface AdminSources {
  /** Empty when the broker takes messages and can keep its promises; otherwise why not, for people. */
  problems(): string[]
  /** Prometheus text format. */
  renderMetrics(): Promise<string>
  readonly streams: { all(): readonly Stream[]; get(name: string): Stream | undefined }
  declaration(streamName: string): StreamSettings | undefined
  clients(): readonly ClientEntry[]
  /** Consumer groups of streams. */
  groups(): readonly GroupEntry[]
}

/** How a stream was declared, as far as it is shown. */
export interface StreamSettings {
  filter: string
  key: string
  partitions: number
  retention: RetentionPolicy
  ack: string
}

/** One client, connected or with a session that is kept. Everything in it is shown as JSON. */
export interface ClientEntry {
  clientId: string
}

/** One consumer group; everything in it is shown as JSON. */
export interface GroupEntry {
  stream: string
  group: string
}

/** The part of a pino logger that the admin server uses. */
export interface AdminLog {
  warn(fields: object, message: string): void
}

export interface AdminOptions {
  host: string
  /** 0 = any free port. */
  port: number
  sources: AdminSources
  log?: AdminLog
}
