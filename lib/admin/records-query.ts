import type { ReadFrom } from '../stream/contract.ts'
import { topicFilterError } from '../topic/filter.ts'
import { badRequest } from './answer.ts'
import { checkParameters } from './router.ts'

export interface RecordsQuery {
  from: ReadFrom
  /** Records to send at most; undefined = no limit. */
  limit: number | undefined
  follow: boolean
  /** Only records whose topic matches; undefined = all. */
  filter: string | undefined
}

/** Parses `?from=&limit=&follow=&filter=`; throws a Refusal that says what was expected. */
export function parseRecordsQuery(query: URLSearchParams): RecordsQuery {
  checkParameters(query, ['from', 'limit', 'follow', 'filter'])
  const from = parseReadFrom(query.get('from') ?? 'earliest')
  if (from === undefined) {
    throw badRequest('from: expected earliest, latest, an offset (a whole number) or a time such as 2024-05-01T12:00:00Z')
  }
  return {
    from,
    limit: parseLimit(query.get('limit')),
    follow: parseFollow(query.get('follow')),
    filter: parseFilter(query.get('filter'))
  }
}

/** `earliest`, `latest`, an offset or an ISO 8601 date or time; undefined when it is none of them. */
export function parseReadFrom(text: string): ReadFrom | undefined {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? { offset: Number(text) } : undefined
  if (!/^\d{4}-\d{2}(-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2})?)?)?$/.test(text)) return undefined
  const timeMs = Date.parse(text)
  return Number.isNaN(timeMs) ? undefined : { timeMs }
}

function parseLimit(text: string | null): number | undefined {
  if (text === null) return undefined
  if (!/^[1-9]\d{0,14}$/.test(text)) throw badRequest('limit: expected a whole number above 0')
  return Number(text)
}

function parseFollow(text: string | null): boolean {
  if (text !== null && text !== 'true' && text !== 'false') throw badRequest('follow: expected true or false')
  return text === 'true'
}

function parseFilter(text: string | null): string | undefined {
  if (text === null) return undefined
  const problem = topicFilterError(text)
  if (problem !== undefined) throw badRequest(`filter: expected an MQTT topic filter such as devices/+/telemetry: ${problem}`)
  return text
}
