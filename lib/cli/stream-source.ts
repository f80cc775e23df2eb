import type { RecordJson } from '../admin/record-json.ts'
import type { StreamJson } from '../admin/stream-json.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { CommandFailure, exitCodes } from './context.ts'

export interface ReadRequest {
  /** earliest, latest, an offset or an ISO time */
  from: string
  limit?: number | undefined
  filter?: string | undefined
  follow?: boolean
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
    const query = new URLSearchParams({ from: request.from })
    if (request.limit !== undefined) query.set('limit', String(request.limit))
    if (request.filter !== undefined) query.set('filter', request.filter)
    if (request.follow) query.set('follow', 'true')
    for await (const line of this.#client.lines(`/streams/${encodeURIComponent(name)}/records?${query}`, signal)) {
      const record: RecordJson | { error: string; message: string } = JSON.parse(line)
      if ('error' in record) throw new CommandFailure(`${record.message} (${record.error})`)
      yield record
    }
  }
}
