import { join } from 'node:path'
import { t } from 'tap'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { MqttJs } from './mqttjs-client.ts'

/** MQTT.js 5 finds its way back by itself when the broker is restarted under it, and nothing is missing or twice. */

for (const protocolVersion of [4, 5] as const) {
  for (const qos of [1, 2] as const) {
    const version = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'
    const promise = qos === 2 ? 'exactly once' : 'at least once'
    t.test(`MQTT.js, ${version}, QoS ${qos}: ${promise} and in order over a restart of the broker`, async t => {
      const folder = temporaryFolder(t)
      const start = (port: number) => {
        const yaml = `data: data\nlisteners: [{ type: tcp, port: ${port} }]\nadmin: false\n`
        return Server.start(parseConfig(yaml, join(folder, 'tributary.yaml')))
      }
      const first = await start(0)
      t.teardown(() => first.close())
      const { url, port } = first.addresses[0]!
      const open = (clientId: string) =>
        MqttJs.open(t, url, {
          protocolVersion,
          clientId,
          clean: false,
          resubscribe: false,
          reconnectPeriod: 10,
          ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {})
        })
      const reader = await open('reader')
      await reader.client.subscribeAsync('devices/a', { qos })
      const publisher = await open('publisher')

      const sent = Array.from({ length: 100 }, (_, i) => String(i))
      const published: Promise<unknown>[] = []
      const publish = (payloads: string[]) => {
        for (const payload of payloads) published.push(publisher.client.publishAsync('devices/a', payload, { qos }))
      }
      const answered = publisher.event('packetreceive')
      publish(sent.slice(0, 50))
      await answered
      await first.close()
      // MQTT.js keeps what it is given while it is away.
      publish(sent.slice(50))
      const second = await start(port)
      t.teardown(() => second.close())
      await Promise.all(published)
      await publisher.client.publishAsync('devices/a', 'end', { qos })
      const received = await reader.until('end')
      if (qos === 2) t.same(received, sent)
      else t.same([...new Set(received)], sent)
    })
  }
}
