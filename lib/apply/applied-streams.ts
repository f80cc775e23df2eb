import { join } from 'node:path'
import { changedSettings, type StreamWords } from '../config/streams-file.ts'
import { TributaryError } from '../errors.ts'
import type { FileSystem } from '../stream/file-system.ts'
import { openStreamReader } from '../stream/read-only-log.ts'
import { type DeclaredStream, removeStreamFolder, type Streams } from '../stream/streams.ts'
import type { Clock, Logger } from '../stream/surroundings.ts'
import { Manifest } from './manifest.ts'
import { changesSomething, type Plan, type ReaderPosition, refusals, type StreamChange } from './plan.ts'
import { type PlanSources, planStream, planStreams, type StreamSet } from './planner.ts'

/** Who routes messages into streams and lets clients read them. */
export interface StreamFollower {
  add(stream: DeclaredStream): void
  change(stream: DeclaredStream): void
  /** Resolves when the stream may be closed. */
  remove(name: string): Promise<void>
  readers(name: string): readonly ReaderPosition[]
}

export interface AppliedStreamsOptions {
  manifest: Manifest
  streams: Streams
  /** Holds the streams' folders. */
  folder: string
  /** Streams of the configuration file. */
  configured: StreamSet
  follower: StreamFollower
  fileSystem: FileSystem
  clock: Clock
  logger: Logger
  /** What else speaks against a stream with these settings, for people. */
  objection?: PlanSources['objection']
}

export interface ApplyOptions {
  /** Remove streams that were applied and are not wanted any more. */
  prune?: boolean
  /** Only say what would be done. */
  dryRun?: boolean
  /** Of the plan that somebody has looked at: refused when something was applied since. */
  revision?: number | undefined
}

/**
 * Reads what was applied, and settles what the last run left: folders of removed streams are deleted, and a stream that the
 * configuration file declares by now belongs to the file.
 * @throws TributaryError TRB_MANIFEST_CORRUPT
 */
export async function openManifest(
  fileSystem: FileSystem,
  folder: string,
  configured: StreamSet,
  logger: Logger
): Promise<Manifest> {
  const manifest = await Manifest.load(fileSystem, folder)
  const { removing, streams } = manifest
  const taken = Object.keys(streams).filter(name => Object.hasOwn(configured, name))
  for (const stream of taken) {
    logger.warn({ stream }, 'a stream that was applied is declared in the configuration file now: the file counts from here on')
  }
  const left: string[] = []
  for (const name of removing) if (!(await deleteFolder(fileSystem, join(folder, name), name, logger))) left.push(name)
  if (taken.length > 0 || left.length < removing.length) {
    const kept = Object.entries(streams).filter(([name]) => !taken.includes(name))
    await manifest.save(Object.fromEntries(kept), left)
  }
  return manifest
}

