import { once } from 'node:events'
import type { IClientPublishOptions, IPublishPacket } from 'mqtt'
import { parser } from 'mqtt-packet'
import { t } from 'tap'
import { ManualClock, TestBroker } from '../support/native-broker.ts'
import { EveryTransport } from './every-transport.ts'
import { MqttJs, type MqttJsOptions } from './mqttjs-client.ts'

/** What only MQTT 5 has, with MQTT.js 5 on both ends. */

interface Teardown {
  teardown(fn: () => unknown): unknown
}

const broker = await EveryTransport.start(t, 'limits: { topicAliasMaximum: 3 }')
const connect = (t: Teardown, clientId: string, options: Partial<MqttJsOptions> = {}) =>
  MqttJs.connect(t, broker, 'tcp', { protocolVersion: 5, clientId, ...options })

t.test('a request is answered on its response topic with its correlation data, over TCP and WebSocket', async t => {
  const requester = await MqttJs.connect(t, broker, 'ws', { protocolVersion: 5, clientId: 'requester' })
  await requester.client.subscribeAsync('replies/requester', { qos: 1 })
  const responder = await connect(t, 'responder')
  await responder.client.subscribeAsync('requests/+', { qos: 1 })
  responder.client.on('message', (topic, payload, { properties }) => {
    const { responseTopic, correlationData } = properties ?? {}
    const answer = { qos: 1 as const, properties: { correlationData: correlationData! } }
    responder.client.publish(responseTopic!, `${topic}: ${payload}`, answer)
  })
  // Any bytes will do, not only text.
  const correlations = ['00ff80', '', '0102'].map(hex => Buffer.from(hex, 'hex'))
  for (const [i, correlationData] of correlations.entries()) {
    const properties = { responseTopic: 'replies/requester', correlationData }
    await requester.client.publishAsync('requests/sum', String(i), { qos: 1, properties })
    const reply = await requester.next()
    t.equal(String(reply.payload), `requests/sum: ${i}`)
    t.same(reply.properties?.correlationData, correlationData)
  }
})

t.test('a requester that asks is told where its replies may go, and finds them there', async t => {
  const requester = await connect(t, 'informed', { properties: { requestResponseInformation: true } })
  const room = requester.connack?.properties?.responseInformation
  t.equal(room, 'responses/informed/')
  await requester.client.subscribeAsync(`${room}#`, { qos: 1 })
  const responder = await connect(t, 'informed-responder')
  t.equal(responder.connack?.properties?.responseInformation, undefined)
  await responder.client.subscribeAsync('requests/informed', { qos: 1 })
  const properties = { responseTopic: `${room}sum`, correlationData: Buffer.from('1') }
  await requester.client.publishAsync('requests/informed', '1 + 1', { qos: 1, properties })
  const request = await responder.next()
  const { responseTopic = '', correlationData = Buffer.alloc(0) } = request.properties ?? {}
  await responder.client.publishAsync(responseTopic, '2', { qos: 1, properties: { correlationData } })
  t.match(await requester.next(), { topic: `${room}sum`, payload: Buffer.from('2'), properties: { correlationData } })
})

t.test('a message carries the identifiers of all subscriptions that match', async t => {
  const { client, next } = await subscriber(t, 'identified')
  await client.subscribeAsync('id/#', { qos: 1, properties: { subscriptionIdentifier: 1 } })
  await client.subscribeAsync('id/+', { qos: 2, properties: { subscriptionIdentifier: 268_435_455 } })
  await client.subscribeAsync('id/other', { qos: 0 })
  await client.publishAsync('id/a', 'both', { qos: 2 })
  const both = await next()
  t.same([both.properties?.subscriptionIdentifier].flat().sort(), [1, 268_435_455])
  t.equal(both.qos, 2)
  await client.publishAsync('id/a/b', 'one', { qos: 2 })
  t.same([(await next()).properties?.subscriptionIdentifier].flat(), [1])
  await client.unsubscribeAsync(['id/#', 'id/+'])
  await client.publishAsync('id/other', 'none', { qos: 1 })
  t.equal((await next()).properties?.subscriptionIdentifier, undefined)
})

t.test('[MQTT-3.3.2-18] user properties arrive in their order, repeated names too', async t => {
  const { client, next } = await subscriber(t, 'ordered')
  await client.subscribeAsync('user/properties')
  const userProperties = { zulu: ['1', '3', '2'], alpha: 'ä ☃ 😀', '': 'empty name', mike: '' }
  await client.publishAsync('user/properties', '', { properties: { userProperties } })
  const arrived = Object.entries((await next()).properties?.userProperties ?? {})
  t.strictSame(arrived, Object.entries(userProperties))
})

