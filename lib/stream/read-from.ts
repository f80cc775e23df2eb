import { topicFilterError } from '../topic/filter.ts'
import type { Offset, ReadFrom, Stream } from './contract.ts'

/**
 * `earliest`, `latest`, an offset, an ISO 8601 date or time, or `@` and epoch milliseconds (a number alone is an offset);
 * undefined when it is none of them.
 */
export function parseReadFrom(text: string): ReadFrom | undefined {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? { offset: Number(text) } : undefined
  if (/^@\d{1,15}$/.test(text)) return { timeMs: Number(text.slice(1)) }
  if (!/^\d{4}-\d{2}(-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2})?)?)?$/.test(text)) return undefined
  const timeMs = Date.parse(text)
  return Number.isNaN(timeMs) ? undefined : { timeMs }
}

/** A Topic Filter that reads a stream, taken apart. */
export interface StreamFilter {
  stream: string
  /** Where the filter says to begin; undefined when it does not. */
  from: ReadFrom | undefined
  /** Which of the stream's topics are wanted. */
  filter: string
}

export const streamFilterPrefix = '$stream/'

/**
 * Takes `$stream/{name}[/{from}[/{filter}]]` apart. Returns what is wrong with it as text. Times with an offset from UTC do not fit into
 * a Topic Filter, because `+` is a wildcard: they are written with Z or as `@` and epoch milliseconds.
 */
export function parseStreamFilter(text: string): StreamFilter | string {
  const [stream = '', from, ...rest] = text.slice(streamFilterPrefix.length).split('/')
  if (stream === '' || /[+#]/.test(stream)) return 'expected the name of a stream after $stream/'
  if (from === undefined) return { stream, from: undefined, filter: '#' }
  const start = parseReadFrom(from)
  if (start === undefined) {
    return `expected earliest, latest, an offset, a time such as 2026-05-01T12:00:00Z or @ and epoch milliseconds, not ${JSON.stringify(from)}`
  }
  const filter = rest.length === 0 ? '#' : rest.join('/')
  const error = topicFilterError(filter)
  return error === undefined ? { stream, from: start, filter } : error
}

/** Where a read begins; for a time that is found out by reading, so the earliest place it may be. */
export function startsAt(start: ReadFrom, stream: Stream): Offset {
  // Not behind records that wait for their sync: if it fails, others get their offsets, and those must not be missed.
  if (start === 'latest') return stream.stats().durableOffset
  if (typeof start === 'object' && 'offset' in start) return start.offset
  return stream.stats().earliestOffset
}

/** The offset of the first record a read would yield; the stream's end when there is none. */
export async function offsetAt(stream: Stream, from: ReadFrom): Promise<Offset> {
  const end = stream.nextOffset
  for await (const { offset } of stream.read({ from, limit: 1, onGap: () => {} })) return offset
  return end
}
