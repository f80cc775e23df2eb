import { type AnyPacket, RawClient } from '../support/raw-client.ts'

interface RecordProperties {
  offset: string
  gap?: string
}

/** An MQTT 5 client with a session that reads a stream at QoS 1 over any number of connections, and keeps account of the offsets. */
export class ResumingReader {
  readonly complaints: string[] = []
  delivered = 0
  repeats = 0
  /** Offsets it was told are gone. */
  told = 0
  readonly #port: number
  readonly #filter: string
  readonly #payloads = new Map<number, string>()
  #expected = 0
  #subscribed = false
  #client: RawClient | undefined
  #waiting: { offset: number; resolve: () => void } | undefined

  constructor(port: number, filter: string) {
    this.#port = port
    this.#filter = filter
  }

  /** Connects and reads until the connection ends. */
  async run(): Promise<void> {
    const { client, connack } = await RawClient.connect(this.#port, {
      ...{ version: 5, clientId: 'resuming-reader', clean: false },
      properties: { sessionExpiryInterval: 3600, receiveMaximum: 50 }
    })
    this.#client = client
    if (!connack.sessionPresent && this.delivered > 0) this.complaints.push('the session is gone')
    // The broker may have been killed between its CONNACK and its SUBACK.
    if (!connack.sessionPresent || !this.#subscribed) {
      client.send({ cmd: 'subscribe', messageId: 9_999, subscriptions: [{ topic: this.#filter, qos: 1 }] })
    }
    for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
      if (packet.cmd === 'suback') this.#subscribed = true
      if (packet.cmd !== 'publish') continue
      this.#take(packet)
      client.send({ cmd: 'puback', messageId: packet.messageId, reasonCode: 0 })
    }
  }

  /** The offset that comes next; what was removed from there on is told. */
  get expected(): number {
    return this.#expected
  }

  /** Resolves when everything before the offset was delivered or told to be gone. */
  reached(offset: number): Promise<void> {
    return new Promise(resolve => {
      this.#waiting = { offset, resolve }
      this.#look()
    })
  }

  end(): void {
    this.#client?.socket.destroy()
  }

  #take({ properties, topic, payload }: AnyPacket): void {
    const { offset: text, gap } = (properties as { userProperties: RecordProperties }).userProperties
    const offset = Number(text)
    const content = `${topic} ${payload}`
    // Who begins at the earliest record there is has missed none.
    if (this.delivered++ === 0) this.#expected = offset
    if (gap !== undefined) this.#pass(gap)
    const known = this.#payloads.get(offset)
    if (known !== undefined && known !== content) this.complaints.push(`${offset} was ${known} and is ${content}`)
    this.#payloads.set(offset, content)
    if (offset < this.#expected) {
      this.repeats++
      return
    }
    if (offset > this.#expected) this.complaints.push(`${offset} comes where ${this.#expected} should`)
    this.#expected = offset + 1
    this.#look()
  }

  /** `12-40`: offsets that are gone. */
  #pass(gap: string): void {
    const [from = 0, to = 0] = gap.split('-').map(Number)
    if (from > this.#expected) this.complaints.push(`the gap ${gap} is told at ${this.#expected}`)
    if (to < this.#expected) return
    this.told += to + 1 - this.#expected
    this.#expected = to + 1
  }

  #look(): void {
    if (this.#waiting !== undefined && this.#expected >= this.#waiting.offset) this.#waiting.resolve()
  }
}
