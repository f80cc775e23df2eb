import { setTimeout as pause } from 'node:timers/promises'
import type { Message } from '../mqtt/message.ts'
import type { Qos } from '../mqtt/packet.ts'
import { decodeMessageProperties, encodeMessageProperties } from '../mqtt/properties.ts'
import type { DeadLetterLog, DeadLetterStats } from './dead-letter-log.ts'
import type { LetterAct, LetterMark } from './letter-marks.ts'
import { type KeptLetter, readLetter } from './letter-record.ts'
import { isSelected, type LetterSelection } from './selection.ts'

/** The part of the broker that sends letters again. */
export interface Redriver {
  /**
   * Puts the message into the queue of a client's session, in the open commit epoch. Returns why it does not, for people; undefined
   * when it did.
   */
  toClient(clientId: string, message: Message, qos: Qos): string | undefined
  /** Publishes it. Rejects when it is not on disk. */
  toTopic(message: Message): Promise<void>
  /** Resolves when everything written so far is on disk; rejects when it is not. */
  flush(): Promise<void>
}

export interface DeskOptions {
  log: DeadLetterLog
  redriver: Redriver
  /** Letters a re-drive sends in a second when it is not told otherwise. */
  redrivePerSecond: number
  /** Epoch milliseconds. */
  now: () => number
  /** Where acts are recorded. */
  logger?: { info(details: object, message: string): void } | undefined
}

/** A letter with what was done with it. */
export interface MarkedLetter extends KeptLetter {
  readonly mark: LetterMark | undefined
}

export interface LetterPage {
  /** The last ones of those that match, oldest first. */
  letters: MarkedLetter[]
  /** How many match. */
  matched: number
}

export interface ActOptions {
  /** Only say what would be done. */
  dryRun?: boolean | undefined
  /** Letters at most; default `lettersPerActMax`. */
  limit?: number | undefined
  /** Who asked, for the audit log. */
  by?: string | undefined
  signal?: AbortSignal | undefined
}

export interface RedriveOptions extends ActOptions {
  to: 'client' | 'topic'
  /** Letters per second. */
  rate?: number | undefined
}

export interface ActReport {
  act: 'redrive' | 'discard'
  dryRun: boolean
  /** Letters that match the selection. */
  matched: number
  /** Letters it was done with, or with dryRun would be. */
  done: number
  /** Letters with which an act was done before. */
  already: number
  /** Letters with which it could not be done. */
  failed: number
  /** The first of those that it was not done with, and why. */
  notes: ActNote[]
}

export interface ActNote {
  id: number
  why: string
}

/** Letters that one act deals with at most; the next one goes on. */
const lettersPerActMax = 100_000
/** Letters between two commits, and how often a second there is one. */
const lettersPerCommitMax = 256
const commitsPerSecond = 20
const notesMax = 100

/** Where operators look at dead letters and decide what becomes of them. */
export class DeadLetterDesk {
  readonly #options: DeskOptions
  /** Letters that an act is dealing with: another one leaves them alone. */
  readonly #busy = new Set<number>()

  constructor(options: DeskOptions) {
    this.#options = options
  }

  stats(): DeadLetterStats {
    return this.#options.log.stats()
  }

  /** Letters that match, oldest first; only what is on disk by now. */
  async *read(selection: LetterSelection = {}, signal?: AbortSignal): AsyncGenerator<MarkedLetter, void, undefined> {
    const { stream, marks } = this.#options.log
    if (selection.ids !== undefined) {
      for (const id of [...new Set(selection.ids)].sort((a, b) => a - b)) {
        const letter = await this.get(id)
        if (letter !== undefined && isSelected(selection, letter, letter.mark)) yield letter
      }
      return
    }
    const from = selection.fromMs === undefined ? ('earliest' as const) : { timeMs: selection.fromMs }
    const options = { from, outOfRange: 'earliest' as const, onGap: () => {}, ...(signal ? { signal } : {}) }
    for await (const record of stream.read(options)) {
      const letter = readLetter(record)
      const mark = marks.of(letter.id)
      if (isSelected(selection, letter, mark)) yield { ...letter, mark }
    }
  }

  /** The last `limit` letters that match, and how many there are. */
  async list(selection: LetterSelection, limit: number, signal?: AbortSignal): Promise<LetterPage> {
    let letters: MarkedLetter[] = []
    let matched = 0
    for await (const letter of this.read(selection, signal)) {
      matched++
      letters.push(letter)
      if (letters.length >= limit * 2) letters = letters.slice(-limit)
    }
    return { letters: letters.slice(-limit), matched }
  }

  /** One letter; undefined when it was never there, or retention has removed it. */
  async get(id: number): Promise<MarkedLetter | undefined> {
    const { stream, marks } = this.#options.log
    const { earliestOffset, nextOffset } = stream.stats()
    if (!Number.isSafeInteger(id) || id < earliestOffset || id >= nextOffset) return undefined
    const options = { from: { offset: id }, limit: 1, outOfRange: 'earliest', onGap: () => {} } as const
    for await (const record of stream.read(options)) {
      if (record.offset === id) return { ...readLetter(record), mark: marks.of(id) }
    }
    return undefined
  }

