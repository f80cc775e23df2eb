/** MQTT 3.1.1 over WebSocket for a page that only listens: QoS 0 subscriptions, keep alive, reconnect. */
export class MqttListener {
  #url
  #filters
  #handlers
  #socket
  #timer
  #retryMs = 500
  #rest = new Uint8Array(0)

  /** `handlers`: message(topic, payload: Uint8Array), state('connecting' | 'online' | 'offline' | 'refused') */
  constructor(url, filters, handlers) {
    this.#url = url
    this.#filters = filters
    this.#handlers = handlers
    this.#open()
  }

  close() {
    this.#socket.onclose = () => clearInterval(this.#timer)
    this.#socket.close()
  }

  #open() {
    this.#handlers.state('connecting')
    this.#rest = new Uint8Array(0)
    this.#socket = new WebSocket(this.#url, 'mqtt')
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.onopen = () =>
      this.#send(0x10, [...utf8('MQTT'), 4, 2, 0, 30, ...utf8(`page-${Math.random().toString(36).slice(2, 12)}`)])
    this.#socket.onmessage = event => this.#receive(new Uint8Array(event.data))
    this.#socket.onclose = () => {
      clearInterval(this.#timer)
      this.#handlers.state('offline')
      setTimeout(() => this.#open(), this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, 10_000)
    }
  }

  #send(type, body) {
    this.#socket.send(new Uint8Array([type, ...varint(body.length), ...body]))
  }

  /** Packets and WebSocket messages need not be aligned, so what is left of one is kept for the next. */
  #receive(chunk) {
    const bytes = new Uint8Array(this.#rest.length + chunk.length)
    bytes.set(this.#rest)
    bytes.set(chunk, this.#rest.length)
    let at = 0
    for (;;) {
      const body = bodyOf(bytes, at)
      if (body === undefined || body.end > bytes.length) break
      this.#handle(bytes[at], bytes.subarray(body.start, body.end))
      at = body.end
    }
    this.#rest = bytes.slice(at)
  }

  #handle(first, body) {
    const type = first >> 4
    if (type === 2) this.#connected(body[1])
    if (type !== 3) return
    const topicEnd = 2 + body[0] * 256 + body[1]
    const payloadStart = (first & 6) === 0 ? topicEnd : topicEnd + 2
    this.#handlers.message(new TextDecoder().decode(body.subarray(2, topicEnd)), body.slice(payloadStart))
  }

  #connected(returnCode) {
    if (returnCode !== 0) {
      this.#socket.onclose = null
      this.#handlers.state('refused')
      return
    }
    this.#retryMs = 500
    this.#handlers.state('online')
    this.#timer = setInterval(() => this.#send(0xc0, []), 15_000)
    this.#send(0x82, [0, 1, ...this.#filters.flatMap(filter => [...utf8(filter), 0])])
  }
}

function utf8(text) {
  const bytes = new TextEncoder().encode(text)
  return [bytes.length >> 8, bytes.length & 255, ...bytes]
}

function varint(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
}

/** Where the body of the packet at `at` starts and ends; undefined when not even its length is there yet. */
function bodyOf(bytes, at) {
  let length = 0
  for (let i = 1; i <= 4 && at + i < bytes.length; i++) {
    length += (bytes[at + i] & 127) << (7 * (i - 1))
    if (bytes[at + i] < 128) return { start: at + i + 1, end: at + i + 1 + length }
  }
  return undefined
}
