import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type EmittedMessage, TopicEmitter } from '../../lib/broker/topic-emitter.ts'
import { runNodeTests } from '../aedes-compat/suite.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** Topics of the messages the filter's listener gets. */
function heard(emitter: TopicEmitter, filter: string): string[] {
  const topics: string[] = []
  emitter.on(filter, (message, done) => {
    topics.push(message.topic)
    done()
  })
  return topics
}

t.test("mqemitter's own abstract tests pass", async t => {
  const folder = temporaryFolder(t)
  const emitter = new URL('../../lib/broker/topic-emitter.js', import.meta.url).href
  const abstractTests = join(dirname(fileURLToPath(import.meta.resolve('mqemitter'))), 'abstractTest.js')
  await writeFile(
    join(folder, 'abstract.mjs'),
    `import { test } from 'node:test'
     import abstractTests from ${JSON.stringify(abstractTests)}
     import { TopicEmitter } from ${JSON.stringify(emitter)}
     abstractTests({ builder: options => new TopicEmitter(options), test })`
  )
  const outcomes = await runNodeTests(folder, ['abstract.mjs'], 60_000)
  t.strictSame(
    outcomes.filter(({ result }) => result !== 'pass'),
    []
  )
  t.ok(outcomes.length >= 23, `${outcomes.length} tests ran`)
})

t.test('a listener registered twice is called twice, and removed once at a time', async t => {
  const emitter = new TopicEmitter()
  let calls = 0
  const listener = (_message: EmittedMessage, done: () => void): void => {
    calls++
    done()
  }
  emitter.on('a/+', listener).on('a/+', listener)
  emitter.emit({ topic: 'a/b' })
  t.equal(calls, 2)
  await new Promise<void>(resolve => emitter.removeListener('a/+', listener, resolve))
  emitter.emit({ topic: 'a/b' })
  t.equal(calls, 3)
  await new Promise<void>(resolve => emitter.removeListener('a/+', listener, resolve))
  t.notOk(emitter.hasListeners)
  t.notOk(emitter.matches('a/b'))
})

t.test('a wildcard of a program matches topics that begin with $, unlike that of a client', async t => {
  const emitter = new TopicEmitter()
  const all = heard(emitter, '#')
  const heartbeats = heard(emitter, '$SYS/+/heartbeat')
  t.ok(emitter.matches('$SYS/x/heartbeat'))
  emitter.emit({ topic: '$SYS/x/heartbeat' })
  t.strictSame(all, ['$SYS/x/heartbeat'])
  t.strictSame(heartbeats, ['$SYS/x/heartbeat'])
})

t.test('with other separators and wildcards, those of MQTT are ordinary characters', async t => {
  const emitter = new TopicEmitter({ separator: '.', wildcardOne: '*', wildcardSome: '>' })
  const one = heard(emitter, 'a.*')
  const some = heard(emitter, 'a.>')
  const plus = heard(emitter, 'a.+')
  const slash = heard(emitter, 'a/b')
  for (const topic of ['a.b', 'a.b.c', 'a.+', 'a/b']) emitter.emit({ topic })
  t.strictSame(one, ['a.b', 'a.+'])
  t.strictSame(some, ['a.b', 'a.b.c', 'a.+'])
  t.strictSame(plus, ['a.+'])
  t.strictSame(slash, ['a/b'])
})

t.test('messages beyond the concurrency wait in order, and a hundred thousand of them do not exhaust the stack', async t => {
  const emitter = new TopicEmitter({ concurrency: 1 })
  const order: number[] = []
  let release = (): void => {}
  emitter.on('x', (message, done) => {
    order.push((message as EmittedMessage & { n: number }).n)
    if (order.length === 1) release = done
    else done()
  })
  const total = 100_000
  for (let n = 0; n < total; n++) emitter.emit({ topic: 'x', n } as EmittedMessage)
  t.equal(emitter.current, 1)
  t.equal(emitter.length, total - 1)
  release()
  t.equal(emitter.length, 0)
  t.equal(emitter.current, 0)
  t.ok(order.every((n, index) => n === index) && order.length === total)
})

t.test('a closed emitter takes nothing and says so', async t => {
  const emitter = new TopicEmitter()
  await new Promise<void>(resolve => emitter.close(resolve))
  const error = await new Promise<Error | undefined>(resolve => emitter.emit({ topic: 'x' }, resolve))
  t.match(error?.message, 'mqemitter is closed')
})
