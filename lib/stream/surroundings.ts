/** What the log is given from outside: time and somewhere to report to. pino's logger fits. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
}

export interface Logger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

export const systemClock: Clock = { now: () => Date.now() }

export const silentLogger: Logger = { info: ignore, warn: ignore, error: ignore }

function ignore(): void {
  // For callers that did not ask to be told.
}
