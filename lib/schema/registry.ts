import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { TributaryError } from '../errors.ts'
import { type FileSystem, NodeFileSystem, systemCode } from '../stream/file-system.ts'
import { type Compatibility, explainIncompatibility, type Incompatibility, incompatibilities } from './compatibility.ts'
import { compileJsonSchema, type JsonSchema } from './json-schema.ts'
import { readSubject, type SchemaVersion, type Subject, writeSubject } from './registry-file.ts'

/** Subjects of one registry; another one is refused with TRB_SCHEMA_INVALID. */
export const SUBJECTS_MAX = 1000
/** Versions of one subject; another one is refused with TRB_SCHEMA_INVALID. */
export const VERSIONS_MAX = 1000

export interface SchemaRegistryOptions {
  /** Holds one file per subject; made when a schema is first added. */
  folder: string
  fileSystem?: FileSystem
  now?: () => number
}

export interface AddOptions {
  /** First version: what the subject promises from now on, `backward` unless said. Later ones: what this one is checked for. */
  compatibility?: Compatibility | undefined
}

/** What adding a schema did, or would do. */
export interface Addition {
  subject: string
  version: number
  checkedFor: Compatibility
  /** `unchanged`: the latest version is this schema already. */
  outcome: 'added' | 'unchanged'
}

/**
 * Schemas by name, in versions that never change, in `<data>/schemas/`. Everything is in memory; what add() and remove() promise is
 * on disk when they resolve. One process at a time may write to the folder.
 */
export class SchemaRegistry {
  readonly #folder: string
  readonly #fileSystem: FileSystem
  readonly #now: () => number
  readonly #subjects: Map<string, Subject>
  readonly #listeners = new Set<(subject: string, version: SchemaVersion) => void>()
  /** Changes take turns. */
  #turn: Promise<unknown> = Promise.resolve()

  /** @throws TributaryError TRB_SCHEMA_CORRUPT that names the file which is not what was written. */
  static async open({
    folder,
    fileSystem = new NodeFileSystem(),
    now = Date.now
  }: SchemaRegistryOptions): Promise<SchemaRegistry> {
    const subjects = new Map<string, Subject>()
    for (const file of (await namesIn(fileSystem, folder)).sort()) {
      if (file.startsWith('.') || !file.endsWith(SUFFIX)) continue
      const path = join(folder, file)
      const subject = readSubject(await readText(fileSystem, path), path)
      if (`${subject.name}${SUFFIX}` !== file) {
        const expected = `expected the subject ${file.slice(0, -SUFFIX.length)}, got ${JSON.stringify(subject.name)}`
        throw new TributaryError('TRB_SCHEMA_CORRUPT', `${path}: ${expected}; give the file back the name of its subject`)
      }
      subjects.set(subject.name, subject)
    }
    return new SchemaRegistry(folder, fileSystem, now, subjects)
  }

  private constructor(folder: string, fileSystem: FileSystem, now: () => number, subjects: Map<string, Subject>) {
    this.#folder = folder
    this.#fileSystem = fileSystem
    this.#now = now
    this.#subjects = subjects
  }

  list(): Subject[] {
    return [...this.#subjects.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @throws TributaryError TRB_SCHEMA_UNKNOWN */
  subject(name: string): Subject {
    const subject = this.#subjects.get(name)
    if (subject !== undefined) return subject
    const known = this.list().map(({ name }) => name)
    const hint = known.length === 0 ? 'there are none yet' : `there are ${known.slice(0, 10).join(', ')}`
    throw new TributaryError('TRB_SCHEMA_UNKNOWN', `no schema is called "${name}"; ${hint}; add it with "tributary schema add"`)
  }

  /** @throws TributaryError TRB_SCHEMA_UNKNOWN */
  version(name: string, version: number | 'latest'): SchemaVersion {
    const { versions } = this.subject(name)
    const found = version === 'latest' ? versions.at(-1) : versions[version - 1]
    if (found !== undefined) return found
    throw new TributaryError('TRB_SCHEMA_UNKNOWN', `schema ${name} has no version ${version}; the latest is ${versions.length}`)
  }

  /** What add() would do, without doing it. @throws as add() */
  check(name: string, schema: JsonSchema, { compatibility }: AddOptions = {}): Addition {
    const subject = this.#subjects.get(name)
    this.#demandRoom(name, subject)
    compileJsonSchema(schema, name)
    const latest = subject?.versions.at(-1)
    if (subject === undefined || latest === undefined) {
      return { subject: name, version: 1, checkedFor: compatibility ?? 'backward', outcome: 'added' }
    }
    const checkedFor = compatibility ?? subject.compatibility
    if (isDeepStrictEqual(latest.schema, schema))
      return { subject: name, version: latest.version, checkedFor, outcome: 'unchanged' }
    const found = incompatibilities(latest.schema, schema, checkedFor)
    if (found.length > 0) throw new IncompatibleSchemaError(name, latest.version, checkedFor, found)
    return { subject: name, version: latest.version + 1, checkedFor, outcome: 'added' }
  }

  /**
   * Adds the next version; the same schema as the latest adds none.
   * @throws TributaryError TRB_SCHEMA_INVALID; IncompatibleSchemaError TRB_SCHEMA_INCOMPATIBLE; whatever the disk says
   */
  add(name: string, schema: JsonSchema, options: AddOptions = {}): Promise<Addition> {
    return this.#takeTurn(async () => {
      const addition = this.check(name, schema, options)
      if (addition.outcome === 'unchanged') return addition
      const { version, checkedFor } = addition
      const before = this.#subjects.get(name)
      const added: SchemaVersion = { version, addedAtMs: this.#now(), checkedFor, schema }
      const compatibility = before?.compatibility ?? checkedFor
      const subject: Subject = { name, compatibility, versions: [...(before?.versions ?? []), added] }
      await this.#write(subject)
      this.#subjects.set(name, subject)
      for (const listener of this.#listeners) listener(name, added)
      return addition
    })
  }

  /** Removes a subject with all its versions. @throws TributaryError TRB_SCHEMA_UNKNOWN */
  remove(name: string): Promise<void> {
    return this.#takeTurn(async () => {
      this.subject(name)
      await this.#fileSystem.unlink(this.#path(name))
      await this.#fileSystem.syncFolder(this.#folder)
      this.#subjects.delete(name)
    })
  }

