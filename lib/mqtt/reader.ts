import { type ConnectFailure, PacketError } from './packet-error.ts'
import { type ReasonCode, reasonCode } from './reason-code.ts'
import { utf8Error } from './utf8.ts'

/**
 * Reads the data types of section 1.5 from bytes[at, end), for everything off the hot path. Throws PacketError when the packet
 * ends too soon or holds what it may not; never looks at a byte outside. Strings are validated before they are made, and
 * Buffers are copies, so nothing decoded keeps the chunk alive.
 */
export class Reader {
  readonly bytes: Buffer
  at: number
  end: number
  /** Set while a CONNECT is read: goes into every error, so that the connection knows how to answer. */
  connect: ConnectFailure | undefined = undefined

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  get atEnd(): boolean {
    return this.at === this.end
  }

  fail(code: ReasonCode, message: string): never {
    throw new PacketError(code, message, this.connect)
  }

  malformed(message: string): never {
    this.fail(reasonCode.malformedPacket, message)
  }

  byte(what: string): number {
    this.#need(1, what)
    return this.bytes[this.at++]!
  }

  twoByte(what: string): number {
    this.#need(2, what)
    const value = this.bytes.readUInt16BE(this.at)
    this.at += 2
    return value
  }

  fourByte(what: string): number {
    this.#need(4, what)
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  /** At most four bytes, written with as few as possible [MQTT-1.5.5-1]. */
  variableByte(what: string): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(what)
      value |= (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (byte === 0 && shift > 0) this.malformed(`${what} is padded [MQTT-1.5.5-1]`)
      return value
    }
    return this.malformed(`${what} has more than four bytes`)
  }

  string(what: string): string {
    const length = this.twoByte(what)
    this.#need(length, what)
    const start = this.at
    this.at += length
    const error = utf8Error(this.bytes, start, this.at)
    if (error !== undefined) this.malformed(`${what}: ${error}`)
    return this.bytes.toString('utf8', start, this.at)
  }

  binary(what: string): Buffer {
    const length = this.twoByte(what)
    this.#need(length, what)
    const start = this.at
    this.at += length
    return Buffer.from(this.bytes.subarray(start, this.at))
  }

  /** A Packet Identifier, never 0 [MQTT-2.2.1-3], [MQTT3-2.3.1-1]. */
  packetIdentifier(): number {
    const id = this.twoByte('Packet Identifier')
    if (id === 0) this.fail(reasonCode.protocolError, 'Packet Identifier is 0 [MQTT-2.2.1-3]')
    return id
  }

  /** Call last: a packet that goes on after its last field is malformed. */
  finish(): void {
    if (this.at !== this.end) this.malformed(`${this.end - this.at} bytes after the end of the packet`)
  }

  #need(bytes: number, what: string): void {
    if (this.end - this.at < bytes) this.malformed(`packet ends inside ${what}`)
  }
}
