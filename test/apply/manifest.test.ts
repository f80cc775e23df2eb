import { t } from 'tap'
import { Manifest } from '../../lib/apply/manifest.ts'
import { jsonSchema } from '../../lib/config/schema.ts'
import { parseStreamsFile, streamWords } from '../../lib/config/streams-file.ts'
import { MemoryFileSystem } from '../stream/memory-file-system.ts'
import { FOLDER, wanted } from './world.ts'

const PATH = `${FOLDER}/.applied.json`

async function written(fileSystem: MemoryFileSystem): Promise<string> {
  const manifest = await Manifest.load(fileSystem, FOLDER)
  await manifest.save(wanted("orders: { filter: 'shop/#', retention: { age: 90m } }"), ['old'])
  return fileSystem.bytes(PATH).toString()
}

t.test('what was saved is loaded again, in the words of the configuration', async t => {
  const fileSystem = new MemoryFileSystem()
  const text = await written(fileSystem)
  t.match(JSON.parse(text), { format: 1, revision: 1, streams: { orders: { filter: 'shop/#', retention: { age: '90m' } } } })
  const again = await Manifest.load(fileSystem, FOLDER)
  t.equal(again.revision, 1)
  t.strictSame(again.removing, ['old'])
  t.strictSame(again.streams.orders, wanted("orders: { filter: 'shop/#', retention: { age: 90m } }").orders)
})

t.test('every setting a stream may have is kept', async t => {
  const { additionalProperties } = jsonSchema().properties?.streams ?? {}
  const known = typeof additionalProperties === 'object' ? Object.keys(additionalProperties.properties ?? {}) : []
  const lines = ["all: { filter: 'a/#', key: topic, partitions: 3, ack: received, segmentBytes: 5MiB, cleanup: compact-delete,"]
  lines.push('  retention: { age: 90s, bytes: 7MiB }, compaction: { tombstoneAge: 61s, minDirtyRatio: 0.25, maxLag: 3m },')
  lines.push('  groups: { maxDeliveryAttempts: 4, ackTimeout: 9s, retryDelay: 70s } }', "standard: { filter: 'b' }")
  const { all, standard } = wanted(...lines)
  for (const settings of [all!, standard!]) {
    const words = streamWords(settings)
    const again = parseStreamsFile(JSON.stringify({ streams: { stream: words } }), 'words').streams.stream
    t.strictSame(again, settings)
    const missing = known.filter(
      key => words[key] === undefined && (settings as object as Record<string, unknown>)[key] !== undefined
    )
    t.strictSame(missing, [])
  }
  t.ok(known.includes('segmentBytes'))
})

t.test('a damaged manifest is told apart from an empty one, and the error says how to mend it', async t => {
  const fileSystem = new MemoryFileSystem()
  const text = await written(fileSystem)
  const damaged: [string, RegExp][] = [
    ['', /no JSON/],
    [text.slice(0, 40), /no JSON/],
    ['[]', /no format/],
    [text.replace('"format": 1', '"format": 2'), /format 2/],
    [text.replace('shop/#', 'shop/+'), /checksum/],
    [text.replace('"old"', ''), /checksum/],
    [text.replace(/"crc": "[0-9a-f]+"/, '"crc": "00000000"'), /checksum/]
  ]
  for (const [bytes, reason] of damaged) {
    fileSystem.put(PATH, Buffer.from(bytes))
    await t.rejects(Manifest.load(fileSystem, FOLDER), { code: 'TRB_MANIFEST_CORRUPT', message: reason })
    await t.rejects(Manifest.load(fileSystem, FOLDER), { message: /Put back a copy of it; or move it away/ })
  }
})
