import type { RetentionPolicy } from '../stream/contract.ts'
import type { StreamLog } from '../stream/stream-log.ts'
import { Streams, type StreamsOptions } from '../stream/streams.ts'
import { deadLetterStream } from './dead-letter-log.ts'

/** So that readers can share the letters: those of one publisher stay in order. */
const partitions = 8

export interface OpenLetterStream {
  readonly stream: StreamLog
  /** Applies retention now. */
  retain(): Promise<void>
  close(): Promise<void>
}

/** Opens the stream of dead letters among the others of the data folder, with retention of its own. Rejects as Streams.open() does. */
export async function openDeadLetterStream(
  options: Omit<StreamsOptions, 'declarations'> & { retention: RetentionPolicy }
): Promise<OpenLetterStream> {
  const { retention, ...rest } = options
  // The filter matches no topic that anybody can publish to.
  const declaration = {
    name: deadLetterStream,
    filter: deadLetterStream,
    key: 'clientId',
    partitions,
    retention,
    ack: 'synced'
  } as const
  const streams = await Streams.open({ ...rest, declarations: [declaration] })
  return { stream: streams.get(deadLetterStream)!, retain: () => streams.retain(), close: () => streams.close() }
}
