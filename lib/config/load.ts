import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { TributaryError } from '../errors.ts'
import type { Config } from './config.ts'
import { findContradictions } from './cross-check.ts'
import { explainIssues } from './explain.ts'
import { formatPath, formatProblems, type Problem } from './problem.ts'
import { configSchema, jsonSchema } from './schema.ts'
import { YamlSource } from './yaml-source.ts'

export interface LoadOptions {
  /** The YAML file; without one the embedded default is used. */
  file?: string | undefined
  /** Takes the place of `data`; relative to the working directory. */
  dataFolder?: string | undefined
}

/**
 * Reads and checks the configuration. Relative paths in the file start at the file's folder. Other files it names are not
 * opened here: whoever uses them reports on them.
 * @throws TributaryError TRB_CONFIG_INVALID whose message has a line `file:line: path: expected ..., got ...` per problem.
 */
export function loadConfig({ file, dataFolder }: LoadOptions = {}): Config {
  const config = file === undefined ? defaultConfig() : parseConfig(readConfigFile(file), file)
  return dataFolder === undefined ? config : { ...config, data: resolve(dataFolder) }
}

/** The embedded default: what runs when there is no file. Relative paths start at `folder`, by default the working directory. */
export function defaultConfig(folder = '.'): Config {
  return withAbsolutePaths(configSchema.parse({}), resolve(folder))
}

/** The configuration in `text`; `file` gives the name for messages and the folder relative paths start at. */
export function parseConfig(text: string, file: string): Config {
  const source = new YamlSource(text)
  const problems = [...source.problems]
  if (source.readable) {
    const result = configSchema.safeParse(source.value)
    if (!result.success) problems.push(...explainIssues(result.error.issues, source, jsonSchema()))
    else if (problems.length === 0) {
      const config = withAbsolutePaths(result.data, resolve(dirname(file)))
      problems.push(...contradictions(config, source))
      if (problems.length === 0) return config
    }
  }
  throw new TributaryError('TRB_CONFIG_INVALID', formatProblems(file, problems))
}

function contradictions(config: Config, source: YamlSource): Problem[] {
  return findContradictions(config).map(({ path, ...words }) => ({ line: source.lineOf(path), path: formatPath(path), ...words }))
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TributaryError('TRB_CONFIG_INVALID', `${file}: expected a configuration file that can be read, got: ${reason}`, {
      cause
    })
  }
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const absolute = <Settings extends object>(settings: Settings, keys: readonly string[]): Settings => {
    const paths = Object.entries(settings).flatMap(([key, value]) =>
      keys.includes(key) && typeof value === 'string' ? [[key, resolve(folder, value)]] : []
    )
    return { ...settings, ...Object.fromEntries(paths) }
  }
  return {
    ...config,
    data: resolve(folder, config.data),
    listeners: config.listeners.map(listener => absolute(listener, ['cert', 'key', 'ca'])),
    admin: config.admin === false ? false : absolute(config.admin, ['tokenFile']),
    access: absolute(config.access, ['passwordFile', 'aclFile', 'hooks']),
    streams: Object.assign(
      Object.create(null),
      Object.fromEntries(
        Object.entries(config.streams).map(([name, stream]) => [
          name,
          stream.schema?.file === undefined ? stream : { ...stream, schema: absolute(stream.schema, ['file']) }
        ])
      )
    )
  }
}
