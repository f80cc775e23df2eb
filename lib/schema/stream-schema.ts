import { type Check, compileJsonSchema, type JsonSchema } from './json-schema.ts'
import type { PayloadLimits } from './payload.ts'
import type { SchemaRegistry } from './registry.ts'

/** What happens to a message whose payload is not valid under the schema of a stream; from the mildest to the strictest. */
export const invalidPolicies = ['tag', 'dead-letter', 'reject'] as const
export type InvalidPolicy = (typeof invalidPolicies)[number]

/** Where a stream's schema comes from. */
export type SchemaSource =
  | { readonly subject: string; readonly version: number | 'latest' }
  | { readonly file: string; readonly schema: JsonSchema }

export interface SchemaLogger {
  info(details: object, message: string): void
  error(details: object, message: string): void
}

/** The schema that messages of one stream are checked with. With `latest` it changes under way, between two messages. */
export class StreamSchema {
  readonly onInvalid: InvalidPolicy
  readonly limits: PayloadLimits
  #check: Check
  /** `NAME@VERSION`, or the path of the file. */
  #label: string
  readonly #stop: () => void

  /** @throws TributaryError TRB_SCHEMA_UNKNOWN, TRB_SCHEMA_INVALID */
  constructor(
    stream: string,
    source: SchemaSource,
    onInvalid: InvalidPolicy,
    limits: PayloadLimits,
    registry: SchemaRegistry,
    logger?: SchemaLogger
  ) {
    this.onInvalid = onInvalid
    this.limits = limits
    this.#stop = () => undefined
    if ('file' in source) {
      this.#label = source.file
      this.#check = compileJsonSchema(source.schema, source.file)
      return
    }
    const { subject, version } = source
    const first = registry.version(subject, version)
    this.#label = `${subject}@${first.version}`
    this.#check = compileJsonSchema(first.schema, this.#label)
    if (version !== 'latest') return
    this.#stop = registry.onAdded((name, added) => {
      if (name !== subject) return
      const label = `${subject}@${added.version}`
      this.#check = compileJsonSchema(added.schema, label)
      this.#label = label
      logger?.info({ stream, schema: label }, 'messages of a stream are checked with a new version of its schema')
    })
  }

  get check(): Check {
    return this.#check
  }

  get label(): string {
    return this.#label
  }

  /** New versions are not taken up any more. */
  close(): void {
    this.#stop()
  }
}
