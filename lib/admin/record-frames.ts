import type { StreamGap } from '../stream/contract.ts'
import type { AdminLimits } from './limits.ts'

/** Offsets that a reader is told it does not get: retention has removed them, or the offset to begin at does not exist yet. */
export interface GapJson {
  gap: StreamGap & { reason: 'removed' | 'not-written' }
}

/** What stands between records in an answer, by its format. */
export const ndjsonFrames = {
  contentType: 'application/x-ndjson; charset=utf-8',
  beginning: () => '',
  gap: (gap: GapJson) => `${JSON.stringify(gap)}\n`,
  fault: (fault: object) => `${JSON.stringify(fault)}\n`,
  end: ''
}

export const sseFrames = {
  contentType: 'text/event-stream; charset=utf-8',
  beginning: ({ retryMs }: AdminLimits) => `retry: ${retryMs}\n\n`,
  gap: ({ gap }: GapJson) => `event: gap\nid: ${gap.toOffset - 1}\ndata: ${JSON.stringify(gap)}\n\n`,
  // Not "error": that is what a browser calls the end of the connection.
  fault: (fault: object) => `event: fault\ndata: ${JSON.stringify(fault)}\n\n`,
  end: 'event: end\ndata: {}\n\n'
}
