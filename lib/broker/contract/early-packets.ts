import { decodePacket } from '../../mqtt/decode.ts'
import { Frame, readFrame } from '../../mqtt/frame.ts'
import { PacketError } from '../../mqtt/packet-error.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'

const connectType = 1

/** Counts packets that arrive before CONNACK, without decoding them. */
export class EarlyPackets {
  /** Whole packets so far. */
  count = 0
  readonly #frame = new Frame()
  readonly #maxPacketBytes: number
  #rest: Buffer = Buffer.alloc(0)
  #partsSeen = 0

  constructor(maxPacketBytes: number) {
    this.#maxPacketBytes = maxPacketBytes
  }

  /**
   * The reason to end the connection, if there is one: more than `limit` packets, or another CONNECT [MQTT-3.1.0-2]. `parts` is
   * everything that arrived since CONNECT; what was looked at before is not looked at again.
   */
  look(parts: readonly Buffer[], limit: number): Error | undefined {
    while (this.#partsSeen < parts.length) {
      const error = this.#lookAt(parts[this.#partsSeen++]!, limit)
      if (error !== undefined) return error
    }
    return undefined
  }

  #lookAt(bytes: Buffer, limit: number): Error | undefined {
    const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    let at = 0
    while (at < all.length) {
      const next = readFrame(all, at, all.length, this.#maxPacketBytes, this.#frame)
      if (next < 0) return new PacketError(reasonCode.malformedPacket, 'malformed packet before CONNACK')
      if (next === 0) break
      if (this.#frame.type === connectType) return secondConnect(all, this.#frame)
      if (this.count === limit) return new Error('Client queue limit reached')
      this.count++
      at = next
    }
    this.#rest = all.subarray(at)
    return undefined
  }
}

function secondConnect(bytes: Buffer, frame: Frame): Error {
  const error = new PacketError(reasonCode.protocolError, 'Invalid protocol')
  try {
    // Aedes shows the packet that was wrong.
    return Object.assign(error, { info: decodePacket(bytes, frame, 4) })
  } catch {
    return error
  }
}
