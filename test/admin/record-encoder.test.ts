import fc from 'fast-check'
import { t } from 'tap'
import { RecordEncoder, type RecordFraming } from '../../lib/admin/record-encoder.ts'
import { recordJson } from '../../lib/admin/record-json.ts'
import { encodeMessageProperties } from '../../lib/mqtt/properties.ts'
import type { StreamRecord } from '../../lib/stream/contract.ts'

function record(extra: Partial<StreamRecord> = {}): StreamRecord {
  return {
    offset: 0,
    partition: 0,
    timestampMs: 0,
    topic: 'a',
    clientId: 'b',
    qos: 0,
    retain: false,
    properties: Buffer.alloc(0),
    expiresAtMs: 0,
    payload: Buffer.alloc(0),
    ...extra
  }
}

function encode(records: readonly StreamRecord[], framing: RecordFraming = 'ndjson'): string {
  const encoder = new RecordEncoder(framing)
  const parts: Buffer[] = []
  const take = () => {
    parts.push(encoder.large ?? Buffer.from(encoder.bytes.subarray(0, encoder.at)))
    encoder.large = undefined
    encoder.at = 0
  }
  for (const each of records) {
    if (encoder.large !== undefined || !encoder.add(each)) {
      take()
      if (!encoder.add(each)) throw new Error('an empty buffer takes every record')
    }
  }
  take()
  return Buffer.concat(parts).toString()
}

const expected = (records: readonly StreamRecord[]) => records.map(each => `${JSON.stringify(recordJson(each))}\n`).join('')

t.test('records are encoded to the very bytes of JSON.stringify', async t => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.string({ unit: 'binary', maxLength: 60 }).map(value => Buffer.from(value)),
    fc.json().map(value => Buffer.from(value))
  )
  const properties = fc.option(
    fc.record({ contentType: text, correlationData: fc.uint8Array({ maxLength: 8 }).map(value => Buffer.from(value)) }),
    { nil: undefined }
  )
  const records = fc.array(
    fc
      .record({
        offset: fc.oneof(fc.nat(), fc.nat({ max: 12 }), fc.maxSafeNat()),
        partition: fc.nat({ max: 1023 }),
        timestampMs: fc.oneof(fc.nat({ max: 5_000 }), fc.integer({ min: 0, max: 4_000_000_000_000 })),
        topic: fc.oneof(fc.constantFrom('a', 'a/b'), text),
        clientId: fc.oneof(fc.constantFrom('a', 'b'), text),
        qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
        retain: fc.boolean(),
        expiresAtMs: fc.constantFrom(0, 0, 1_795_428_000_000),
        properties,
        payload: bytes
      })
      .map(({ properties, payload, ...rest }) =>
        record({
          ...rest,
          payload: Buffer.from(payload),
          properties: properties === undefined ? Buffer.alloc(0) : encodeMessageProperties(properties)
        })
      ),
    { maxLength: 12 }
  )
  fc.assert(
    fc.property(records, all => encode(all) === expected(all)),
    { numRuns: 60 }
  )
  t.pass('all were equal')
})

t.test('every byte that JSON escapes is escaped as JSON.stringify does', async t => {
  const all = Array.from({ length: 256 }, (_, byte) => record({ payload: Buffer.from([0x61, byte, 0x62]) }))
  t.equal(encode(all), expected(all))
})

t.test('records that do not fit into one buffer follow in the next, larger ones by themselves', async t => {
  const all = [1, 300_000, 10, 40_000, 20_000, 200_000, 3].map((length, offset) =>
    record({ offset, payload: Buffer.alloc(length, 0x80 + (offset & 1)) })
  )
  t.ok(encode(all) === expected(all), 'all are there, in order')
})

t.test('as server-sent events each record has its offset as id and JSON as data', async t => {
  const all = [record({ offset: 41, payload: Buffer.from('one\ntwo') }), record({ offset: 42, payload: Buffer.alloc(200_000) })]
  const events = all.map(each => `id: ${each.offset}\ndata: ${JSON.stringify(recordJson(each))}\n\n`)
  t.ok(encode(all, 'sse') === events.join(''))
})

t.test('a source that moves to another partition is told with the new one', async t => {
  const all = [0, 1, 1, 0].map((partition, offset) => record({ offset, partition }))
  t.equal(encode(all), expected(all))
})
