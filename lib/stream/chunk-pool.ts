/** A preallocated piece of memory that one batch is built in. The view spares making one per batch. */
export interface Chunk {
  readonly bytes: Buffer
  readonly view: DataView
}

/** 256 KiB: large enough that header and CRC call cost nothing per record, small enough to stay in a core's cache. */
export const CHUNK_BYTES = 256 * 1024
/** 64 chunks, 16 MiB: more than that is only in use while a disk stalls; what comes back beyond it goes to the collector. */
const CHUNKS_KEPT_MAX = 64

/**
 * Chunks are used again and again, because allocating 256 KiB per sync makes the collector's pauses a visible part of the ack
 * latency. One pool serves all streams of a broker.
 */
export class ChunkPool {
  readonly #free: Chunk[] = []

  /** A chunk of at least `bytes` bytes; its content is whatever was there before. */
  take(bytes: number): Chunk {
    if (bytes > CHUNK_BYTES) return newChunk(bytes)
    return this.#free.pop() ?? newChunk(CHUNK_BYTES)
  }

  give(chunk: Chunk): void {
    if (chunk.bytes.length === CHUNK_BYTES && this.#free.length < CHUNKS_KEPT_MAX) this.#free.push(chunk)
  }
}

function newChunk(bytes: number): Chunk {
  // allocUnsafeSlow gives a buffer of its own, not a slice of Node's shared 8 KiB slab.
  const buffer = Buffer.allocUnsafeSlow(bytes)
  return { bytes: buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) }
}
