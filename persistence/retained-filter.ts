import { RETAINED, textKey } from './keys.ts'

const SLASH = 0x2f
const DOLLAR = 0x24
const FIRST_TOPIC_BYTE = 1

export interface KeyRange {
  gte: Buffer
  lt: Buffer
}

/** How the retained messages of one Topic Filter are found. */
export interface RetainedPlan {
  /** A topic to look up by its key: the whole filter without wildcards, or `a` of `a/#`. */
  exact: string | undefined
  /** Where else to look. */
  ranges: readonly KeyRange[]
  /** Everything in the ranges matches, so keys need no look. */
  all: boolean
  /** Does the filter match the topic of this retained key? Judges the bytes; UTF-8 has `/` nowhere but as `/`. */
  matches(key: Buffer): boolean
}

type Level = Buffer | '+' | '#'

export function planRetained(filter: string): RetainedPlan {
  const names = filter.split('/')
  const levels: Level[] = names.map(name => (name === '+' || name === '#' ? name : Buffer.from(name)))
  const matches = (key: Buffer) => matchesLevels(levels, key)
  const literals = names.findIndex(name => name === '+' || name === '#')
  if (literals === -1) return { exact: filter, ranges: [], all: false, matches }
  const all = names[literals] === '#'
  if (literals === 0) return { exact: undefined, ranges: withoutDollar(), all, matches }
  const prefix = names.slice(0, literals).join('/')
  // a/# includes its parent level a (section 4.7.1.2).
  return { exact: all ? prefix : undefined, ranges: [below(prefix)], all, matches }
}

/** [MQTT-4.7.2-1] A leading wildcard does not match topics that begin with $. */
function withoutDollar(): KeyRange[] {
  return [
    { gte: Buffer.from([RETAINED]), lt: Buffer.from([RETAINED, DOLLAR]) },
    { gte: Buffer.from([RETAINED, DOLLAR + 1]), lt: Buffer.from([RETAINED + 1]) }
  ]
}

/** All topics below a level: `prefix/` and everything that goes on from there. */
function below(prefix: string): KeyRange {
  const gte = textKey(RETAINED, `${prefix}/`)
  const lt = Buffer.from(gte)
  lt[lt.length - 1] = SLASH + 1
  return { gte, lt }
}

function matchesLevels(levels: readonly Level[], key: Buffer): boolean {
  if (typeof levels[0] === 'string' && key[FIRST_TOPIC_BYTE] === DOLLAR) return false
  let at = FIRST_TOPIC_BYTE
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i]
    if (level === '#') return true
    // The topic has ended; only the parent of a final # may.
    if (at > key.length) return false
    const slash = key.indexOf(SLASH, at)
    const end = slash === -1 ? key.length : slash
    if (level !== '+' && level !== undefined && !equals(level, key, at, end)) return false
    at = end + 1
  }
  return at > key.length
}

function equals(level: Buffer, key: Buffer, start: number, end: number): boolean {
  return level.length === end - start && key.compare(level, 0, level.length, start, end) === 0
}
