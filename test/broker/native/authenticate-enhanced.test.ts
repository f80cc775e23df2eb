import t from 'tap'
import type { EnhancedStart } from '../../../lib/access/contract.ts'
import type { AuthenticateEnhancedHook } from '../../../lib/broker/enhanced-authentication.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

async function connect(port: number, method: string, data?: string): Promise<RawClient> {
  const client = await RawClient.open(port, 5)
  client.sendConnect({
    version: 5,
    clientId: 'c',
    username: 'claimed',
    password: 'secret',
    properties: { authenticationMethod: method, ...(data === undefined ? {} : { authenticationData: Buffer.from(data) }) }
  })
  return client
}

const dataOf = (packet: AnyPacket | undefined) =>
  String((packet?.properties as { authenticationData?: Buffer } | undefined)?.authenticationData)

t.test('a hook that answers at once brings a method of its own', async t => {
  const starts: EnhancedStart[] = []
  const { port, broker } = await TestBroker.start(t, {
    authenticateEnhanced: (client, start) => {
      if (start.method !== 'TOKEN') return undefined
      starts.push(start)
      return {
        step: data =>
          String(data) === 'open sesame'
            ? { type: 'granted', identity: { username: `user of ${client.id}`, roles: ['guest'] } }
            : { type: 'refused', reason: 'bad-credentials', message: 'wrong token' }
      }
    }
  })
  const client = await connect(port, 'TOKEN', 'open sesame')
  t.equal((await client.expect('connack')).reasonCode, 0)
  t.match(starts, [
    { method: 'TOKEN', clientId: 'c', username: 'claimed', password: Buffer.from('secret'), peer: undefined, current: undefined }
  ])
  const [connection] = broker.connections
  t.same(connection?.identity, { clientId: 'c', username: 'user of c', roles: ['guest'], by: 'hook' })
  client.send({
    cmd: 'auth',
    reasonCode: 0x19,
    properties: { authenticationMethod: 'TOKEN', authenticationData: Buffer.from('open sesame') }
  })
  t.equal((await client.expect('auth')).reasonCode, 0)
  t.match(starts[1], { password: undefined, current: { username: 'user of c' } })

  t.equal((await (await connect(port, 'TOKEN', 'open barley')).expect('connack')).reasonCode, 0x86)
  t.equal((await (await connect(port, 'OTHER')).expect('connack')).reasonCode, 0x8c, 'a method it does not have')
})

t.test('a hook may take its time, and steps of its exchange too', async t => {
  const later = () => new Promise<void>(resolve => setImmediate(resolve))
  const { port } = await TestBroker.start(t, {
    authenticateEnhanced: async (_client, { method }) => {
      await later()
      if (method === 'NONE') return null
      let asked = false
      return {
        step: async data => {
          await later()
          if (asked) return { type: 'granted', identity: { username: String(data) }, data: Buffer.from('bye') }
          asked = true
          return { type: 'continue', data: Buffer.from('who?') }
        }
      }
    }
  })
  const client = await connect(port, 'ASK')
  t.equal(dataOf(await client.expect('auth')), 'who?')
  client.send({
    cmd: 'auth',
    reasonCode: 0x18,
    properties: { authenticationMethod: 'ASK', authenticationData: Buffer.from('alice') }
  })
  t.equal(dataOf(await client.expect('connack')), 'bye')
  t.equal((await (await connect(port, 'NONE')).expect('connack')).reasonCode, 0x8c)
})

t.test('a hook that fails, or answers what no contract knows, lets nobody in: unavailable, not refused', async t => {
  const fail = () => {
    throw new Error('no database')
  }
  const hooks: Record<string, unknown> = {
    'throws at once': fail,
    rejects: async () => fail(),
    'returns something else': () => ({ granted: true }),
    'has a step that throws': () => ({ step: fail }),
    'has a step that rejects': () => ({ step: async () => fail() }),
    'has a step that says yes in its own words': () => ({ step: () => true }),
    'has a step that grants nobody': () => ({ step: () => ({ type: 'granted' }) })
  }
  const { port, broker } = await TestBroker.start(t)
  for (const [title, hook] of Object.entries(hooks)) {
    broker.authenticateEnhanced = hook as AuthenticateEnhancedHook
    const client = await connect(port, 'ANY', 'x')
    const [connack, ...rest] = await client.ended()
    t.match(connack, { cmd: 'connack', reasonCode: 0x88 }, title)
    t.same(rest, [])
  }
})

t.test("the broker's own methods come before the hook", async t => {
  const { port } = await TestBroker.start(t, {
    access: {
      enhanced: new Map([
        ['OWN', { begin: () => ({ step: () => ({ type: 'granted' as const, identity: { username: 'own' } }) }) }],
        ['UNUSED', { begin: () => undefined }]
      ])
    },
    authenticateEnhanced: () => ({ step: () => ({ type: 'granted', identity: { username: 'hook' }, data: Buffer.from('hook') }) })
  })
  t.equal(dataOf(await (await connect(port, 'OWN')).expect('connack')), 'undefined')
  t.equal(dataOf(await (await connect(port, 'UNUSED')).expect('connack')), 'hook', 'unless they have nobody to let in')
})
