import t from 'tap'
import { field, join, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'
import { answersTo, connectBytes, publishBytes, recorded } from './wire.ts'

/** Clients whose authentication waits until the test opens the gate. */
const gates = new Map<string, () => void>()

const { port, broker } = await TestBroker.start(t, {
  authenticate: (client, username, _password, done) => {
    if (username === 'banned') return done(Object.assign(new Error('who?'), { returnCode: 5 }), null)
    if (username === 'wrong') return done(Object.assign(new Error('wrong'), { returnCode: 4 }), null)
    if (username === 'away') return done(Object.assign(new Error('away'), { returnCode: 3 }), null)
    if (username === 'renamed') return done(Object.assign(new Error('not this one'), { returnCode: 2 }), null)
    if (username === 'no') return done(null, false)
    if (username === 'slow' || username === 'slowly refused') {
      gates.set(client.id ?? '', () => done(null, username === 'slow'))
      return
    }
    done(null, true)
  }
})

const properties = (packet: AnyPacket) => packet.properties as Record<string, unknown>

async function gate(clientId: string): Promise<() => void> {
  while (!gates.has(clientId)) await new Promise(resolve => setImmediate(resolve))
  return gates.get(clientId)!
}

/** What a subscriber of everything saw up to now. */
const { client: watcher } = await RawClient.connect(port, { clientId: 'watcher', version: 5 })
await watcher.subscribe('#', 1)

t.test('[MQTT-3.1.4-5] [MQTT-3.2.2-1] an accepted CONNECT is answered with CONNACK 0x00, its reserved flags 0', async t => {
  const client = await RawClient.open(port, 5)
  const bytes = recorded(client)
  client.sendConnect({ clientId: 'welcome', version: 5 })
  t.match(await client.next(), { cmd: 'connack', reasonCode: 0, sessionPresent: false })
  t.same(bytes().subarray(0, 1), Buffer.from([0x20]))
  t.same(bytes().subarray(2, 4), Buffer.from([0x00, 0x00]), 'flags and reason code')
})

t.test('[MQTT-3.1.4-5] a client that says goodbye in the same breath gets its CONNACK', async t => {
  const packets = await answersTo(port, join([connectBytes({ payload: [field('brief')] }), raw(0xe0)]))
  t.match(packets, [{ cmd: 'connack', reasonCode: 0 }])
})

const refusals: [username: string, reasonCode: number][] = [
  ['no', 0x87],
  ['banned', 0x87],
  ['wrong', 0x86],
  ['away', 0x88]
]

t.test('[MQTT-3.1.4-2] [MQTT-3.2.2-7] a client that is refused is told why, and the connection ends', async t => {
  for (const [username, reasonCode] of refusals) {
    const client = await RawClient.open(port, 5)
    client.sendConnect({ clientId: 'refused', username, version: 5 })
    const packets = await client.ended()
    t.equal(packets.length, 1)
    t.match(packets, [{ cmd: 'connack', reasonCode }], username)
  }
})

t.test('[MQTT-3.1.3-8] a Client Identifier that is refused is answered with 0x85, and the connection ends', async t => {
  const client = await RawClient.open(port, 5)
  client.sendConnect({ clientId: 'unwanted', username: 'renamed', version: 5 })
  t.match(await client.ended(), [{ cmd: 'connack', reasonCode: 0x85 }])
})

t.test('[MQTT-3.2.2-6] a refusal has Session Present 0, though there is a session', async t => {
  const options = { clientId: 'kept out', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(port, options)
  await client.disconnect()
  for (const [username] of refusals) {
    const client = await RawClient.open(port, 5)
    const bytes = recorded(client)
    client.sendConnect({ ...options, username })
    await client.ended()
    t.equal(bytes()[2], 0, username)
  }
  t.equal((await RawClient.connect(port, options)).connack.sessionPresent, true, 'and the session is still there')
})

/** Table 3-1 of the standard. */
const connectReasonCodes = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d,
  0x9f
]

t.test('[MQTT-3.2.2-8] every reason code of a CONNACK is one of table 3-1', async t => {
  const used = new Set<unknown>()
  const usernames = [...refusals.map(([username]) => username), 'renamed', 'fine']
  const connects = [
    ...usernames.map(username => connectBytes({ flags: 0x82, payload: [field('code'), field(username)] })),
    connectBytes({ version: 6 }),
    connectBytes({ flags: 3 }),
    connectBytes({ properties: [0x21, 0, 0] }),
    connectBytes({ properties: [0x15, field('unknown method')] }),
    connectBytes({ flags: 6, payload: [field('code'), 0, field('a/#'), field('x')] })
  ]
  for (const bytes of connects) {
    const [connack] = await answersTo(port, join([bytes, raw(0xe0)]))
    t.ok(connectReasonCodes.includes(connack?.reasonCode as number), `0x${Number(connack?.reasonCode).toString(16)}`)
    used.add(connack?.reasonCode)
  }
  t.same([...used].sort(), [0x00, 0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x88, 0x8c, 0x90])
})

t.test('[MQTT-3.1.4-6] nothing of what follows a refused CONNECT is processed', async t => {
  const follows = join([publishBytes(1, 'after/refusal', [], 'x'), publishBytes(2, 'after/refusal', [], 'y', 1)])
  const refused = connectBytes({ flags: 0x82, payload: [field('pushy'), field('no')] })
  t.match(await answersTo(port, join([refused, follows])), [{ cmd: 'connack', reasonCode: 0x87 }])
  t.match(await answersTo(port, join([connectBytes({ flags: 3 }), follows])), [{ cmd: 'connack', reasonCode: 0x81 }])
  const client = await RawClient.open(port, 5)
  client.sendConnect({ clientId: 'patient', username: 'slowly refused', version: 5 })
  client.sendBytes(follows)
  const answer = await gate('patient')
  answer()
  client.sendBytes(follows)
  t.match(await client.ended(), [{ cmd: 'connack', reasonCode: 0x87 }])
  t.same(await watcher.ping(), [])
  const { client: late } = await RawClient.connect(port, { version: 5 })
  await late.subscribe('after/#', 1)
  t.same(await late.ping(), [], 'nothing was retained')
})

t.test('[MQTT-3.2.0-1] nothing is sent before CONNACK, though it was asked for before', async t => {
  const client = await RawClient.open(port, 5)
  client.sendConnect({ clientId: 'eager', username: 'slow', version: 5 })
  client.sendBytes(join([raw(0x82, 0, 1, 0, field('eager'), 1), publishBytes(2, 'eager', [], 'x', 7), raw(0xc0)]))
  const open = await gate('eager')
  open()
  const order = []
  while (order.at(-1) !== 'pingresp') order.push((await client.next())?.cmd)
  t.equal(order[0], 'connack')
  t.same(order.slice(1).sort(), ['pingresp', 'puback', 'publish', 'suback'])
  await watcher.ping()
})

t.test('a client may say all it has without waiting for CONNACK, and leave: it is heard', async t => {
  const says = join([publishBytes(0, 'brief/0', [], 'x'), publishBytes(2, 'brief/1', [], 'x', 1), raw(0xe0)])
  for (const [clientId, username] of [
    ['quick', 'fine'],
    ['slowly let in', 'slow']
  ] as const) {
    const client = await RawClient.open(port, 5)
    client.socket.end(join([connectBytes({ flags: 0x82, payload: [field(clientId), field(username)] }), says]))
    if (username === 'slow') (await gate(clientId))()
    t.match(await client.ended(), [{ cmd: 'connack', reasonCode: 0 }], clientId)
    const heard = [await watcher.expect('publish'), await watcher.expect('publish')]
    t.same(
      heard.map(packet => packet.topic),
      ['brief/0', 'brief/1'],
      clientId
    )
  }
})

t.test('[MQTT-3.2.0-1] what waits in a session follows the CONNACK', async t => {
  const options = { clientId: 'queued', clean: false, version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client } = await RawClient.connect(port, options)
  await client.subscribe('queued', 1)
  await client.disconnect()
  const { client: publisher } = await RawClient.connect(port, { version: 5 })
  for (let i = 0; i < 3; i++) await publisher.publish('queued', String(i), 1)
  const again = await RawClient.open(port, 5)
  again.sendConnect({ ...options, username: 'slow' })
  const open = await gate('queued')
  await publisher.publish('queued', '3', 1)
  open()
  const order: unknown[] = []
  for (let i = 0; i < 5; i++) {
    const packet = await again.next()
    order.push(packet?.cmd === 'publish' ? String(packet.payload) : packet?.cmd)
  }
  t.same(order, ['connack', '0', '1', '2', '3'])
  await watcher.ping()
})

t.test('[MQTT-3.2.0-2] there is one CONNACK on a connection', async t => {
  const { client } = await RawClient.connect(port, { clientId: 'single', version: 5 })
  await client.subscribe('a', 1)
  client.sendConnect({ clientId: 'single', version: 5 })
  t.notOk((await client.ended()).some(packet => packet.cmd === 'connack'))
  const refused = connectBytes({ flags: 0x82, payload: [field('single'), field('no')] })
  t.equal((await answersTo(port, join([refused, refused, connectBytes()]))).length, 1)
})

/** What a client has got at the end that sends all of `bytes` before it reads anything. */
async function deafWhileSending(bytes: Buffer): Promise<AnyPacket[]> {
  const client = await RawClient.open(port, 5)
  client.socket.pause()
  await new Promise(resolve => client.socket.write(bytes, resolve))
  client.socket.resume()
  return client.ended()
}

t.test('a DISCONNECT right after the CONNACK arrives, however much the client had still to say', async t => {
  const flood = Buffer.alloc(4 * 1024 * 1024)
  t.match(await deafWhileSending(join([connectBytes(), publishBytes(6, 'a', [], 'QoS 3', 1), flood])), [
    { cmd: 'connack', reasonCode: 0 },
    { cmd: 'disconnect', reasonCode: 0x81 }
  ])
})

t.test('a CONNACK that refuses arrives, however much the client had still to say', async t => {
  const flood = Buffer.alloc(4 * 1024 * 1024)
  t.match(await deafWhileSending(join([connectBytes({ flags: 3 }), flood])), [{ cmd: 'connack', reasonCode: 0x81 }])
})

t.test('[MQTT-3.1.3-6] [MQTT-3.2.2-16] clients without an identifier get one each that nobody has', async t => {
  const assigned = new Set<unknown>()
  for (let i = 0; i < 20; i++) {
    const client = await RawClient.open(port, 5)
    client.sendBytes(connectBytes({ flags: i % 2 === 0 ? 0 : 2 })) // Clean Start makes no difference
    const connack = await client.expect('connack')
    t.equal(connack.sessionPresent, false)
    assigned.add(properties(connack).assignedClientIdentifier)
  }
  t.equal(assigned.size, 20, 'none was taken over')
  for (const id of assigned) t.ok(broker.clients[String(id)], 'and all are known by it')
})

t.test('[MQTT-3.1.3-7] an assigned identifier is as good as one that was sent', async t => {
  const options = { version: 5 as const, properties: { sessionExpiryInterval: 100 } }
  const { client, connack } = await RawClient.connect(port, { ...options, clientId: '' })
  const clientId = String(properties(connack).assignedClientIdentifier)
  await client.subscribe('assigned', 1)
  await client.cut()
  const again = await RawClient.connect(port, { ...options, clientId, clean: false })
  t.equal(again.connack.sessionPresent, true)
  t.notOk('assignedClientIdentifier' in properties(again.connack), 'it named itself this time')
})
