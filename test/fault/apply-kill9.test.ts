import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { t } from 'tap'
import { BrokerProcess } from '../support/broker-process.ts'

const sets: Record<string, Record<string, object>> = {
  old: { a: { filter: 'a/#', partitions: 2 }, b: { filter: 'b/#' } },
  new: { a: { filter: 'a/#', partitions: 4 }, c: { filter: 'c/#' }, d: { filter: 'd/#' } }
}

t.test('a broker that is killed while streams are applied has the old ones or the new ones, and nothing in between', async t => {
  const broker = await BrokerProcess.create('streams: {}')
  t.teardown(async () => {
    await broker.kill()
    rmSync(broker.folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${broker.adminPort}/streams`
  const put = async (set: string) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${url}?prune=true`, { method: 'PUT', headers, body: JSON.stringify({ streams: sets[set] }) })
    return response.status
  }
  const expected = Object.fromEntries(
    Object.entries(sets).map(([set, streams]) => [
      Object.entries(streams)
        .map(([name, settings]) => `${name}:${'partitions' in settings ? settings.partitions : 8}`)
        .join(),
      set
    ])
  )
  await broker.start()
  t.equal(await put('old'), 200)
  let current = 'old'
  // One kill comes rather before the moment that decides, and one behind it.
  for (const milliseconds of [3, 20]) {
    const next = current === 'old' ? 'new' : 'old'
    const applying = put(next).catch(() => 'killed')
    await delay(milliseconds)
    await broker.kill()
    await applying
    await broker.start()
    const { streams } = (await (await fetch(url)).json()) as { streams: { name: string; partitions: number }[] }
    const declared = streams.filter(({ name }) => !name.startsWith('$'))
    const found = declared.map(({ name, partitions }) => `${name}:${partitions}`)
    const set = expected[found.sort().join()]
    t.ok(set === current || set === next, `after ${milliseconds} ms: ${found}`)
    // Before that moment the empty folder of a stream that was about to be may be left; behind it what was removed is gone.
    const folders = readdirSync(join(broker.dataFolder, 'streams'))
    const removed = Object.keys(sets[current]!).filter(name => sets[next]![name] === undefined)
    const left = set === next ? removed.filter(name => folders.includes(name)) : []
    t.strictSame(left, [])
    current = set ?? current
  }
})
