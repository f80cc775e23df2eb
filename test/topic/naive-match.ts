import fc from 'fast-check'

/** Section 4.7 word for word, level by level: slow and plain, to compare with. */
export function naiveMatch(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false
  return levelsMatch(filter.split('/'), topic.split('/'))
}

function levelsMatch(filter: string[], topic: string[]): boolean {
  const [first, ...filterRest] = filter
  if (first === undefined) return topic.length === 0
  if (first === '#') return true
  const [level, ...topicRest] = topic
  if (level === undefined) return false
  return (first === '+' || first === level) && (levelsMatch(filterRest, topicRest) || onlyHash(filterRest, topicRest))
}

function onlyHash(filter: string[], topic: string[]): boolean {
  return topic.length === 0 && filter.length === 1 && filter[0] === '#'
}

/** Few and short levels, so that topics and filters meet often. */
const level = fc.constantFrom('a', 'b', 'ab', '', '$s', '$', '__proto__', 'constructor')
export const anyTopic = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map(levels => levels.join('/'))
  .filter(topic => topic !== '')
export const anyFilter = fc
  .tuple(
    fc.array(fc.oneof({ arbitrary: level, weight: 2 }, { arbitrary: fc.constant('+'), weight: 1 }), { maxLength: 5 }),
    fc.boolean()
  )
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
  .filter(filter => filter !== '')
