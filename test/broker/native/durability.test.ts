import t from 'tap'
import type { Stream } from '../../../lib/stream/contract.ts'
import type { SessionStore } from '../../../persistence/contract.ts'
import { FailingFileSystem } from '../../support/failing-file-system.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** A gate in front of a promise-returning method: calls wait until the test opens it, or fail as the test says. */
class Gate {
  readonly waiting: { pass(): void; fail(error: Error): void }[] = []
  open = true

  wrap<T extends object>(target: T, method: keyof T): T {
    const gate = this
    return new Proxy(target, {
      get(inner, key) {
        const value = Reflect.get(inner, key, inner) as unknown
        if (typeof value !== 'function') return value
        if (key !== method) return value.bind(inner)
        return () => gate.#enter(() => value.call(inner) as Promise<void>)
      }
    })
  }

  #enter(call: () => Promise<void>): Promise<void> {
    if (this.open) return call()
    return new Promise((resolve, reject) => this.waiting.push({ pass: () => call().then(resolve, reject), fail: reject }))
  }

  async entered(): Promise<{ pass(): void; fail(error: Error): void }> {
    for (;;) {
      const next = this.waiting.shift()
      if (next) return next
      await new Promise(resolve => setImmediate(resolve))
    }
  }
}

for (const qos of [1, 2] as const) {
  t.test(`a QoS ${qos} publish into a stream is acknowledged only after the stream's sync has returned`, async t => {
    const gate = new Gate()
    const { port } = await TestBroker.start(t, { wrapStream: stream => gate.wrap<Stream>(stream, 'sync') })
    const { client } = await RawClient.connect(port, { clientId: 'device' })
    gate.open = false
    client.send({ cmd: 'publish', topic: 'devices/1', payload: 'x', qos, messageId: 1, retain: false, dup: false })
    const sync = await gate.entered()
    t.same(await client.ping(), [], 'the broker answers, but not with an ack')
    gate.open = true
    sync.pass()
    t.equal((await client.next())?.cmd, qos === 1 ? 'puback' : 'pubrec')
  })

  t.test(`a QoS ${qos} publish for an offline session is acknowledged only after the store's commit has returned`, async t => {
    const gate = new Gate()
    const { port } = await TestBroker.start(t, { wrapStore: store => gate.wrap<SessionStore>(store, 'commit') })
    const { client: sleeper } = await RawClient.connect(port, { clientId: 'sleeper', clean: false })
    await sleeper.subscribe('a', 2)
    await sleeper.disconnect()
    const { client } = await RawClient.connect(port, { clientId: 'device' })
    await client.publish('elsewhere', 'settles what is under way', 1)
    gate.open = false
    client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos, messageId: 9, retain: false, dup: false })
    const commit = await gate.entered()
    t.same(await client.ping(), [])
    gate.open = true
    commit.pass()
    t.equal((await client.next())?.cmd, qos === 1 ? 'puback' : 'pubrec')
  })
}

