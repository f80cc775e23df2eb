import type { Offset, ReadBatch, ReadFrom, ReadOptions, StreamRecord } from '../../lib/stream/contract.ts'
import { StreamCorruptError } from '../../lib/stream/errors.ts'
import { indexPath } from '../../lib/stream/segment.ts'
import type { StreamLog } from '../../lib/stream/stream-log.ts'
import { compactionDefaults } from '../../lib/stream/stream-log-options.ts'
import { MemoryFileSystem } from '../stream/memory-file-system.ts'
import { ManualClock, openLog, TestLogger } from '../stream/open-log.ts'
import type { From, Meanwhile, Script, Step, Work } from './log-steps.ts'
import { assert, equal, Tracker } from './log-tracker.ts'

interface ModelRecord {
  payload: string
  timestampMs: number
  who: number
}

interface OpenReader {
  tracker: Tracker
  batches: AsyncIterator<ReadBatch>
  pending: Promise<void> | undefined
  outcome: { batch: ReadBatch | undefined } | { error: unknown } | undefined
  outOfRange: 'fail' | 'earliest' | 'latest'
  stop: AbortController
}

const readersMax = 4
/** Turns of the event loop after which something that should have come is missing. */
const patienceTurns = 5_000
const none = Buffer.alloc(0)

/** A log and what an array knows of it. */
export class LogModel {
  readonly fileSystem = new MemoryFileSystem()
  readonly clock = new ManualClock()
  log: StreamLog | undefined
  /** By offset. */
  readonly records: ModelRecord[] = []
  durable = 0
  earliest = 0
  /** Offsets whose bytes were damaged or taken away. */
  readonly lost = new Set<Offset>()
  readonly #script: Script
  #logger = new TestLogger()
  /** First offsets of batches, durable and waiting. */
  #batchStarts: Offset[] = []
  /** What the next sync writes ends here; undefined = with everything. */
  #sealed: Offset | undefined
  #readers: OpenReader[] = []
  #made = 0
  /** The last sync failed. */
  #unmended = false
  /** Compaction has begun once, and may have removed something. */
  #compacted = false

  constructor(script: Script) {
    this.#script = script
  }

  async run(): Promise<void> {
    this.log = await this.#open()
    for (const [i, step] of this.#script.steps.entries()) {
      try {
        await this.#take(step)
      } catch (cause) {
        throw new Error(`step ${i}, ${step.do}: ${(cause as Error).message}`, { cause })
      }
    }
    await this.#finish()
  }

