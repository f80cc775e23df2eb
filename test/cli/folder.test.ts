import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { Streams } from '../../lib/stream/streams.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { Terminal } from './terminal.ts'

const declaration = {
  name: 'telemetry',
  filter: 'devices/#',
  key: 'clientId' as const,
  partitions: 2,
  retention: { ageMs: 0, bytes: 0 },
  ack: 'synced' as const
}

async function withRecords(folder: string, ...payloads: string[]): Promise<Streams> {
  const streams = await Streams.open({ folder: join(folder, 'streams'), declarations: [declaration] })
  await append(streams, ...payloads)
  return streams
}

async function append(streams: Streams, ...payloads: string[]): Promise<void> {
  const stream = streams.get('telemetry')!
  for (const payload of payloads) {
    const bytes = Buffer.from(payload)
    const source = stream.source('devices/1/telemetry', 'device-1')
    stream.append(source, 1, false, Date.UTC(2024, 4, 1), 0, Buffer.alloc(0), bytes, 0, bytes.length)
  }
  await stream.sync()
}

t.test('with --data the stream commands read the files of a stopped broker', async t => {
  const folder = temporaryFolder(t)
  await (await withRecords(folder, 'one', 'two', 'three')).close()
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'ls', '--data', folder), 0)
  t.match(terminal.out.text, /^telemetry +- +3 /m)
  terminal.out.text = ''
  t.equal(await terminal.run('stream', 'read', 'telemetry', '--data', folder, '--from', '1', '--limit', '1'), 0)
  t.equal(terminal.out.text, '      1  2024-05-01T00:00:00.000Z  devices/1/telemetry  two\n')
})

t.test('with --data tail follows the files of a running one', async t => {
  const folder = temporaryFolder(t)
  const streams = await withRecords(folder, 'one', 'two')
  t.teardown(() => streams.close())
  const terminal = new Terminal()
  const running = terminal.run('stream', 'tail', 'telemetry', '-n', '1', '--data', folder)
  await terminal.out.shows(/two/)
  await append(streams, 'three')
  await terminal.out.shows(/three/)
  terminal.ctrlC()
  t.equal(await running, 0)
  t.notMatch(terminal.out.text, /one/)
})

t.test('a folder or stream that is not there is said to be so', async t => {
  const folder = temporaryFolder(t)
  await (await withRecords(folder)).close()
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'ls', '--data', join(folder, 'absent')), 1)
  t.match(terminal.err.text, /absent is not a data folder that can be read/)
  t.equal(await terminal.run('stream', 'read', 'telemetri', '--data', folder), 1)
  t.match(terminal.err.text, /has no stream "telemetri": /)
  t.equal(await terminal.run('stream', 'read', '../streams/telemetry', '--data', folder), 1)
  t.match(terminal.err.text, /has no stream "..\/streams\/telemetry"/)
})

t.test('a torn tail does not show', async t => {
  const folder = temporaryFolder(t)
  await (await withRecords(folder, 'whole')).close()
  appendFileSync(join(folder, 'streams', 'telemetry', '00000000000000000000.log'), 'TRBBtorn')
  const terminal = new Terminal()
  t.equal(await terminal.run('stream', 'read', 'telemetry', '--data', folder), 0)
  t.equal(terminal.out.text.split('\n').length, 2)
})
