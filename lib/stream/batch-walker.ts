import type { BatchHeader } from './batch.ts'
import { BATCH_HEADER_BYTES, BATCH_MAGIC, bodyChecks, readBatchHeader } from './batch.ts'
import type { Offset } from './contract.ts'
import type { File } from './file-system.ts'

/** Bytes read at a time. Records refer to the block they came in, so this is also what a record that is kept keeps alive. */
const BLOCK_BYTES = 256 * 1024

/**
 * `batch`: header, block and bodyStart describe the next batch, both checksums hold. `load`: call load() and ask again. `end`: the
 * limit is reached. `damaged`: the bytes at `position` are no batch that checks (or zeros, after the last one).
 */
export type Step = 'batch' | 'load' | 'end' | 'damaged'

/** Walks the batches of one segment. Only load() waits, so that hundreds of small batches cost one turn. */
export class BatchWalker {
  readonly #file: File
  readonly #seed: number
  /** Where the next batch begins. */
  position: number
  /** Offset that the next batch should begin with. */
  nextOffset: Offset
  /** Nothing from here on is looked at. */
  limit: number
  block: Buffer = Buffer.alloc(0)
  bodyStart = 0
  header: BatchHeader | undefined
  #blockPosition: number
  /** Bytes that the batch at `position` is known to need. */
  #wanted = 0
  /** The last load found the file shorter than the limit. */
  #fileEnded = false

  constructor(file: File, seed: number, position: number, nextOffset: Offset, limit: number) {
    this.#file = file
    this.#seed = seed
    this.position = position
    this.nextOffset = nextOffset
    this.limit = limit
    this.#blockPosition = position
  }

  step(): Step {
    if (this.position >= this.limit) return 'end'
    const at = this.position - this.#blockPosition
    const loaded = this.block.length - at
    if (at < 0 || loaded < BATCH_HEADER_BYTES) return this.#more(BATCH_HEADER_BYTES)
    const header = readBatchHeader(this.block, at, this.#seed)
    if (header === undefined) return 'damaged'
    if (loaded < BATCH_HEADER_BYTES + header.bodyBytes) return this.#more(BATCH_HEADER_BYTES + header.bodyBytes)
    this.bodyStart = at + BATCH_HEADER_BYTES
    if (!bodyChecks(header, this.block, this.bodyStart)) return 'damaged'
    this.header = header
    return 'batch'
  }

  /** Steps over the batch that step() found. */
  advance(): void {
    const { nextOffset, bodyBytes } = this.header!
    this.position += BATCH_HEADER_BYTES + bodyBytes
    this.nextOffset = nextOffset
  }

  #more(wanted: number): Step {
    const loadedHere = this.#blockPosition === this.position
    if (this.position + wanted > this.limit || (loadedHere && this.#fileEnded)) return 'damaged'
    this.#wanted = wanted
    return 'load'
  }

  /** A new block each time, because records that were decoded from the last one refer to it. */
  async load(): Promise<void> {
    const wanted = Math.min(Math.max(BLOCK_BYTES, this.#wanted), this.limit - this.position)
    const block = Buffer.allocUnsafeSlow(wanted)
    const count = await this.#file.read(block, 0, wanted, this.position)
    this.block = block.subarray(0, count)
    this.#blockPosition = this.position
    this.#fileEnded = count < wanted
  }
}

export interface FoundBatch {
  position: number
  end: number
  header: BatchHeader
}

/**
 * The first batch at or after `from` that checks and has a base offset of at least `minOffset`. For use behind damaged bytes. A
 * payload may well contain what looks like a batch; it cannot have the header's CRC right, because that starts from the segment's
 * random seed.
 */
export async function findBatch(
  file: File,
  seed: number,
  from: number,
  limit: number,
  minOffset: Offset
): Promise<FoundBatch | undefined> {
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  for (let start = from; start + BATCH_HEADER_BYTES <= limit; start += BLOCK_BYTES - BATCH_HEADER_BYTES + 1) {
    const count = await file.read(block, 0, Math.min(BLOCK_BYTES, limit - start), start)
    const bytes = block.subarray(0, count)
    for (let at = bytes.indexOf(BATCH_MAGIC); at >= 0; at = bytes.indexOf(BATCH_MAGIC, at + 1)) {
      if (at + BATCH_HEADER_BYTES > count) break
      const header = readBatchHeader(bytes, at, seed)
      if (header === undefined || !(header.baseOffset >= minOffset)) continue
      const end = start + at + BATCH_HEADER_BYTES + header.bodyBytes
      if (end > limit) continue
      const body = Buffer.allocUnsafeSlow(header.bodyBytes)
      await file.read(body, 0, body.length, end - body.length)
      if (bodyChecks(header, body, 0)) return { position: start + at, end, header }
    }
  }
  return undefined
}

/** The position behind the last byte in [from, limit) that is not zero; `from` when all are. */
export async function endOfData(file: File, from: number, limit: number): Promise<number> {
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  let end = from
  for (let start = from; start < limit; start += BLOCK_BYTES) {
    const count = await file.read(block, 0, Math.min(BLOCK_BYTES, limit - start), start)
    let last = count
    while (last > 0 && block[last - 1] === 0) last--
    if (last > 0) end = start + last
  }
  return end
}
