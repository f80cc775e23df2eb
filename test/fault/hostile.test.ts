import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { TestBroker } from '../support/native-broker.ts'
import { RawClient } from '../support/raw-client.ts'

const connect = (version: 3 | 4 | 5, clientId: string) =>
  mqttPacket.generate(
    {
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clean: true,
      clientId,
      keepalive: 0
    } as Packet,
    { protocolVersion: version }
  )

t.test('random and damaged bytes on a live socket end that connection at most, and never the broker', async t => {
  const { port, broker } = await TestBroker.start(t)
  const { client: bystander } = await RawClient.connect(port, { clientId: 'bystander', version: 5 })
  await bystander.subscribe('bystander', 1)
  const valid: Packet[] = [
    { cmd: 'publish', topic: 'devices/a', payload: 'x', qos: 2, messageId: 3, retain: true, dup: false },
    { cmd: 'subscribe', messageId: 4, subscriptions: [{ topic: 'a/+', qos: 1 }] },
    { cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a'] },
    { cmd: 'pubrel', messageId: 3 },
    { cmd: 'puback', messageId: 3 },
    { cmd: 'pingreq' }
  ]
  const damaged = fc.record({
    version: fc.constantFrom(3 as const, 4 as const, 5 as const),
    packet: fc.constantFrom(...valid),
    at: fc.nat(),
    byte: fc.nat(255),
    cut: fc.nat(20),
    tail: fc.uint8Array({ maxLength: 30 })
  })
  await fc.assert(
    fc.asyncProperty(damaged, async ({ version, packet, at, byte, cut, tail }) => {
      const bytes = Buffer.from(mqttPacket.generate(packet, { protocolVersion: version }))
      bytes[at % bytes.length] = byte
      const client = await RawClient.open(port, version)
      // What comes back may be anything a server sends; the parser of this client is not what is tested.
      client.socket.removeAllListeners('data').resume()
      client.sendBytes(connect(version, 'hostile'))
      client.sendBytes(Buffer.concat([bytes.subarray(0, Math.max(1, bytes.length - cut)), tail]))
      client.socket.end()
      await client.ended()
    }),
    { numRuns: 400 }
  )
  await bystander.publish('bystander', 'still here', 0)
  t.equal(String((await bystander.expect('publish')).payload), 'still here')
  while (broker.connections.size > 1) await new Promise(resolve => setImmediate(resolve))
  t.equal(broker.connections.size, 1, 'nothing is left of the others')
})

const malformed: [title: string, bytes: string, reasonCode: number][] = [
  ['a second CONNECT', connect(5, 'again').toString('hex'), 0x82],
  ['QoS 3', '36050001610001', 0x81],
  ['a Remaining Length of five bytes', '30ffffffff01', 0x81],
  ['packet id 0', '3206000161000000', 0x82],
  ['a wildcard in a Topic Name', '30040001230078', 0x90],
  ['U+0000 in a Topic Name', '30040001000078', 0x81],
  ['a reserved packet type', '0000', 0x81],
  ['SUBSCRIBE with wrong flags', '80070001000001610', 0x81]
]

for (const [title, bytes, reasonCode] of malformed) {
  t.test(`${title}: a v5 client is told 0x${reasonCode.toString(16)}, a 3.1.1 client is closed`, async t => {
    const { port } = await TestBroker.start(t)
    const { client: v5 } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
    v5.sendBytes(Buffer.from(bytes.length % 2 ? `${bytes}0` : bytes, 'hex'))
    t.match(await v5.ended(), [{ cmd: 'disconnect', reasonCode }])
    const { client: v4 } = await RawClient.connect(port, { clientId: 'v4' })
    v4.sendBytes(Buffer.from('36050001610001', 'hex'))
    t.same(await v4.ended(), [])
  })
}

t.test('a packet larger than maxPacketBytes is refused when its length is known, before its bytes are kept', async t => {
  const { port } = await TestBroker.start(t, { limits: { maxPacketBytes: 1000 } })
  const { client } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
  client.sendBytes(Buffer.from([0x30, 0xe9, 0x07]))
  t.match(await client.ended(), [{ cmd: 'disconnect', reasonCode: 0x95 }])
})

t.test('a v5 client that exceeds the Receive Maximum is told 0x93', async t => {
  const { port } = await TestBroker.start(t, { limits: { receiveMaximum: 3 } })
  const { client, connack } = await RawClient.connect(port, { clientId: 'v5', version: 5 })
  t.equal((connack.properties as { receiveMaximum: number }).receiveMaximum, 3)
  for (let id = 1; id <= 4; id++)
    client.send({ cmd: 'publish', topic: 'a', payload: '', qos: 2, messageId: id, retain: false, dup: false })
  const packets = await client.ended()
  t.match(packets.at(-1), { cmd: 'disconnect', reasonCode: 0x93 })
})

t.test('the first packet must be CONNECT, and silence is not waited for', async t => {
  const { port } = await TestBroker.start(t, { limits: { connectTimeoutMs: 300 } })
  const early = await RawClient.open(port)
  early.send({ cmd: 'pingreq' })
  t.same(await early.ended(), [])
  const silent = await RawClient.open(port)
  t.same(await silent.ended(), [])
})

t.test('client ids and topics that are names of object properties are ordinary', async t => {
  const { port } = await TestBroker.start(t)
  for (const name of ['constructor', '__proto__', 'hasOwnProperty', 'toString']) {
    const { client } = await RawClient.connect(port, { clientId: name, clean: false })
    await client.subscribe(name, 1)
    await client.publish(name, 'x', 1, { retain: true }).catch(() => {})
    await client.cut()
    const { connack } = await RawClient.connect(port, { clientId: name, clean: false })
    t.equal(connack.sessionPresent, true, name)
  }
})

t.test('a subscriber that does not read is bounded: QoS 0 is dropped and counted, others go on', async t => {
  const { port, broker } = await TestBroker.start(t, { limits: { maxOutboundBufferBytes: 100_000 } })
  const { client: slow } = await RawClient.connect(port, { clientId: 'slow' })
  await slow.subscribe('a', 0)
  slow.socket.pause()
  const { client: publisher } = await RawClient.connect(port, { clientId: 'publisher' })
  const payload = Buffer.alloc(50_000)
  while ((broker.counters.dropped.get('outbound-buffer-full') ?? 0) === 0) {
    await publisher.publish('a', payload, 0)
    await publisher.ping()
  }
  t.ok((broker.clients.slow?.outbound.waitingBytes ?? 0) < 300_000, 'what waits for it stays near the limit')
  const { client: other } = await RawClient.connect(port, { clientId: 'other' })
  await other.subscribe('b', 0)
  await publisher.publish('b', 'x', 0)
  t.equal((await other.expect('publish')).topic, 'b')
})