/** Streams as code: brings the applied streams to what a file says, while the broker runs. Applies take turns. */
export class AppliedStreams {
  readonly #options: AppliedStreamsOptions
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: AppliedStreamsOptions) {
    this.#options = options
  }

  /**
   * The plan, done unless it is a dry run. It rejects when nothing was done: TRB_APPLY_REFUSED when a part of it cannot be, or what
   * the disk says that could not take the new streams or the manifest. Once the manifest is written the plan is done, by the next
   * start if need be.
   */
  apply(wanted: StreamSet, { prune = false, dryRun = false, revision }: ApplyOptions = {}): Promise<Plan> {
    if (this.#closed) {
      return Promise.reject(new TributaryError('TRB_CLOSED', 'the broker is stopping: streams are not changed any more'))
    }
    const result = this.#turn.then(async () => {
      if (!dryRun) await this.#deleteRemoved()
      const plan = await planStreams(wanted, prune, this.#sources())
      if (dryRun) return plan
      demandFeasible(plan, revision)
      if (changesSomething(plan)) await this.#carryOut(plan.changes, wanted)
      return { ...plan, applied: true, revision: this.#options.manifest.revision }
    })
    this.#turn = result.catch(() => {
      // The caller has the rejection; the next in line only waits for the end.
    })
    return result
  }

  /**
   * What would become of a stream with some other settings, in the words of YAML; of the configuration file's streams, too. The change
   * is undefined when it has them already.
   * @throws TributaryError TRB_STREAM_UNKNOWN, TRB_CONFIG_INVALID
   */
  async planChange(name: string, words: StreamWords): Promise<StreamChange | undefined> {
    const { configured, manifest } = this.#options
    const settings = [configured, manifest.streams].find(streams => Object.hasOwn(streams, name))?.[name]
    if (settings === undefined) throw new TributaryError('TRB_STREAM_UNKNOWN', `there is no stream ${JSON.stringify(name)}`)
    const change = await planStream(name, changedSettings(settings, words), this.#sources())
    if (Object.hasOwn(configured, name)) change?.notes.push('the configuration file declares it: change it there, and restart')
    return change
  }

  /** Waits for the apply in progress; later ones are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
  }

  async #carryOut(changes: readonly StreamChange[], wanted: StreamSet): Promise<void> {
    const { manifest, streams, follower, logger } = this.#options
    const named = (action: StreamChange['action']) => changes.filter(one => one.action === action).map(({ stream }) => stream)
    const [created, changed, removed] = [named('create'), named('change'), named('remove')]
    const opened: DeclaredStream[] = []
    const next = { ...manifest.streams }
    for (const name of removed) delete next[name]
    for (const name of [...created, ...changed]) next[name] = wanted[name]!
    try {
      for (const name of created) opened.push(await streams.add({ name, ...wanted[name]! }))
      // From here on it is done: a crash is followed by a start with what is written here.
      await manifest.save(next, [...manifest.removing, ...removed])
    } catch (error) {
      for (const { stream } of opened) await streams.release(stream.name)
      throw error
    }
    for (const stream of opened) follower.add(stream)
    for (const name of changed) follower.change(streams.change({ name, ...wanted[name]! }))
    for (const { stream, action, settings, deletes } of changes) {
      const words = Object.fromEntries(settings.map(({ key, to }) => [key, to]))
      if (action !== 'keep') logger.info({ stream, action, settings: words, deletes }, 'a stream was applied')
    }
    for (const name of removed) {
      await follower.remove(name)
      await streams.release(name)
    }
    await this.#deleteRemoved()
  }

  async #deleteRemoved(): Promise<void> {
    const { manifest, fileSystem, folder, logger } = this.#options
    if (manifest.removing.length === 0) return
    const left: string[] = []
    for (const name of manifest.removing) {
      if (!(await deleteFolder(fileSystem, join(folder, name), name, logger))) left.push(name)
    }
    if (left.length === manifest.removing.length) return
    try {
      await manifest.save(manifest.streams, left)
    } catch (err) {
      logger.warn({ err }, 'that the folders of removed streams are deleted could not be written down; the next start does')
    }
  }

  #sources(): PlanSources {
    const { manifest, configured, streams, folder, fileSystem, follower, clock } = this.#options
    return {
      revision: manifest.revision,
      applied: manifest.streams,
      configured,
      removing: manifest.removing,
      view: async name => streams.get(name) ?? (await folderView(fileSystem, folder, name)),
      readers: name => follower.readers(name),
      nowMs: clock.now(),
      objection: this.#options.objection
    }
  }
}

function demandFeasible(plan: Plan, revision: number | undefined): void {
  const refused = refusals(plan).map(({ stream, notes }) => `${stream}: ${notes.join(', ')}`)
  if (refused.length > 0) throw new TributaryError('TRB_APPLY_REFUSED', `nothing was applied. ${refused.join('; ')}`)
  if (revision === undefined || revision === plan.revision) return
  const what = `nothing was applied: others have applied streams since the plan was made (revision ${revision}, now ${plan.revision})`
  throw new TributaryError('TRB_APPLY_REFUSED', `${what}; look at the plan again`)
}

/** A stream's files read beside, or without, a broker; undefined when there is no such folder. */
export async function folderView(fileSystem: FileSystem, folder: string, name: string) {
  const names = await fileSystem.readdir(folder)
  return names.includes(name) ? openStreamReader(folder, name, { fileSystem }) : undefined
}

async function deleteFolder(fileSystem: FileSystem, folder: string, stream: string, logger: Logger): Promise<boolean> {
  try {
    await removeStreamFolder(fileSystem, folder)
    logger.info({ stream }, 'the folder of a removed stream was deleted')
    return true
  } catch (err) {
    logger.error({ stream, folder, err }, 'the folder of a removed stream could not be deleted; tried again at the next start')
    return false
  }
}
