import type { DeadLetterDesk } from '../dead-letter/dead-letter-desk.ts'
import type { Cleanup, RetentionPolicy, Stream } from '../stream/contract.ts'
import type { GroupJson } from './group-schemas.ts'
import type { AdminLimits } from './limits.ts'
import type { AppliedSource } from './routes-apply.ts'
import type { ClientJson } from './routes-clients.ts'
import type { GroupControl } from './routes-groups.ts'
import type { SchemaSource } from './routes-schemas.ts'

/** What the admin server shows and changes: one narrow member per room. */
export interface AdminSources {
  /** Empty when the broker takes messages and can keep its promises; otherwise why not, for people. */
  problems(): string[]
  /** Prometheus text format. */
  renderMetrics(): Promise<string>
  readonly streams: { all(): readonly Stream[]; get(name: string): Stream | undefined }
  declaration(streamName: string): StreamSettings | undefined
  /** Streams as code. */
  readonly applied: AppliedSource
  clients(): readonly ClientJson[]
  /** Undefined when none are kept. */
  readonly deadLetters?: DeadLetterDesk | undefined
  /** Consumer groups of streams. */
  groups(): readonly GroupJson[] | Promise<readonly GroupJson[]>
  /** What is done with them; without it they are only shown. */
  readonly groupControl?: GroupControl | undefined
  readonly schemas?: SchemaSource | undefined
}

/** How a stream was declared, as far as it is shown. */
export interface StreamSettings {
  filter: string
  key: string
  partitions: number
  retention: RetentionPolicy
  cleanup?: Cleanup | undefined
  ack: string
}

/** The part of a pino logger that the admin server uses. */
export interface AdminLog {
  warn(fields: object, message: string): void
  /** The audit line of each write. */
  info(fields: object, message: string): void
}

export interface AdminOptions {
  host: string
  /** 0 = any free port. */
  port: number
  /** Who may come in; undefined = everybody may read, and write on loopback. */
  tokenFile?: string | undefined
  sources: AdminSources
  /** Where they differ from `adminLimits`. */
  limits?: Partial<AdminLimits>
  log?: AdminLog
}
