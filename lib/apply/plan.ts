/** What applying a set of streams does, said before it is done. Everything in it is shown as JSON. */
export interface Plan {
  changes: StreamChange[]
  /** Streams that are as the file says already. */
  unchanged: string[]
  /** False for a plan that was only looked at. */
  applied: boolean
  /** How often something was applied before: who carries the plan out may demand that nobody else did since. */
  revision: number
}

/**
 * `keep`: it was applied and is not in the file; without prune it stays. `refuse`: it cannot be done, so nothing is.
 */
export type ChangeAction = 'create' | 'change' | 'remove' | 'keep' | 'refuse'

export interface StreamChange {
  stream: string
  action: ChangeAction
  /** Settings that differ, as they stand in YAML. */
  settings: SettingChange[]
  /** What goes with it, now; undefined when nothing does. For `keep` what prune would delete. */
  deletes?: Deletion
  /** What else follows, for people. */
  notes: string[]
}

export interface SettingChange {
  /** As in `retention.age`. */
  key: string
  from: string
  to: string
}

/** Records that are deleted: whole segments, oldest first. */
export interface Deletion {
  segments: number
  bytes: number
  /** Offsets [fromOffset, toOffset). */
  fromOffset: number
  toOffset: number
  /** At most, when `compacted`. */
  records: number
  /** Compaction has been there, and how many records it left is not known. */
  compacted: boolean
  /** ISO 8601 times of the first and the latest of them; null when there is none. */
  oldest: string | null
  newest: string | null
  /** Those who have not read all of them. */
  readers: ReaderLoss[]
}

export interface ReaderLoss {
  kind: 'group' | 'client'
  /** Name of the group, or Client Identifier. */
  name: string
  filter: string
  /** Offsets from its position to the end of what is deleted. */
  unread: number
}

/** How far somebody is who reads a stream. */
export interface ReaderPosition {
  kind: ReaderLoss['kind']
  name: string
  filter: string
  position: number
}

/** Is there anything in the plan that would change something? */
export function changesSomething({ changes }: Plan): boolean {
  return changes.some(({ action }) => action === 'create' || action === 'change' || action === 'remove')
}

export function refusals({ changes }: Plan): StreamChange[] {
  return changes.filter(({ action }) => action === 'refuse')
}
