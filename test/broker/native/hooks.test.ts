import { once } from 'node:events'
import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

t.test('an asynchronous authorizePublish hook keeps the order of packets, acks and records', async t => {
  const started = await TestBroker.start(t, {
    authorizePublish: (_client, packet, done) => {
      // Later messages answer sooner, as decisions of a remote service would.
      const turns = 20 - Number(packet.payload)
      const wait = (left: number): void => void (left === 0 ? done(null) : setImmediate(() => wait(left - 1)))
      wait(turns)
    }
  })
  const { client } = await RawClient.connect(started.port, { clientId: 'device' })
  await client.subscribe('devices/#', 0)
  client.socket.cork()
  for (let id = 1; id <= 20; id++) {
    client.send({ cmd: 'publish', topic: 'devices/a', payload: String(id), qos: 1, messageId: id, retain: false, dup: false })
  }
  client.send({ cmd: 'pingreq' })
  client.socket.uncork()
  const packets = []
  for (let packet = await client.next(); packet && packets.length < 41; packet = await client.next()) {
    packets.push(packet)
    if (packets.length === 41) break
  }
  const expected = Array.from({ length: 20 }, (_, i) => i + 1)
  t.same(
    packets.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId),
    expected
  )
  t.same(
    packets.filter(({ cmd }) => cmd === 'publish').map(({ payload }) => Number(payload)),
    expected
  )
  t.same(
    (await started.records()).map(record => Number(record.payload)),
    expected
  )
})

t.test('authorizePublish may change the message, and what it changes is what everybody gets', async t => {
  const started = await TestBroker.start(t, {
    authorizePublish: (_client, packet, done) => {
      packet.payload = Buffer.from(`${packet.payload} checked`)
      done(null)
    }
  })
  const { client: subscriber } = await RawClient.connect(started.port, { clientId: 'subscriber' })
  await subscriber.subscribe('devices/#', 0)
  const { client } = await RawClient.connect(started.port, { clientId: 'device' })
  await client.publish('devices/a', 'x', 1)
  t.equal(String((await subscriber.expect('publish')).payload), 'x checked')
  const [record] = await started.records()
  t.equal(String(record?.payload), 'x checked')
})

t.test('authorizeForward decides per client, for queued messages too', async t => {
  const { port } = await TestBroker.start(t, {
    authorizeForward: (client, packet) => (client.id === 'b' && packet.topic === 'hidden' ? null : packet)
  })
  for (const clientId of ['a', 'b']) {
    const { client } = await RawClient.connect(port, { clientId, clean: false })
    await client.subscribe('#', 1)
    await client.disconnect()
  }
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('hidden', '1', 1)
  await publisher.publish('open', '2', 1)
  const { client: a } = await RawClient.connect(port, { clientId: 'a', clean: false })
  t.equal((await a.expect('publish')).topic, 'hidden')
  t.equal((await a.expect('publish')).topic, 'open')
  const { client: b } = await RawClient.connect(port, { clientId: 'b', clean: false })
  t.equal((await b.expect('publish')).topic, 'open')
})

t.test('authorizeSubscribe may refuse or lower a subscription', async t => {
  const { port } = await TestBroker.start(t, {
    authorizeSubscribe: (_client, subscription, done) => {
      if (subscription.topic === 'no') done(null, null)
      else if (subscription.topic === 'error') done(new Error('no'))
      else setImmediate(() => done(null, { ...subscription, qos: 0 }))
    }
  })
  const { client } = await RawClient.connect(port, { clientId: 'a' })
  const subscriptions = ['yes', 'no', 'error'].map(topic => ({ topic, qos: 2 }))
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
  t.same((await client.expect('suback')).granted, [0, 0x80, 0x80])
})

t.test('events tell what happens, and in-process subscribers receive messages', async t => {
  const { port, broker } = await TestBroker.start(t)
  const seen: string[] = []
  for (const name of [
    'client',
    'clientReady',
    'clientDisconnect',
    'subscribe',
    'unsubscribe',
    'ping',
    'publish',
    'connackSent'
  ]) {
    broker.on(name as 'ping', () => seen.push(name))
  }
  const inProcess: string[] = []
  broker.subscribe(
    'a/#',
    (packet, done) => {
      inProcess.push(`${packet.topic} ${packet.payload} ${(packet as { clientId?: string }).clientId}`)
      done()
    },
    () => {}
  )
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  await client.subscribe('x', 0)
  await client.publish('a/b', 'y', 1)
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['x'] })
  await client.expect('unsuback')
  await client.ping()
  const gone = once(broker, 'clientDisconnect')
  await client.disconnect()
  await gone
  t.same(seen, ['client', 'connackSent', 'clientReady', 'subscribe', 'publish', 'unsubscribe', 'ping', 'clientDisconnect'])
  t.same(inProcess, ['a/b y device'])
})

