/**
 * A device that comes in over TLS with a client certificate and publishes a reading per second at QoS 1.
 *
 * The broker takes the common name of the certificate as the username, so no password is involved. The listener:
 *
 *     listeners:
 *       - { type: tls, host: 0.0.0.0, port: 8883, cert: server.pem, key: server.key, ca: devices-ca.pem, clientCertificate: require }
 *
 * Run it (after `npm ci`):
 *
 *     node build/examples/device-tls.js mqtts://127.0.0.1:8883 --ca ca.pem --cert pump-7.pem --key pump-7.key --readings 10
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connectAsync } from 'mqtt'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ca: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    readings: { type: 'string', default: '10' },
    interval: { type: 'string', default: '1000' }
  }
})
const [url] = positionals
if (!url || !values.ca || !values.cert || !values.key) {
  console.error('usage: device-tls.js mqtts://HOST:PORT --ca FILE --cert FILE --key FILE [--readings N] [--interval MS]')
  process.exit(2)
}

const cert = readFileSync(values.cert)
const deviceId = new X509Certificate(cert).subject.match(/^CN=(.+)$/m)?.[1] ?? 'unnamed'
const client = await connectAsync(url, {
  // Whom we trust to be the broker, and who we are.
  ca: readFileSync(values.ca),
  cert,
  key: readFileSync(values.key),
  clientId: deviceId,
  protocolVersion: 5,
  // The broker keeps our session for an hour, so that nothing is lost while the network is gone.
  clean: false,
  properties: { sessionExpiryInterval: 3600 }
})
console.log(`connected as ${deviceId}`)

for (let seq = 1; seq <= Number(values.readings); seq++) {
  const reading = { seq, at: new Date().toISOString(), temperature: Math.round((20 + Math.random() * 5) * 100) / 100 }
  // Resolves with the PUBACK: from then on the broker has it on disk.
  await client.publishAsync(`devices/${deviceId}/telemetry`, JSON.stringify(reading), {
    qos: 1,
    properties: { contentType: 'application/json' }
  })
  console.log(`acknowledged ${JSON.stringify(reading)}`)
  if (seq < Number(values.readings)) await wait(Number(values.interval))
}
await client.endAsync()
