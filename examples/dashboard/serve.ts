/**
 * A dashboard in the browser: live telemetry over MQTT on WebSocket, without a build step and without anything from elsewhere.
 *
 * Run it (after `npm ci`, with `npm start` and `npx tributary demo` running):
 *
 *     node build/examples/dashboard/serve.js
 *
 * and open what it prints. The page connects to ws://127.0.0.1:8083/mqtt; another broker: http://...?broker=ws://host:port/mqtt.
 * A page served from elsewhere must be in `origins` of the WebSocket listener.
 *
 * Options: --port N (default 8080)
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' } } })

/** The compiled script lies in build/examples/dashboard, the page in examples/dashboard. */
const folder = new URL('../../../examples/dashboard/', import.meta.url)
const files = new Map([
  ['/', { name: 'index.html', type: 'text/html; charset=utf-8' }],
  ['/page.js', { name: 'page.js', type: 'text/javascript; charset=utf-8' }],
  ['/mqtt.js', { name: 'mqtt.js', type: 'text/javascript; charset=utf-8' }]
])

const server = createServer(async (request, response) => {
  const file = files.get(new URL(request.url ?? '/', 'http://localhost').pathname)
  if (file === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'content-type': file.type })
  response.end(await readFile(new URL(file.name, folder)))
})
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`dashboard at http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
