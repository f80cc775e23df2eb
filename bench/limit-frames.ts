/**
 * The least an MQTT server must do with incoming bytes, shared by the two limit prototypes: find whole packets. They exist to be
 * measured against, not to be built on: no checks, no limits, no features.
 */
export abstract class BareConnection {
  #rest: Buffer | undefined

  /** One chunk from the socket. Calls `packet` for each whole packet in it, then `chunkEnd` once. */
  data(chunk: Buffer): void {
    let bytes = chunk
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    const end = bytes.length
    let at = 0
    while (end - at >= 2) {
      let body = at + 1
      let length = 0
      let digit = 128
      for (let shift = 1; digit & 128 && body < end; shift *= 128) {
        digit = bytes[body++]!
        length += (digit & 127) * shift
      }
      if (digit & 128 || body + length > end) break
      this.packet(bytes, at, body, body + length)
      at = body + length
    }
    if (at < end) this.#rest = bytes.subarray(at)
    this.chunkEnd()
  }

  /** `first` is where the packet begins, `body` where its variable header does, `end` where the next packet begins. */
  protected abstract packet(bytes: Buffer, first: number, body: number, end: number): void
  protected abstract chunkEnd(): void
}

export const connack = Buffer.from([0x20, 2, 0, 0])
