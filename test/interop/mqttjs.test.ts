import { t } from 'tap'
import { cannotUse, EveryTransport, transports } from './every-transport.ts'
import { MqttJs, type Version } from './mqttjs-client.ts'

/** MQTT.js 5 over every transport in MQTT 3.1.1 and 5; over TCP in MQTT 3.1 as well. */

const versions: [Version, string][] = [
  [3, 'MQTT 3.1'],
  [4, 'MQTT 3.1.1'],
  [5, 'MQTT 5']
]

const broker = await EveryTransport.start(t)

for (const transport of transports) {
  for (const [protocolVersion, name] of versions) {
    if (protocolVersion === 3 && transport !== 'tcp') continue
    t.test(`MQTT.js over ${transport}, ${name}`, { skip: cannotUse(transport) }, async t => {
      const room = `${transport}/${protocolVersion}`
      const id = (role: string) => `${transport}-${protocolVersion}-${role}`
      const connect = (t: { teardown(fn: () => unknown): unknown }, role: string, options = {}) =>
        MqttJs.connect(t, broker, transport, { clientId: id(role), protocolVersion, ...options })
      const resumable = { clean: false, ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}) }

      for (const qos of [0, 1, 2] as const) {
        t.test(`a message published at QoS ${qos} arrives once, at that QoS, whole`, async t => {
          const subscriber = await connect(t, 'subscriber')
          const [granted] = await subscriber.client.subscribeAsync(`${room}/+/qos`, { qos: 2 })
          t.equal(granted?.qos, 2)
          const publisher = await connect(t, 'publisher')
          const payload = Buffer.alloc(150_000, 'x')
          await publisher.client.publishAsync(`${room}/a/qos`, payload, { qos })
          await publisher.client.publishAsync(`${room}/a/qos`, 'end', { qos })
          const message = await subscriber.next()
          t.match(message, { topic: `${room}/a/qos`, qos, retain: false, dup: false })
          t.ok(payload.equals(message.payload as Buffer))
          t.same(await subscriber.until('end'), [])
        })
      }

      t.test('a subscription that ended delivers nothing', async t => {
        const subscriber = await connect(t, 'subscriber')
        const { client } = subscriber
        await client.subscribeAsync([`${room}/gone`, `${room}/stays`], { qos: 1 })
        await client.unsubscribeAsync(`${room}/gone`)
        await client.publishAsync(`${room}/gone`, 'gone', { qos: 1 })
        await client.publishAsync(`${room}/stays`, 'end', { qos: 1 })
        t.same(await subscriber.until('end'), [])
      })

      t.test('a retained message reaches who subscribes later, until an empty one takes its place', async t => {
        const publisher = await connect(t, 'publisher')
        await publisher.client.publishAsync(`${room}/retained`, 'kept', { qos: 1, retain: true })
        const late = await connect(t, 'late')
        await late.client.subscribeAsync(`${room}/retained`, { qos: 1 })
        const message = await late.next()
        t.match(message, { topic: `${room}/retained`, qos: 1, retain: true })
        t.equal(String(message.payload), 'kept')
        await publisher.client.publishAsync(`${room}/retained`, '', { qos: 1, retain: true })
        t.match(await late.next(), { retain: false })

        const later = await connect(t, 'later')
        await later.client.subscribeAsync(`${room}/retained`, { qos: 1 })
        await publisher.client.publishAsync(`${room}/retained`, 'end', { qos: 1 })
        t.same(await later.until('end'), [])
      })

      t.test('a will is published when the connection is cut, and not when the client says goodbye', async t => {
        const watcher = await connect(t, 'watcher')
        await watcher.client.subscribeAsync(`${room}/wills/#`, { qos: 2 })
        const will = (payload: string) => ({
          topic: `${room}/wills/device`,
          payload: Buffer.from(payload),
          qos: 2 as const,
          retain: false
        })
        const polite = await connect(t, 'polite', { will: will('polite') })
        await polite.client.endAsync()
        const cut = await connect(t, 'cut', { will: will('cut') })
        await cut.cut()
        const message = await watcher.next()
        t.equal(String(message.payload), 'cut')
        t.match(message, { topic: `${room}/wills/device`, qos: 2, retain: false })
      })

      for (const qos of [1, 2] as const) {
        t.test(`a session is kept with its subscriptions and delivers what came meanwhile at QoS ${qos}, in order`, async t => {
          const first = await connect(t, 'away', resumable)
          t.equal(first.connack?.sessionPresent, false)
          await first.client.subscribeAsync(`${room}/away/#`, { qos: 2 })
          await first.client.endAsync()
          const publisher = await connect(t, 'publisher')
          const sent = ['one', 'two', 'three', 'four']
          for (const payload of sent) await publisher.client.publishAsync(`${room}/away/${payload}`, payload, { qos })
          const second = await connect(t, 'away', resumable)
          // 3.1 has no such flag.
          t.equal(second.connack?.sessionPresent, protocolVersion !== 3)
          await publisher.client.publishAsync(`${room}/away/end`, 'end', { qos })
          t.same(await second.until('end'), sent)
          await second.client.endAsync()
          // A clean start forgets it.
          const third = await connect(t, 'away')
          t.equal(third.connack?.sessionPresent, false)
        })
      }

      t.test('a stream is read from its beginning, and a session goes on where it acknowledged', async t => {
        const topic = `devices/${room}`
        const device = await connect(t, 'device')
        for (const payload of ['one', 'two']) await device.client.publishAsync(topic, payload, { qos: 1 })
        const first = await connect(t, 'reader', resumable)
        await first.client.subscribeAsync(`$stream/telemetry/earliest/${topic}`, { qos: 1 })
        for (const payload of ['one', 'two']) t.match(await first.next(), { topic, payload: Buffer.from(payload) })
        await first.client.endAsync()
        for (const payload of ['three', 'end']) await device.client.publishAsync(topic, payload, { qos: 1 })
        const second = await connect(t, 'reader', resumable)
        t.same(await second.until('end'), ['three'])
      })

      t.test('the members of a shared subscription get each message once, together', async t => {
        const members = [await connect(t, 'member-1'), await connect(t, 'member-2')] as const
        for (const { client } of members) await client.subscribeAsync([`$share/team/${room}/work`, `${room}/end`], { qos: 1 })
        const publisher = await connect(t, 'publisher')
        const sent = Array.from({ length: 10 }, (_, i) => `job ${i}`)
        for (const payload of sent) await publisher.client.publishAsync(`${room}/work`, payload, { qos: 1 })
        await publisher.client.publishAsync(`${room}/end`, 'end', { qos: 1 })
        const shares = [await members[0].until('end'), await members[1].until('end')] as const
        t.same(shares.flat().sort(), sent)
        t.ok(shares[0].length > 0 && shares[1].length > 0, 'both worked')
      })

      t.test('a second connection with the client id ends the first', async t => {
        const first = await connect(t, 'same')
        const closed = first.event('close')
        const told = protocolVersion === 5 ? first.event('disconnect') : undefined
        const second = await connect(t, 'same')
        await closed
        if (told) t.match(await told, [{ reasonCode: 0x8e }])
        await second.client.subscribeAsync(`${room}/same`)
        await second.client.publishAsync(`${room}/same`, 'end')
        t.same(await second.until('end'), [])
      })
    })
  }
}