t.test('[MQTT-4.6.0-2] an ack that needs no disk waits for the earlier one that does', async t => {
  const gate = new Gate()
  const { port } = await TestBroker.start(t, { wrapStream: stream => gate.wrap<Stream>(stream, 'sync') })
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  gate.open = false
  client.send({ cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
  const sync = await gate.entered()
  client.send({ cmd: 'publish', topic: 'elsewhere', payload: 'x', qos: 1, messageId: 2, retain: false, dup: false })
  t.same(await client.ping(), [])
  gate.open = true
  sync.pass()
  t.equal((await client.expect('puback')).messageId, 1)
  t.equal((await client.expect('puback')).messageId, 2)
})

t.test('ack: received does not wait', async t => {
  const gate = new Gate()
  const { port } = await TestBroker.start(t, { ack: 'received', wrapStream: stream => gate.wrap<Stream>(stream, 'sync') })
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  gate.open = false
  await client.publish('devices/1', 'x', 1)
  t.pass('acknowledged while the sync was held back')
  gate.open = true
  ;(await gate.entered()).pass()
})

t.test('an ack rule for a filter lets acks of queued and retained messages leave at once, other topics wait', async t => {
  const gate = new Gate()
  const { port } = await TestBroker.start(t, {
    ackRules: [{ filter: 'quick/#', mode: 'received' }],
    wrapStore: store => gate.wrap<SessionStore>(store, 'commit')
  })
  const { client: sleeper } = await RawClient.connect(port, { clientId: 'sleeper', clean: false })
  await sleeper.subscribe('#', 1)
  await sleeper.disconnect()
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  await client.publish('elsewhere', 'settles what is under way', 1)
  gate.open = false
  await client.publish('quick/a', 'x', 1, { retain: true })
  t.pass('acknowledged while the commit was held back')
  client.send({ cmd: 'publish', topic: 'slow/a', payload: 'x', qos: 1, messageId: 77, retain: false, dup: false })
  t.same(await client.ping(), [])
  gate.open = true
  ;(await gate.entered()).pass()
  t.equal((await client.expect('puback')).messageId, 77)
})

for (const failure of ['ENOSPC', 'EIO']) {
  t.test(
    `${failure}: nobody is acknowledged, the publishers concerned are cut off, and what they send again arrives once`,
    async t => {
      const fileSystem = new FailingFileSystem()
      const started = await TestBroker.start(t, { fileSystem })
      const { port, broker } = started
      const device = { clientId: 'device', version: 5 as const, clean: false, properties: { sessionExpiryInterval: 100 } }
      const { client } = await RawClient.connect(port, device)
      const { client: other } = await RawClient.connect(port, { clientId: 'bystander' })
      await client.publish('devices/1', 'before', 1)
      fileSystem.failure = failure
      const publish = { cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 2, messageId: 50, retain: false, dup: false }
      client.send(publish)
      t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x83 }], 'no ack, and a reason')
      await other.publish('elsewhere', 'x', 1)
      t.pass('others are not affected')
      const { client: tooEarly } = await RawClient.connect(port, device)
      tooEarly.send({ ...publish, dup: true })
      t.match(await tooEarly.ended(), [{ cmd: 'disconnect', reasonCode: 0x83 }], 'as long as it fails there is no ack')
      fileSystem.failure = undefined
      const { client: again, connack } = await RawClient.connect(port, device)
      t.equal(connack.sessionPresent, true)
      again.send({ ...publish, dup: true })
      t.equal((await again.expect('pubrec')).messageId, 50)
      again.send({ cmd: 'pubrel', messageId: 50 })
      await again.expect('pubcomp')
      t.same(
        (await started.records()).map(record => String(record.payload)),
        ['before', 'x']
      )
      t.equal(broker.counters.acknowledged >= 2, true)
    }
  )
}

t.test('when the commit of the store fails nobody is acknowledged, and the next attempt heals it', async t => {
  let failures = 0
  const { port } = await TestBroker.start(t, {
    wrapStore: store =>
      new Proxy(store, {
        get(inner, key) {
          const value = Reflect.get(inner, key, inner) as unknown
          if (typeof value !== 'function') return value
          if (key !== 'commit') return value.bind(inner)
          return () => (failures-- > 0 ? Promise.reject(new Error('ENOSPC: no space left on device')) : inner.commit())
        }
      })
  })
  const { client: sleeper } = await RawClient.connect(port, { clientId: 'sleeper', clean: false })
  await sleeper.subscribe('a', 1)
  await sleeper.disconnect()
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  await client.publish('elsewhere', 'settles what is under way', 1)
  failures = 1
  client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
  t.same(await client.ended(), [], 'closed without an ack')
  const { client: again } = await RawClient.connect(port, { clientId: 'device' })
  await again.publish('a', 'y', 1)
  const { client: awake } = await RawClient.connect(port, { clientId: 'sleeper', clean: false })
  const arrived = [await awake.expect('publish'), await awake.expect('publish')]
  t.same(
    arrived.map(packet => String(packet.payload)),
    ['x', 'y'],
    'at least once, in order'
  )
})

t.test('a QoS 2 message that reached the store and not the stream is appended at the next start, once', async t => {
  const fileSystem = new FailingFileSystem()
  let started = await TestBroker.start(t, { fileSystem })
  const device = { clientId: 'device', clean: false }
  const { client } = await RawClient.connect(started.port, device)
  fileSystem.failure = 'EIO'
  const publish = { cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 2, messageId: 5, retain: false, dup: false }
  client.send(publish)
  await client.ended()
  t.same(await started.records(), [], 'the store was synced first, the stream has nothing')
  fileSystem.failure = undefined
  started = await started.restart(t, {})
  t.same(
    (await started.records()).map(record => String(record.payload)),
    ['x']
  )
  const { client: again } = await RawClient.connect(started.port, device)
  again.send({ ...publish, dup: true })
  await again.expect('pubrec')
  t.equal((await started.records()).length, 1)
  await again.cut()
  started = await started.restart(t, {})
  t.equal((await started.records()).length, 1, 'recovery does not append what is there')
})

