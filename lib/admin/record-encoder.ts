import { isUtf8 } from 'node:buffer'
import type { StreamRecord } from '../stream/contract.ts'
import { propertiesText, recordJson } from './record-json.ts'

/** `ndjson`: a line per record. `sse`: a server-sent event per record whose id is the offset. */
export type RecordFraming = 'ndjson' | 'sse'

/** Bytes collected for one write. */
const CHUNK_BYTES = 131_072
/** What stands in a record beside source, properties and payload: names, numbers, times and framing, generously. */
const FIXED_BYTES_MAX = 320
/** `\u001f`: what one byte of text may become. */
const ESCAPED_BYTES_MAX = 6
/** Sources whose texts are kept; above it all are made anew. */
const SOURCES_MAX = 10_000

/** JSON text of a record's source, ready to be copied. */
interface SourceText {
  partition: number
  /** `,"partition":3,"timestamp":"` */
  head: Buffer
  /** `","topic":"a","clientId":"b","qos":1,"retain":false,"payload":"` by QoS and retain flag; made when needed. */
  tails: (Buffer | undefined)[]
  bytesMax: number
}

/**
 * Writes records as JSON into one buffer, the same bytes as JSON.stringify(recordJson(record)), at a fifth of its price: text that
 * does not change from record to record is copied, and a payload goes from byte to byte without ever being a string.
 */
export class RecordEncoder {
  readonly bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  /** End of what is written. */
  at = 0
  readonly #sse: boolean
  readonly #sources = new Map<string, Map<string, SourceText>>()
  #lastTopic = ''
  #lastClientId = ''
  #lastSource: SourceText | undefined
  #timeMs = Number.NaN
  #secondMs = Number.NaN
  /** `2026-05-01T12:00:00.000Z` */
  readonly #time = Buffer.alloc(24)

  constructor(framing: RecordFraming) {
    this.#sse = framing === 'sse'
  }

  /** False when it does not fit into what is left; then take what is there and try again. */
  add(record: StreamRecord): boolean {
    const source = this.#sourceOf(record)
    const { payload } = record
    let extra = ''
    if (record.expiresAtMs !== 0) extra = `,"expiresAt":"${new Date(record.expiresAtMs).toISOString()}"`
    if (record.properties.length > 0) extra += `,"properties":${propertiesText(record.properties)}`
    const bytesMax = FIXED_BYTES_MAX + source.bytesMax + payload.length * ESCAPED_BYTES_MAX + extra.length * 3
    if (bytesMax > CHUNK_BYTES - this.at) return this.at === 0 && this.#addLarge(record)
    this.#addHead(record, source)
    this.#addPayload(payload)
    const { bytes } = this
    if (extra !== '') this.at += bytes.write(extra, this.at)
    bytes[this.at++] = 0x7d
    this.#end()
    return true
  }

  /** A text of the framing's own; it must be short. */
  addText(text: string): void {
    this.at += this.bytes.write(text, this.at)
  }

  /** A record larger than the buffer; the next `take` gives it alone. */
  large: Buffer | undefined

  #addLarge(record: StreamRecord): boolean {
    const json = JSON.stringify(recordJson(record))
    this.large = Buffer.from(this.#sse ? `id: ${record.offset}\ndata: ${json}\n\n` : `${json}\n`)
    return true
  }

  #addHead(record: StreamRecord, source: SourceText): void {
    const { bytes } = this
    if (this.#sse) {
      this.#copy(idText)
      this.#addNumber(record.offset)
      this.#copy(dataText)
    }
    this.#copy(offsetText)
    this.#addNumber(record.offset)
    this.#copy(source.head)
    if (record.timestampMs !== this.#timeMs) this.#setTime(record.timestampMs)
    bytes.set(this.#time, this.at)
    this.at += 24
    const tail = source.tails[record.qos | (record.retain ? 4 : 0)] ?? this.#addTail(record, source)
    bytes.set(tail, this.at)
    this.at += tail.length
  }

  #addPayload(payload: Buffer): void {
    const { bytes } = this
    const start = this.at
    let at = start
    let checked = false
    for (let i = 0; i < payload.length; i++) {
      const byte = payload[i]!
      const kind = kinds[byte]!
      if (kind === PLAIN) bytes[at++] = byte
      else if (kind === HIGH) {
        if (!checked && !isUtf8(payload)) {
          this.at = start + bytes.write(payload.toString('base64'), start, 'latin1')
          this.#copy(base64Text)
          return
        }
        checked = true
        bytes[at++] = byte
      } else if (kind === CONTROL) at += bytes.write(`\\u00${byte.toString(16).padStart(2, '0')}`, at, 'latin1')
      else {
        bytes[at++] = 0x5c
        bytes[at++] = kind
      }
    }
    bytes[at++] = 0x22
    this.at = at
  }

