import { setImmediate as turnEnd } from 'node:timers/promises'
import t from 'tap'
import { ReadTurns } from '../../../lib/broker/native/read-turns.ts'
import type { ByQos } from '../../../lib/metrics/counters.ts'

/** Takes what it is given as long as it has work, and writes down each turn. */
class Taker {
  left: number
  readonly #name: string
  readonly #turns: ReadTurns
  readonly #log: string[]

  constructor(name: string, records: number, turns: ReadTurns, log: string[]) {
    this.#name = name
    this.left = records
    this.#turns = turns
    this.#log = log
    turns.add(this)
  }

  turn(allowance: number): number {
    const taken = Math.min(allowance, this.left)
    this.left -= taken
    this.#log.push(`${this.#name}${taken}`)
    if (this.left > 0) this.#turns.add(this)
    return taken
  }
}

async function turnsOf(log: string[], takers: Taker[]): Promise<string[]> {
  const turns: string[] = []
  for (let i = 0; i < 100 && takers.some(({ left }) => left > 0); i++) {
    await turnEnd()
    turns.push(log.splice(0).join(' '))
  }
  return turns.filter(turn => turn !== '')
}

t.test('a turn holds no more records than the limit, over all readings, and each reading comes in its turn', async t => {
  const log: string[] = []
  const turns = new ReadTurns(10, [0, 0, 0])
  const takers = [new Taker('a', 25, turns, log), new Taker('b', 4, turns, log), new Taker('c', 12, turns, log)]
  t.same(await turnsOf(log, takers), ['a10', 'b4 c6', 'a10', 'c6 a4', 'a1'])
})

t.test('beside publishers readings get a share of what those send, and a little of each turn without publishes', async t => {
  const published: ByQos = [0, 0, 0]
  const log: string[] = []
  const turns = new ReadTurns(2000, published)
  const takers = [new Taker('a', 100_000, turns, log)]
  const seen: string[] = []
  for (const brought of [0, 4000, 100, 100, 0, 0, 8, 0, 50_000]) {
    published[1] += brought
    await turnEnd()
    seen.push(log.splice(0).join(' '))
  }
  t.same(seen, ['a2000', 'a1000', '', 'a50', 'a32', 'a32', '', 'a32', 'a2000'])
  for (let turn = 0; turn <= 256; turn++) await turnEnd()
  t.same(log.splice(0).slice(-2), ['a32', 'a2000'], 'after 256 turns without a publish they have the loop to themselves')
  t.ok(takers.length)
})