t.test('[MQTT-4.6.0-2] a refusal waits for the earlier ack that waits for the disk', async t => {
  const gate = new Gate()
  const { port } = await TestBroker.start(t, {
    wrapStream: stream => gate.wrap<Stream>(stream, 'sync'),
    authorizePublish: (_client, packet, done) => done(packet.topic === 'forbidden' ? new Error('no') : null)
  })
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
  gate.open = false
  client.send({ cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 1, messageId: 1, retain: false, dup: false })
  const sync = await gate.entered()
  client.send({ cmd: 'publish', topic: 'forbidden', payload: 'x', qos: 1, messageId: 2, retain: false, dup: false })
  t.same(await client.ping(), [])
  gate.open = true
  sync.pass()
  t.match(await client.expect('puback'), { messageId: 1 })
  t.match(await client.expect('puback'), { messageId: 2, reasonCode: 0x87 })
})

t.test('a QoS 2 message that is on disk stays one message when a later commit fails while it is sent again', async t => {
  const fileSystem = new FailingFileSystem()
  const started = await TestBroker.start(t, { fileSystem })
  const { port } = started
  const device = { clientId: 'device', clean: false }
  const publish = { cmd: 'publish', topic: 'devices/1', payload: 'once', qos: 2, messageId: 5, retain: false, dup: false }
  const { client } = await RawClient.connect(port, device)
  client.send(publish)
  await client.expect('pubrec')
  await client.cut()
  fileSystem.failure = 'EIO'
  const { client: second } = await RawClient.connect(port, device)
  second.socket.cork()
  second.send({ ...publish, payload: 'other', qos: 1, messageId: 6 })
  second.send({ ...publish, dup: true })
  second.socket.uncork()
  await second.ended()
  fileSystem.failure = undefined
  const { client: third } = await RawClient.connect(port, device)
  third.send({ ...publish, dup: true })
  await third.expect('pubrec')
  third.send({ cmd: 'pubrel', messageId: 5 })
  await third.expect('pubcomp')
  t.same(
    (await started.records()).map(record => String(record.payload)),
    ['once']
  )
})

t.test('acknowledged messages leave the Receive Maximum while others wait for the next commit', async t => {
  const gate = new Gate()
  const { port } = await TestBroker.start(t, {
    limits: { receiveMaximum: 3 },
    wrapStream: stream => gate.wrap<Stream>(stream, 'sync')
  })
  const { client } = await RawClient.connect(port, { clientId: 'device', version: 5 })
  const publish = (messageId: number) =>
    client.send({ cmd: 'publish', topic: 'devices/1', payload: 'x', qos: 1, messageId, retain: false, dup: false })
  gate.open = false
  publish(1)
  for (let id = 1; id <= 10; id++) {
    const sync = await gate.entered()
    publish(id + 1)
    t.same(await client.ping(), [], 'two are waiting, one for each of two commits')
    sync.pass()
    t.match(await client.next(), { cmd: 'puback', messageId: id })
  }
  gate.open = true
  ;(await gate.entered()).pass()
})

for (const filter of ['$stream/telemetry/latest', '$share/workers/$stream/telemetry/latest']) {
  t.test(`who reads ${filter} while a write fails gets what is published instead`, async t => {
    const gate = new Gate()
    const fileSystem = new FailingFileSystem()
    const { port } = await TestBroker.start(t, { fileSystem, wrapStream: stream => gate.wrap<Stream>(stream, 'sync') })
    const { client: device } = await RawClient.connect(port, { clientId: 'device' })
    gate.open = false
    device.send({ cmd: 'publish', topic: 'devices/1', payload: 'not written', qos: 1, messageId: 1, retain: false, dup: false })
    const sync = await gate.entered()
    const { client: reader } = await RawClient.connect(port, { clientId: 'reader' })
    const subscribed = reader.subscribe(filter, 1)
    // The subscription is there, whatever its acknowledgement waits for.
    await device.ping()
    fileSystem.failure = 'EIO'
    gate.open = true
    sync.pass()
    await device.ended()
    fileSystem.failure = undefined
    await subscribed
    const { client: again } = await RawClient.connect(port, { clientId: 'device' })
    await again.publish('devices/1', 'written', 1)
    t.equal(String((await reader.expect('publish')).payload), 'written')
  })
}
