import fc from 'fast-check'
import t, { type Test } from 'tap'
import { checkMessage, readMessage, type StoredMessage, writeMessage } from '../../persistence/message-codec.ts'
import {
  INLINE_BODY,
  NO_BODY,
  readInflight,
  readQueueHead,
  SHARED_BODY,
  writeInflight,
  writeQueueHead
} from '../../persistence/queue-codec.ts'
import { RecordReader, RecordWriter } from '../../persistence/record-bytes.ts'
import {
  readReceived,
  readSession,
  readSubscription,
  readWill,
  writeReceived,
  writeSession,
  writeSubscription,
  writeWill
} from '../../persistence/session-codec.ts'
import { readValue, writeValue } from '../../persistence/tagged-values.ts'
import { message } from './store-fixtures.ts'

const text = fc.string({ unit: 'binary', maxLength: 200 })
const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array))
const timeMs = fc.nat({ max: 2 ** 48 - 1 })
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)

const messages: fc.Arbitrary<StoredMessage> = fc.record({
  topic: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  properties: bytes,
  expiresAtMs: timeMs,
  publishedAtMs: timeMs,
  publisherId: text
})

function written(write: (out: RecordWriter) => void): Buffer {
  const out = new RecordWriter(4)
  write(out.start())
  return out.copy()
}

/** Every strict prefix of a record, and the record with its version changed, must be refused and nothing else may happen. */
function refusesDamage(t: Test, record: Buffer, read: (record: Buffer) => unknown): void {
  const wrong = Buffer.from(record)
  wrong[0] = 0xff
  t.throws(() => read(wrong), { code: 'TRB_STORE_CORRUPT' })
  for (let length = 0; length < record.length; length++) {
    t.throws(() => read(record.subarray(0, length)), { code: 'TRB_STORE_CORRUPT' }, `${length} of ${record.length} bytes`)
  }
  t.throws(() => read(Buffer.concat([record, Buffer.from('x')])), { code: 'TRB_STORE_CORRUPT' }, 'a byte too many')
}

t.test('messages come back as they were', async t => {
  fc.assert(
    fc.property(messages, fc.option(bytes, { nil: undefined }), fc.boolean(), (message, foreign, topicInKey) => {
      const whole = foreign === undefined ? message : { ...message, foreign }
      const record = written(out => writeMessage(out, whole, topicInKey))
      checkMessage(new RecordReader(record))
      const found = readMessage(new RecordReader(record), topicInKey ? message.topic : 'not asked for')
      if (!t.same(found, whole)) throw new Error('differs')
    })
  )
})

t.test('sessions, subscriptions, received ids and wills come back as they were', async t => {
  const session = {
    clientId: 'ü',
    version: 3 as const,
    expirySeconds: 0xffffffff,
    createdAtMs: 2 ** 47,
    disconnectedAtMs: 1,
    username: ''
  }
  const record = written(out => writeSession(out, session))
  t.strictSame(readSession(record), session)
  refusesDamage(t, record, readSession)
  const bits = fc.boolean()
  fc.assert(
    fc.property(qos, bits, bits, fc.constantFrom(0, 1, 2), fc.nat(268_435_455), (qos, noLocal, rap, handling, subscriptionId) => {
      const retainHandling = handling as 0 | 1 | 2
      const subscription = { filter: 'f', qos, noLocal, retainAsPublished: rap, retainHandling, subscriptionId }
      const record = written(out => writeSubscription(out, subscription))
      if (!t.strictSame(readSubscription(record, 'f'), subscription)) throw new Error('differs')
    })
  )
  const redo = [{ stream: 's', offset: Number.MAX_SAFE_INTEGER }]
  const received = written(out => writeReceived(out, redo, undefined))
  t.strictSame(readReceived(received, 7), { packetId: 7, redo, message: undefined })
  refusesDamage(t, received, record => readReceived(record, 7))
  const will = { clientId: 'c', delaySeconds: 0xffffffff, dueAtMs: 2 ** 48 - 1, message: message('t') }
  t.same(
    readWill(
      written(out => writeWill(out, will)),
      'c'
    ),
    will
  )
})

t.test('queue records come back as they were', async t => {
  const ids = fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 5 })
  const body = fc.constantFrom(NO_BODY, INLINE_BODY, SHARED_BODY)
  fc.assert(
    fc.property(
      fc.constantFrom(1 as const, 2 as const),
      fc.boolean(),
      fc.nat(65_535),
      ids,
      body,
      (qos, retain, packetId, ids, body) => {
        const released = body === NO_BODY
        const bodyId = body === SHARED_BODY ? 2 ** 47 + 1 : 0
        const record = written(out => {
          writeQueueHead(out, qos, retain, packetId, released, ids, body, bodyId)
          if (body === INLINE_BODY) writeMessage(out, message('t'))
        })
        const head = readQueueHead(record)
        const state = released ? 'released' : packetId > 0 ? 'sent' : 'queued'
        if (!t.match(head, { qos, retain, packetId, state, body, bodyId })) throw new Error('differs')
        if (!t.same(head.subscriptionIds, ids)) throw new Error('differs')
        if (body === INLINE_BODY) t.same(readMessage(new RecordReader(record, head.bodyStart)), message('t'))
      }
    )
  )
  const shared = written(out => writeQueueHead(out, 2, true, 9, false, [1, 300], SHARED_BODY, 5))
  refusesDamage(t, shared, readQueueHead)
  const inflight = written(out => writeInflight(out, 65_535))
  t.equal(readInflight(inflight), 65_535)
  refusesDamage(t, inflight, readInflight)
})

t.test('values of packets come back as they were', async t => {
  const leaf = fc.oneof(text, fc.boolean(), fc.double(), bytes, fc.constant(null), fc.constant(undefined))
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 })
    )
  }))
  fc.assert(
    fc.property(value, value => {
      const record = written(out => writeValue(out, value))
      if (!t.same(readValue(new RecordReader(record)), value)) throw new Error('differs')
    })
  )
  const odd = { ['__proto__']: 1, call: () => 1, sign: Symbol('s'), negative: -0, not: Number.NaN }
  const found = readValue(new RecordReader(written(out => writeValue(out, odd)))) as object
  t.strictSame(Object.keys(found), ['__proto__', 'negative', 'not'], 'functions and symbols are left out')
  const knot: unknown[] = []
  knot.push(knot)
  t.throws(() => written(out => writeValue(out, knot)), RangeError, 'a value without end is refused')
})

t.test('no bytes make a reader do anything but answer or refuse', async t => {
  const readers: ((record: Buffer) => unknown)[] = [
    record => readMessage(new RecordReader(record)),
    record => readValue(new RecordReader(record)),
    record => readReceived(record, 1),
    record => readWill(record, 'c'),
    record => readSubscription(record, 'f'),
    readQueueHead,
    readSession
  ]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(readers.length - 1), (noise, which) => {
      const record = Buffer.from([1, ...noise])
      try {
        readers[which]?.(record)
      } catch (error) {
        if ((error as { code?: string }).code !== 'TRB_STORE_CORRUPT') throw error
      }
    }),
    { numRuns: 5000 }
  )
  t.pass('5,000 records of noise')
})