t.test('content type and payload format go with the message, retained or not', async t => {
  const { client, next } = await subscriber(t, 'described')
  const properties = { contentType: 'application/json', payloadFormatIndicator: true }
  await client.publishAsync('described', '{}', { qos: 1, retain: true, properties })
  await client.subscribeAsync('described')
  t.match(await next(), { retain: true, properties })
  await client.publishAsync('described', '[]', { qos: 1, properties })
  t.match(await next(), { retain: false, properties })
})

t.test('no local, retain as published and retain handling do what they say', async t => {
  const { client, next } = await subscriber(t, 'optional')
  const other = await connect(t, 'other')
  await other.client.publishAsync('options/kept', 'kept', { qos: 1, retain: true })
  await client.subscribeAsync('options/kept', { qos: 1, rh: 2 })
  await client.subscribeAsync('options/kept', { qos: 1, rh: 1 })
  await client.subscribeAsync('options/#', { qos: 1, nl: true, rap: true, rh: 1 })
  t.match(await next(), { topic: 'options/kept', retain: true }, 'retained, for the subscription that is new only')
  await client.unsubscribeAsync('options/kept')
  await client.publishAsync('options/own', 'own', { qos: 1 })
  await other.client.publishAsync('options/theirs', 'live', { qos: 1, retain: true })
  const message = await next()
  t.equal(String(message.payload), 'live')
  t.match(message, { topic: 'options/theirs', retain: true }, 'retain as it was published')
})

t.test('a message that expired while its reader was away is not delivered; one that did not tells what is left', async t => {
  const clock = new ManualClock()
  const { port } = await TestBroker.start(t, { clock })
  const open = (clientId: string) =>
    MqttJs.open(t, `mqtt://127.0.0.1:${port}`, {
      protocolVersion: 5,
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: 3600 }
    })
  const first = await open('reader')
  await first.client.subscribeAsync('expiring/#', { qos: 1 })
  await first.client.endAsync()
  const publisher = await open('publisher')
  const publish = (payload: string, messageExpiryInterval?: number) => {
    const options: IClientPublishOptions = { qos: 1, retain: true }
    if (messageExpiryInterval !== undefined) options.properties = { messageExpiryInterval }
    return publisher.client.publishAsync(`expiring/${payload}`, payload, options)
  }
  await publish('short', 10)
  await publish('long', 60)
  await publish('ever')
  clock.advance(20_000)
  const reader = await open('reader')
  const left = ({ payload, properties }: IPublishPacket) => [String(payload), properties?.messageExpiryInterval]
  t.same(
    [left(await reader.next()), left(await reader.next())],
    [
      ['long', 40],
      ['ever', undefined]
    ]
  )
  const late = await open('late')
  await late.client.subscribeAsync('expiring/#')
  const retained = [left(await late.next()), left(await late.next())]
  t.same(retained.sort(), [
    ['ever', undefined],
    ['long', 40]
  ])
})

for (const qos of [1, 2] as const) {
  t.test(`[MQTT-3.3.4-9] a client with Receive Maximum 1 gets one message of QoS ${qos} at a time`, async t => {
    const slow = await connect(t, `slow-${qos}`, { properties: { receiveMaximum: 1 } })
    const held: (() => void)[] = []
    // MQTT.js acknowledges, with PUBACK or PUBCOMP, and reads on when this is done.
    slow.client.handleMessage = (_packet, done) => held.push(done)
    await slow.client.subscribeAsync(`slow/${qos}`, { qos })
    const arrived = packetsOf(slow)
    const publisher = await connect(t, 'fast')
    for (let i = 0; i < 3; i++) await publisher.client.publishAsync(`slow/${qos}`, String(i), { qos })
    for (let i = 0; i < 3; i++) {
      t.equal(String((await slow.next()).payload), String(i))
      slow.client.sendPing()
      while (arrived.at(-1) !== 'pingresp') await once(slow.client.stream, 'data')
      t.equal(arrived.filter(cmd => cmd === 'publish').length, i + 1)
      held.shift()?.()
    }
  })
}

