/**
 * What it costs to find the subscribers of a topic: 100,000 subscriptions, half of them with wildcards, over 10,000 topics.
 * node build/bench/trie.js. The baseline is one lookup in a Map, which is what a cached route costs.
 */
import { TopicTrie } from '../lib/topic/trie.ts'
import { formatMicro, measure } from './micro.ts'

const devices = 1000
const sensors = 10
const subscriptions = 100_000

const topics = Array.from({ length: devices * sensors }, (_, i) => `site/${i % 20}/device/${i % devices}/sensor/${i % sensors}`)
const trie = new TopicTrie<number>()
for (let i = 0; i < subscriptions; i++) trie.add(filterFor(i), i)

function filterFor(i: number): string {
  const device = i % devices
  const site = i % 20
  switch (i % 16) {
    case 0:
      return `site/${site}/device/${device}/#`
    case 2:
      return `site/+/device/${device}/sensor/+`
    case 4:
    case 6:
      return `site/${site}/+/${device}/sensor/${i % sensors}`
    case 8:
    case 10:
    case 12:
    case 14:
      return `site/${site}/device/+/private/${i}`
    default:
      return topics[i % topics.length]!
  }
}

let turn = 0
const nextTopic = () => topics[(turn = (turn + 7919) % topics.length)]!
const cached = new Map(topics.map(topic => [topic, trie.match(topic)]))
const found = [...cached.values()].reduce((sum, values) => sum + values.length, 0) / topics.length
const absent = new TopicTrie<number>()

console.log(`${trie.size} subscriptions in ${trie.nodes} nodes; a topic reaches ${found.toFixed(1)} of them on average\n`)
console.log(
  formatMicro([
    measure('a cached route: one lookup in a Map', () => cached.get(nextTopic())!.length),
    measure('match() on a cold route', () => trie.match(nextTopic()).length),
    measure('match() when nobody has subscribed', () => absent.match(nextTopic()).length),
    measure('add() and remove()', () => {
      const filter = `${nextTopic()}/new/+`
      return Number(trie.add(filter, 1)) + Number(trie.remove(filter, 1))
    })
  ])
)
