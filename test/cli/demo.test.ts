import { t } from 'tap'
import { FakeBroker, type Publication } from './mqtt-broker.ts'
import { Terminal } from './terminal.ts'

async function open(t: { teardown(fn: () => unknown): unknown }) {
  const broker = new FakeBroker()
  const port = await broker.listen()
  t.teardown(() => broker.close())
  return { broker, port, url: `mqtt://127.0.0.1:${port}` }
}

t.test('devices publish JSON telemetry at QoS 1 and the totals say what was acknowledged', async t => {
  const { broker, url } = await open(t)
  const terminal = new Terminal()
  t.equal(await terminal.run('demo', '--devices', '3', '--rate', '50', '--seconds', '0.3', '--url', url), 0)

  const { packet, clientId } = broker.publications[0]!
  t.match(clientId, /^demo-[123]$/)
  t.equal(packet.topic, `devices/${clientId}/telemetry`)
  t.equal(packet.qos, 1)
  t.match(JSON.parse(String(packet.payload)), { seq: 1, temperature: Number, humidity: Number, battery: Number, at: String })
  t.same(new Set(broker.publications.map(({ clientId }) => clientId)), new Set(['demo-1', 'demo-2', 'demo-3']))
  for (const id of ['demo-1', 'demo-2', 'demo-3']) {
    const sequence = broker.publications.filter(({ clientId }) => clientId === id).map(sequenceOf)
    t.same(
      sequence,
      sequence.map((_, i) => i + 1),
      'every reading once, in order'
    )
  }
  const count = broker.publications.length
  t.match(terminal.out.text, new RegExp(`^${count} published to 127\\.0\\.0\\.1:\\d+, ${count} acknowledged`))
})

t.test('it leaves nothing behind: the session ends with the DISCONNECT', async t => {
  const { broker, url } = await open(t)
  await new Terminal().run('demo', '--devices', '1', '--seconds', '0.1', '--url', url)
  t.match(broker.connects, [{ clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 120 } }])
  t.match(broker.disconnects, [{ properties: { sessionExpiryInterval: 0 } }])
})

t.test('after a lost connection it comes back and sends again what was not acknowledged', async t => {
  const { broker, url } = await open(t)
  const terminal = new Terminal()
  broker.connack = () => ({ sessionPresent: broker.connects.length > 1 })
  broker.puback = ({ packet }) => {
    // The third one is never acknowledged on the first connection.
    if (broker.connects.length === 1 && broker.publications.length >= 3) {
      broker.dropAll()
      return undefined
    }
    if (broker.connects.length > 1 && broker.publications.length > 8) terminal.ctrlC()
    return packet.messageId === undefined ? undefined : 0
  }
  t.equal(await terminal.run('demo', '--devices', '1', '--rate', '40', '--url', url), 0)
  const third = broker.publications.filter(publication => sequenceOf(publication) === 3)
  t.same(
    third.map(({ packet }) => packet.dup),
    [false, true],
    '[MQTT-4.4.0-1]'
  )
  t.match(terminal.out.text, /1 reconnects/)
})

t.test('what is sent again to a broker that lost the session is not marked DUP', async t => {
  const { broker, url } = await open(t)
  const terminal = new Terminal()
  broker.puback = () => {
    if (broker.connects.length > 1) terminal.ctrlC()
    else broker.dropAll()
    return broker.connects.length > 1 ? 0 : undefined
  }
  t.equal(await terminal.run('demo', '--devices', '1', '--rate', '20', '--url', url), 0)
  t.same(
    broker.publications.slice(0, 2).map(({ packet }) => [packet.dup, sequenceOf({ clientId: '', packet })]),
    [
      [false, 1],
      [false, 1]
    ]
  )
})

t.test('when no broker answers at all it says how to start one', async t => {
  const { broker, url } = await open(t)
  await broker.close()
  const terminal = new Terminal()
  t.equal(await terminal.run('demo', '--url', url), 1)
  t.match(
    terminal.err.text,
    /error: no broker answers at 127\.0\.0\.1:\d+ \(connection refused\): start one with "tributary start"/
  )
})

t.test('a refusal ends it with the reason', async t => {
  const { broker, url } = await open(t)
  broker.connack = () => ({ reasonCode: 0x86 })
  const terminal = new Terminal()
  t.equal(await terminal.run('demo', '--url', url.replace('//', '//pump:wrong%21@')), 1)
  t.match(terminal.err.text, /refuses: bad user name or password/)
  t.match(broker.connects[0], { username: 'pump', password: Buffer.from('wrong!') })

  broker.connack = () => ({ reasonCode: 0 })
  broker.puback = () => 0x87
  t.equal(await terminal.run('demo', '--rate', '50', '--url', url), 1)
  t.match(terminal.err.text, /refuses: not authorized/)
})

t.test('a terminal sees a live status line', async t => {
  const { url } = await open(t)
  const terminal = new Terminal()
  terminal.err.isTTY = true
  terminal.env.NO_COLOR = '1'
  const running = terminal.run('demo', '--devices', '2', '--rate', '50', '--url', url)
  await terminal.err.shows(/2 devices online · \d+ published · [1-9]\d* acknowledged · [\d.]+ ms to the ack/)
  terminal.ctrlC()
  t.equal(await running, 0)
})

t.test('a URL that is not mqtt:// is a usage error', async t => {
  const terminal = new Terminal()
  t.equal(await terminal.run('demo', '--url', 'http://127.0.0.1'), 2)
  t.match(terminal.err.text, /expected a URL such as mqtt:/)
})

function sequenceOf({ packet }: Publication): number {
  return JSON.parse(String(packet.payload)).seq
}
