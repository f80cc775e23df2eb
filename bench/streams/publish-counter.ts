/**
 * Counts the PUBLISH packets in what a connection receives, and collects the PUBACKs they ask for. It knows as much of MQTT as that
 * takes and makes no object per packet, because a load generator that is slower than the broker measures itself.
 */
export class PublishCounter {
  records = 0
  /** Sum of the numbers the payloads begin with: tells whether each came once. */
  sum = 0
  /** A payload's number was not above the one before; what a single reader must never see. */
  outOfOrder = 0
  #last = -1
  readonly #isV5: boolean
  #rest: Buffer | undefined
  #acks = Buffer.allocUnsafe(64 * 1024)
  #acksEnd = 0

  constructor(version: 4 | 5) {
    this.#isV5 = version === 5
  }

  /** Takes bytes that are valid during the call. */
  feed(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    const end = bytes.length
    for (;;) {
      let length = 0
      let body = at + 1
      let shift = 0
      let whole = false
      while (body < end && shift < 28) {
        const byte = bytes[body++]!
        length += (byte & 0x7f) << shift
        shift += 7
        if (byte < 0x80) {
          whole = body + length <= end
          break
        }
      }
      if (!whole) break
      if (bytes[at]! >> 4 === 3) this.#publish(bytes, bytes[at]!, body)
      at = body + length
    }
    this.#rest = at < end ? Buffer.from(bytes.subarray(at)) : undefined
  }

  /** The PUBACKs for what came since the last call, valid until the next feed(); undefined when there are none. */
  takeAcks(): Buffer | undefined {
    if (this.#acksEnd === 0) return undefined
    const acks = Buffer.from(this.#acks.subarray(0, this.#acksEnd))
    this.#acksEnd = 0
    return acks
  }

  #publish(bytes: Buffer, firstByte: number, bodyStart: number): void {
    let at = bodyStart + 2 + ((bytes[bodyStart]! << 8) | bytes[bodyStart + 1]!)
    if ((firstByte & 6) !== 0) {
      this.#ack(bytes[at]!, bytes[at + 1]!)
      at += 2
    }
    if (this.#isV5) {
      let length = 0
      let shift = 0
      for (let byte = 0x80; byte >= 0x80; shift += 7) {
        byte = bytes[at++]!
        length += (byte & 0x7f) << shift
      }
      at += length
    }
    const number = bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
    if (number <= this.#last) this.outOfOrder++
    this.#last = number
    this.sum += number
    this.records++
  }

  #ack(high: number, low: number): void {
    if (this.#acksEnd + 4 > this.#acks.length) this.#acks = Buffer.concat([this.#acks, Buffer.allocUnsafe(this.#acks.length)])
    const acks = this.#acks
    const at = this.#acksEnd
    acks[at] = 0x40
    acks[at + 1] = 2
    acks[at + 2] = high
    acks[at + 3] = low
    this.#acksEnd = at + 4
  }
}