t.test('MQTT.js may use as many topic aliases as it is told, and reuses them', async t => {
  const reader = await subscriber(t, 'alias-reader')
  await reader.client.subscribeAsync('aliases/#', { qos: 1 })
  const publisher = await connect(t, 'alias-publisher', { autoUseTopicAlias: true, autoAssignTopicAlias: true })
  t.equal(publisher.connack?.properties?.topicAliasMaximum, 3)
  const sent: { topic: string; alias: number | undefined }[] = []
  publisher.client.on('packetsend', packet => {
    if (packet.cmd === 'publish') sent.push({ topic: packet.topic, alias: packet.properties?.topicAlias })
  })
  const topics = ['a', 'a', 'b', 'c', 'd', 'd', 'a', 'b', 'd'].map(level => `aliases/${level}`)
  for (const topic of topics) await publisher.client.publishAsync(topic, topic, { qos: 1 })
  for (const topic of topics) t.match(await reader.next(), { topic, payload: Buffer.from(topic) })
  t.ok(sent.every(({ alias }) => alias !== undefined && alias >= 1 && alias <= 3))
  t.ok(
    sent.some(({ topic }) => topic === ''),
    'an alias stood for its topic'
  )
})

t.test('the broker sets as many topic aliases as MQTT.js allows, and sends the topics of further ones', async t => {
  const reader = await connect(t, 'aliased', { properties: { topicAliasMaximum: 2 } })
  await reader.client.subscribeAsync('to-alias/#', { qos: 2 })
  const topics = ['a', 'a', 'b', 'c', 'c', 'a', 'b'].map(level => `to-alias/${level}`)
  for (const [i, topic] of topics.entries()) {
    await reader.client.publishAsync(topic, topic, { qos: i % 2 === 0 ? 0 : 1 })
    t.match(await reader.next(), { topic, payload: Buffer.from(topic) })
  }
  // MQTT.js 5.16 puts a QoS 2 message away without the topic that its alias stood for.
  await reader.client.publishAsync('to-alias/a', 'to-alias/a', { qos: 2 })
  t.match(await reader.next(), { payload: Buffer.from('to-alias/a') })
  t.same(
    reader.onTheWire.map(({ topic, properties }) => [topic, properties?.topicAlias]),
    [
      ['to-alias/a', 1],
      ['', 1],
      ['to-alias/b', 2],
      ['to-alias/c', undefined],
      ['to-alias/c', undefined],
      ['', 1],
      ['', 2],
      ['', 1]
    ]
  )
})

t.test('topic aliases end with the connection, and a session that is resumed gets them anew', async t => {
  const options = { clean: false, properties: { topicAliasMaximum: 2, sessionExpiryInterval: 3600 } }
  const first = await connect(t, 'aliased-again', options)
  await first.client.subscribeAsync('again/#', { qos: 1 })
  const publisher = await connect(t, 'publisher')
  for (const payload of ['one', 'two']) await publisher.client.publishAsync('again/a', payload, { qos: 1 })
  t.same([(await first.next()).topic, (await first.next()).topic], ['again/a', 'again/a'])
  await first.client.endAsync()
  for (const payload of ['three', 'four']) await publisher.client.publishAsync('again/a', payload, { qos: 1 })
  const second = await connect(t, 'aliased-again', options)
  await publisher.client.publishAsync('again/a', 'five', { qos: 1 })
  for (const payload of ['three', 'four', 'five'])
    t.match(await second.next(), { topic: 'again/a', payload: Buffer.from(payload) })
  t.match(second.onTheWire, [{ topic: 'again/a' }, { topic: '' }, { topic: '' }])
})

t.test('the broker does not use topic aliases towards a client that allows none', async t => {
  const { client, next, onTheWire } = await subscriber(t, 'no-alias')
  await client.subscribeAsync('plain', { qos: 1 })
  for (let i = 0; i < 3; i++) await client.publishAsync('plain', String(i), { qos: 1 })
  for (let i = 0; i < 3; i++) t.equal((await next()).topic, 'plain')
  t.ok(onTheWire.every(({ properties }) => properties?.topicAlias === undefined))
})

/** What arrives at a client, whether it reads on or not. */
function packetsOf({ client }: MqttJs): string[] {
  const packets: string[] = []
  const incoming = parser({ protocolVersion: 5 })
  incoming.on('packet', ({ cmd }) => packets.push(cmd))
  client.stream.on('data', bytes => incoming.parse(bytes))
  return packets
}

async function subscriber(t: Teardown, clientId: string) {
  const connected = await connect(t, clientId)
  return { client: connected.client, next: () => connected.next(), onTheWire: connected.onTheWire }
}
