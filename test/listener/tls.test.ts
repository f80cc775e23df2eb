import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { t } from 'tap'
import type { TlsFiles } from '../../lib/listener/contract.ts'
import { openTlsListener } from '../../lib/listener/tls.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { type CertificateAuthority, makeAuthority, opensslMissing } from './certificates.ts'
import { closed, Guests } from './guests.ts'

const skip = opensslMissing()

t.test('TLS listener', { skip }, async t => {
  const folder = temporaryFolder(t)
  const authority = makeAuthority(folder)
  const server = authority.issue('server')
  const device = authority.issue('device-7')

  const open = async (tls: Partial<TlsFiles> = {}, guests = new Guests()) => {
    const files: TlsFiles = { ...server, caFile: authority.caFile, clientCertificate: 'none', ...tls }
    const listener = await openTlsListener({ ...guests.options, tls: files })
    t.teardown(() => listener.close())
    return { listener, guests }
  }
  const dial = (port: number, options: ConnectionOptions = {}) => {
    const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(authority.caFile), ...options })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    return socket
  }

  await t.test('a client without a certificate is handed on without one, over TLS 1.2 and 1.3', async t => {
    const { listener, guests } = await open()
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = dial(listener.port, { minVersion: version, maxVersion: version })
      const guest = await guests.next()
      t.match(guest.peer, { transport: 'tls', certificate: undefined, address: '127.0.0.1' })
      guest.stream.write(version)
      t.equal(String((await once(client, 'data'))[0]), version)
    }
    t.equal(listener.url, `mqtts://127.0.0.1:${listener.port}`)
  })

  await t.test('an RSA server certificate serves as well as an ECDSA one', async t => {
    const { listener, guests } = await open(authority.issue('server', 'rsa'))
    const client = dial(listener.port)
    await guests.next()
    t.equal(client.getPeerCertificate().subject.CN, 'server')
  })

  await t.test('versions before TLS 1.2 are refused', async t => {
    const { listener, guests } = await open()
    const client = dial(listener.port, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    await closed(client)
    t.equal(await guests.nextRefusal(), 'handshake')
    t.equal(guests.count, 0)
  })

  await t.test('a client certificate becomes the identity of the peer', async t => {
    for (const clientCertificate of ['request', 'require'] as const) {
      const { listener, guests } = await open({ clientCertificate })
      dial(listener.port, pair(device))
      const { certificate } = (await guests.next()).peer
      t.equal(certificate?.commonName, 'device-7')
      t.equal(certificate?.subject, 'O=Tributary test, CN=device-7')
      t.match(certificate?.fingerprint256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    }
  })

  await t.test('"require" lets nobody in without a certificate', async t => {
    const { listener, guests } = await open({ clientCertificate: 'require' })
    dial(listener.port)
    t.equal(await guests.nextRefusal(), 'certificate')
    t.equal(guests.count, 0)
    t.equal(listener.counts.refused.certificate, 1)
  })

  await t.test('"request" lets clients in without a certificate', async t => {
    const { listener, guests } = await open({ clientCertificate: 'request' })
    dial(listener.port)
    t.equal((await guests.next()).peer.certificate, undefined)
  })

  await t.test('a certificate of a foreign authority is refused, whether it was required or only requested', async t => {
    const foreign = makeAuthority(folder, 'foreign').issue('device-7')
    for (const clientCertificate of ['request', 'require'] as const) {
      const { listener, guests } = await open({ clientCertificate })
      dial(listener.port, pair(foreign))
      t.equal(await guests.nextRefusal(), 'certificate', clientCertificate)
      t.equal(guests.count, 0)
    }
  })

  await t.test('a resumed session keeps the identity of its certificate', async t => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { listener, guests } = await open({ clientCertificate: 'require' })
      const options = { ...pair(device), minVersion: version, maxVersion: version }
      const session = await sessionOf(dial(listener.port, options), guests)
      const again = dial(listener.port, { minVersion: version, maxVersion: version, session })
      const guest = await guests.next()
      t.equal(again.isSessionReused(), true, version)
      t.equal(guest.peer.certificate?.commonName, 'device-7', version)
    }
  })

  await t.test('reload serves the new certificate, keeps open connections and ends resumption of old sessions', async t => {
    const live = { certFile: join(folder, 'live.pem'), keyFile: join(folder, 'live.key'), caFile: join(folder, 'live-ca.pem') }
    const next = makeAuthority(folder, 'next')
    install(live, authority, server)
    const { listener, guests } = await open({ ...live, clientCertificate: 'require' })
    const old = dial(listener.port, pair(device))
    const oldGuest = guests.next()
    const session = await sessionOf(old, guests, oldGuest)

    install(live, next, next.issue('rotated'))
    await listener.reload()
    const fresh = dial(listener.port, { ca: readFileSync(next.caFile), ...pair(next.issue('device-8')) })
    t.equal((await guests.next()).peer.certificate?.commonName, 'device-8')
    t.equal(fresh.getPeerCertificate().subject.CN, 'rotated')

    dial(listener.port, { ca: readFileSync(next.caFile), ...pair(device), session })
    t.equal(await guests.nextRefusal(), 'certificate', 'the old authority is no longer trusted, ticket or not')

    ;(await oldGuest).stream.write('still open')
    t.equal(String((await once(old, 'data'))[0]), 'still open')
  })

  await t.test('a reload of unusable files fails and changes nothing', async t => {
    const live = { certFile: join(folder, 'keep.pem'), keyFile: join(folder, 'keep.key') }
    install({ ...live, caFile: join(folder, 'keep-ca.pem') }, authority, server)
    const { listener, guests } = await open(live)
    writeFileSync(live.certFile, 'not a certificate')
    await t.rejects(listener.reload(), { code: 'TRB_LISTENER_FAILED', message: /listeners\[0\]\.cert: .*keep\.pem/ })
    dial(listener.port)
    t.ok(await guests.next())
  })

  await t.test('unusable files are named at start', async t => {
    const code = 'TRB_LISTENER_FAILED'
    await t.rejects(open({ certFile: join(folder, 'absent.pem') }), {
      code,
      message: /\.cert: cannot read .*absent\.pem: no such file/
    })
    await t.rejects(open({ keyFile: device.keyFile }), {
      code,
      message: /\.key: .*device-7-ec\.key is no private key that belongs/
    })
    await t.rejects(open({ caFile: server.keyFile }), { code, message: /\.ca: .* holds no usable PEM certificate/ })
  })

  await t.test('close drops a peer that never began its handshake', async t => {
    const { listener } = await open()
    const silent = connectTcp(listener.port, '127.0.0.1')
    silent.on('error', () => {})
    await once(silent, 'connect')
    // The connection is known to the listener once another one, made later, has been through.
    await once(dial(listener.port), 'secureConnect')
    await listener.close()
    await closed(silent)
    t.pass('closed')
  })

  await t.test('a handshake that takes too long is ended and counted', async t => {
    const guests = new Guests()
    const files: TlsFiles = { ...server, clientCertificate: 'none' }
    const listener = await openTlsListener({ ...guests.options, tls: files, handshakeTimeoutMs: 50 })
    t.teardown(() => listener.close())
    const silent = connectTcp(listener.port, '127.0.0.1')
    silent.on('error', () => {})
    t.equal(await guests.nextRefusal(), 'handshake')
  })
})

function pair(files: { certFile: string; keyFile: string }): ConnectionOptions {
  return { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }
}

function install(
  live: { certFile: string; keyFile: string; caFile: string },
  authority: CertificateAuthority,
  from: { certFile: string; keyFile: string }
): void {
  copyFileSync(authority.caFile, live.caFile)
  copyFileSync(from.certFile, live.certFile)
  copyFileSync(from.keyFile, live.keyFile)
}

/** TLS 1.3 sends tickets after the handshake, so something must be read before there is one. */
async function sessionOf(socket: TLSSocket, guests: Guests, guest = guests.next()): Promise<Buffer> {
  const session = once(socket, 'session')
  ;(await guest).stream.write('hello')
  await once(socket, 'data')
  return (await session)[0]
}
