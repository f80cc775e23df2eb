import type { StreamRecord } from '../../lib/stream/contract.ts'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { append, START_MS } from './open-log.ts'

/** No waiting between pieces of work, and no thresholds. */
export const eager = {
  tombstoneAgeMs: 1000,
  minDirtyRatio: 0,
  maxLagMs: Number.MAX_SAFE_INTEGER,
  memoryBytes: 1 << 20,
  bytesPerSecond: 1e12
}

export interface Appended {
  key: string
  payload: string
}

/** Appends by a seeded sequence: `keys` keys, some tombstones, a sync after every few. Returns what was appended, by offset. */
export async function fill(log: StreamLog, count: number, keys: number, seed = 1, timeMs = START_MS): Promise<Appended[]> {
  const all: Appended[] = []
  let state = seed
  const random = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 0x80000000
  }
  for (let i = 0; i < count; i++) {
    const key = `key-${Math.floor(random() * keys)}`
    const payload = random() < 0.15 ? '' : `${key} ${log.nextOffset} ${'x'.repeat(Math.floor(random() * 60))}`
    append(log, payload, timeMs + i, `t/${key}`, key)
    all.push({ key, payload })
    if (random() < 0.3) await log.sync()
  }
  await log.sync()
  return all
}

/**
 * What is wrong with records that were read, if anything: each is as it was appended and comes once, in order; every key's last value
 * is there; and where the last is a tombstone, it is there or nothing of the key is.
 */
export function wrong(records: readonly StreamRecord[], appended: readonly Appended[], from = 0): string | undefined {
  const last = new Map<string, number>()
  for (const [offset, { key }] of appended.entries()) last.set(key, offset)
  const found = new Map<string, number>()
  let before = from - 1
  for (const { offset, clientId, payload } of records) {
    if (offset <= before) return `offset ${offset} comes after ${before}`
    before = offset
    const original = appended[offset]
    if (original?.key !== clientId || original.payload !== payload.toString()) return `offset ${offset} is not what was appended`
    found.set(clientId, offset)
  }
  for (const [key, offset] of last) {
    if (offset < from || found.get(key) === offset) continue
    if (appended[offset]!.payload !== '') return `the last value of ${key}, offset ${offset}, is gone`
    if (found.has(key)) return `the tombstone of ${key}, offset ${offset}, is gone, and offset ${found.get(key)} is not`
  }
  return undefined
}

/** Records of keys that have a later one among those before `end`. */
export function replaced(records: readonly StreamRecord[], end: number): number[] {
  const last = new Map<string, number>()
  for (const { offset, clientId } of records) if (offset < end) last.set(clientId, offset)
  return records.filter(({ offset, clientId }) => offset < end && last.get(clientId) !== offset).map(({ offset }) => offset)
}
