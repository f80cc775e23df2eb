import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PeerIdentity } from '../../lib/access/contract.ts'
import type { ListenerOptions, RefusalReason } from '../../lib/listener/contract.ts'

export interface Guest {
  stream: Duplex
  request: IncomingMessage | undefined
  peer: PeerIdentity
}

/** Stands where the broker stands: takes what a listener hands on, and hears what it refuses. */
export class Guests {
  readonly refusals: RefusalReason[] = []
  readonly #guests: Guest[] = []
  readonly #events = new EventEmitter()
  /** Listener options that lead here. */
  readonly options: ListenerOptions = {
    name: 'listeners[0]',
    host: '127.0.0.1',
    port: 0,
    anonymousAllowed: true,
    onConnection: (stream, request, peer) => {
      stream.on('error', () => {})
      this.#guests.push({ stream, request, peer })
      this.#events.emit('guest')
    },
    onRefused: reason => {
      this.refusals.push(reason)
      this.#events.emit('refused')
    }
  }

  get count(): number {
    return this.#guests.length
  }

  /** The connection handed on next, in order. */
  async next(): Promise<Guest> {
    while (this.#guests.length === 0) await once(this.#events, 'guest')
    return this.#guests.shift()!
  }

  async nextRefusal(): Promise<RefusalReason> {
    while (this.refusals.length === 0) await once(this.#events, 'refused')
    return this.refusals.shift()!
  }
}

/** Resolves when a socket is gone, whether by an error or not. */
export function closed(socket: Duplex): Promise<void> {
  return new Promise(resolve => {
    socket.on('error', () => {})
    socket.once('close', () => resolve())
  })
}
