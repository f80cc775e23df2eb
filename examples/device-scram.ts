/**
 * A device that proves its password by SCRAM-SHA-256 and publishes a reading per second at QoS 1. The password never leaves the
 * device, and a broker that does not know it is found out. The user:
 *
 *     node build/bin/tributary.js passwd passwords pump-7 --scram
 *
 * and in the configuration `access: { anonymous: false, passwordFile: passwords }`.
 *
 * Run it (after `npm ci`):
 *
 *     DEVICE_PASSWORD=... node build/examples/device-scram.js mqtt://127.0.0.1:1883 pump-7 --readings 10
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from 'mqtt'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { readings: { type: 'string', default: '10' }, interval: { type: 'string', default: '1000' } }
})
const [url, username] = positionals
const password = process.env.DEVICE_PASSWORD
if (!url || !username || !password) {
  console.error('usage: DEVICE_PASSWORD=... device-scram.js URL USERNAME [--readings N] [--interval MS]')
  process.exit(2)
}

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()

/** The device's side of one exchange, RFC 5802 section 3. */
class Scram {
  readonly #bare: string
  readonly #password: string
  #brokerProof = ''

  constructor(username: string, password: string) {
    const name = username.replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.#bare = `n=${name},r=${randomBytes(18).toString('base64')}`
    this.#password = password
  }

  /** Who we are, and a number nobody has used before. */
  first(): Buffer {
    return Buffer.from(`n,,${this.#bare}`)
  }

  /** The answer to salt, iterations and the broker's own number. */
  answer(challenge: Buffer): Buffer {
    const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)/.exec(challenge.toString()) ?? []
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256')
    const withoutProof = `c=biws,r=${nonce}`
    const signed = `${this.#bare},${challenge},${withoutProof}`
    const clientKey = hmac(salted, 'Client Key')
    const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!))
    this.#brokerProof = `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** Only a broker that has our verifier can say this. */
  accepts(last: Buffer | undefined): boolean {
    return this.#brokerProof !== '' && last?.toString() === this.#brokerProof
  }
}

const authenticationMethod = 'SCRAM-SHA-256'
let scram = new Scram(username, password)
const properties = { authenticationMethod, authenticationData: scram.first() }
const client = connect(url, { clientId: username, protocolVersion: 5, properties })
client.handleAuth = (packet, done) => {
  const authenticationData = scram.answer(packet.properties?.authenticationData ?? Buffer.alloc(0))
  done(undefined, { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod, authenticationData } })
}
// Every connection has an exchange of its own.
client.on('reconnect', () => {
  scram = new Scram(username, password)
  properties.authenticationData = scram.first()
})
client.on('connect', connack => {
  if (scram.accepts(connack.properties?.authenticationData)) return console.log('the broker knows us, and we know the broker')
  console.error('this is not our broker')
  process.exit(1)
})
client.on('error', error => {
  console.error(error.message)
  process.exit(1)
})

await new Promise(resolve => client.once('connect', resolve))
for (let seq = 1; seq <= Number(values.readings); seq++) {
  const reading = { seq, at: new Date().toISOString(), temperature: Math.round((20 + Math.random() * 5) * 100) / 100 }
  await client.publishAsync(`devices/${username}/telemetry`, JSON.stringify(reading), { qos: 1 })
  console.log(`acknowledged ${JSON.stringify(reading)}`)
  if (seq < Number(values.readings)) await wait(Number(values.interval))
}
await client.endAsync()