  #end(): void {
    this.bytes[this.at++] = 0x0a
    if (this.#sse) this.bytes[this.at++] = 0x0a
  }

  #addNumber(value: number): void {
    const { bytes } = this
    if (value > 0x7fff_ffff) {
      this.at += bytes.write(String(value), this.at, 'latin1')
      return
    }
    let digits = 1
    for (let limit = 10; value >= limit && digits < 10; limit *= 10) digits++
    let rest = value
    for (let at = this.at + digits - 1; at >= this.at; at--) {
      const next = (rest / 10) | 0
      bytes[at] = 0x30 + rest - next * 10
      rest = next
    }
    this.at += digits
  }

  /** Times of neighbours differ in their milliseconds, most of the time. */
  #setTime(timeMs: number): void {
    const time = this.#time
    const since = timeMs - this.#secondMs
    if (since >= 0 && since < 1000) {
      time[20] = 0x30 + ((since / 100) | 0)
      time[21] = 0x30 + (((since / 10) | 0) % 10)
      time[22] = 0x30 + (since % 10)
    } else {
      time.write(new Date(timeMs).toISOString(), 0, 'latin1')
      this.#secondMs = Math.floor(timeMs / 1000) * 1000
    }
    this.#timeMs = timeMs
  }

  #copy(text: Buffer): void {
    const { bytes } = this
    let at = this.at
    for (let i = 0; i < text.length; i++) bytes[at++] = text[i]!
    this.at = at
  }

  #sourceOf({ topic, clientId, partition }: StreamRecord): SourceText {
    const last = this.#lastSource
    if (last !== undefined && topic === this.#lastTopic && clientId === this.#lastClientId && partition === last.partition)
      return last
    let ofTopic = this.#sources.get(topic)
    if (ofTopic === undefined) {
      if (this.#sources.size >= SOURCES_MAX) this.#sources.clear()
      ofTopic = new Map()
      this.#sources.set(topic, ofTopic)
    }
    let source = ofTopic.get(clientId)
    if (source?.partition !== partition) {
      if (ofTopic.size >= SOURCES_MAX) ofTopic.clear()
      source = {
        partition,
        head: Buffer.from(`,"partition":${partition},"timestamp":"`),
        tails: [],
        bytesMax: 3 * (topic.length + clientId.length)
      }
      ofTopic.set(clientId, source)
    }
    this.#lastTopic = topic
    this.#lastClientId = clientId
    this.#lastSource = source
    return source
  }

  #addTail({ topic, clientId, qos, retain }: StreamRecord, source: SourceText): Buffer {
    const names = `","topic":${JSON.stringify(topic)},"clientId":${JSON.stringify(clientId)}`
    const tail = Buffer.from(`${names},"qos":${qos},"retain":${retain},"payload":"`)
    source.tails[qos | (retain ? 4 : 0)] = tail
    return tail
  }
}

const offsetText = Buffer.from('{"offset":')
const base64Text = Buffer.from('","encoding":"base64"')
const idText = Buffer.from('id: ')
const dataText = Buffer.from('\ndata: ')

const PLAIN = 0
const HIGH = 1
const CONTROL = 2
/** What becomes of each byte of a JSON string: it stays, it is part of a longer UTF-8 sequence, or the letter behind its backslash. */
const kinds = new Uint8Array(256).fill(CONTROL, 0, 0x20).fill(HIGH, 0x80)
for (const [text, letter] of ['""', '\\\\', '\bb', '\ff', '\nn', '\rr', '\tt']) kinds[text!.charCodeAt(0)] = letter!.charCodeAt(0)
