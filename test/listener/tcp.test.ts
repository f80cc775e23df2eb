import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { t } from 'tap'
import type { TributaryError } from '../../lib/errors.ts'
import { openTcpListener } from '../../lib/listener/tcp.ts'
import { closed, Guests } from './guests.ts'

t.test('a connection is handed on with the address of its peer and carries bytes both ways', async t => {
  const guests = new Guests()
  const listener = await openTcpListener(guests.options)
  t.teardown(() => listener.close())
  t.equal(listener.url, `mqtt://127.0.0.1:${listener.port}`)

  const client = connect(listener.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const guest = await guests.next()
  t.match(guest.peer, {
    listener: 'listeners[0]',
    address: '127.0.0.1',
    port: client.localPort,
    transport: 'tcp',
    anonymousAllowed: true,
    certificate: undefined
  })
  t.equal(guest.request, undefined)

  client.write('up')
  t.equal(String((await once(guest.stream, 'data'))[0]), 'up')
  guest.stream.write('down')
  t.equal(String((await once(client, 'data'))[0]), 'down')
  t.equal(listener.counts.accepted, 1)
})

t.test('connections above connectionsMax are closed, counted and do not disturb the others', async t => {
  const guests = new Guests()
  const listener = await openTcpListener({ ...guests.options, connectionsMax: 1 })
  t.teardown(() => listener.close())
  const first = connect(listener.port, '127.0.0.1')
  t.teardown(() => first.destroy())
  const guest = await guests.next()

  const second = connect(listener.port, '127.0.0.1')
  second.on('error', () => {})
  await closed(second)
  t.equal(await guests.nextRefusal(), 'limit')
  t.equal(listener.counts.refused.limit, 1)

  guest.stream.write('still here')
  t.equal(String((await once(first, 'data'))[0]), 'still here')
})

t.test('a port in use is reported with the setting to change', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const opening = openTcpListener({ ...new Guests().options, port })
  const error = await opening.then(
    () => undefined,
    (error: TributaryError) => error
  )
  t.equal(error?.code, 'TRB_LISTENER_FAILED')
  t.equal(error?.message, `port ${port} on 127.0.0.1 is in use: stop the other program or set another port for listeners[0]`)
})

t.test('an address this machine does not have is reported as such', async t => {
  const opening = openTcpListener({ ...new Guests().options, host: '192.0.2.1' })
  await t.rejects(opening, {
    code: 'TRB_LISTENER_FAILED',
    message: '192.0.2.1 is not an address of this machine: set another host for listeners[0]'
  })
})

t.test('close stops accepting and leaves connections that were handed on alone', async t => {
  const guests = new Guests()
  const listener = await openTcpListener(guests.options)
  const client = connect(listener.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const guest = await guests.next()
  await listener.close()

  const late = connect(listener.port, '127.0.0.1')
  const [error] = await once(late, 'error')
  t.equal(error.code, 'ECONNREFUSED')
  guest.stream.write('open')
  t.equal(String((await once(client, 'data'))[0]), 'open')
})

t.test('a fault in the taker costs that connection only', async t => {
  const guests = new Guests()
  let fail = true
  const listener = await openTcpListener({
    ...guests.options,
    onConnection: (...connection) => {
      if (fail) throw new Error('cannot take it')
      guests.options.onConnection(...connection)
    }
  })
  t.teardown(() => listener.close())
  const lost = connect(listener.port, '127.0.0.1')
  lost.on('error', () => {})
  await closed(lost)

  fail = false
  const client = connect(listener.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  t.equal((await guests.next()).peer.port, client.localPort)
})
