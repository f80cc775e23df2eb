import { Duplex } from 'node:stream'
import { setImmediate as turnEnd } from 'node:timers/promises'
import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { TestBroker } from '../../support/native-broker.ts'
import { RawClient } from '../../support/raw-client.ts'

async function publish(broker: TestBroker, count: number, payload: (n: number) => string): Promise<void> {
  const { client } = await RawClient.connect(broker.port, { clientId: 'device' })
  const window = 50
  for (let n = 0; n < count; n++) {
    client.send({
      cmd: 'publish',
      topic: 'devices/1',
      payload: payload(n),
      qos: 1,
      messageId: (n % window) + 1,
      retain: false,
      dup: false
    })
    if (n % window === window - 1 || n === count - 1) for (let i = 0; i <= n % window; i++) await client.expect('puback')
  }
  await client.disconnect()
}

/** A transport whose other end takes nothing until it is told to. */
class Stalled extends Duplex {
  readonly taken: Buffer[] = []
  #held: (() => void) | undefined
  #isFlowing = false

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // A copy, as a kernel would make: the sender may use its memory again.
    this.taken.push(Buffer.from(chunk))
    if (this.#isFlowing) setImmediate(done)
    else this.#held = done
  }

  send(packet: object): void {
    this.push(mqttPacket.generate(packet as Packet))
  }

  flow(): void {
    this.#isFlowing = true
    const held = this.#held
    this.#held = undefined
    held?.()
  }
}

t.test('a turn of the event loop sends no more records of streams than limits.streamReadRecordsPerTurn', async t => {
  const broker = await TestBroker.start(t, { limits: { streamReadRecordsPerTurn: 16 } })
  await publish(broker, 1000, String)
  const { publishSent } = broker.broker.counters
  const readers = await Promise.all(
    ['a', 'b', 'c'].map(async clientId => (await RawClient.connect(broker.port, { clientId })).client)
  )
  for (const reader of readers)
    reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$stream/telemetry/earliest', qos: 0 }] })
  let most = 0
  let turns = 0
  for (let before = publishSent[0]; before < 3000; before = publishSent[0]) {
    await turnEnd()
    const sent = publishSent[0] - before
    most = Math.max(most, sent)
    if (sent > 0) turns++
  }
  t.equal(publishSent[0], 3000)
  t.equal(most, 16)
  t.ok(turns >= 3000 / 16, `${turns} turns`)
})

t.test('while a reader takes nothing, what waits for it is bounded; then it gets everything, in order', async t => {
  const count = 600
  const broker = await TestBroker.start(t)
  const filling = 'x'.repeat(4000)
  await publish(broker, count, n => `${n} ${filling}`)
  const transport = new Stalled()
  t.teardown(() => transport.destroy())
  const connection = broker.broker.accept(transport, undefined, undefined)
  transport.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'reader', keepalive: 0 })
  while (!connection.connected) await turnEnd()
  transport.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$stream/telemetry/earliest', qos: 0 }] })
  while (connection.outbound.waitingBytes < 256 * 1024) await turnEnd()
  let most = 0
  for (let turn = 0; turn < 2000; turn++) {
    await turnEnd()
    most = Math.max(most, connection.outbound.waitingBytes)
  }
  t.ok(most < 400 * 1024, `${most} bytes waited`)
  t.equal(connection.congestedSinceMs, 0, 'so that other messages to this client are not dropped for its reading')
  const seen: number[] = []
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', packet => {
    if (packet.cmd === 'publish') seen.push(Number.parseInt(String(packet.payload), 10))
  })
  transport.flow()
  while (seen.length < count) {
    for (const bytes of transport.taken.splice(0)) parser.parse(bytes)
    await turnEnd()
  }
  t.same(
    seen,
    Array.from({ length: count }, (_, n) => n)
  )
})
