import { rm } from 'node:fs/promises'
import t from 'tap'
import { BrokerProcess } from '../support/broker-process.ts'
import { RawClient } from '../support/raw-client.ts'

t.test('what a kill -9 leaves behind', { timeout: 60_000 }, async t => {
  const broker = await BrokerProcess.create('log: { level: warn }')
  t.teardown(async () => {
    await broker.kill()
    await rm(broker.folder, { recursive: true, force: true })
  })
  await broker.start()
  const watcher = { clientId: 'watcher', clean: false }
  const { client: watching } = await RawClient.connect(broker.port, watcher)
  await watching.subscribe('wills/#', 1)
  const { client: publisher } = await RawClient.connect(broker.port, { clientId: 'publisher' })
  await publisher.publish('settings/a', 'kept', 1, { retain: true })
  await publisher.publish('settings/b', 'removed', 1, { retain: true })
  await publisher.publish('settings/b', '', 1, { retain: true })
  await RawClient.connect(broker.port, {
    clientId: 'device',
    will: { topic: 'wills/device', payload: Buffer.from('gone'), qos: 1, retain: false }
  })
  await broker.kill()
  await broker.start()

  const { client, connack } = await RawClient.connect(broker.port, watcher)
  t.equal(connack.sessionPresent, true)
  t.equal((await client.expect('publish')).topic, 'wills/device', 'the will of a client that was connected is published')
  await client.subscribe('settings/#', 0)
  t.same(
    (await client.ping()).map(packet => String(packet.payload)),
    ['kept'],
    'retained messages are as they were acknowledged'
  )
  t.equal(await broker.stop(), 0)
})
