import type { ReadFrom } from '../stream/contract.ts'
import { parseReadFrom } from '../stream/read-from.ts'
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