  /** Tells of every version from now on, once it is on disk. Returns how to stop that. */
  onAdded(listener: (subject: string, version: SchemaVersion) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #demandRoom(name: string, subject: Subject | undefined): void {
    const problem = !isSubjectName(name)
      ? `${JSON.stringify(name)} is not a name for a schema: expected letters, digits, _, - and inner dots, at most 64`
      : subject === undefined && this.#subjects.size >= SUBJECTS_MAX
        ? `there are ${SUBJECTS_MAX} schemas already; remove one first`
        : (subject?.versions.length ?? 0) >= VERSIONS_MAX
          ? `${name} has ${VERSIONS_MAX} versions already; go on under another name`
          : this.#otherCase(name)
    if (problem !== undefined) throw new TributaryError('TRB_SCHEMA_INVALID', problem)
  }

  /** Some file systems take both for the same. */
  #otherCase(name: string): string | undefined {
    for (const known of this.#subjects.keys()) {
      if (known !== name && known.toLowerCase() === name.toLowerCase()) return `${name} differs from ${known} in case only`
    }
    return undefined
  }

  /** A reader, or a crash, finds the old file or the new one, never a part. */
  async #write(subject: Subject): Promise<void> {
    const fileSystem = this.#fileSystem
    await fileSystem.mkdir(this.#folder)
    // The folder may be new itself.
    await fileSystem.syncFolder(dirname(this.#folder))
    const temporary = join(this.#folder, `.${subject.name}.${randomBytes(6).toString('hex')}.tmp`)
    try {
      const file = await fileSystem.open(temporary, 'write')
      try {
        await file.write([Buffer.from(writeSubject(subject))], 0)
        await file.sync()
      } finally {
        await file.close()
      }
      await fileSystem.rename(temporary, this.#path(subject.name))
    } catch (error) {
      await fileSystem.unlink(temporary).catch(() => undefined)
      throw error
    }
    await fileSystem.syncFolder(this.#folder)
  }

  #path(name: string): string {
    return join(this.#folder, `${name}${SUFFIX}`)
  }

  #takeTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {
      // Whoever called has the rejection; the next in line only waits for the end.
    })
    return result
  }
}

/** A schema that breaks what its subject promises, with every reason that was found. */
export class IncompatibleSchemaError extends TributaryError {
  readonly reasons: readonly Incompatibility[]

  constructor(name: string, version: number, mode: Compatibility, reasons: readonly Incompatibility[]) {
    const lines = reasons.map(reason => `\n  ${explainIncompatibility(reason)}`).join('')
    const mend = 'change the schema, add it under another name, or say --compatibility none for this version'
    super('TRB_SCHEMA_INCOMPATIBLE', `${name}: not ${mode} compatible with version ${version}; ${mend}:${lines}`)
    this.name = 'IncompatibleSchemaError'
    this.reasons = reasons
  }
}

/** Also names of files, so nothing that could leave the folder. */
export function isSubjectName(name: string): boolean {
  return /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$/.test(name)
}

const SUFFIX = '.json'

async function namesIn(fileSystem: FileSystem, folder: string): Promise<string[]> {
  try {
    return await fileSystem.readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

async function readText(fileSystem: FileSystem, path: string): Promise<string> {
  const file = await fileSystem.open(path, 'read')
  try {
    const bytes = Buffer.alloc(await file.size())
    return bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0)).toString('utf8')
  } finally {
    await file.close()
  }
}
