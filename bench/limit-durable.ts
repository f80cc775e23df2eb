/**
 * How fast one Node process can acknowledge QoS 1 when every PUBACK waits for fdatasync: append each message to the active batch,
 * write and sync whole batches, then send the acknowledgements. node limit-durable.js PORT FOLDER
 */
import { fdatasync, openSync, write } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { BareConnection, connack } from './limit-frames.ts'

/** Room for offset, time, lengths and checksum of a record, so that the disk gets as many bytes as from a real log. */
const recordHeaderBytes = 24

interface Acknowledgement {
  socket: Socket
  bytes: Buffer
}

class Log {
  readonly #file: number
  #active = Buffer.allocUnsafe(1 << 20)
  #used = 0
  /** The buffer of the batch before, to be filled next: two buffers take turns. */
  #spare = Buffer.allocUnsafe(1 << 20)
  #waiting: Acknowledgement[] = []
  #state: 'idle' | 'scheduled' | 'committing' = 'idle'
  #position = 0

  constructor(path: string) {
    this.#file = openSync(path, 'w')
  }

  append(bytes: Buffer, from: number, end: number): void {
    const length = recordHeaderBytes + end - from
    if (this.#used + length > this.#active.length) this.#grow(length)
    this.#active.writeUInt32LE(end - from, this.#used)
    bytes.copy(this.#active, this.#used + recordHeaderBytes, from, end)
    this.#used += length
  }

  acknowledgeWhenSynced(acknowledgement: Acknowledgement): void {
    this.#waiting.push(acknowledgement)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#state !== 'idle' || this.#waiting.length === 0) return
    this.#state = 'scheduled'
    setImmediate(() => this.#commit())
  }

  #commit(): void {
    this.#state = 'committing'
    const batch = this.#active
    const length = this.#used
    const acknowledgements = this.#waiting
    this.#active = this.#spare
    this.#used = 0
    this.#waiting = []
    write(this.#file, batch, 0, length, this.#position, error => {
      if (error) throw error
      fdatasync(this.#file, syncError => {
        if (syncError) throw syncError
        this.#spare = batch
        this.#state = 'idle'
        for (const { socket, bytes } of acknowledgements) socket.write(bytes)
        this.#schedule()
      })
    })
    this.#position += length
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafe(Math.max(this.#active.length * 2, this.#used + length))
    this.#active.copy(larger, 0, 0, this.#used)
    this.#active = larger
  }
}

class DurableConnection extends BareConnection {
  readonly #socket: Socket
  readonly #log: Log
  #acks: Buffer | undefined
  #acksUsed = 0

  constructor(socket: Socket, log: Log) {
    super()
    this.#socket = socket
    this.#log = log
  }

  protected packet(bytes: Buffer, first: number, body: number, end: number): void {
    const type = bytes[first]! >> 4
    if (type === 1) this.#socket.write(connack)
    if (type !== 3) return
    const id = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
    this.#log.append(bytes, body, end)
    if (!this.#acks || this.#acksUsed + 4 > this.#acks.length) this.#handOver()
    const acks = (this.#acks ??= Buffer.allocUnsafe(1024))
    acks[this.#acksUsed++] = 0x40
    acks[this.#acksUsed++] = 2
    acks[this.#acksUsed++] = bytes[id]!
    acks[this.#acksUsed++] = bytes[id + 1]!
  }

  protected chunkEnd(): void {
    this.#handOver()
  }

  #handOver(): void {
    if (this.#acks) this.#log.acknowledgeWhenSynced({ socket: this.#socket, bytes: this.#acks.subarray(0, this.#acksUsed) })
    this.#acks = undefined
    this.#acksUsed = 0
  }
}

const log = new Log(join(process.argv[3] ?? '.', 'limit.records'))
createServer({ noDelay: true }, socket => {
  const connection = new DurableConnection(socket, log)
  socket.on('data', chunk => connection.data(chunk))
  // A client that goes away takes nothing with it here.
  socket.on('error', () => socket.destroy())
}).listen(Number(process.argv[2]), '127.0.0.1')
