import { createServer, type Server, type Socket } from 'node:net'
import { join, resolve } from 'node:path'
import { Aedes } from 'aedes'
import { t } from 'tap'
import { CannotRun, LoadGenerator } from '../../bench/generator.ts'
import { failuresOf } from '../../bench/result.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const sources = resolve(import.meta.dirname, '../../../bench')

const generator = await LoadGenerator.compile(sources, temporaryFolder(t)).catch(error => {
  if (error instanceof CannotRun) return error
  throw error
})
if (generator instanceof CannotRun) t.pass(`the load generator cannot be compiled here: ${generator.message}`, { skip: true })
else testGenerator(generator)

function testGenerator(load: LoadGenerator): void {
  const short = { publishers: 4, seconds: 0.2, warmup: 0.1, drain: 5, topic: 'test/%d/x', filter: 'test/%d/#' }

  for (const qos of [0, 1, 2]) {
    t.test(`against a broker without fault nothing is missing at QoS ${qos}`, async t => {
      const aedes = await Aedes.createBroker()
      const { port, close } = await listen(socket => void aedes.handle(socket))
      t.teardown(() => new Promise<void>(done => aedes.close(() => close().then(done))))
      const result = await load.run(port, [process.pid], { ...short, subscribers: 4, qos, deliveries: 1, outstanding: 50 }, 30)
      t.strictSame(failuresOf(result, 5, qos > 0), [])
      t.ok(result.measured.received > 0)
      t.equal(result.total.received, result.total.sent)
      t.equal(result.total.acked, qos ? result.total.sent : 0)
      t.ok(result.endToEndMicroseconds && result.endToEndMicroseconds.p50 > 0)
      t.ok(result.residentKib.before > 0)
    })
  }

  t.test('a broker that acknowledges and delivers nothing is found out', async t => {
    const { port, close } = await listen(socket => socket.on('data', chunk => socket.write(answersTo(chunk))))
    t.teardown(close)
    const result = await load.run(port, [], { ...short, subscribers: 1, qos: 1, window: 1, deliveries: 1, filter: 'test/#' }, 30)
    t.match(failuresOf(result, 5), [/^\d+ of \d+ deliveries lost$/])
  })

  t.test('a broker that refuses connections is found out', async t => {
    const { port, close } = await listen(socket => socket.on('data', () => socket.end(Buffer.from([0x20, 2, 0, 5]))))
    t.teardown(close)
    const result = await load.run(port, [], { ...short, qos: 1 }, 30)
    t.match(failuresOf(result, 5), ['4 of 4 connections not opened (first: publisher 0: CONNACK refused (5))'])
  })

  t.test('a run that outlasts its limit is stopped', async t => {
    const { port, close } = await listen(socket => socket.resume())
    t.teardown(close)
    await t.rejects(load.run(port, [], { ...short, qos: 1 }, 0.3), { message: /stopped by SIGKILL/ })
  })

  t.test('an option that does not exist is refused by name', async t => {
    await t.rejects(load.run(1, [], { surprise: 1 }, 5), { message: 'the load generator failed: --surprise: unknown option' })
  })
}

t.test('when the compiler fails the benchmark cannot run and says why', async t => {
  const before = process.env.CC
  process.env.CC = '/bin/echo'
  t.teardown(() => {
    if (before === undefined) delete process.env.CC
    else process.env.CC = before
  })
  await t.rejects(LoadGenerator.compile(join(sources, 'nowhere'), temporaryFolder(t)), {
    name: 'CannotRun',
    message: /^\/bin\/echo could not compile the load generator/
  })
})

/** CONNACK, SUBACK or PUBACK for the packet a chunk begins with; with window 1 a chunk holds one packet. */
function answersTo(chunk: Buffer): Buffer {
  const type = chunk[0]! >> 4
  if (type === 1) return Buffer.from([0x20, 2, 0, 0])
  if (type === 8) return Buffer.from([0x90, 3, chunk[2]!, chunk[3]!, 1])
  if (type !== 3) return Buffer.alloc(0)
  const id = 4 + chunk.readUInt16BE(2)
  return Buffer.from([0x40, 2, chunk[id]!, chunk[id + 1]!])
}

/** A server on a free port whose connections end with it. */
async function listen(handle: (socket: Socket) => void): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    // Clients that are done just go away.
    socket.on('error', () => socket.destroy())
    handle(socket)
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  const close = () =>
    new Promise<void>(done => {
      server.close(() => done())
      for (const socket of sockets) socket.destroy()
    })
  return { port: address.port, close }
}
