import { join } from 'node:path'
import { changedSettings, parseStreamsFile, type StreamWords } from '../config/streams-file.ts'
import { TributaryError } from '../errors.ts'
import { type FileSystem, systemCode } from '../stream/file-system.ts'
import { folderView } from './applied-streams.ts'
import { Manifest } from './manifest.ts'
import type { Plan, StreamChange } from './plan.ts'
import { type PlanSources, planStream, planStreams, type StreamSet } from './planner.ts'

/**
 * Plans made from the files of a data folder, without a broker. What the configuration file declares and who reads what is not known
 * then; everything that is only in the folder is.
 */
export class FolderPlanner {
  readonly #sources: PlanSources

  /** @throws TributaryError TRB_MANIFEST_CORRUPT, TRB_STREAM_UNKNOWN when this is no data folder */
  static async open(fileSystem: FileSystem, data: string, nowMs: number): Promise<FolderPlanner> {
    const folder = join(data, 'streams')
    try {
      await fileSystem.readdir(folder)
    } catch (cause) {
      if (systemCode(cause) !== 'ENOENT') throw cause
      throw new TributaryError('TRB_STREAM_UNKNOWN', `${data} is not a data folder: there is no folder streams in it`, { cause })
    }
    const { streams, removing, revision } = await Manifest.load(fileSystem, folder)
    const view = (name: string) => folderView(fileSystem, folder, name)
    return new FolderPlanner({ applied: streams, configured: {}, removing, revision, view, readers: () => [], nowMs })
  }

  private constructor(sources: PlanSources) {
    this.#sources = sources
  }

  plan(wanted: StreamSet, prune: boolean): Promise<Plan> {
    return planStreams(wanted, prune, this.#sources)
  }

  /** Of a stream that was not applied nothing but what is given is known: other limits are taken as none. */
  async planChange(name: string, words: StreamWords): Promise<StreamChange | undefined> {
    const { applied, view } = this.#sources
    if (Object.hasOwn(applied, name)) return planStream(name, changedSettings(applied[name]!, words), this.#sources)
    if ((await view(name)) === undefined)
      throw new TributaryError('TRB_STREAM_UNKNOWN', `there is no stream ${name} in the folder`)
    const unlimited = parseStreamsFile(JSON.stringify({ streams: { [name]: unknownSettings } }), name).streams
    const sources = { ...this.#sources, applied: unlimited }
    const change = await planStream(name, changedSettings(unlimited[name]!, words), sources)
    change?.notes.push('its settings are in a configuration file that was not read: limits that are not given here count as none')
    return change
  }
}

const unknownSettings = { filter: '#', retention: { age: 0, bytes: 0 } }
