import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * The write side of one connection: everything sent in one event-loop turn leaves in one write.
 *
 * Packets are encoded straight into the connection's chunk (`room` / `filled`). Bytes that many connections share, such as one
 * QoS 0 PUBLISH for 500 subscribers, are queued by reference. Large chunks come from a free list and go back to it when the
 * kernel took all of their bytes at once, which is the normal case.
 */

const smallChunkBytes = 256
const chunkBytesMax = 64 * 1024
const freeChunksMax = 64
/** Shared buffers up to this size are copied when other bytes wait already: one write is cheaper than two. */
const sharedCopyBytesMax = 4096

/** Outbounds with something to write; flushed together at the end of the turn. */
export class FlushQueue {
  readonly #counters: { bytesSent: number }
  readonly #free: Buffer[] = []
  #waiting: Outbound[] = []
  #spare: Outbound[] = []
  #scheduled = false
  readonly #flush = () => {
    this.#scheduled = false
    const waiting = this.#waiting
    this.#waiting = this.#spare
    for (let i = 0; i < waiting.length; i++) waiting[i]!.flush()
    waiting.length = 0
    this.#spare = waiting
  }

  constructor(counters: { bytesSent: number }) {
    this.#counters = counters
  }

  sent(bytes: number): void {
    this.#counters.bytesSent += bytes
  }

  add(outbound: Outbound): void {
    this.#waiting.push(outbound)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  take(bytes: number): Buffer {
    if (bytes === chunkBytesMax) return this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytesMax)
    return Buffer.allocUnsafe(bytes)
  }

  give(chunk: Buffer): void {
    if (chunk.length === chunkBytesMax && this.#free.length < freeChunksMax) this.#free.push(chunk)
  }
}

/** Told when the transport holds more than it should; `drain` of the socket tells when that is over. */
export interface OutboundOwner {
  /** A write told that the transport's buffer is full. */
  onBackpressure(): void
  onCongested(): void
}

export class Outbound {
  /** Where the next packet is written; valid after room(). */
  chunk: Buffer | undefined
  position = 0
  /** Bytes handed to the transport so far. */
  bytesSent = 0
  readonly #socket: Duplex
  readonly #queue: FlushQueue
  readonly #owner: OutboundOwner
  readonly #bufferBytesMax: number
  /** Only a real socket's empty write buffer means that nobody refers to the bytes; a wrapped stream may have passed them on. */
  readonly #chunksReturn: boolean
  #hint = smallChunkBytes
  #queued = false
  /** Finished pieces that precede the chunk. */
  #parts: Buffer[] | undefined

  constructor(socket: Duplex, queue: FlushQueue, owner: OutboundOwner, bufferBytesMax: number) {
    this.#socket = socket
    this.#owner = owner
    this.#bufferBytesMax = bufferBytesMax
    this.#queue = queue
    this.#chunksReturn = socket instanceof Socket
  }

  /** Makes sure `bytes` fit in `chunk` at `position`. The caller writes there and says so with filled(). */
  room(bytes: number): Buffer {
    const chunk = this.chunk
    if (chunk !== undefined && chunk.length - this.position >= bytes) return chunk
    return this.#grow(bytes)
  }

  /** As room(), for senders of much: a full chunk leaves now, not at the end of the turn, so that its memory serves the next one. */
  roomAfterFlush(bytes: number): Buffer {
    if (this.position > 0 && this.position + bytes > chunkBytesMax) this.flush()
    return this.room(bytes)
  }

  filled(position: number): void {
    this.position = position
    if (!this.#queued) this.#enqueue()
  }

  /** Copies a small packet. */
  write(bytes: Buffer): void {
    const chunk = this.room(bytes.length)
    bytes.copy(chunk, this.position)
    this.filled(this.position + bytes.length)
  }

  /** Queues bytes that are never changed again, without copying them where that pays. */
  writeShared(bytes: Buffer): void {
    if (this.position > 0 && bytes.length <= sharedCopyBytesMax) {
      this.write(bytes)
      return
    }
    this.#sealChunk()
    if (this.#parts) this.#parts.push(bytes)
    else this.#parts = [bytes]
    if (!this.#queued) this.#enqueue()
  }

  /** Bytes the transport has not taken yet, this turn's included. */
  get waitingBytes(): number {
    let bytes = this.#socket.writableLength + this.position
    if (this.#parts) for (const part of this.#parts) bytes += part.length
    return bytes
  }

  flush(): void {
    this.#queued = false
    const socket = this.#socket
    const parts = this.#parts
    const chunk = this.chunk
    if (socket.destroyed || socket.writableEnded) {
      this.#parts = undefined
      this.chunk = undefined
      this.position = 0
      return
    }
    if (parts === undefined) {
      if (chunk !== undefined && this.position > 0) this.#writeChunk(socket, chunk)
    } else this.#writeParts(socket, parts, chunk)
    // Without writableNeedDrain there would be no 'drain' to wait for.
    if (socket.writableLength > this.#bufferBytesMax && socket.writableNeedDrain) this.#owner.onCongested()
  }

  #writeParts(socket: Duplex, parts: Buffer[], chunk: Buffer | undefined): void {
    this.#parts = undefined
    if (parts.length === 1 && this.position === 0) {
      this.#count(parts[0]!.length)
      if (!socket.write(parts[0]!)) this.#owner.onBackpressure()
      return
    }
    socket.cork()
    let taken = true
    for (const part of parts) {
      this.#count(part.length)
      taken = socket.write(part)
    }
    if (chunk !== undefined && this.position > 0) {
      this.#count(this.position)
      taken = socket.write(chunk.subarray(0, this.position))
      this.chunk = undefined
      this.position = 0
    }
    socket.uncork()
    if (!taken) this.#owner.onBackpressure()
  }

  #writeChunk(socket: Duplex, chunk: Buffer): void {
    const used = this.position
    this.#count(used)
    this.chunk = undefined
    this.position = 0
    this.#hint = used <= smallChunkBytes ? smallChunkBytes : Math.min(chunkBytesMax, 1 << (32 - Math.clz32(used - 1)))
    if (!socket.write(used === chunk.length ? chunk : chunk.subarray(0, used))) this.#owner.onBackpressure()
    // writableLength falls to 0 within write() only when the kernel took every byte: then nobody refers to the chunk any more.
    if (this.#chunksReturn && socket.writableLength === 0) this.#queue.give(chunk)
  }

  #grow(bytes: number): Buffer {
    const chunk = this.chunk
    const used = this.position
    if (chunk !== undefined && used > 0) {
      const wanted = used + bytes
      if (wanted > chunkBytesMax) {
        this.#sealChunk()
        return this.#grow(bytes)
      }
      let size = chunk.length * 2
      while (size < wanted) size *= 2
      const bigger = this.#queue.take(Math.min(size, chunkBytesMax))
      chunk.copy(bigger, 0, 0, used)
      this.chunk = bigger
      return bigger
    }
    let size = this.#hint
    while (size < bytes) size *= 2
    this.chunk = this.#queue.take(size)
    this.position = 0
    return this.chunk
  }

  #count(bytes: number): void {
    this.bytesSent += bytes
    this.#queue.sent(bytes)
  }

  #sealChunk(): void {
    if (this.chunk === undefined || this.position === 0) return
    const part = this.chunk.subarray(0, this.position)
    if (this.#parts) this.#parts.push(part)
    else this.#parts = [part]
    this.chunk = undefined
    this.position = 0
  }

  #enqueue(): void {
    this.#queued = true
    this.#queue.add(this)
  }
}
