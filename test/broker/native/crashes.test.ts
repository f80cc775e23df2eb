import t from 'tap'
import { CrashableDisk } from '../../properties/crashable-disk.ts'
import { ManualClock, TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** A broker that can be stopped as by a power cut, on a clock of the test. */
class Crashing {
  readonly clock = new ManualClock()
  readonly #disk = new CrashableDisk()
  readonly #t: { teardown(fn: () => unknown): unknown }
  started!: TestBroker

  constructor(t: { teardown(fn: () => unknown): unknown }) {
    this.#t = t
  }

  async start(folder?: string): Promise<void> {
    this.started = await TestBroker.start(this.#t, { clock: this.clock, openDb: this.#disk.open, ...(folder ? { folder } : {}) })
  }

  async crash(): Promise<void> {
    this.#disk.dead = true
    await this.started.stop()
    this.#disk.dead = false
    await this.start(this.started.folder)
  }

  pass(seconds: number): void {
    this.clock.advance(seconds * 1000)
    this.started.broker.engine.sweep(this.clock.nowMs)
  }
}

t.test('a will delay that began at a restart goes on over the next one', async t => {
  const crashing = new Crashing(t)
  await crashing.start()
  const will = { topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: true, properties: { willDelayInterval: 10 } }
  const session = { clientId: 'device', version: 5 as const, clean: false, properties: { sessionExpiryInterval: 100 } }
  await RawClient.connect(crashing.started.port, { ...session, will })
  await crashing.crash()
  await crashing.started.broker.engine.drain()
  crashing.pass(6)
  await crashing.crash()
  t.equal(crashing.started.store.retainedCount, 0, 'four seconds are left')
  crashing.pass(4)
  t.equal(crashing.started.store.retainedCount, 1)
})

t.test('[MQTT-3.1.2-23] a session expiry that began at a restart goes on over the next one', async t => {
  const crashing = new Crashing(t)
  await crashing.start()
  const session = { clientId: 'device', version: 5 as const, clean: false, properties: { sessionExpiryInterval: 10 } }
  await RawClient.connect(crashing.started.port, session)
  await crashing.crash()
  await crashing.started.broker.engine.drain()
  crashing.pass(6)
  await crashing.crash()
  t.equal(crashing.started.broker.sessionCount, 1)
  crashing.pass(4)
  t.equal(crashing.started.broker.sessionCount, 0)
})

t.test('[MQTT-3.1.2-4] CONNACK for Clean Start waits until the session it discards is gone from the disk', async t => {
  let open = (): void => {}
  let gate: Promise<void> | undefined
  const { port } = await TestBroker.start(t, {
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          const value = Reflect.get(inner, key, inner) as unknown
          if (typeof value !== 'function') return value
          if (key !== 'commit') return value.bind(inner)
          return async () => {
            await gate
            await inner.commit()
          }
        }
      })
  })
  const { client: other } = await RawClient.connect(port, { clientId: 'other' })
  const { client: first } = await RawClient.connect(port, { clientId: 'device', clean: false })
  await first.disconnect()
  await RawClient.connect(port, { clientId: 'settles', clean: false })
  gate = new Promise(resolve => {
    open = resolve
  })
  const second = await RawClient.open(port)
  second.sendConnect({ clientId: 'device', clean: true })
  const connack = second.next()
  const pings = async (): Promise<string> => {
    for (let i = 0; i < 5; i++) await other.ping()
    return 'nothing yet'
  }
  t.equal(await Promise.race([connack, pings()]), 'nothing yet')
  open()
  t.match(await connack, { cmd: 'connack', returnCode: 0, sessionPresent: false })
})
