import { TributaryError } from '../errors.ts'
import type { Offset, StreamGap } from './contract.ts'

/** sync() failed: the records [discardedFrom, discardedEnd) are not in the stream and their offsets will be given again. */
export class StreamWriteError extends TributaryError {
  readonly stream: string
  readonly discardedFrom: Offset
  readonly discardedEnd: Offset
  /** False when the stream stays failed until a later sync() manages to heal it. */
  readonly healed: boolean

  constructor(stream: string, from: Offset, end: Offset, healed: boolean, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const state = healed ? 'it takes appends again' : 'it stays failed until its file can be repaired; every sync tries to'
    super(
      'TRB_STREAM_WRITE_FAILED',
      `stream ${stream}: ${end - from} records from offset ${from} on could not be made durable and were discarded (${why}); ${state}`,
      { cause }
    )
    this.name = 'StreamWriteError'
    this.stream = stream
    this.discardedFrom = from
    this.discardedEnd = end
    this.healed = healed
  }
}

/** A read came to records that are lost. Reading on from `gap.toOffset` skips them knowingly. */
export class StreamCorruptError extends TributaryError {
  readonly stream: string
  readonly gap: StreamGap

  constructor(stream: string, gap: StreamGap) {
    super(
      'TRB_STREAM_CORRUPT',
      `stream ${stream}: records ${gap.fromOffset} to ${gap.toOffset - 1} are damaged or missing; the next readable offset is ${gap.toOffset}`
    )
    this.name = 'StreamCorruptError'
    this.stream = stream
    this.gap = { fromOffset: gap.fromOffset, toOffset: gap.toOffset }
  }
}
