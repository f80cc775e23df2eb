import type { StreamConfig } from '../config/config.ts'
import { type StreamWords, streamWords } from '../config/streams-file.ts'
import type { LogView } from '../stream/log-view.ts'
import { foreseeRetention, type Removal, removalOf, retentionOf } from '../stream/retention.ts'
import type { Deletion, Plan, ReaderPosition, SettingChange, StreamChange } from './plan.ts'

export type StreamSet = Readonly<Record<string, StreamConfig>>

/** What a plan is made of. */
export interface PlanSources {
  revision: number
  /** Streams that were applied before. */
  applied: StreamSet
  /** Streams of the configuration file, which apply leaves alone. */
  configured: StreamSet
  /** Streams whose folders could not be deleted yet. */
  removing: readonly string[]
  /** What is in a stream's folder, whether it is declared or not; undefined when there is none. */
  view(name: string): Promise<Pick<LogView, 'segments'> | undefined>
  readers(name: string): readonly ReaderPosition[]
  nowMs: number
  /** What else speaks against a stream with these settings, for people. */
  objection?: ((name: string, wanted: StreamConfig) => string | undefined) | undefined
}

/** What it takes to get from what is applied to what is wanted. */
export async function planStreams(wanted: StreamSet, prune: boolean, sources: PlanSources): Promise<Plan> {
  const plan: Plan = { changes: [], unchanged: [], applied: false, revision: sources.revision }
  for (const [name, settings] of Object.entries(wanted)) {
    const change = refusal(name, settings, sources) ?? (await planStream(name, settings, sources))
    if (change === undefined) plan.unchanged.push(name)
    else plan.changes.push(change)
  }
  for (const name of Object.keys(sources.applied)) {
    if (!Object.hasOwn(wanted, name)) plan.changes.push(await planRemoval(name, prune, sources))
  }
  return plan
}

/** What becomes of one stream when it gets these settings, whoever declared it; undefined when it has them. */
export async function planStream(name: string, wanted: StreamConfig, sources: PlanSources): Promise<StreamChange | undefined> {
  const current = own(sources.configured, name) ?? own(sources.applied, name)
  const view = await sources.view(name)
  if (current === undefined) {
    const { records } = removalOf(view?.segments ?? [])
    const notes = records > 0 ? [`takes up the ${records} records that are in its folder`] : []
    return { stream: name, action: 'create', settings: differences({}, streamWords(wanted)), notes }
  }
  const settings = differences(streamWords(current), streamWords(wanted))
  // A stream of the configuration has its settings from there, in other words perhaps.
  if (settings.length === 0) return undefined
  const change: StreamChange = { stream: name, action: 'change', settings, notes: consequences(settings) }
  const removal = foreseeRetention(view?.segments ?? [], retentionOf(wanted), sources.nowMs)
  if (removal.segments > 0 && settings.some(({ key }) => key.startsWith('retention.') || key === 'cleanup')) {
    change.deletes = deletion(removal, sources.readers(name))
  }
  return change
}

async function planRemoval(name: string, prune: boolean, sources: PlanSources): Promise<StreamChange> {
  const view = await sources.view(name)
  const readers = sources.readers(name)
  const clients = readers.filter(({ kind }) => kind === 'client').length
  const groups = readers.length - clients
  const notes: string[] = []
  if (groups > 0) notes.push(`${plural(groups, 'consumer group')} of it will be removed`)
  if (clients > 0) notes.push(`${plural(clients, 'subscription')} to it will end: clients that are connected are disconnected`)
  const deletes = deletion(removalOf(view?.segments ?? []), readers)
  return { stream: name, action: prune ? 'remove' : 'keep', settings: [], deletes, notes }
}

function refusal(name: string, wanted: StreamConfig, sources: PlanSources): StreamChange | undefined {
  const { configured, applied, removing } = sources
  const refuse = (note: string): StreamChange => ({ stream: name, action: 'refuse', settings: [], notes: [note] })
  const declared = own(configured, name)
  if (declared !== undefined) {
    const settings = differences(streamWords(declared), streamWords(wanted))
    if (settings.length === 0) return undefined
    return { ...refuse('the configuration file declares it: change it there, or take it out of there first'), settings }
  }
  const other = [...Object.keys(configured), ...Object.keys(applied)].find(
    known => known !== name && known.toLowerCase() === name.toLowerCase()
  )
  if (other !== undefined) return refuse(`there is a stream "${other}": expected a name that differs in more than case`)
  const objection = sources.objection?.(name, wanted)
  if (objection !== undefined) return refuse(objection)
  if (removing.includes(name)) {
    return refuse('the files of the stream that had this name could not be deleted yet; the log says why')
  }
  return undefined
}

function deletion(removal: Removal, readers: readonly ReaderPosition[]): Deletion {
  const { segments, bytes, fromOffset, toOffset, records, compacted, firstTimestampMs, lastTimestampMs } = removal
  return {
    ...{ segments, bytes, fromOffset, toOffset, records, compacted },
    oldest: isoTime(firstTimestampMs),
    newest: isoTime(lastTimestampMs),
    readers: readers
      .filter(({ position }) => position < toOffset)
      .map(({ kind, name, filter, position }) => ({ kind, name, filter, unread: toOffset - Math.max(position, fromOffset) }))
  }
}

/** What a change of these settings means besides what it deletes. */
function consequences(settings: readonly SettingChange[]): string[] {
  return settings.flatMap(({ key, from, to }) => {
    const of = notes.get(key)
    return of === undefined ? [] : [of(from, to)]
  })
}

const notes: ReadonlyMap<string, (from: string, to: string) => string> = new Map<string, (from: string, to: string) => string>([
  ['filter', () => 'counts from the next publish on; records that are in the stream stay'],
  [
    'key',
    () => 'a key may change its partition: its older and newer records may be read at the same time by two members of a group'
  ],
  [
    'partitions',
    () =>
      'records keep the partition they have; consumer groups go on at their lowest position, so that some records come again, and a key may change its partition'
  ],
  [
    'cleanup',
    (_from, to) =>
      to === 'delete'
        ? 'what compaction has removed does not come back; from now on retention alone removes records'
        : 'all but the last record of each key will be removed, and keys whose last record has no payload altogether'
  ],
  ['segmentBytes', () => 'counts for new segments; retention removes whole ones'],
  [
    'ack',
    (_from, to) =>
      to === 'received' ? 'an acknowledgement no longer means that the record is on disk' : 'counts from the next publish on'
  ]
])

function differences(from: StreamWords, to: StreamWords): SettingChange[] {
  const [before, after] = [flat(from), flat(to)]
  return [...new Set([...before.keys(), ...after.keys()])]
    .map(key => ({ key, from: before.get(key) ?? '', to: after.get(key) ?? '' }))
    .filter(({ from, to }) => from !== to)
}

/** `{ retention: { age: '1d' } }` becomes `retention.age` and `1d`. */
function flat(words: object, prefix = ''): Map<string, string> {
  const entries = new Map<string, string>()
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [inner, text] of flat(value, `${prefix}${key}.`)) entries.set(inner, text)
    } else if (value !== undefined) entries.set(prefix + key, typeof value === 'string' ? value : JSON.stringify(value))
  }
  return entries
}

function own(streams: StreamSet, name: string): StreamConfig | undefined {
  return Object.hasOwn(streams, name) ? streams[name] : undefined
}

function isoTime(timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : new Date(timeMs).toISOString()
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