  /** Compaction may have taken it out: a later record has its key, or it only said that there is no more of it. */
  compactedAway(offset: Offset): boolean {
    if (!this.#compacted) return false
    const { who, payload } = this.records[offset]!
    if (payload === '') return true
    for (let later = offset + 1; later < this.durable; later++) if (this.records[later]!.who === who) return true
    return false
  }

  checkRecord(record: StreamRecord): void {
    const { payload, timestampMs, who } = this.records[record.offset]!
    const at = `record ${record.offset}`
    equal(record.payload.toString(), payload, `payload of ${at}`)
    equal(record.timestampMs, timestampMs, `time of ${at}`)
    equal(record.topic, `t/${who}`, `topic of ${at}`)
    equal(record.clientId, `c${who}`, `client of ${at}`)
    equal(record.qos, who % 3, `QoS of ${at}`)
    equal(record.retain, who === 1, `retain of ${at}`)
    equal(record.expiresAtMs, who === 2 ? timestampMs + 5_000 : 0, `expiry of ${at}`)
  }

  #open(): Promise<StreamLog> {
    this.#logger = new TestLogger()
    const { segmentBytesMax, retention, compacted } = this.#script
    const cleanup = compacted ? 'compact' : 'delete'
    const compaction = { ...compactionDefaults, tombstoneAgeMs: 5_000 }
    const { clock } = this
    return openLog(this.fileSystem, { segmentBytesMax, retention, cleanup, compaction, clock, logger: this.#logger })
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        for (let i = 0; i < step.count; i++) this.#append(step.who + i, step.size * this.#script.sizeFactor)
        break
      case 'sync':
        await this.#sync(step.meanwhile)
        this.#checkStats()
        break
      case 'seal':
        this.log!.seal()
        this.#sealed = this.records.length
        break
      case 'time':
        this.clock.nowMs += step.ms
        break
      case 'syncFails':
        await this.#failSync(step)
        break
      case 'crash':
        await this.#crash('nothing')
        break
      case 'crashDuring':
        await this.#crashDuring(step)
        break
      case 'restart':
        await this.#restart()
        break
      case 'retain':
        await this.#retain()
        break
      case 'retainFails':
        await this.#failRetention(step.skip)
        break
      case 'compact':
        await this.#compact()
        break
      case 'read':
        await this.#read(step.from, step.limit, step.who)
        break
      case 'readStrictly':
        await this.#readStrictly(this.#offsetAt(step.from))
        break
      case 'follow':
        this.#follow(step)
        break
      case 'pull':
        await this.#pull(this.#readers[step.reader % Math.max(1, this.#readers.length)], step.batches)
        break
      case 'flip':
        this.#flip(step)
        break
      case 'removeSegment':
        this.#removeSegment(step.at)
        break
      case 'spoilIndex':
        this.#spoilIndex(step)
        break
      default:
        step satisfies never
    }
  }

  async #finish(): Promise<void> {
    // The first sync takes what was sealed, the second the rest.
    for (let i = 0; i < 2; i++) await this.#take({ do: 'sync', meanwhile: 'nothing' })
    equal(this.durable, this.records.length, 'everything is durable in the end')
    for (const reader of [...this.#readers]) await this.#pull(reader, 10_000)
    for (const { tracker } of this.#readers) {
      if (!tracker.searching) equal(tracker.position, this.durable, 'a reader that follows has come to the end')
    }
    await this.#read({ type: 'earliest' }, undefined, undefined)
    await this.#restart()
    await this.#read({ type: 'earliest' }, undefined, undefined)
    await this.log!.close()
  }

  // ---- writing ----------------------------------------------------------------------------------------------------------------

  #append(number: number, size: number): void {
    const who = number % 4
    // Where the last value of a key counts, nothing is a value too: the key is gone.
    const isNothing = this.#script.compacted && size % 5 === 0
    const record = { payload: isNothing ? '' : `r${this.#made++}-${'x'.repeat(size)}`, timestampMs: this.clock.nowMs, who }
    if (this.log!.pendingBytes === 0 || this.#sealed === this.records.length) this.#batchStarts.push(this.records.length)
    const bytes = Buffer.from(record.payload)
    const expiresAtMs = who === 2 ? record.timestampMs + 5_000 : 0
    const source = this.log!.source(`t/${who}`, `c${who}`)
    const qos = (who % 3) as 0 | 1 | 2
    const offset = this.log!.append(source, qos, who === 1, record.timestampMs, expiresAtMs, none, bytes, 0, bytes.length)
    equal(offset, this.records.length, 'offset of an append')
    this.records.push(record)
  }

  /** Syncs, with something else going on while the write runs. Resolves with whether it failed. */
  async #sync(meanwhile: Meanwhile): Promise<boolean> {
    const end = this.#sealed ?? this.records.length
    this.#sealed = undefined
    const failing = fails(this.log!.sync())
    await turn()
    if (meanwhile !== 'nothing') this.#append(1, 20)
    if (meanwhile === 'seal') {
      this.log!.seal()
      this.#sealed = this.records.length
      this.#append(2, 20)
    }
    const failed = await failing
    if (failed) this.#forgetBehind(this.durable)
    else {
      // One that had to mend the file first may have taken along what came meanwhile.
      const { durableOffset } = this.log!
      assert(durableOffset >= end && durableOffset <= this.records.length, `${end} were promised, ${durableOffset} are durable`)
      assert(
        durableOffset === end || this.#unmended,
        `what came after the call was written with it: ${durableOffset}, not ${end}`
      )
      this.durable = durableOffset
      if (this.#sealed !== undefined && this.#sealed <= durableOffset) this.#sealed = undefined
    }
    this.#unmended = failed
    equal(this.log!.nextOffset, this.records.length, 'next offset after a sync')
    equal(this.log!.durableOffset, this.durable, 'durable offset after a sync')
    equal(this.log!.dirty, this.durable < this.records.length, 'dirty after a sync')
    return failed
  }

  async #failSync({ code, bytesWritten, times, heals, meanwhile }: Extract<Step, { do: 'syncFails' }>): Promise<void> {
    this.fileSystem.fail({ operation: 'write', code, bytesWritten, times })
    if (!heals) this.fileSystem.fail({ operation: 'truncate', code: 'EIO' })
    await this.#sync(meanwhile)
    this.fileSystem.faults.length = 0
  }

  #forgetBehind(offset: Offset): void {
    this.records.length = offset
    this.durable = Math.min(this.durable, offset)
    this.#sealed = undefined
    this.#batchStarts = this.#batchStarts.filter(start => start < offset)
    for (const one of this.lost) if (one >= offset) this.lost.delete(one)
  }

