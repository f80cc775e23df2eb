import { join } from 'node:path'
import type { SubjectJson, VersionJson } from '../admin/routes-schemas.ts'
import type { Compatibility } from '../schema/compatibility.ts'
import type { JsonSchema } from '../schema/json-schema.ts'
import type { Addition } from '../schema/registry.ts'
import { ADMIN_URL_DEFAULT, AdminClient } from './admin-client.ts'
import { CommandFailure, exitCodes } from './context.ts'

/** Where the schema commands look and write: a running broker, or its data folder while none runs. */
export interface SchemaStore {
  list(): Promise<SubjectJson[]>
  versions(name: string): Promise<VersionJson[]>
  add(name: string, schema: JsonSchema, compatibility: Compatibility | undefined, dryRun: boolean): Promise<Addition>
  remove(name: string): Promise<void>
}

export interface SchemaStoreOptions {
  admin?: string
  data?: string
}

export function openSchemaStore({ admin, data }: SchemaStoreOptions, signal: AbortSignal): SchemaStore {
  if (data !== undefined && admin !== undefined)
    throw new CommandFailure('--admin and --data exclude each other: ask a broker or read its files', exitCodes.usage)
  return data === undefined ? new AdminSchemas(admin ?? ADMIN_URL_DEFAULT, signal) : new FolderSchemas(data)
}

class AdminSchemas implements SchemaStore {
  readonly #client: AdminClient
  readonly #signal: AbortSignal

  constructor(url: string, signal: AbortSignal) {
    const hint = 'start it with "tributary start", say where it is with --admin URL, or use its files with --data DIR'
    this.#client = new AdminClient(url, hint)
    this.#signal = signal
  }

  async list(): Promise<SubjectJson[]> {
    return (await this.#client.json<{ schemas: SubjectJson[] }>('GET', '/schemas', this.#signal)).schemas
  }

  async versions(name: string): Promise<VersionJson[]> {
    const path = `/schemas/${encodeURIComponent(name)}/versions`
    return (await this.#client.json<{ versions: VersionJson[] }>('GET', path, this.#signal)).versions
  }

  add(name: string, schema: JsonSchema, compatibility: Compatibility | undefined, dryRun: boolean): Promise<Addition> {
    const path = `/schemas/${encodeURIComponent(name)}/versions?dryRun=${dryRun}`
    return this.#client.json('POST', path, this.#signal, { schema, compatibility })
  }

  async remove(name: string): Promise<void> {
    await this.#client.json('DELETE', `/schemas/${encodeURIComponent(name)}`, this.#signal)
  }
}

class FolderSchemas implements SchemaStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async list(): Promise<SubjectJson[]> {
    const { subjectJson } = await import('../admin/routes-schemas.ts')
    return (await this.#open()).list().map(subject => subjectJson(subject, []))
  }

  async versions(name: string): Promise<VersionJson[]> {
    const { versionJson } = await import('../admin/routes-schemas.ts')
    return (await this.#open()).subject(name).versions.map(versionJson)
  }

  async add(name: string, schema: JsonSchema, compatibility: Compatibility | undefined, dryRun: boolean): Promise<Addition> {
    if (dryRun) return (await this.#open()).check(name, schema, { compatibility })
    return this.#alone(async () => (await this.#open()).add(name, schema, { compatibility }))
  }

  async remove(name: string): Promise<void> {
    await this.#alone(async () => (await this.#open()).remove(name))
  }

  async #open() {
    const { SchemaRegistry } = await import('../schema/registry.ts')
    return SchemaRegistry.open({ folder: join(this.#folder, 'schemas') })
  }

  /** A running broker has the schemas in memory and would not see the change. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const { lockFolder } = await import('../../persistence/index.ts')
    const lock = await lockFolder(this.#folder)
    try {
      return await work()
    } finally {
      await lock.release()
    }
  }
}
