import { TopicTrie } from '../topic/trie.ts'
import { TopicDialect, type TopicDialectOptions } from './topic-dialect.ts'

export interface EmittedMessage {
  topic: string
}
export type Listener<M extends EmittedMessage = EmittedMessage> = (message: M, done: () => void) => void

export interface TopicEmitterOptions extends TopicDialectOptions {
  /** Messages under way at a time; 0 = no limit. Further ones wait, in order. */
  concurrency?: number
}

/**
 * In-process publish/subscribe under mqemitter's contract (on, removeListener, removeAllListeners, emit, close), on the same trie
 * as MQTT subscriptions. The broker's default `mq`: unlike mqemitter it lets any number of messages wait without nesting calls.
 */
export class TopicEmitter {
  readonly #trie = new TopicTrie<Registration>()
  readonly #byFilter = new Map<string, Map<Listener, Registration>>()
  readonly #dialect: TopicDialect
  readonly concurrency: number
  readonly #waiting: (Waiting | undefined)[] = []
  /** Entries at the front of #waiting that are gone: a long array is slow to shift. */
  #taken = 0
  #draining = false
  /** Messages under way. */
  current = 0
  closed = false

  constructor(options: TopicEmitterOptions = {}) {
    this.concurrency = options.concurrency ?? 0
    this.#dialect = new TopicDialect(options)
  }

  /** Messages waiting for a free place when `concurrency` is limited. */
  get length(): number {
    return this.#waiting.length - this.#taken
  }

  get hasListeners(): boolean {
    return this.#byFilter.size > 0
  }

  matches(topic: string): boolean {
    return this.#byFilter.size > 0 && this.#match(topic).length > 0
  }

  on(filter: string, listener: Listener, done?: () => void): this {
    requireArguments(filter, listener)
    const registered = this.#byFilter.get(filter)
    const registration = registered?.get(listener) ?? { listener, filter: this.#dialect.filter(filter), count: 0 }
    registration.count++
    if (registration.count === 1) {
      if (registered) registered.set(listener, registration)
      else this.#byFilter.set(filter, new Map([[listener, registration]]))
      this.#trie.add(registration.filter, registration)
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
    if (registered) for (const registration of registered.values()) this.#trie.remove(registration.filter, registration)
    this.#byFilter.delete(filter)
    if (done) setImmediate(done)
    return this
  }

  /** `done` when every listener called back; with an error when the emitter is closed. */
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

  #match(topic: string): Registration[] {
    const translated = this.#dialect.topic(topic)
    const found = this.#trie.match(translated)
    if (this.#dialect.matchEmptyLevels) return found
    return found.filter(({ filter }) => this.#dialect.matchesNonEmpty(filter, translated))
  }

  #remove(filter: string, listener: Listener): void {
    const registered = this.#byFilter.get(filter)
    const registration = registered?.get(listener)
    if (registered === undefined || registration === undefined || --registration.count > 0) return
    registered.delete(listener)
    if (registered.size === 0) this.#byFilter.delete(filter)
    this.#trie.remove(registration.filter, registration)
  }

  #deliver(message: EmittedMessage, done: (error?: Error) => void): void {
    const listeners: Listener[] = []
    for (const { listener, count } of this.#match(message.topic)) for (let i = 0; i < count; i++) listeners.push(listener)
    this.current++
    let left = listeners.length
    const finished = (): void => {
      if (--left > 0) return
      // As mqemitter: a message is under way until its callback returned.
      done()
      this.current--
      this.#drain()
    }
    if (left === 0) return finished()
    for (const listener of listeners) listener.call(this, message, finished)
  }

  /** Lets waiting messages go while there is room. A loop, since each of them may end within its own call. */
  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    while (this.length > 0 && this.current < this.concurrency) {
      const { message, done } = this.#take()
      this.#deliver(message, done)
    }
    this.#draining = false
  }

  #take(): Waiting {
    const waiting = this.#waiting
    const first = waiting[this.#taken]!
    waiting[this.#taken++] = undefined
    if (this.#taken * 2 > waiting.length) {
      waiting.splice(0, this.#taken)
      this.#taken = 0
    }
    return first
  }
}

interface Waiting {
  message: EmittedMessage
  done: (error?: Error) => void
}

interface Registration {
  readonly listener: Listener
  /** As the trie knows it. */
  readonly filter: string
  /** A listener registered twice is called twice. */
  count: number
}

function requireArguments(filter: unknown, listener: unknown): void {
  if (!filter) throw new TypeError('topic is required')
  if (typeof listener !== 'function') throw new TypeError('listener is required')
}

function noop(): void {}
