/**
 * Outgoing QoS 1 and 2 messages that were sent and not completed, by packet id.
 *
 * `outstanding` counts those sent on the present connection: that is what Receive Maximum limits [MQTT-3.3.4-9]. After a reconnect
 * it starts at zero while the entries of the last connection wait to be sent again.
 */

export type InflightState = 'sent' | 'released'

/** What a delivery was taken from when it is not the session's own queue. */
export interface DeliverySource {
  /** The delivery of message `seq` is over. */
  settle(seq: number): void
  /** The client got message `seq` and does not want it; without this it is over, like any other. */
  decline?(seq: number, error: string): void
}

export interface InflightEntry {
  /** Position in the source, else in the session's queue; 0 for sessions that are not stored. */
  readonly seq: number
  readonly source: DeliverySource | undefined
  readonly qos: 1 | 2
  state: InflightState
  /** Sent on this connection, so it takes a place in the window. */
  outstanding: boolean
}

export class InflightWindow {
  readonly #entries = new Map<number, InflightEntry>()
  #nextPacketId = 1
  outstanding = 0

  get size(): number {
    return this.#entries.size
  }

  /** A packet id that is not in use [MQTT-2.2.1-4], [MQTT3-2.3.1-4]; 0 when all 65,535 are. */
  allocate(): number {
    const entries = this.#entries
    if (entries.size >= 65535) return 0
    let id = this.#nextPacketId
    while (entries.has(id)) id = id === 65535 ? 1 : id + 1
    this.#nextPacketId = id === 65535 ? 1 : id + 1
    return id
  }

  /** Takes a place in the window. */
  sent(packetId: number, seq: number, qos: 1 | 2, source?: DeliverySource): void {
    this.#entries.set(packetId, { seq, source, qos, state: 'sent', outstanding: true })
    this.outstanding++
  }

  /** An entry of an earlier connection, to be sent again. */
  restore(packetId: number, seq: number, qos: 1 | 2, state: InflightState): void {
    this.#entries.set(packetId, { seq, source: undefined, qos, state, outstanding: false })
  }

  /** Sent again on this connection. */
  resent(packetId: number): void {
    const entry = this.#entries.get(packetId)
    if (entry === undefined || entry.outstanding) return
    entry.outstanding = true
    this.outstanding++
  }

  get(packetId: number): InflightEntry | undefined {
    return this.#entries.get(packetId)
  }

  /** The handshake is complete; frees the packet id and the place. */
  complete(packetId: number): void {
    const entry = this.#entries.get(packetId)
    if (entry === undefined) return
    if (entry.outstanding) this.outstanding--
    this.#entries.delete(packetId)
  }

  /** The connection ended: nothing is outstanding, everything is to be sent again. */
  reset(): void {
    for (const entry of this.#entries.values()) entry.outstanding = false
    this.outstanding = 0
  }

  /** By packet id, in the order they were first sent. */
  entries(): IterableIterator<[number, InflightEntry]> {
    return this.#entries.entries()
  }
}
