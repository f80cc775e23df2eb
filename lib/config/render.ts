import { relative, sep } from 'node:path'
import { stringify } from 'yaml'
import type { Config, ListenerConfig } from './config.ts'
import { branchesOf, type JsonSchema, schemaAt } from './json-schema.ts'
import { jsonSchema } from './schema.ts'
import { streamWords } from './streams-file.ts'
import { formatSize } from './units.ts'

const COMMENT_WIDTH = 110

/**
 * The configuration as a YAML file with every key and a comment on each; keys without a value are there as comments. Loading
 * the text gives the same configuration. Paths below `folder`, where given, are written relative to it: the text is then meant
 * for a file in that folder.
 */
export function renderConfig(config: Config, folder?: string): string {
  const schema = jsonSchema()
  const renderer = new Renderer()
  return `${renderer.map(inWordsOfTheFile(config, folder), schema, '').join('\n')}\n`
}

type Fields = Record<string, unknown>

class Renderer {
  /** A comment is given once, not for each listener and stream again. */
  readonly #said = new Set<string>()

  map(value: Fields, schema: JsonSchema, indent: string): string[] {
    const lines: string[] = []
    const keys = schema.properties === undefined ? Object.keys(value) : Object.keys(schema.properties)
    for (const key of keys) {
      const child = schemaAt(schema, value, [key])
      const comments = this.#comment(child, indent)
      if (indent === '' && lines.length > 0) lines.push('')
      lines.push(...comments)
      if (value[key] !== undefined) lines.push(...this.#entry(key, value[key], child ?? {}, indent))
      // Only where the description stands too does a key that is not set say anything.
      else if (comments.length > 0) lines.push(`${indent}# ${key}: ${example(child)}`)
    }
    return lines
  }

  #entry(key: string, value: unknown, schema: JsonSchema, indent: string): string[] {
    const name = `${indent}${scalar(key)}:`
    if (Array.isArray(value)) return this.#list(name, value, schema, indent)
    if (typeof value !== 'object' || value === null) return [`${name} ${scalar(value)}`]
    const lines = this.map(value as Fields, schema, `${indent}  `)
    return lines.length === 0 ? [`${name} {}`] : [name, ...lines]
  }

  #list(name: string, values: unknown[], schema: JsonSchema, indent: string): string[] {
    const items = schema.items ?? {}
    if (values.every(value => typeof value !== 'object'))
      return [`${name} [${values.map(value => scalar(value, true)).join(', ')}]`]
    return [name, ...values.flatMap(value => this.#item(value as Fields, items, indent))]
  }

  /** The dash goes before the first key, comments above it stay above it. */
  #item(value: Fields, items: JsonSchema, indent: string): string[] {
    const schema = branchesOf(items).find(branch => branch.properties?.type?.const === value.type) ?? items
    const lines = this.map(value, schema, `${indent}    `)
    const first = lines.findIndex(line => !line.trimStart().startsWith('#'))
    return lines.map((line, index) => {
      if (index < first) return line.slice(2)
      return index === first ? `${indent}  - ${line.trimStart()}` : line
    })
  }

  #comment(schema: JsonSchema | undefined, indent: string): string[] {
    const text = schema?.description
    if (text === undefined || this.#said.has(text)) return []
    this.#said.add(text)
    const choices = schema?.enum === undefined ? [] : [`One of: ${schema.enum.join(', ')}`]
    return [...wrap(text), ...choices].map(line => `${indent}# ${line}`)
  }
}

function example(schema: JsonSchema | undefined): string {
  return stringify(schema?.examples?.[0] ?? null, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd()
}

function scalar(value: unknown, inFlow = false): string {
  const text = stringify(value, { lineWidth: 0 }).trimEnd()
  return inFlow && typeof value === 'string' ? JSON.stringify(value) : text
}

function wrap(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= COMMENT_WIDTH) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** Back from what the program uses to what the file says. */
function inWordsOfTheFile(config: Config, folder: string | undefined): Fields {
  const path = (file: string) => (folder === undefined ? file : relativeTo(folder, file))
  return {
    ...config,
    data: path(config.data),
    listeners: config.listeners.map(listener => withPaths({ ...listener } satisfies ListenerConfig, ['cert', 'key', 'ca'], path)),
    admin: config.admin === false ? false : withPaths(config.admin, ['tokenFile'], path),
    access: withPaths(config.access, ['passwordFile', 'aclFile', 'hooks'], path),
    streams: Object.fromEntries(Object.entries(config.streams).map(([name, stream]) => [name, streamWords(stream)])),
    storage: {
      ...config.storage,
      quota: config.storage.quota && formatSize(config.storage.quota),
      minFreeBytes: config.storage.minFreeBytes && formatSize(config.storage.minFreeBytes)
    },
    limits: Object.fromEntries(
      Object.entries(config.limits).map(([key, value]) => [key, key.endsWith('Bytes') ? formatSize(value) : value])
    )
  }
}

function withPaths(settings: object, keys: readonly string[], path: (file: string) => string): Fields {
  const entries = Object.entries(settings)
  return Object.fromEntries(
    entries.map(([key, value]) => [key, keys.includes(key) && typeof value === 'string' ? path(value) : value])
  )
}

function relativeTo(folder: string, file: string): string {
  const path = relative(folder, file)
  return path === '' || path === '..' || path.startsWith(`..${sep}`) ? file : `./${path.replaceAll(sep, '/')}`
}
