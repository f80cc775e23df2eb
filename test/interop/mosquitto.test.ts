import { t } from 'tap'
import { cannotUse, EveryTransport } from './every-transport.ts'
import { MosquittoClients, type MosquittoVersion, mosquittoMissing } from './mosquitto-clients.ts'
import { MqttJs } from './mqttjs-client.ts'

/** mosquitto_pub, mosquitto_sub and mosquitto_rr over TCP and TLS; Debian builds them without WebSocket. */

const versions: MosquittoVersion[] = ['mqttv31', 'mqttv311', 'mqttv5']
const missing = mosquittoMissing()

const broker = await EveryTransport.start(t)

for (const transport of ['tcp', 'tls'] as const) {
  const skip = missing || cannotUse(transport)
  for (const version of versions) {
    if (version === 'mqttv31' && transport !== 'tcp') continue
    t.test(`Mosquitto's clients over ${transport}, ${version}`, { skip }, async t => {
      const room = `${transport}/${version}`
      const id = (role: string) => `${transport}-${version}-${role}`
      const clients = new MosquittoClients(broker, transport, version)

      for (const qos of ['0', '1', '2']) {
        t.test(`messages published at QoS ${qos} arrive once each, in order`, async t => {
          const lines = ['one', 'two', 'three']
          const subscriber = await clients.subscribe(t, id('sub'), ['-q', '2', '-t', `${room}/+`, '-C', '3'])
          await clients.publish(['-q', qos, '-t', `${room}/qos`], lines)
          t.same(
            await subscriber.ended(),
            lines.map(line => `${room}/qos ${qos} 0 ${line}`)
          )
        })
      }

      t.test('a message comes at the QoS of the subscription where that is the lower one', async t => {
        const subscriber = await clients.subscribe(t, id('sub'), ['-q', '1', '-t', `${room}/#`, '-C', '1'])
        await clients.publish(['-q', '2', '-t', `${room}/lower`, '-m', 'lower'])
        t.same(await subscriber.ended(), [`${room}/lower 1 0 lower`])
      })

      t.test('a retained message reaches who subscribes later, until an empty one takes its place', async t => {
        const topic = `${room}/retained`
        await clients.publish(['-q', '1', '-r', '-t', topic, '-m', 'kept'])
        const late = clients.start(t, id('late'), ['-q', '1', '-t', topic, '-C', '1'])
        t.same(await late.ended(), [`${topic} 1 1 kept`])
        await clients.publish(['-q', '1', '-r', '-t', topic, '-n'])
        const later = await clients.subscribe(t, id('later'), ['-t', topic, '-C', '1'])
        await clients.publish(['-t', topic, '-m', 'live'])
        t.same(await later.ended(), [`${topic} 0 0 live`])
      })

      t.test('a will is published when the client is killed', async t => {
        const topic = `${room}/will`
        const watcher = await clients.subscribe(t, id('watcher'), ['-q', '2', '-t', topic, '-C', '1'])
        const will = ['--will-topic', topic, '--will-payload', 'gone', '--will-qos', '2']
        const device = await clients.subscribe(t, id('device'), ['-t', `${room}/none`, ...will])
        await device.kill()
        t.same(await watcher.ended(), [`${topic} 2 0 gone`])
      })

      t.test('a session is kept and delivers what came meanwhile, in order', async t => {
        const subscription = ['-q', '2', '-t', `${room}/away`]
        await clients.leaveSession(id('away'), subscription)
        await clients.publish(['-q', '1', '-t', `${room}/away`], ['one', 'two'])
        await clients.publish(['-q', '2', '-t', `${room}/away`], ['three', 'four'])
        const back = clients.start(t, id('away'), ['-c', ...subscription, '-C', '4'])
        const lines = await back.ended()
        // A QoS 2 message is printed at the end of its exchange, so the others may overtake it.
        const atQos = (qos: number) =>
          lines.filter(line => line.startsWith(`${room}/away ${qos} 0 `)).map(line => line.split(' ')[3])
        t.same(
          [atQos(1), atQos(2)],
          [
            ['one', 'two'],
            ['three', 'four']
          ]
        )
      })

      t.test('a stream is read from its beginning, then as it grows', async t => {
        const topic = `devices/${room}`
        await clients.publish(['-q', '1', '-t', topic], ['one', 'two', 'three'])
        const reader = clients.start(t, id('reader'), ['-q', '1', '-t', `$stream/telemetry/earliest/${topic}`, '-C', '4'])
        await clients.publish(['-q', '1', '-t', topic, '-m', 'four'])
        t.same(
          await reader.ended(),
          ['one', 'two', 'three', 'four'].map(payload => `${topic} 1 0 ${payload}`)
        )
      })

      t.test('the members of a shared subscription get each message once, together', async t => {
        const topic = `${room}/work`
        const subscription = ['-q', '1', '-t', `$share/team/${topic}`, '-C', '2']
        const members = [
          await clients.subscribe(t, id('member-1'), subscription),
          await clients.subscribe(t, id('member-2'), subscription)
        ] as const
        await clients.publish(['-q', '1', '-t', topic], ['1', '2', '3', '4'])
        const shares = [...(await members[0].ended()), ...(await members[1].ended())]
        t.same(shares.sort(), [`${topic} 1 0 1`, `${topic} 1 0 2`, `${topic} 1 0 3`, `${topic} 1 0 4`])
      })
    })
  }

  t.test(`properties over ${transport}, mqttv5`, { skip }, async t => {
    const clients = new MosquittoClients(broker, transport, 'mqttv5')

    t.test('every property that mosquitto_pub can set reaches mosquitto_sub', async t => {
      const format = ['-F', '%C|%D|%E|%F|%R|%P|%S|%p']
      const subscription = ['-t', `${transport}/properties`, '-D', 'subscribe', 'subscription-identifier', '7', '-C', '1']
      const subscriber = await clients.subscribe(t, `${transport}-properties`, [...format, ...subscription])
      const properties = [
        ['content-type', 'text/plain'],
        ['correlation-data', 'c-1'],
        ['message-expiry-interval', '3600'],
        ['payload-format-indicator', '1'],
        ['response-topic', 'reply/to'],
        ['user-property', 'b', '1'],
        ['user-property', 'a', '2'],
        ['user-property', 'b', '3']
      ].flatMap(property => ['-D', 'publish', ...property])
      await clients.publish(['-t', `${transport}/properties`, '-m', 'all', ...properties])
      const [line = ''] = await subscriber.ended()
      const fields = line.split('|')
      t.match(fields, ['text/plain', 'c-1', /^3600$|^3599$/, '1', 'reply/to', /.*/, '7', 'all'])
      t.same(fields[5]?.split(' '), ['b:1', 'a:2', 'b:3'])
    })

    t.test('an alias that mosquitto_pub sets stands for its topic', async t => {
      const topic = `${transport}/alias`
      const subscriber = await clients.subscribe(t, `${transport}-alias`, ['-t', topic, '-C', '2'])
      await clients.publish(['-t', topic, '-D', 'publish', 'topic-alias', '1'], ['one', 'two'])
      t.same(await subscriber.ended(), [`${topic} 0 0 one`, `${topic} 0 0 two`])
    })

    t.test('mosquitto_rr gets the answer of a client of another kind', async t => {
      const responder = await MqttJs.connect(t, broker, 'ws', { protocolVersion: 5, clientId: 'responder' })
      await responder.client.subscribeAsync(`${transport}/requests`, { qos: 1 })
      const answer = clients.request(['-q', '1', '-t', `${transport}/requests`, '-e', `${transport}/replies`, '-m', 'ping'])
      const { payload, properties } = await responder.next()
      t.equal(String(payload), 'ping')
      await responder.client.publishAsync(properties?.responseTopic ?? '', 'pong', { qos: 1 })
      t.equal((await answer).trim(), 'pong')
    })
  })
}
