/** What callers can make the admin server hold and wait for. */
export interface AdminLimits {
  /** Reads of records at the same time; one more is refused with 503. */
  readersMax: number
  /** Records of one long poll, and how many without `limit`. A read that streams has no limit unless one is given. */
  pollRecordsMax: number
  pollRecordsDefault: number
  /** Bytes of the records of one long poll; the record that goes beyond is the last one. */
  pollBytesMax: number
  /** Longest wait of a long poll. */
  waitMsMax: number
  /** A server-sent event stream that says nothing for so long gets a comment, so that nothing on the way cuts it. */
  keepAliveMs: number
  /** What a browser is told to wait before it connects again. */
  retryMs: number
  /** A reader that takes nothing for so long is cut off. */
  stalledMs: number
}

export const adminLimits: AdminLimits = {
  readersMax: 100,
  pollRecordsMax: 10_000,
  pollRecordsDefault: 1_000,
  pollBytesMax: 4_194_304,
  waitMsMax: 60_000,
  keepAliveMs: 15_000,
  retryMs: 3_000,
  stalledMs: 120_000
}
