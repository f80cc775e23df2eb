import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { StreamConfig } from '../config/config.ts'
import { parseStreamsFile, streamWords } from '../config/streams-file.ts'
import { TributaryError } from '../errors.ts'
import { type FileSystem, systemCode } from '../stream/file-system.ts'

/**
 * Which streams were applied, in `<data>/streams/.applied.json`:
 *
 *     { "format": 1, "revision": 7, "streams": { NAME: SETTINGS }, "removing": [NAME], "crc": "8 hex digits" }
 *
 * SETTINGS are those of the configuration file, every default filled in. `removing` names streams whose folders are being deleted:
 * whatever stops that, the next start goes on with it. `crc` is CRC-32 over the JSON of the other members in this order, without
 * spaces. The file is written aside, synced and renamed, so that a crash leaves the old one or the new one.
 */
const FILE = '.applied.json'
const FORMAT = 1

/** Never changed in place: save() makes the next one. */
interface Content {
  revision: number
  streams: Readonly<Record<string, StreamConfig>>
  removing: readonly string[]
}

export class Manifest {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  #content: Content

  /**
   * `folder` is the one that holds the streams' folders. A file that is not there is one that names no stream.
   * @throws TributaryError TRB_MANIFEST_CORRUPT when it is not what was written.
   */
  static async load(fileSystem: FileSystem, folder: string): Promise<Manifest> {
    const text = await readText(fileSystem, join(folder, FILE))
    const content = text === undefined ? { revision: 0, streams: {}, removing: [] } : parse(text, join(folder, FILE))
    return new Manifest(fileSystem, folder, content)
  }

  private constructor(fileSystem: FileSystem, folder: string, content: Content) {
    this.#fileSystem = fileSystem
    this.#folder = folder
    this.#content = content
  }

  /** Grows by one with each save(). */
  get revision(): number {
    return this.#content.revision
  }

  get streams(): Readonly<Record<string, StreamConfig>> {
    return this.#content.streams
  }

  get removing(): readonly string[] {
    return this.#content.removing
  }

  /** Durable when it resolves; when it rejects what was there before still counts in this process. */
  async save(streams: Readonly<Record<string, StreamConfig>>, removing: readonly string[]): Promise<void> {
    const next = { revision: this.revision + 1, streams, removing }
    const path = join(this.#folder, FILE)
    const fileSystem = this.#fileSystem
    await fileSystem.mkdir(this.#folder)
    const file = await fileSystem.open(`${path}.new`, 'write')
    try {
      await file.truncate(0)
      await file.write([Buffer.from(render(next))], 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await fileSystem.rename(`${path}.new`, path)
    await fileSystem.syncFolder(this.#folder)
    this.#content = next
  }
}

function render({ revision, streams, removing }: Content): string {
  const words = Object.fromEntries(Object.entries(streams).map(([name, settings]) => [name, streamWords(settings)]))
  const signed = { format: FORMAT, revision, streams: words, removing }
  return `${JSON.stringify({ ...signed, crc: checksum(signed) }, undefined, 2)}\n`
}

function checksum(signed: object): string {
  return crc32(JSON.stringify(signed)).toString(16).padStart(8, '0')
}

function parse(text: string, path: string): Content {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw damaged(path, 'it is no JSON', cause)
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) throw damaged(path, 'it has no format')
  const { crc, ...signed } = value as {
    crc?: unknown
    format: unknown
    revision?: unknown
    streams?: unknown
    removing?: unknown
  }
  if (signed.format !== FORMAT) {
    throw damaged(path, `it has format ${JSON.stringify(signed.format)} and this version knows ${FORMAT}`)
  }
  if (crc !== checksum(signed)) throw damaged(path, 'its checksum does not hold: it was cut short, or changed by hand')
  const { revision, removing } = signed
  const names = Array.isArray(removing) && removing.every(name => typeof name === 'string')
  if (!Number.isSafeInteger(revision) || !names) throw damaged(path, 'revision or removing is missing')
  try {
    const { streams } = parseStreamsFile(JSON.stringify({ streams: signed.streams }), path)
    return { revision: revision as number, streams, removing }
  } catch (cause) {
    throw damaged(path, 'its streams are not valid', cause)
  }
}

function damaged(path: string, what: string, cause?: unknown): TributaryError {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return new TributaryError(
    'TRB_MANIFEST_CORRUPT',
    `${path}: expected the list of applied streams as this broker wrote it, but ${what}${why}. Put back a copy of it; or move it away, start, and run tributary apply with your streams.yaml: the records are in the streams' own folders and are taken up again`,
    { cause }
  )
}

async function readText(fileSystem: FileSystem, path: string): Promise<string | undefined> {
  try {
    const file = await fileSystem.open(path, 'read')
    try {
      const bytes = Buffer.alloc(await file.size())
      return bytes.toString('utf8', 0, await file.read(bytes, 0, bytes.length, 0))
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
