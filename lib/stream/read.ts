import type { ReadOptions, StreamRecord } from './contract.ts'
import type { LogView } from './log-view.ts'
import { LogReader } from './reader.ts'

/** Records of a log in arrays of what one block held. */
export function readBatches(view: LogView, options: ReadOptions): AsyncIterableIterator<readonly StreamRecord[]> {
  const reader = new LogReader(view, options)
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const records = await nextOrClose(reader)
      return records === undefined ? { done: true, value: undefined } : { done: false, value: records }
    },
    async return() {
      await reader.close()
      return { done: true, value: undefined }
    }
  }
}

/**
 * Records of a log one by one. Written by hand because an async generator costs three turns of the microtask queue per record;
 * this answers from the block at hand. And it can be ended while it waits for new records, which a generator cannot.
 */
export function readRecords(view: LogView, options: ReadOptions): AsyncIterableIterator<StreamRecord> {
  return new RecordIterator(new LogReader(view, options))
}

class RecordIterator implements AsyncIterableIterator<StreamRecord> {
  readonly #reader: LogReader
  #records: readonly StreamRecord[] = []
  #at = 0

  constructor(reader: LogReader) {
    this.#reader = reader
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<StreamRecord, undefined>> {
    const record = this.#records[this.#at]
    if (record === undefined) return this.#load()
    this.#at++
    return Promise.resolve({ done: false, value: record })
  }

  async return(): Promise<IteratorResult<StreamRecord, undefined>> {
    this.#records = []
    await this.#reader.close()
    return { done: true, value: undefined }
  }

  async #load(): Promise<IteratorResult<StreamRecord, undefined>> {
    this.#records = []
    this.#at = 0
    const records = await nextOrClose(this.#reader)
    if (records === undefined) return { done: true, value: undefined }
    this.#records = records
    this.#at = 1
    return { done: false, value: records[0]! }
  }
}

async function nextOrClose(reader: LogReader): Promise<StreamRecord[] | undefined> {
  try {
    const records = await reader.next()
    if (records === undefined) await reader.close()
    return records
  } catch (error) {
    await reader.close()
    throw error
  }
}