  /**
   * Sends letters again and marks them, each once: who asks again is told that it was done. To a client: into the queue of its session, in
   * the same commit as the mark. To the topic: published anew, and marked when that is on disk, so a crash between may repeat it. What
   * is sent carries the User Property `dead-letter-id`; an expiry that is over is left out. Rejects when the disk fails.
   */
  async redrive(selection: LetterSelection, options: RedriveOptions): Promise<ActReport> {
    const { to, rate = this.#options.redrivePerSecond } = options
    const act = to === 'client' ? 'redriven-to-client' : 'redriven-to-topic'
    const send = (letter: MarkedLetter) => (to === 'client' ? this.#toClient(letter) : this.#toTopic(letter))
    return this.#act('redrive', act, selection, options, Math.max(1, rate), send)
  }

  /** Marks letters as dealt with: they are not shown as open any more, and cannot be sent again. */
  async discard(selection: LetterSelection, options: ActOptions = {}): Promise<ActReport> {
    return this.#act('discard', 'discarded', selection, options, Number.POSITIVE_INFINITY, () => undefined)
  }

  async #act(
    name: ActReport['act'],
    act: LetterAct,
    selection: LetterSelection,
    { dryRun = false, limit = lettersPerActMax, by, signal }: ActOptions,
    perSecond: number,
    send: (letter: MarkedLetter) => string | undefined | Promise<string | undefined>
  ): Promise<ActReport> {
    const { log, now } = this.#options
    const report: ActReport = { act: name, dryRun, matched: 0, done: 0, already: 0, failed: 0, notes: [] }
    const atMs = now()
    const perCommit = Math.max(1, Math.min(lettersPerCommitMax, Math.floor(perSecond / commitsPerSecond)))
    let batch: MarkedLetter[] = []
    const flush = async (): Promise<void> => {
      const letters = batch
      batch = []
      await this.#doBatch(letters, act, atMs, report, send)
      if (letters.length === perCommit && Number.isFinite(perSecond)) {
        await pause((perCommit / perSecond) * 1000, undefined, signal ? { signal } : {})
      }
    }
    // Marks of letters that retention has removed are forgotten.
    log.stats()
    let failure: unknown
    try {
      for await (const letter of this.read(selection, signal)) {
        if (report.matched >= limit) break
        report.matched++
        const before = this.#before(letter)
        if (before !== undefined) {
          report.already++
          note(report, letter.id, before)
        } else if (dryRun) report.done++
        else {
          this.#busy.add(letter.id)
          batch.push(letter)
        }
        if (batch.length >= perCommit) await flush()
      }
      if (batch.length > 0) await flush()
    } catch (error) {
      failure = error
      throw error
    } finally {
      for (const { id } of batch) this.#busy.delete(id)
      const { notes: _, ...counts } = report
      const record = { audit: true, by, ...counts, act, selection, ...(failure === undefined ? {} : { err: failure }) }
      this.#options.logger?.info(record, `dead letters: ${name}`)
    }
    return report
  }

  /** Why nothing is done with a letter any more. */
  #before({ id }: MarkedLetter): string | undefined {
    const { marks } = this.#options.log
    const mark = marks.of(id)
    if (mark !== undefined) {
      return `already ${mark.act === 'discarded' ? 'discarded' : 're-driven'} at ${new Date(mark.atMs).toISOString()}`
    }
    if (this.#busy.has(id)) return 'another act deals with it at the moment'
    return marks.full ? 'too many single letters are marked: wait until retention has removed some' : undefined
  }

  async #doBatch(
    letters: readonly MarkedLetter[],
    act: LetterAct,
    atMs: number,
    report: ActReport,
    send: (letter: MarkedLetter) => string | undefined | Promise<string | undefined>
  ): Promise<void> {
    const { log, redriver } = this.#options
    try {
      const sent: (readonly [MarkedLetter, string | undefined | Promise<string | undefined>])[] = []
      for (const letter of letters) {
        const outcome = send(letter)
        // In this turn, so that the mark is in the same batch of the store as what was put into the client's queue.
        if (outcome === undefined) log.marks.set(letter.id, act, atMs)
        sent.push([letter, outcome])
      }
      for (const [letter, outcome] of sent) {
        const why = await outcome
        if (why === undefined) {
          report.done++
          if (outcome !== undefined) log.marks.set(letter.id, act, atMs)
        } else {
          report.failed++
          note(report, letter.id, why)
        }
      }
      await redriver.flush()
    } finally {
      for (const { id } of letters) this.#busy.delete(id)
    }
  }

  #toClient(letter: MarkedLetter): string | undefined {
    const { clientId, qos } = letter
    if (clientId === undefined) return 'it was not for one client: re-drive it to its topic'
    return this.#options.redriver.toClient(clientId, this.#messageOf(letter), qos)
  }

  async #toTopic(letter: MarkedLetter): Promise<string | undefined> {
    try {
      // Retained, it would replace a newer message.
      await this.#options.redriver.toTopic({ ...this.#messageOf(letter), retain: false, publishedAtMs: this.#options.now() })
      return undefined
    } catch (error) {
      return `it could not be published: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  /** The message as it was, with the letter's id. */
  #messageOf({ id, message }: MarkedLetter): Message {
    const { userProperties = [] } = decodeMessageProperties(message.properties)
    const told = userProperties.some(([name]) => name === idProperty) ? [] : [idPropertyOf(id)]
    const expired = message.expiresAtMs !== 0 && message.expiresAtMs <= this.#options.now()
    return {
      ...message,
      properties: Buffer.concat([message.properties, ...told]),
      expiresAtMs: expired ? 0 : message.expiresAtMs
    }
  }
}

const idProperty = 'dead-letter-id'

function idPropertyOf(id: number): Buffer {
  return encodeMessageProperties({ userProperties: [[idProperty, String(id)]] })
}

function note({ notes }: ActReport, id: number, why: string): void {
  if (notes.length < notesMax) notes.push({ id, why })
}
