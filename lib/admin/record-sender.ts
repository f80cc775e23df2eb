import type { ServerResponse } from 'node:http'
import type { StreamRecord } from '../stream/contract.ts'
import { RecordEncoder, type RecordFraming } from './record-encoder.ts'

/** Records that were found may wait so long for others that are written with them. */
const WAIT_MS_MAX = 50

/**
 * Writes records to one response, a buffer at a time, and no faster than the other side takes them: nothing is encoded while a
 * write is under way, so a slow reader costs its one buffer.
 */
export class RecordSender {
  readonly #response: ServerResponse
  readonly #encoder: RecordEncoder
  readonly #stalledMs: number
  #writtenMs = performance.now()
  /** Writes since the beginning; tells whether something was said lately. */
  writes = 0

  constructor(response: ServerResponse, framing: RecordFraming, stalledMs: number) {
    this.#response = response
    this.#encoder = new RecordEncoder(framing)
    this.#stalledMs = stalledMs
  }

  /** Whether what is encoded has waited long enough for a buffer to fill. */
  get isDue(): boolean {
    return performance.now() - this.#writtenMs > WAIT_MS_MAX
  }

  /** Encodes all and writes what fills a buffer; `flush` writes the rest. Rejects when the connection has ended. */
  async send(records: readonly StreamRecord[]): Promise<void> {
    for (let next = this.#fill(records, 0); next < records.length; next = this.#fill(records, next)) await this.flush()
  }

  async flush(): Promise<void> {
    const { large, bytes, at } = this.#encoder
    if (large === undefined && at === 0) return
    await this.#write(large ?? bytes.subarray(0, at))
    this.#encoder.large = undefined
    this.#encoder.at = 0
  }

  /** Writes a short text of the framing's own behind what was sent. */
  async sendText(text: string): Promise<void> {
    await this.flush()
    this.#encoder.addText(text)
    await this.flush()
  }

  /** Returns the index of the first record that found no room. */
  #fill(records: readonly StreamRecord[], start: number): number {
    const encoder = this.#encoder
    let i = start
    while (i < records.length && encoder.large === undefined && encoder.add(records[i]!)) i++
    return i
  }

  /** Resolves when the operating system has the bytes and the buffer is free again. */
  #write(bytes: Buffer): Promise<void> {
    this.writes++
    this.#writtenMs = performance.now()
    const response = this.#response
    return new Promise((resolve, reject) => {
      if (response.destroyed) {
        reject(new Error('the connection has ended'))
        return
      }
      const stalled = setTimeout(() => response.destroy(), this.#stalledMs)
      const done = (error?: Error | null) => {
        clearTimeout(stalled)
        response.off('close', gone)
        if (error) reject(error)
        else resolve()
      }
      const gone = () => done(new Error('the connection has ended'))
      response.once('close', gone)
      response.write(bytes, done)
    })
  }
}
