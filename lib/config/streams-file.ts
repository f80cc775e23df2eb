import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { TributaryError } from '../errors.ts'
import type { StreamConfig } from './config.ts'
import { explainIssues } from './explain.ts'
import type { JsonSchema } from './json-schema.ts'
import { formatPath, formatProblems, type Problem } from './problem.ts'
import { intakeWords } from './schema-intake.ts'
import { streamsSchema } from './schema-stream.ts'
import { formatDuration, formatSize } from './units.ts'
import { YamlSource } from './yaml-source.ts'

/** Streams as code: a YAML file of nothing but `streams`, in the very words of the configuration. */
const fileSchema = z.strictObject({ streams: streamsSchema.prefault({}) })

/** A stream's settings as they stand in YAML. */
export type StreamWords = Record<string, unknown>

export interface StreamsFile {
  streams: Record<string, StreamConfig>
  /** The same, as they stand in the file. */
  words: Record<string, StreamWords>
}

/** @throws TributaryError TRB_CONFIG_INVALID with a line `file:line: path: expected ..., got ...` per problem. */
export function readStreamsFile(file: string): StreamsFile {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TributaryError('TRB_CONFIG_INVALID', `${file}: expected a file of streams that can be read, got: ${reason}`, {
      cause
    })
  }
  return parseStreamsFile(text, file)
}

/** As readStreamsFile(); `file` is what messages call it. JSON is YAML, too. */
export function parseStreamsFile(text: string, file: string): StreamsFile {
  const source = new YamlSource(text)
  const problems: Problem[] = [...source.problems]
  if (source.readable) {
    const result = fileSchema.safeParse(source.value)
    if (!result.success) {
      const schema = z.toJSONSchema(fileSchema, { io: 'input' }) as JsonSchema
      problems.push(...explainIssues(result.error.issues, source, schema))
    } else {
      problems.push(...sameButForCase(Object.keys(result.data.streams), source))
      const words = (source.value as { streams?: Record<string, StreamWords> }).streams ?? {}
      if (problems.length === 0) return { streams: result.data.streams, words }
    }
  }
  throw new TributaryError('TRB_CONFIG_INVALID', formatProblems(file, problems))
}

/** Settings back in the words of the file, every default filled in. */
export function streamWords({
  segmentBytesMax,
  retention,
  compaction,
  groups,
  schema,
  deduplicate,
  ...rest
}: StreamConfig): StreamWords {
  const { tombstoneAgeMs, minDirtyRatio, maxLagMs, memoryBytes, bytesPerSecond } = compaction
  const { maxDeliveryAttempts, ackTimeoutMs, retryDelayMs, refused } = groups
  return {
    ...rest,
    groups: {
      maxDeliveryAttempts,
      ackTimeout: ackTimeoutMs && formatDuration(ackTimeoutMs),
      retryDelay: retryDelayMs && formatDuration(retryDelayMs),
      refused
    },
    retention: { age: retention.ageMs && formatDuration(retention.ageMs), bytes: retention.bytes && formatSize(retention.bytes) },
    compaction: {
      tombstoneAge: tombstoneAgeMs && formatDuration(tombstoneAgeMs),
      minDirtyRatio,
      maxLag: maxLagMs && formatDuration(maxLagMs),
      memory: formatSize(memoryBytes),
      rate: formatSize(bytesPerSecond)
    },
    segmentBytes: formatSize(segmentBytesMax),
    ...intakeWords(schema, deduplicate)
  }
}

/** Settings with some of them changed, in the words of the file. @throws TributaryError TRB_CONFIG_INVALID */
export function changedSettings(settings: StreamConfig, words: StreamWords): StreamConfig {
  const current = streamWords(settings)
  const merged: StreamWords = { ...current }
  for (const [key, value] of Object.entries(words)) {
    const inner = current[key]
    const both = [inner, value].every(one => typeof one === 'object' && one !== null && !Array.isArray(one))
    merged[key] = both ? { ...(inner as object), ...(value as object) } : value
  }
  return parseStreamsFile(JSON.stringify({ streams: { stream: merged } }), 'settings').streams.stream!
}

/** Streams are folders, and some file systems take `Telemetry` and `telemetry` for the same one. */
function sameButForCase(names: readonly string[], source: YamlSource): Problem[] {
  const seen = new Map<string, string>()
  return names.flatMap(name => {
    const other = seen.get(name.toLowerCase())
    seen.set(name.toLowerCase(), name)
    if (other === undefined) return []
    const path = ['streams', name]
    const expected = 'a name that differs from others in more than upper and lower case'
    const got = `"${name}" beside "${other}"`
    return [{ line: source.lineOf(path), path: formatPath(path), expected, got, hint: 'rename one of the two' }]
  })
}
