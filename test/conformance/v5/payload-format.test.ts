import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

/** Payload Format Indicator 1 says that the payload is UTF-8; the broker looks (sections 3.1.3.2.3 and 3.3.2.3.2). */

const text = { payloadFormatIndicator: true }
const invalid = Buffer.from([0x66, 0xc3, 0x28])
const surrogate = Buffer.from([0xed, 0xa0, 0x80])

t.test('[MQTT-3.3.2-4] a payload that is what its Payload Format Indicator says goes on with it', async t => {
  const { port } = await TestBroker.start(t)
  const { client: subscriber } = await RawClient.connect(port, { clientId: 's', version: 5 })
  await subscriber.subscribe('a', 0)
  const { client } = await RawClient.connect(port, { version: 5 })
  const payloads = ['', 'plain', 'žluťoučký kůň', 'nul \0 is a character', '\ufeff\uffff😀']
  for (const payload of payloads) await client.publish('a', payload, 1, { properties: text })
  await client.publish('a', invalid, 1, { properties: { payloadFormatIndicator: false } })
  await client.publish('a', invalid, 1)
  const packets = await subscriber.ping()
  t.same(
    packets.map(({ payload }) => payload),
    [...payloads.map(payload => Buffer.from(payload)), invalid, invalid]
  )
  t.same(
    packets.map(({ properties }) => (properties as { payloadFormatIndicator?: boolean } | undefined)?.payloadFormatIndicator),
    [true, true, true, true, true, false, undefined]
  )
})

for (const [qos, answer] of [
  [1, 'puback'],
  [2, 'pubrec']
] as const) {
  t.test(`at QoS ${qos} a payload that is not is answered ${answer.toUpperCase()} 0x99 and goes nowhere`, async t => {
    const started = await TestBroker.start(t)
    const { port, broker } = started
    const { client: subscriber } = await RawClient.connect(port, { clientId: 's', version: 5 })
    await subscriber.subscribe('#', 0)
    const { client } = await RawClient.connect(port, { version: 5 })
    for (const payload of [invalid, surrogate]) {
      client.send({
        cmd: 'publish',
        topic: 'devices/1',
        payload,
        qos,
        messageId: 4,
        retain: true,
        dup: false,
        properties: text
      })
      t.match(await client.expect(answer), { messageId: 4, reasonCode: 0x99, properties: { reasonString: /not UTF-8/ } })
    }
    // [MQTT-4.3.3-9]: the id of a refused message is free, and the connection lives on.
    await client.publish('devices/1', 'good', qos, { messageId: 4, properties: text })
    t.same(
      (await subscriber.ping()).map(({ payload }) => String(payload)),
      ['good']
    )
    t.same(
      (await started.records()).map(({ payload }) => String(payload)),
      ['good']
    )
    t.equal(started.store.retainedCount, 0)
    t.equal(broker.counters.publishRefused.get('payload-format-invalid'), 2)
  })
}

t.test('at QoS 0 it ends the connection with 0x99: nothing else could tell the client', async t => {
  const { port } = await TestBroker.start(t)
  const { client: subscriber } = await RawClient.connect(port, { clientId: 's', version: 5 })
  await subscriber.subscribe('#', 0)
  const { client } = await RawClient.connect(port, { version: 5 })
  await client.publish('a', invalid, 0, { properties: text })
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x99, properties: { reasonString: /not UTF-8/ } }])
  t.same(await subscriber.ping(), [])
})

t.test('a will whose payload is not what its indicator says is refused with CONNACK 0x99', async t => {
  const { port } = await TestBroker.start(t)
  const client = await RawClient.open(port, 5)
  const will = { topic: 'gone', payload: invalid, qos: 0, retain: false, properties: { payloadFormatIndicator: true } }
  client.sendConnect({ version: 5, clientId: 'c', will })
  t.match(await client.ended(), [{ cmd: 'connack', reasonCode: 0x99 }])
  const { connack } = await RawClient.connect(port, { version: 5, will: { ...will, payload: Buffer.from('bye') } })
  t.equal(connack.reasonCode, 0)
})
