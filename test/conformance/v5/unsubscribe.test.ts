import t from 'tap'
import { field, properties, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { arrivals, connect, connectStored, disconnectsWith, lastWords, payloads } from './clients.ts'

const { port } = await TestBroker.start(t)
const publisher = await connect(port, 'publisher')

t.test('[MQTT-3.10.1-1] an UNSUBSCRIBE whose flags are not 0010 is answered with DISCONNECT 0x81', async t => {
  for (let flags = 0; flags < 16; flags++) {
    if (flags === 2) continue
    t.match(await lastWords(port, raw(0xa0 | flags, 0, 10, 0, field('a'))), disconnectsWith(0x81), `flags ${flags}`)
  }
})

t.test('[MQTT-3.10.3-1] a Topic Filter that is not UTF-8 is answered with DISCONNECT 0x81', async t => {
  for (const hex of ['80', 'c080', 'eda080', 'f4908080', 'e282', '6100']) {
    const filter = field(Buffer.from(hex, 'hex'))
    t.match(await lastWords(port, raw(0xa2, 0, 10, 0, filter)), disconnectsWith(0x81), hex)
    t.same(await lastWords(port, raw(0xa2, 0, 10, filter), { version: 4, clientId: 'utf8' }), [], `${hex} in 3.1.1`)
  }
})

t.test('[MQTT-3.10.3-2] an UNSUBSCRIBE without a Topic Filter is answered with DISCONNECT 0x82', async t => {
  t.match(await lastWords(port, raw(0xa2, 0, 10, 0)), disconnectsWith(0x82))
})

t.test('an UNSUBSCRIBE with packet identifier 0 is answered with 0x82, before MQTT 5 by hanging up', async t => {
  t.match(await lastWords(port, raw(0xa2, 0, 0, 0, field('a'))), disconnectsWith(0x82))
  t.same(await lastWords(port, raw(0xa2, 0, 0, field('a')), { version: 4, clientId: 'zero' }), [])
})

t.test('an UNSUBSCRIBE with a property of another packet is answered with 0x81', async t => {
  t.match(await lastWords(port, raw(0xa2, 0, 10, properties(0x0b, 1), field('a'))), disconnectsWith(0x81))
})

t.test('[MQTT-3.10.4-1] a filter removes the subscription that has the very same characters, and no other', async t => {
  const client = await connect(port, 'exact')
  const filters = ['exact/a', 'exact/+', 'exact/#', 'Exact/a', 'exact/a/']
  for (const filter of filters) await client.subscribe(filter, 0)
  const unsubscribe = (filter: string) => client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: [filter] })
  unsubscribe('exact/+')
  t.match(await client.expect('unsuback'), { granted: [0x00] })
  for (const other of ['exact/b', 'EXACT/#', '#', '+/a', 'exact', 'exact/a//']) {
    unsubscribe(other)
    t.match(await client.expect('unsuback'), { granted: [0x11] }, `${other} is none of them`)
  }
  for (const filter of ['exact/a', 'exact/#', 'Exact/a', 'exact/a/']) {
    unsubscribe(filter)
    t.match(await client.expect('unsuback'), { granted: [0x00] }, `${filter} was still there`)
  }
})

t.test('[MQTT-3.10.4-2] nothing that is published after the UNSUBSCRIBE is delivered, queued neither', async t => {
  const client = await connectStored(port, 'stop')
  await client.subscribe('stop/#', 2)
  await client.subscribe('go', 1)
  client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['stop/#'] })
  await client.expect('unsuback')
  for (const qos of [0, 1, 2] as const) await publisher.publish('stop/a', 'unwanted', qos)
  t.same(await client.ping(), [])
  await client.disconnect()
  await publisher.publish('stop/a', 'unwanted', 1)
  await publisher.publish('go', 'wanted', 1)
  t.same(payloads(await arrivals(await connectStored(port, 'stop'), 1)), ['wanted'])
})

t.test('[MQTT-3.10.4-3] deliveries that had begun are completed, after a reconnect too', async t => {
  const client = await connectStored(port, 'complete')
  await client.subscribe('complete', 2)
  await publisher.publish('complete', 'one', 1)
  await publisher.publish('complete', 'two', 2)
  await publisher.publish('complete', 'three', 2)
  const [one, two, three] = [await client.expect('publish'), await client.expect('publish'), await client.expect('publish')]
  client.send({ cmd: 'pubrec', messageId: two.messageId })
  await client.expect('pubrel')
  client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['complete'] })
  await client.expect('unsuback')
  client.send({ cmd: 'pubrec', messageId: three.messageId })
  t.match(await client.expect('pubrel'), { messageId: three.messageId, reasonCode: 0x00 })
  client.send({ cmd: 'pubcomp', messageId: three.messageId })
  await client.ping()
  await client.cut()
  const again = await connectStored(port, 'complete')
  t.match(await arrivals(again, 2), [
    { cmd: 'publish', messageId: one.messageId, dup: true },
    { cmd: 'pubrel', messageId: two.messageId }
  ])
  t.same(await again.ping(), [])
})

t.test('[MQTT-3.10.4-4] [MQTT-3.10.4-5] an UNSUBACK with the Packet Identifier comes even if nothing was subscribed', async t => {
  const client = await connect(port, '')
  const ids = [1, 65535, 1]
  for (const messageId of ids) client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: ['nothing'] })
  t.same(
    (await client.ping()).map(({ cmd, messageId }) => ({ cmd, messageId })),
    ids.map(messageId => ({ cmd: 'unsuback', messageId }))
  )
})

t.test('[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] one UNSUBACK has a code for each filter, in their order', async t => {
  const client = await connect(port, '')
  for (const filter of ['several/a', 'several/b']) await client.subscribe(filter, 0)
  const unsubscriptions = ['several/a', 'several/none', 'several/a', 'several/b', '#wrong']
  client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions })
  const [answer, ...more] = await client.ping()
  t.match(answer, { cmd: 'unsuback', granted: [0x00, 0x11, 0x11, 0x00, 0x8f] }, 'the second time it was gone')
  t.same(more, [])
  const older = await connect(port, 'older', { version: 4 })
  older.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions })
  t.match(await older.expect('unsuback'), { messageId: 1, length: 2 }, '3.1.1 has no codes')
})
