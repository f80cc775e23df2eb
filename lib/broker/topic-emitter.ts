import { TopicTrie } from '../topic/trie.ts'

export interface EmittedMessage {
  topic: string
}
export type Listener<M extends EmittedMessage = EmittedMessage> = (message: M, done: () => void) => void

/**
 * In-process publish/subscribe under mqemitter's contract (on, removeListener, removeAllListeners, emit, close), on the same trie
 * as MQTT subscriptions. The native engine's default `mq`.
 */
export class TopicEmitter {
  readonly #trie = new TopicTrie<Registration>()
  readonly #byFilter = new Map<string, Map<Listener, Registration>>()
  readonly concurrency: number
  readonly #waiting: { message: EmittedMessage; done: (error?: Error) => void }[] = []
  current = 0
  closed = false

  constructor(options: { concurrency?: number } = {}) {
    this.concurrency = options.concurrency ?? 0
  }

  /** Messages waiting for a free place when `concurrency` is limited. */
  get length(): number {
    return this.#waiting.length
  }

  get hasListeners(): boolean {
    return this.#byFilter.size > 0
  }

  matches(topic: string): boolean {
    return this.#byFilter.size > 0 && this.#trie.match(topic).length > 0
  }

  on(filter: string, listener: Listener, done?: () => void): this {
    requireArguments(filter, listener)
    const registered = this.#byFilter.get(filter)
    const registration = registered?.get(listener) ?? { listener, count: 0 }
    registration.count++
    if (registration.count === 1) {
      if (registered) registered.set(listener, registration)
      else this.#byFilter.set(filter, new Map([[listener, registration]]))
      this.#trie.add(filter, registration)
    }
    if (done) setImmediate(done)
    return this
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    requireArguments(filter, listener)
    // mqemitter removes on the next turn, so that a listener may remove itself while it runs.
    setImmediate(() => {
      this.#remove(filter, listener)
      done?.()
    })
    return this
  }

  removeAllListeners(filter: string, done?: () => void): this {
    const registered = this.#byFilter.get(filter)
    if (registered) for (const registration of registered.values()) this.#trie.remove(filter, registration)
    this.#byFilter.delete(filter)
    if (done) setImmediate(done)
    return this
  }

  emit(message: EmittedMessage, done: (error?: Error) => void = noop): this {
    if (!message) throw new TypeError('message is required')
    if (this.closed) {
      done(new Error('mqemitter is closed'))
      return this
    }
    if (this.concurrency > 0 && this.current >= this.concurrency) this.#waiting.push({ message, done })
    else this.#deliver(message, done)
    return this
  }

  close(done: () => void = noop): this {
    this.closed = true
    setImmediate(done)
    return this
  }

  #remove(filter: string, listener: Listener): void {
    const registered = this.#byFilter.get(filter)
    const registration = registered?.get(listener)
    if (registered === undefined || registration === undefined || --registration.count > 0) return
    registered.delete(listener)
    if (registered.size === 0) this.#byFilter.delete(filter)
    this.#trie.remove(filter, registration)
  }

  #deliver(message: EmittedMessage, done: (error?: Error) => void): void {
    const listeners: Listener[] = []
    for (const { listener, count } of this.#trie.match(message.topic)) for (let i = 0; i < count; i++) listeners.push(listener)
    if (listeners.length === 0) {
      done()
      return
    }
    this.current++
    let left = listeners.length
    const finished = (): void => {
      if (--left > 0) return
      this.current--
      done()
      const next = this.#waiting.shift()
      if (next) this.#deliver(next.message, next.done)
    }
    for (const listener of listeners) listener.call(this, message, finished)
  }
}

interface Registration {
  readonly listener: Listener
  /** A listener registered twice is called twice. */
  count: number
}

function requireArguments(filter: unknown, listener: unknown): void {
  if (!filter) throw new TypeError('topic is required')
  if (typeof listener !== 'function') throw new TypeError('listener is required')
}

function noop(): void {}
