import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { connectBytes } from '../conformance/v5/wire.ts'
import { ManualClock, TestBroker } from '../support/native-broker.ts'

t.test('a peer that does not end its side is cut when its time is over, and not before', async t => {
  const clock = new ManualClock()
  const { port, broker } = await TestBroker.start(t, { clock })
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  socket.write(Buffer.concat([connectBytes(), Buffer.from([0x36, 0])]))
  socket.resume()
  await once(socket, 'end')
  t.equal(broker.connections.size, 0, 'the connection is over')
  clock.advance(1_000)
  await new Promise(resolve => socket.write(Buffer.alloc(1_000_000), resolve))
  t.notOk(socket.destroyed, 'what it still says is read')
  clock.advance(1_001)
  const closed = new Promise(resolve => socket.on('close', resolve))
  const talk = (): void => {
    if (!socket.destroyed) socket.write('more', () => setImmediate(talk))
  }
  talk()
  await closed
  t.pass('the socket was cut')
})

t.test('closing the broker does not wait for a peer that does not end its side', async t => {
  const started = await TestBroker.start(t, { clock: new ManualClock() })
  const socket = connect({ port: started.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(Buffer.concat([connectBytes(), Buffer.from([0x36, 0])]))
  socket.resume()
  await once(socket, 'end')
  await started.stop()
  t.ok(started.broker.closed)
})
