import { TributaryError } from '../lib/errors.ts'
import { describeKey, quarantineKey } from './keys.ts'
import type { PendingRecords } from './pending-records.ts'

/** Reports kept for people; the count goes on. */
const REPORTS_MAX = 1000

export interface StoreLogger {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** A record that did not decode. Its bytes are kept under the quarantine prefix, see FORMAT.md. */
export interface CorruptRecord {
  /** The key it had, in hex. */
  key: string
  error: TributaryError
}

/** Moves records that do not decode out of the way, byte for byte, and says so. */
export class Quarantine {
  readonly #records: PendingRecords<Buffer>
  readonly #logger: StoreLogger | undefined
  readonly reports: CorruptRecord[] = []
  count = 0

  constructor(records: PendingRecords<Buffer>, logger: StoreLogger | undefined) {
    this.#records = records
    this.#logger = logger
  }

  /** What `decode` returns; undefined when it throws, and then the record goes into quarantine with the next batch. */
  decode<T>(key: Buffer, value: Buffer, decode: () => T): T | undefined {
    try {
      return decode()
    } catch (cause) {
      this.add(key, value, cause instanceof Error ? cause.message : String(cause), cause)
      return undefined
    }
  }

  add(key: Buffer, value: Buffer, why: string, cause?: unknown): void {
    this.#records.put(quarantineKey(key).toString('latin1'), value)
    this.#records.delete(key.toString('latin1'), () => true)
    this.report(key, `${why}; its bytes are kept in quarantine`, cause)
  }

  /** Says so without moving anything. */
  report(key: Buffer, why: string, cause?: unknown): void {
    const error = new TributaryError('TRB_STORE_CORRUPT', `${describeKey(key)}: ${why}`, { cause })
    this.count++
    if (this.reports.length < REPORTS_MAX) this.reports.push({ key: key.toString('hex'), error })
    this.#logger?.error({ code: error.code, key: key.toString('hex') }, error.message)
  }
}
