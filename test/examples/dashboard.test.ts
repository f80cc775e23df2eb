import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { connectAsync } from 'mqtt'
import { t } from 'tap'
import { WebSocket } from 'ws'
import { parseConfig } from '../../lib/config/load.ts'
import { Server } from '../../lib/server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { chromiumMissing, Page } from './browser.ts'
import { inRepository, Program } from './program.ts'

async function start(t: { testdir(): string; teardown(fn: () => unknown): unknown }) {
  const yaml = 'data: data\nadmin: false\nlisteners: [{ type: tcp, port: 0 }, { type: ws, port: 0 }]\n'
  const server = await Server.start(parseConfig(yaml, join(temporaryFolder(t), 'tributary.yaml')))
  t.teardown(() => server.close())
  const [tcp, ws] = server.addresses
  const device = await connectAsync(tcp!.url)
  t.teardown(() => device.end(true))
  return { server, device, webSocketUrl: ws!.url }
}

interface ListenerClass {
  new (
    url: string,
    filters: string[],
    handlers: { message(topic: string, payload: Uint8Array): void; state(state: string): void }
  ): { close(): void }
}

t.test('the MQTT client of the page receives what matches its filter, long messages too', async t => {
  const { server, device, webSocketUrl } = await start(t)
  // What a browser has by itself.
  Object.assign(globalThis, { WebSocket })
  const { MqttListener }: { MqttListener: ListenerClass } = await import(
    pathToFileURL(inRepository('examples/dashboard/mqtt.js')).href
  )
  const states: string[] = []
  const long = 'ü'.repeat(100_000)
  const received = new Promise<string[]>(resolve => {
    const messages: string[] = []
    const listener = new MqttListener(webSocketUrl, ['devices/+/telemetry'], {
      state: state => states.push(state),
      message: (topic, payload) => {
        messages.push(`${topic} ${Buffer.from(payload)}`)
        if (messages.length === 2) resolve(messages)
      }
    })
    t.teardown(() => listener.close())
  })
  while (server.broker.subscriptionCount === 0) await new Promise(resolve => setImmediate(resolve))
  await device.publishAsync('devices/grün/telemetry', 'short', { qos: 1 })
  await device.publishAsync('other', 'not asked for', { qos: 1 })
  await device.publishAsync('devices/b/telemetry', long, { qos: 1 })
  t.same(await received, ['devices/grün/telemetry short', `devices/b/telemetry ${long}`])
  t.same(states, ['connecting', 'online'])
})

t.test('the page shows devices as they publish', { skip: chromiumMissing() }, async t => {
  const { device, webSocketUrl } = await start(t)
  const site = new Program('dashboard/serve.js', '--port', '0')
  t.teardown(() => site.stop())
  const [, address] = await site.printed(/dashboard at (http:\S+)/)
  const page = await Page.open(`${address}?broker=${encodeURIComponent(webSocketUrl)}`)
  t.teardown(() => page.close())

  await page.until(`document.querySelector('#state')?.className === 'online'`)
  t.equal(await page.evaluate(`document.querySelector('#empty').hidden`), false)
  await device.publishAsync('devices/pump-7/telemetry', JSON.stringify({ temperature: 21.55, humidity: 40, battery: 12 }), {
    qos: 1
  })
  await device.publishAsync('devices/pump-7/telemetry', JSON.stringify({ temperature: 22.04, humidity: 41, battery: 11 }), {
    qos: 1
  })
  await device.publishAsync('devices/<b>x/telemetry', 'not JSON', { qos: 1 })
  await device.publishAsync('devices/<b>x/telemetry', JSON.stringify({ temperature: 5 }), { qos: 1 })
  await page.until(
    `document.querySelectorAll('article').length === 2 && document.querySelector('#deviceCount').textContent === '2'`
  )
  t.same(await page.evaluate(`[...document.querySelectorAll('article h2')].map(title => title.textContent)`), ['<b>x', 'pump-7'])
  const card = `document.querySelectorAll('article')[1]`
  t.equal(await page.evaluate(`${card}.querySelector('.reading').textContent.trim()`), '22.0 °C')
  t.match(await page.evaluate(`${card}.querySelector('.trace').getAttribute('d')`), /^M0,\d.*L100,\d/)
  t.equal(await page.evaluate(`${card}.querySelector('.battery').classList.contains('low')`), true)
  t.equal(await page.evaluate(`document.querySelector('#empty').hidden`), true)
  t.same(page.errors, [])
})
