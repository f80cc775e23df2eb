import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { DenyingPolicy } from '../../support/policies.ts'
import { RawClient } from '../../support/raw-client.ts'

/** Rights may change between a QoS 2 PUBLISH and its repetition. */

const publish = { cmd: 'publish', topic: 'rooms/1', payload: 'one', qos: 2, messageId: 7, retain: false, dup: false }

for (const version of [4, 5] as const) {
  t.test(
    `[MQTT-4.3.3-10] level ${version}: a repetition is acknowledged although its publisher may not publish any more`,
    async t => {
      const policy = new DenyingPolicy()
      const { port } = await TestBroker.start(t, { access: { policy } })
      const { client: subscriber } = await RawClient.connect(port, { clientId: 'subscriber' })
      await subscriber.subscribe('#', 0)
      const session = { clientId: 'c', version, clean: false, properties: { sessionExpiryInterval: 100 } }
      const first = await RawClient.connect(port, session)
      first.client.send(publish)
      await first.client.expect('pubrec')
      await first.client.cut()

      policy.deny({ publish: ['rooms'] })
      const { client } = await RawClient.connect(port, session)
      client.send({ ...publish, dup: true })
      t.same((await client.expect('pubrec')).reasonCode ?? 0, 0)
      client.send({ cmd: 'pubrel', messageId: 7 })
      await client.expect('pubcomp')
      // The id is free: what comes with it now is another message, and counts for itself.
      client.send({ ...publish, topic: 'hall', payload: 'two' })
      await client.expect('pubrec')
      t.same(
        (await subscriber.ping()).map(({ payload }) => String(payload)),
        ['one', 'two']
      )
    }
  )
}
