import { textError } from './name.ts'

const slash = 0x2f
const plus = 0x2b
const hash = 0x23
const dollar = 0x24
const sharePrefix = '$share/'

/** A Shared Subscription's Topic Filter taken apart, section 4.8.2. */
export interface SharedFilter {
  group: string
  filter: string
}

/**
 * Says why `filter` is not a Topic Filter, or undefined when it is one. What begins with `$share/` is checked as a Shared
 * Subscription: `$share/{ShareName}/{filter}` [MQTT-4.8.2-1], ShareName not empty and without '/', '+' and '#' [MQTT-4.8.2-2].
 */
export function topicFilterError(filter: string): string | undefined {
  const error = textError(filter)
  if (error !== undefined) return error
  if (!filter.startsWith(sharePrefix)) return wildcardError(filter, 0)
  const groupEnd = filter.indexOf('/', sharePrefix.length)
  if (groupEnd === sharePrefix.length || filter.length === sharePrefix.length) return 'ShareName is empty [MQTT-4.8.2-1]'
  if (groupEnd === -1 || groupEnd === filter.length - 1) return 'no Topic Filter after the ShareName [MQTT-4.8.2-2]'
  for (let at = sharePrefix.length; at < groupEnd; at++) {
    const unit = filter.charCodeAt(at)
    if (unit === plus || unit === hash) return 'ShareName contains a wildcard [MQTT-4.8.2-2]'
  }
  return wildcardError(filter, groupEnd + 1)
}

/** Share name and inner filter of a valid Shared Subscription filter, undefined for every other string. */
export function parseSharedFilter(filter: string): SharedFilter | undefined {
  if (!filter.startsWith(sharePrefix) || topicFilterError(filter) !== undefined) return undefined
  const groupEnd = filter.indexOf('/', sharePrefix.length)
  return { group: filter.slice(sharePrefix.length, groupEnd), filter: filter.slice(groupEnd + 1) }
}

/**
 * Whether a message on `topic` goes to a subscription on `filter` (section 4.7). Allocates nothing.
 *
 * Both must be valid and `filter` not a shared one: see topicNameError(), topicFilterError(), parseSharedFilter(). Topics that
 * begin with '$' are not matched by a leading wildcard [MQTT-4.7.2-1].
 */
export function topicMatches(filter: string, topic: string): boolean {
  const filterEnd = filter.length
  const topicEnd = topic.length
  let f = 0
  let t = 0
  if (topicEnd > 0 && topic.charCodeAt(0) === dollar && isWildcard(filter.charCodeAt(0))) return false
  // f and t stand at the beginning of a level each time round.
  for (;;) {
    const unit = f < filterEnd ? filter.charCodeAt(f) : -1
    if (unit === hash) return true
    if (unit === plus) {
      f++
      while (t < topicEnd && topic.charCodeAt(t) !== slash) t++
    } else {
      while (f < filterEnd && t < topicEnd && filter.charCodeAt(f) !== slash && filter.charCodeAt(f) === topic.charCodeAt(t)) {
        f++
        t++
      }
      if (f < filterEnd && filter.charCodeAt(f) !== slash) return false
      if (t < topicEnd && topic.charCodeAt(t) !== slash) return false
    }
    if (f === filterEnd) return t === topicEnd
    // '/#' also stands for the level above it (section 4.7.1.2): a/# matches a.
    if (t === topicEnd) return filter.charCodeAt(f + 1) === hash
    f++
    t++
  }
}

function isWildcard(unit: number): boolean {
  return unit === plus || unit === hash
}

/** '#' stands alone in the last level [MQTT-4.7.1-1], '+' alone in its level [MQTT-4.7.1-2]. */
function wildcardError(filter: string, start: number): string | undefined {
  for (let at = start; at < filter.length; at++) {
    const unit = filter.charCodeAt(at)
    if (!isWildcard(unit)) continue
    const opensLevel = at === start || filter.charCodeAt(at - 1) === slash
    const atEnd = at === filter.length - 1
    if (unit === hash && !(opensLevel && atEnd)) return "'#' is not alone in the last level [MQTT-4.7.1-1]"
    if (unit === plus && !(opensLevel && (atEnd || filter.charCodeAt(at + 1) === slash))) {
      return "'+' is not alone in its level [MQTT-4.7.1-2]"
    }
  }
  return undefined
}