  // ---- ends and beginnings ------------------------------------------------------------------------------------------------------

  async #restart(): Promise<void> {
    await this.log!.close()
    this.durable = this.records.length
    this.#sealed = undefined
    await this.#reopen()
    equal(this.log!.nextOffset, this.records.length, 'next offset after a restart')
    this.#checkEarliest()
    this.#checkStats()
  }

  async #reopen(): Promise<void> {
    for (const { stop, pending } of this.#readers) {
      stop.abort()
      await pending
    }
    this.#readers = []
    this.log = await this.#open()
  }

  async #crashDuring({ work, operation, bytesWritten, skip }: Extract<Step, { do: 'crashDuring' }>): Promise<void> {
    this.fileSystem.fail({ operation, bytesWritten, skip, code: 'EIO', crash: true })
    if (work === 'compact') this.#compacted = true
    const before = this.fileSystem.power
    const failed = await fails(this.log![work]())
    this.fileSystem.faults.length = 0
    // The power may have failed behind the promise, in what goes on in the background.
    if (!failed && work === 'close') this.durable = this.records.length
    if (!failed && work === 'sync') {
      this.durable = this.#sealed ?? this.records.length
      this.#sealed = undefined
    }
    await this.#crash(before === this.fileSystem.power && failed ? 'retain' : work)
  }

  async #crash(work: Work | 'nothing'): Promise<void> {
    const removable = this.#removable()
    this.fileSystem.crash()
    await this.#reopen()
    const { nextOffset, earliestOffset } = this.log!.stats()
    assert(
      nextOffset <= this.records.length,
      `${nextOffset} records came back, there never were more than ${this.records.length}`
    )
    if (nextOffset < this.durable) this.#checkTornAway(nextOffset)
    assert(
      nextOffset >= this.durable || nextOffset === this.records.length || this.#batchStarts.includes(nextOffset),
      `half a batch came back: ${nextOffset}`
    )
    this.#forgetBehind(nextOffset)
    this.durable = nextOffset
    if (work === 'retain') this.earliest = Math.max(this.earliest, Math.min(removable, earliestOffset))
    this.#checkEarliest()
    await this.#read({ type: 'earliest' }, undefined, undefined)
    if (this.#script.compacted) await this.#checkLastValues()
  }

  /** The last writes of all cannot be told from torn ones when they are damaged: then they are cut off, with a warning. */
  #checkTornAway(nextOffset: Offset): void {
    for (let offset = nextOffset; offset < this.durable; offset++) {
      assert(this.lost.has(offset), `${offset} was durable and whole, and is gone: only ${nextOffset} came back`)
    }
    assert(
      this.#logger.lines.some(({ level, details }) => level !== 'info' && 'tornBytes' in details),
      'records were cut off without a warning'
    )
  }

  #checkEarliest(): void {
    const { earliestOffset } = this.log!
    // A removed file at the beginning looks as if retention had been there.
    for (let offset = this.earliest; offset < earliestOffset; offset++) {
      assert(this.lost.has(offset), `${offset} is there no more: the earliest offset is ${earliestOffset}`)
    }
    assert(earliestOffset >= this.earliest, `the earliest offset was ${this.earliest} and is ${earliestOffset}`)
    this.earliest = earliestOffset
  }

  #checkStats(): void {
    const stats = this.log!.stats()
    equal(stats.nextOffset, this.records.length, 'stats: next offset')
    equal(stats.earliestOffset, this.earliest, 'stats: earliest offset')
    if (this.lost.size > 0 || this.#script.compacted) return
    const there = this.records.slice(this.earliest, this.durable)
    equal(stats.earliestTimestampMs, there[0]?.timestampMs, 'stats: first time')
    const lastSegment = this.log!.segments.filter(({ nextOffset, baseOffset }) => nextOffset > baseOffset).at(-1)
    const inLast = this.records.slice(lastSegment?.baseOffset, this.durable).map(({ timestampMs }) => timestampMs)
    equal(stats.latestTimestampMs, there.length === 0 ? undefined : Math.max(...inLast), 'stats: last time')
    const files = this.fileSystem.paths().filter(path => path.endsWith('.segment'))
    equal(stats.segments, files.length, 'stats: segments')
    equal(this.log!.gaps.length, 0, 'gaps')
  }

  // ---- retention ----------------------------------------------------------------------------------------------------------------

  /** Segments as the model sees them: what they hold, and how many bytes the log says that is. */
  #layout(): { from: Offset; to: Offset; bytes: number; latestMs: number }[] {
    return this.log!.segments.map(({ baseOffset, nextOffset, endPosition }) => {
      const times = this.records.slice(baseOffset, nextOffset).map(({ timestampMs }) => timestampMs)
      return { from: baseOffset, to: nextOffset, bytes: endPosition, latestMs: Math.max(...times) }
    })
  }

  /** The offset before which retention may remove. */
  #removable(): Offset {
    // With compaction alone retention counts for nothing.
    if (this.#script.compacted) return this.earliest
    const { ageMs, bytes } = this.#script.retention
    const layout = this.#layout()
    let rest = layout.reduce((sum, segment) => sum + segment.bytes, 0)
    for (const [i, segment] of layout.entries()) {
      const isOld = ageMs > 0 && segment.latestMs < this.clock.nowMs - ageMs
      const isTooMuch = bytes > 0 && rest > bytes
      // The last one may be rolled for its age and then go.
      if (!isOld && (!isTooMuch || i === layout.length - 1)) return segment.from
      rest -= segment.bytes
    }
    return this.log!.durableOffset
  }

  async #retain(): Promise<void> {
    const removable = this.#removable()
    await this.log!.retain()
    // How old damaged records are is not known after a scan.
    const expected = Math.max(removable, this.earliest)
    if (this.lost.size === 0) equal(this.log!.earliestOffset, expected, 'earliest offset after retention')
    else assert(this.log!.earliestOffset >= this.earliest, 'the earliest offset went back')
    this.earliest = this.log!.earliestOffset
    this.#checkFirstSegment()
    this.#checkStats()
  }

  /** Records before it may have gone; its file is there. */
  #checkFirstSegment(): void {
    const [first] = this.log!.segments
    const paths = this.fileSystem.paths()
    const there = paths.includes(first!.path) || this.lost.has(first!.baseOffset)
    assert(there, `the first segment is ${first!.path}, and it is not there`)
    // An index stays behind when somebody takes its segment away.
    if (this.lost.size > 0 || this.#script.compacted) return
    const behind = paths.filter(path => /\.(segment|index)$/.test(path) && path < indexPath(first!.path))
    equal(behind.join(), '', 'files that retention has left')
  }

  async #failRetention(skip: number): Promise<void> {
    const removable = this.#removable()
    this.fileSystem.fail({ operation: 'unlink', code: 'EIO', skip })
    const failed = await fails(this.log!.retain())
    this.fileSystem.faults.length = 0
    const { earliestOffset } = this.log!
    assert(earliestOffset <= removable && earliestOffset >= this.earliest, `retention that failed came to ${earliestOffset}`)
    if (!failed) equal(earliestOffset, Math.max(removable, this.earliest), 'earliest offset after retention')
    this.earliest = earliestOffset
    await this.#read({ type: 'earliest' }, undefined, undefined)
  }

  // ---- compaction ---------------------------------------------------------------------------------------------------------------

  async #compact(): Promise<void> {
    this.#compacted = true
    await this.log!.compact()
    const activeFrom = this.log!.segments.at(-1)!.baseOffset
    const seen = new Set<string>()
    for await (const { clientId, offset } of this.log!.read({ from: 'earliest' })) {
      if (offset >= activeFrom) break
      assert(!seen.has(clientId), `${offset} of ${clientId} is there, and an earlier record too`)
      seen.add(clientId)
    }
    await this.#checkLastValues()
  }

  /** Whoever reads it all has the last value of each key, as if nothing had been removed. */
  async #checkLastValues(): Promise<void> {
    const expected = new Map<string, string>()
    for (const { who, payload } of this.records.slice(this.earliest, this.durable)) put(expected, `c${who}`, payload)
    const got = new Map<string, string>()
    for await (const { clientId, payload } of this.log!.read({ from: 'earliest' })) put(got, clientId, payload.toString())
    const text = (values: Map<string, string>) => JSON.stringify([...values].sort())
    equal(text(got), text(expected), 'last values')
  }

  // ---- reading ------------------------------------------------------------------------------------------------------------------

  #offsetAt(permille: number): Offset {
    return this.earliest + Math.round(((this.durable - this.earliest) * permille) / 1000)
  }

  /** The time of a record that is there, or a millisecond to one side: that is where comparisons go wrong. */
  #timeAt(permille: number): number {
    return (this.records[this.#offsetAt(permille)]?.timestampMs ?? this.clock.nowMs) + (permille % 3) - 1
  }

  #begin(from: From, who: number | undefined, lenient: boolean) {
    const offset = 'permille' in from ? this.#offsetAt(from.permille) : 0
    const tracker = (start: Offset, fromTimeMs?: number) => new Tracker(this, { start, fromTimeMs, who, lenient })
    const select: Pick<ReadOptions, 'select'> = who === undefined ? {} : { select: ({ clientId }) => clientId === `c${who}` }
    const begun = (read: ReadFrom, watch: Tracker) => ({ watch, options: { from: read, ...select } })
    if (from.type === 'earliest') return begun('earliest', tracker(this.earliest))
    if (from.type === 'latest') return begun('latest', tracker(this.durable))
    if (from.type === 'offset') return begun({ offset }, tracker(offset))
    const timeMs = this.#timeAt('permille' in from ? from.permille : 0)
    return begun({ timeMs }, tracker(this.earliest, timeMs))
  }

  async #read(from: From, limit: number | undefined, who: number | undefined): Promise<void> {
    const { watch, options } = this.#begin(from, who, false)
    const { onGap, onRemoved } = watch
    const limited = limit === undefined ? {} : { limit }
    for await (const batch of this.log!.readBatches({ ...options, ...limited, onGap, onRemoved })) watch.take(batch)
    if (limit !== undefined && watch.delivered.length >= limit) {
      equal(watch.delivered.length, limit, 'records of a limited read')
    } else if (watch.searching) {
      equal(watch.firstInTime, undefined, 'first record of a read from a time that found nothing')
    } else {
      equal(watch.position, this.durable, 'end of a read')
    }
  }

  /** Without onGap a read says where the damage is, exactly, and delivers everything before. */
  async #readStrictly(from: Offset): Promise<void> {
    let position = from
    try {
      for await (const record of this.log!.read({ from: { offset: from } })) {
        while (position < record.offset && this.compactedAway(position)) position++
        equal(record.offset, position++, 'offset')
        this.checkRecord(record)
      }
      while (position < this.durable && this.compactedAway(position)) position++
      for (let offset = from; offset < this.durable; offset++)
        assert(!this.lost.has(offset), `${offset} is lost and was not missed`)
      equal(position, this.durable, 'end of a read')
    } catch (error) {
      if (!(error instanceof StreamCorruptError)) throw error
      const { fromOffset, toOffset } = error.gap
      equal(fromOffset, position, 'beginning of the damage')
      for (let offset = fromOffset; offset < toOffset; offset++) assert(this.lost.has(offset), `${offset} is not lost`)
    }
  }

  #follow({ from, outOfRange, who }: Extract<Step, { do: 'follow' }>): void {
    if (this.#readers.length >= readersMax) return
    const { watch, options } = this.#begin(from, who, true)
    const { onGap, onRemoved } = watch
    const stop = new AbortController()
    const { signal } = stop
    const read = this.log!.readBatches({ ...options, follow: true, outOfRange, signal, onGap, onRemoved })
    const reader: OpenReader = {
      ...{ tracker: watch, batches: read[Symbol.asyncIterator](), stop, outOfRange },
      ...{ pending: undefined, outcome: undefined }
    }
    this.#readers.push(reader)
    this.#ask(reader)
  }

  #ask(reader: OpenReader): void {
    reader.outcome = undefined
    reader.pending = reader.batches.next().then(
      ({ done, value }) => {
        reader.outcome = { batch: done ? undefined : value }
      },
      (error: unknown) => {
        reader.outcome = { error }
      }
    )
  }

  /** Takes what is there for a reader, at most so many batches. */
  async #pull(reader: OpenReader | undefined, batchesMax: number): Promise<void> {
    if (reader === undefined) return
    const { tracker } = reader
    for (let taken = 0; taken < batchesMax; taken++) {
      for (let turns = 0; reader.outcome === undefined; turns++) {
        const owed = tracker.searching ? tracker.firstInTime !== undefined : tracker.position < this.durable
        if (!owed && turns > 10) return
        assert(turns < patienceTurns, `a reader hangs at ${tracker.position}, ${this.durable} records are there`)
        await turn()
      }
      const { outcome } = reader
      if ('error' in outcome) {
        this.#readers.splice(this.#readers.indexOf(reader), 1)
        assert(
          (outcome.error as { code?: string }).code === 'TRB_OFFSET_OUT_OF_RANGE',
          `a reader failed: ${String(outcome.error)}`
        )
        equal(reader.outOfRange, 'fail', 'what a reader was to do when retention is faster')
        assert(tracker.position < this.log!.earliestOffset, `nothing was removed that the reader at ${tracker.position} wanted`)
        return
      }
      assert(outcome.batch !== undefined, `a reader that follows ended at ${tracker.position}`)
      tracker.take(outcome.batch!)
      this.#ask(reader)
    }
  }

  // ---- damage -------------------------------------------------------------------------------------------------------------------

  #flip({ at, what }: Extract<Step, { do: 'flip' }>): void {
    const offset = this.#offsetAt(at)
    if (offset >= this.durable || this.lost.has(offset)) return
    const segment = this.log!.segments.find(({ nextOffset }) => nextOffset > offset)!
    const file = Buffer.from(this.fileSystem.bytes(segment.path))
    const payload = file.indexOf(this.records[offset]!.payload)
    assert(payload >= 0, `record ${offset} is not in ${segment.path}`)
    const position = what === 'payload' ? payload : file.lastIndexOf('TRBB', payload) + 8
    file[position] = file[position]! ^ 0x10
    this.fileSystem.put(segment.path, file)
    const start = this.#batchStarts.filter(first => first <= offset).at(-1)!
    const end = this.#batchStarts.find(first => first > offset) ?? this.durable
    for (let one = start; one < Math.min(end, this.durable); one++) this.lost.add(one)
  }

  #removeSegment(at: number): void {
    const inner = this.log!.segments.slice(1, -1)
    const segment = inner[Math.floor((inner.length * at) / 1001)]
    if (segment === undefined) return
    this.fileSystem.remove(segment.path)
    for (let offset = segment.baseOffset; offset < segment.nextOffset; offset++) this.lost.add(offset)
  }

  #spoilIndex({ at, how }: Extract<Step, { do: 'spoilIndex' }>): void {
    const paths = this.fileSystem.paths().filter(path => path.endsWith('.index'))
    const path = paths[Math.floor((paths.length * at) / 1001)]
    if (path === undefined) return
    if (how === 'remove') return this.fileSystem.remove(path)
    const bytes = Buffer.from(this.fileSystem.bytes(path))
    if (how === 'cut') return this.fileSystem.put(path, bytes.subarray(0, (bytes.length * at) / 1001))
    const position = Math.floor((bytes.length * at) / 1001)
    bytes[position] = bytes[position]! ^ 1
    this.fileSystem.put(path, bytes)
  }
}

function put(values: Map<string, string>, key: string, value: string): void {
  if (value === '') values.delete(key)
  else values.set(key, value)
}

async function fails(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return false
  } catch {
    return true
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
