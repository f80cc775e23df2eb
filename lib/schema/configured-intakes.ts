import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { DeduplicateConfig, StreamConfig, StreamSchemaConfig } from '../config/config.ts'
import { TributaryError } from '../errors.ts'
import { parseJsonSchema } from './json-schema.ts'
import type { SchemaRegistry } from './registry.ts'
import { type SchemaLogger, type SchemaSource, StreamSchema } from './stream-schema.ts'

/** What a stream asks of messages, with its schema compiled. */
export interface ConfiguredIntake {
  readonly schema: StreamSchema | undefined
  readonly deduplicate: DeduplicateConfig | undefined
}

type Settings = Pick<StreamConfig, 'schema' | 'deduplicate'>

export interface ConfiguredIntakesOptions {
  registry: SchemaRegistry
  /** A stream's settings of this moment; the same object as long as they are the same. */
  settings: (stream: string) => Settings | undefined
  logger?: SchemaLogger | undefined
}

/** From the configuration of streams to what their messages are checked with. */
export class ConfiguredIntakes {
  readonly #options: ConfiguredIntakesOptions
  readonly #made = new Map<string, { settings: Settings; intake: ConfiguredIntake }>()
  #running = false

  constructor(options: ConfiguredIntakesOptions) {
    this.#options = options
  }

  /**
   * Undefined when the stream takes everything as it comes. The same object as long as the settings are the same.
   * @throws TributaryError TRB_SCHEMA_UNKNOWN, TRB_SCHEMA_INVALID at start; later what was in force stays, and the error is logged
   */
  of(stream: string): ConfiguredIntake | undefined {
    const settings = this.#options.settings(stream)
    const made = this.#made.get(stream)
    if (settings === undefined || (settings.schema === undefined && settings.deduplicate === undefined)) {
      made?.intake.schema?.close()
      this.#made.delete(stream)
      return undefined
    }
    if (made?.settings === settings) return made.intake
    try {
      return this.#make(stream, settings)
    } catch (err) {
      if (!this.#running) throw err
      this.#options.logger?.error({ stream, err }, 'the schema of a stream cannot be used; what was in force stays')
      return made?.intake
    }
  }

  /** From here on a schema that cannot be used stops nothing. */
  started(): void {
    this.#running = true
  }

  /** What speaks against these settings, for people; what is compiled for the answer is used when they are taken. */
  objection(stream: string, settings: Settings): string | undefined {
    try {
      if (settings.schema !== undefined) this.#compile(stream, settings.schema).close()
      return undefined
    } catch (error) {
      if (error instanceof TributaryError) return error.message
      throw error
    }
  }

  /** Streams whose messages are checked with this subject. */
  users(subject: string): string[] {
    return [...this.#made].filter(([, { settings }]) => settings.schema?.subject === subject).map(([stream]) => stream)
  }

  #make(stream: string, settings: Settings): ConfiguredIntake {
    const schema = settings.schema && this.#compile(stream, settings.schema)
    this.#made.get(stream)?.intake.schema?.close()
    const intake = { schema, deduplicate: settings.deduplicate }
    this.#made.set(stream, { settings, intake })
    return intake
  }

  #compile(stream: string, { subject, version, file, onInvalid, maxPayloadBytes, maxDepth }: StreamSchemaConfig): StreamSchema {
    const limits = { maxBytes: maxPayloadBytes, maxDepth }
    const { registry, logger } = this.#options
    const source: SchemaSource = subject === undefined ? readSchemaFile(stream, file ?? '') : { subject, version }
    try {
      return new StreamSchema(stream, source, onInvalid, limits, registry, logger)
    } catch (error) {
      if (!(error instanceof TributaryError) || error.code !== 'TRB_SCHEMA_UNKNOWN') throw error
      const mend = `add it with "tributary schema add ${subject} FILE", with --data DIR while no broker runs`
      throw new TributaryError('TRB_SCHEMA_UNKNOWN', `streams.${stream}.schema: ${error.message}; ${mend}`)
    }
  }
}

function readSchemaFile(stream: string, file: string): SchemaSource {
  const where = `streams.${stream}.schema.file`
  // The configuration's paths are absolute by now; streams that are applied come from a file somewhere else.
  if (!isAbsolute(file)) {
    throw new TributaryError('TRB_SCHEMA_INVALID', `${where}: expected an absolute path, got ${file}; or name a subject`)
  }
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TributaryError('TRB_SCHEMA_INVALID', `${where}: expected a file that can be read, got: ${reason}`, { cause })
  }
  return { file, schema: parseJsonSchema(text, file) }
}
