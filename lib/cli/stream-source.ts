import type { RecordJson } from '../admin/record-json.ts'
import type { StreamJson } from '../admin/stream-json.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { CommandFailure, exitCodes } from './context.ts'

/** What a command wants of a stream. Positions are written as parseReadFrom takes them. */
export interface ReadRequest {
  from: string
  /** The offset or time to stop before. */
  to?: string | undefined
  limit?: number | undefined
  filter?: string | undefined
  partition?: number | undefined
  /** The record's key: its client id, or its topic where the stream is keyed by topic. */
  key?: string | undefined
  follow?: boolean | undefined
}

/** Where the stream commands read from: a running broker, or the files of its data folder. */
export interface StreamSource {
  list(signal: AbortSignal): Promise<StreamJson[]>
  describe(name: string, signal: AbortSignal): Promise<StreamJson>
  read(name: string, request: ReadRequest, signal: AbortSignal): AsyncIterable<RecordJson>
}

export interface SourceOptions {
  admin?: string
  data?: string
}

export async function openSource({ admin, data }: SourceOptions): Promise<StreamSource> {
  if (data === undefined) return new AdminSource(admin ?? ADMIN_URL_DEFAULT)
  if (admin !== undefined)
    throw new CommandFailure('--admin and --data exclude each other: ask a broker or read its files', exitCodes.usage)
  const { FolderSource } = await import('./folder-source.ts')
  return new FolderSource(data)
}

class AdminSource implements StreamSource {
  readonly #client: AdminClient

  constructor(url: string) {
    const hint = 'start it with "tributary start", say where it is with --admin URL, or read its files with --data DIR'
    this.#client = new AdminClient(url, hint)
  }

  async list(signal: AbortSignal): Promise<StreamJson[]> {
    const { streams } = await this.#client.json<{ streams: StreamJson[] }>('GET', '/streams', signal)
    return streams
  }

  describe(name: string, signal: AbortSignal): Promise<StreamJson> {
    return this.#client.json('GET', `/streams/${encodeURIComponent(name)}`, signal)
  }

  async *read(name: string, request: ReadRequest, signal: AbortSignal): AsyncGenerator<RecordJson, void, undefined> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(requestWords(request))) if (value !== undefined) query.set(name, String(value))
    for await (const line of this.#client.lines(`/streams/${encodeURIComponent(name)}/records?${query}`, signal)) {
      const record: RecordJson | { error: string; message: string } = JSON.parse(line)
      if ('error' in record) throw new CommandFailure(`${record.message} (${record.error})`)
      yield record
    }
  }
}

/** Only what the endpoint knows: a request may be part of a command's options. */
function requestWords({ from, to, limit, filter, partition, key, follow }: ReadRequest): ReadRequest {
  return { from, to, limit, filter, partition, key, follow }
}
