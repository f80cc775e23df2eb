import t from 'tap'
import type { EnhancedStep } from '../../../lib/access/contract.ts'
import { Gate, startContractBroker } from '../../support/contract-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

const properties = (data: string) => ({ authenticationMethod: 'ASK', authenticationData: Buffer.from(data) })

/** Asks once, then waits for the gate and lets in. */
async function start(t: { teardown(fn: () => unknown): unknown }, gate?: Gate) {
  const begin = () => {
    let steps = 0
    return {
      step: async (): Promise<EnhancedStep> => {
        if (steps++ === 0) return { type: 'continue', data: Buffer.from('who?') }
        await gate?.opened
        return { type: 'granted', identity: { username: 'alice' }, data: Buffer.from('welcome') }
      }
    }
  }
  return startContractBroker(t, { access: { enhanced: new Map([['ASK', { begin }]]) } })
}

async function asked(port: number): Promise<RawClient> {
  const client = await RawClient.open(port, 5)
  client.sendConnect({ version: 5, clientId: 'c', properties: properties('hello') })
  t.match(await client.expect('auth'), { reasonCode: 0x18, properties: properties('who?') })
  return client
}

t.test('[MQTT-4.12.0-5] the contract engine lets a client in by an exchange, and again', async t => {
  const { port } = await start(t)
  const client = await asked(port)
  client.send({ cmd: 'auth', reasonCode: 0x18, properties: properties('me') })
  t.match(await client.expect('connack'), { reasonCode: 0, properties: properties('welcome') })
  client.send({ cmd: 'auth', reasonCode: 0x19, properties: properties('hello') })
  await client.expect('auth')
  client.send({ cmd: 'auth', reasonCode: 0x18, properties: properties('me') })
  t.match(await client.expect('auth'), { reasonCode: 0, properties: properties('welcome') })
  await client.subscribe('a')
  await client.publish('a', 'x')
  await client.expect('publish')
})

t.test('[MQTT-3.1.2-30] what comes before the CONNACK is refused there too', async t => {
  const gate = new Gate()
  const { port, broker } = await start(t, gate)
  const early = await asked(port)
  early.send({ cmd: 'pingreq' })
  t.match(await early.ended(), [{ cmd: 'connack', reasonCode: 0x82 }])

  const hasty = await asked(port)
  hasty.socket.cork()
  hasty.send({ cmd: 'auth', reasonCode: 0x18, properties: properties('me') })
  hasty.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false })
  hasty.socket.uncork()
  const read = new Promise<void>(resolve => {
    const look = (): void => {
      for (const { unread } of broker.connections) if (unread.length > 0) return resolve()
      setImmediate(look)
    }
    look()
  })
  await read
  gate.open()
  t.match(await hasty.ended(), [{ cmd: 'connack', reasonCode: 0x82 }])
})
