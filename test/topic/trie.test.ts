import fc from 'fast-check'
import t from 'tap'
import { topicFilterError, topicMatches } from '../../lib/topic/filter.ts'
import { TopicTrie } from '../../lib/topic/trie.ts'
import { anyFilter, anyTopic, naiveMatch } from './naive-match.ts'

function trieOf(...filters: string[]): TopicTrie<string> {
  const trie = new TopicTrie<string>()
  for (const filter of filters) trie.add(filter, filter)
  return trie
}

t.test('topicMatches() agrees with a naive reading of section 4.7', async t => {
  let matches = 0
  fc.assert(
    fc.property(anyFilter, anyTopic, (filter, topic) => {
      if (topicFilterError(filter) !== undefined) return false
      const expected = naiveMatch(filter, topic)
      if (expected) matches++
      return topicMatches(filter, topic) === expected
    }),
    { numRuns: 5000 }
  )
  t.ok(matches > 100, 'and not only where nothing matches')
})

t.test('a trie agrees with a list of pairs after any adds and removes', async t => {
  const values = Array.from({ length: 12 }, (_, i) => ({ i }))
  const step = fc.record({ add: fc.boolean(), filter: anyFilter, value: fc.constantFrom(...values) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(anyTopic, { maxLength: 10 }), (steps, topics) => {
      const trie = new TopicTrie<{ i: number }>()
      const model: { filter: string; value: { i: number } }[] = []
      for (const { add, filter, value } of steps) {
        const at = model.findIndex(pair => pair.filter === filter && pair.value === value)
        if (trie[add ? 'add' : 'remove'](filter, value) !== (add ? at === -1 : at !== -1)) return false
        if (add && at === -1) model.push({ filter, value })
        if (!add && at !== -1) model.splice(at, 1)
      }
      if (trie.size !== model.length) return false
      const numbers = (found: { i: number }[]) =>
        found
          .map(value => value.i)
          .sort((a, b) => a - b)
          .join()
      const agrees = topics.every(topic => {
        const expected = model.filter(pair => naiveMatch(pair.filter, topic)).map(pair => pair.value)
        return numbers(trie.match(topic)) === numbers(expected)
      })
      for (const { filter, value } of model) if (!trie.remove(filter, value)) return false
      return agrees && trie.size === 0 && trie.nodes === 0
    }),
    { numRuns: 500 }
  )
  t.pass()
})

t.test('values are told apart by identity, and a filter holds each once', async t => {
  const trie = new TopicTrie<{ name: string }>()
  const one = { name: 'x' }
  const two = { name: 'x' }
  t.ok(trie.add('a', one))
  t.notOk(trie.add('a', one))
  t.ok(trie.add('a', two))
  t.ok(trie.add('a/#', one))
  t.equal(trie.size, 3)
  t.strictSame(new Set(trie.match('a')), new Set([one, two]))
  t.equal(trie.match('a').length, 3, 'one comes twice, for two filters')
})

t.test('a filter with very many subscribers answers and forgets each of them', async t => {
  const trie = new TopicTrie<object>()
  const values = Array.from({ length: 1000 }, () => ({}))
  for (const value of values) t.ok(trie.add('news', value))
  for (const value of values) if (trie.add('news', value)) t.fail('added twice')
  t.strictSame(new Set(trie.match('news')), new Set(values))
  for (const value of values) if (!trie.remove('news', value)) t.fail('not removed')
  t.notOk(trie.remove('news', values[0]!))
  t.equal(trie.size, 0)
  t.equal(trie.nodes, 0)
})

t.test('[MQTT-4.7.2-1] topics that begin with $ are not matched by a leading wildcard', async t => {
  const trie = trieOf('#', '+/#', '+/x', '$SYS/#', '$SYS/+', '$SYS/x', '+', '$SYS')
  t.strictSame(trie.match('$SYS/x').sort(), ['$SYS/#', '$SYS/+', '$SYS/x'])
  t.strictSame(trie.match('$SYS').sort(), ['$SYS', '$SYS/#'])
  t.strictSame(trie.match('$other'), [])
  t.strictSame(trie.match('a/x').sort(), ['#', '+/#', '+/x'])
})

t.test('empty levels are levels, and # also stands for the level above it', async t => {
  const trie = trieOf('a/+', 'a/#', 'a', 'a//b', '/', '+/+', '/+', '#')
  t.strictSame(trie.match('a/').sort(), ['#', '+/+', 'a/#', 'a/+'])
  t.strictSame(trie.match('a').sort(), ['#', 'a', 'a/#'])
  t.strictSame(trie.match('a//b').sort(), ['#', 'a/#', 'a//b'])
  t.strictSame(trie.match('/').sort(), ['#', '+/+', '/', '/+'])
})

t.test('removing one filter leaves the others and only what they need', async t => {
  const trie = trieOf('a/b/c', 'a/b', 'a/+/c/#')
  t.equal(trie.nodes, 5)
  t.ok(trie.remove('a/b', 'a/b'))
  t.equal(trie.nodes, 5)
  t.ok(trie.remove('a/b/c', 'a/b/c'))
  t.equal(trie.nodes, 3)
  t.notOk(trie.remove('a/b/c', 'a/b/c'))
  t.notOk(trie.remove('x/y', 'x/y'))
  t.strictSame(trie.match('a/x/c/d'), ['a/+/c/#'])
})

t.test('a filter of 32,768 levels exhausts neither stack nor time', async t => {
  const trie = new TopicTrie<number>()
  const deep = '+/'.repeat(32_767)
  trie.add(deep, 1)
  trie.add(`${'/'.repeat(60_000)}#`, 2)
  t.strictSame(trie.match('a/'.repeat(32_767)), [1])
  t.strictSame(trie.match('/'.repeat(65_535)), [2])
  t.strictSame(trie.match('/'.repeat(32_767)).sort(), [1])
  t.ok(topicMatches(deep, 'a/'.repeat(32_767)))
  trie.remove(deep, 1)
  trie.remove(`${'/'.repeat(60_000)}#`, 2)
  t.equal(trie.nodes, 0)
})
