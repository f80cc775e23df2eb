import type { ReadBatch, ReadOptions, StreamRecord } from './contract.ts'
import type { LogView } from './log-view.ts'
import { LogReader } from './reader.ts'

/** A log in stretches of what one block held. */
export function readBatches(view: LogView, options: ReadOptions): AsyncIterableIterator<ReadBatch> {
  const reader = new LogReader(view, options)
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const batch = await nextOrClose(reader)
      return batch === undefined ? { done: true, value: undefined } : { done: false, value: batch }
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
    for (;;) {
      const batch = await nextOrClose(this.#reader)
      if (batch === undefined) return { done: true, value: undefined }
      const [first] = batch.records
      if (first === undefined) continue
      this.#records = batch.records
      this.#at = 1
      return { done: false, value: first }
    }
  }
}

async function nextOrClose(reader: LogReader): Promise<ReadBatch | undefined> {
  try {
    const batch = await reader.next()
    if (batch === undefined) await reader.close()
    return batch
  } catch (error) {
    await reader.close()
    throw error
  }
}
