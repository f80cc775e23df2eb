import { join } from 'node:path'
import { type RecordJson, recordJson } from '../admin/record-json.ts'
import { readRange } from '../admin/record-range.ts'
import { type StreamJson, streamJson } from '../admin/stream-json.ts'
import { parseReadFrom } from '../stream/read-from.ts'
import { listStreamFolders, openStreamReader } from '../stream/read-only-log.ts'
import { CommandFailure } from './context.ts'
import { senderTest } from './stream-selection.ts'
import type { ReadRequest, StreamSource } from './stream-source.ts'

/** Reads the files of a data folder, whether a broker runs on it or not. What it reads was written; see openStreamReader. */
export class FolderSource implements StreamSource {
  readonly #data: string
  readonly #folder: string

  constructor(data: string) {
    this.#data = data
    this.#folder = join(data, 'streams')
  }

  async list(): Promise<StreamJson[]> {
    const names = await this.#names()
    return Promise.all(names.map(name => this.describe(name)))
  }

  async describe(name: string): Promise<StreamJson> {
    const log = await this.#open(name)
    log.close()
    return streamJson(log, undefined)
  }

  async *read(name: string, request: ReadRequest, signal: AbortSignal): AsyncGenerator<RecordJson, void, undefined> {
    const log = await this.#open(name)
    const { to, limit, follow = false } = request
    const from = parseReadFrom(request.from) ?? 'earliest'
    const end = to === undefined ? undefined : parseReadFrom(to)
    const range = { from, to: typeof end === 'object' ? end : undefined, limit, follow, select: senderTest(request) }
    try {
      for await (const { records } of readRange(log, { ...range, outOfRange: 'fail' }, signal, () => {})) {
        for (const record of records) yield recordJson(record)
      }
    } finally {
      log.close()
    }
  }

  async #open(name: string) {
    // So that a wrong folder is told apart from a wrong name.
    const names = await this.#names()
    if (!names.includes(name)) throw new CommandFailure(`${this.#data} has no stream "${name}": ${listed(names)}`)
    return openStreamReader(this.#folder, name)
  }

  async #names(): Promise<string[]> {
    try {
      return await listStreamFolders(this.#folder)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new CommandFailure(`${this.#data} is not a data folder that can be read: ${reason}`, undefined, { cause })
    }
  }
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'there is none in it' : `it has ${names.join(', ')}`
}