t.test('broker.publish reaches clients, streams and queues, and calls back when it is on disk', async t => {
  const started = await TestBroker.start(t)
  const { client } = await RawClient.connect(started.port, { clientId: 'device' })
  await client.subscribe('devices/#', 1)
  await new Promise<void>((resolve, reject) => {
    const packet = { cmd: 'publish', topic: 'devices/a', payload: 'from inside', qos: 1, retain: false }
    started.broker.publish(packet, (error?: Error) => (error ? reject(error) : resolve()))
  })
  t.same(
    (await started.records()).map(record => `${record.clientId}:${record.payload}`),
    [':from inside']
  )
  t.equal(String((await client.expect('publish')).payload), 'from inside')
})

t.test('client.publish, client.subscribe and client.close work on one client', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  const inside = broker.clients.device
  t.ok(inside) || t.bailout('no client')
  await new Promise<void>(resolve => inside?.subscribe({ topic: 'a', qos: 1 }, () => resolve()))
  await client.publish('a', 'through the subscription', 0)
  t.equal(String((await client.expect('publish')).payload), 'through the subscription')
  inside?.publish({ topic: 'anything', payload: Buffer.from('for this client'), qos: 1 })
  t.equal((await client.expect('publish')).topic, 'anything')
  inside?.close()
  t.same(await client.ended(), [])
})

t.test('a hook that changes the QoS does not change the handshake the publisher is owed', async t => {
  const { port } = await TestBroker.start(t, {
    authorizePublish: (_client, packet, done) => {
      packet.qos = Number(String(packet.payload)) as 0 | 1 | 2
      done(null)
    }
  })
  const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
  await subscriber.subscribe('a', 2)
  const { client } = await RawClient.connect(port, { clientId: 'device' })
  await client.publish('a', '0', 1)
  t.equal((await subscriber.expect('publish')).qos, 0)
  await client.publish('a', '1', 2)
  t.equal((await subscriber.expect('publish')).qos, 1)
  await client.publish('a', '2', 0)
  t.equal((await subscriber.expect('publish')).qos, 2)
  t.same(await client.ping(), [], 'QoS 0 is not acknowledged whatever became of it')
})

t.test('what authorizeForward makes of a message is made once, and is what is sent again', async t => {
  const { port } = await TestBroker.start(t, {
    authorizeForward: (_client, packet) => ({ ...packet, payload: Buffer.from(`${packet.payload}!`) })
  })
  const options = {
    clientId: 'a',
    version: 5 as const,
    clean: false,
    properties: { sessionExpiryInterval: 100, receiveMaximum: 1 }
  }
  const { client: first } = await RawClient.connect(port, options)
  await first.subscribe('all/#', 1)
  await first.subscribe('$share/group/shared', 1)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('all/live', 'live', 1)
  await publisher.publish('all/waits', 'waits', 1)
  t.match(await first.expect('publish'), { payload: Buffer.from('live!'), dup: false })
  await first.cut()
  const { client: second } = await RawClient.connect(port, options)
  t.match(await second.expect('publish'), { payload: Buffer.from('live!'), dup: true })
  second.send({ cmd: 'puback', messageId: 1 })
  t.match(await second.expect('publish'), { payload: Buffer.from('waits!'), dup: false })
  await second.cut()
  const { client: third } = await RawClient.connect(port, options)
  t.match(await third.expect('publish'), { payload: Buffer.from('waits!'), dup: true })
  third.send({ cmd: 'puback', messageId: 2 })
  await third.ping()
  await publisher.publish('shared', 'shared', 1)
  t.match(await third.expect('publish'), { payload: Buffer.from('shared!'), dup: false })
  await third.cut()
  const { client: fourth } = await RawClient.connect(port, options)
  t.match(await fourth.expect('publish'), { payload: Buffer.from('shared!'), dup: true })
})

t.test('what authorizeForward does not show any more is not sent again either', async t => {
  let shown = true
  const { port, broker } = await TestBroker.start(t, { authorizeForward: (_client, packet) => (shown ? packet : null) })
  const options = { clientId: 'a', clean: false }
  const { client: first } = await RawClient.connect(port, options)
  await first.subscribe('a', 1)
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  await publisher.publish('a', 'x', 1)
  await first.expect('publish')
  await first.cut()
  shown = false
  const { client: second } = await RawClient.connect(port, options)
  for (let i = 0; i < 50 && broker.counters.queued > 0; i++) t.same(await second.ping(), [])
  t.equal(broker.counters.dropped.get('forward-denied'), 1)
})
