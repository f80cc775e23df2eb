import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

/** RFC 6455, section 7.4.1: data of a type that cannot be accepted. */
const UNSUPPORTED_DATA = 1003

/**
 * A WebSocket as a byte stream. MQTT packets need not be aligned with WebSocket frames and only binary frames are allowed: a
 * text frame closes the connection [MQTT-6.0.0-1], [MQTT-6.0.0-2].
 *
 * Back-pressure is real in both directions: when nobody reads, the socket is paused after one chunk; a write is reported as
 * done when the socket's buffer is below its mark, and what piles up meanwhile goes out as one frame. Not createWebSocketStream
 * of ws: that one hides whether a frame was text, does not join writes and stays half open. In speed the two are equal (25-30 k
 * messages/s echoed with window 1, 53-61 k with window 20, on one core): the cost is in ws and the system calls.
 */
export class WebSocketDuplex extends Duplex {
  readonly #webSocket: WebSocket
  readonly #socket: Duplex
  /** A close frame that says what was wrong is on its way; cutting the socket now would lose it. */
  #explaining = false

  /** `socket` is what the upgrade was made on. */
  constructor(webSocket: WebSocket, socket: Duplex) {
    // Like a net.Socket: when the peer is done, so are we.
    super({ allowHalfOpen: false })
    this.#webSocket = webSocket
    this.#socket = socket
    webSocket.binaryType = 'nodebuffer'
    webSocket.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary))
    webSocket.on('error', error => {
      // A protocol violation: ws has sent the close frame already and gives the peer its closeTimeout.
      this.#explaining = true
      this.destroy(error)
    })
    webSocket.on('close', () => {
      // A peer that left without a DISCONNECT packet ends the stream; it is not a fault of the transport.
      if (!this.destroyed) this.push(null)
    })
  }

  override _read(): void {
    this.#webSocket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) {
      done(new Error('the WebSocket is closed'))
      return
    }
    this.#webSocket.send(chunk)
    this.#afterWrite(done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(entry => entry.chunk)), 'binary', done)
  }

  override _final(done: () => void): void {
    this.#webSocket.close()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#webSocket.readyState === this.#webSocket.CLOSED) done(error)
    else {
      this.#webSocket.once('close', () => done(error))
      if (!this.#explaining) this.#webSocket.terminate()
    }
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.destroyed) return
    if (!isBinary) {
      this.#explaining = true
      this.#webSocket.close(UNSUPPORTED_DATA, 'MQTT needs binary frames')
      this.push(null)
      return
    }
    if (!this.push(data)) this.#webSocket.pause()
  }

  #afterWrite(done: (error?: Error | null) => void): void {
    if (!this.#socket.writableNeedDrain) {
      done()
      return
    }
    const socket = this.#socket
    const settle = () => {
      socket.off('drain', settle)
      socket.off('close', settle)
      done()
    }
    socket.on('drain', settle)
    socket.on('close', settle)
  }
}
