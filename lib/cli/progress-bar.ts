import { formatCount } from './units.ts'

const DRAW_EVERY_MS = 150
const BAR_CELLS = 24

/** How far a long command is. */
export interface Progress {
  records: number
  /** 0 to 1; undefined while nobody knows where the end is. */
  fraction: number | undefined
  elapsedMs: number
}

/** A line on a terminal that is drawn anew while the command runs. Anywhere else nothing is drawn. */
export class ProgressBar {
  readonly #err: { isTTY?: boolean; columns?: number; write(text: string): unknown }
  readonly #state: () => Progress
  #timer: NodeJS.Timeout | undefined

  constructor(err: { isTTY?: boolean; columns?: number; write(text: string): unknown }, state: () => Progress) {
    this.#err = err
    this.#state = state
  }

  start(): void {
    if (!this.#err.isTTY) return
    this.#draw()
    this.#timer = setInterval(() => this.#draw(), DRAW_EVERY_MS)
    this.#timer.unref()
  }

  /** Takes the line away, so that the last word stands in its place. */
  stop(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#err.write('\r\u001b[K')
  }

  #draw(): void {
    // One column is left free: a terminal may begin a new line when the last one is filled.
    const line = progressLine(this.#state()).slice(0, (this.#err.columns ?? 80) - 1)
    this.#err.write(`\r\u001b[K${line}`)
  }
}

/** `━━━━━━╌╌╌╌  48 %  1,200,000 records  310,000/s  0:12 left` */
export function progressLine({ records, fraction, elapsedMs }: Progress): string {
  const perSecond = elapsedMs > 0 ? Math.round((records * 1000) / elapsedMs) : 0
  const counted = `${formatCount(records)} records  ${formatCount(perSecond)}/s`
  if (fraction === undefined) return counted
  // Never 100 % before it is done.
  const done = Math.min(Math.max(fraction, 0), 0.999)
  const filled = Math.round(done * BAR_CELLS)
  const bar = '━'.repeat(filled) + '╌'.repeat(BAR_CELLS - filled)
  const left = done > 0 ? `  ${formatDuration((elapsedMs / done) * (1 - done))} left` : ''
  return `${bar}  ${String(Math.floor(done * 100)).padStart(2)} %  ${counted}${left}`
}

/** 75,000 ms → `1:15`, 3,675,000 ms → `1:01:15` */
function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  const two = (number: number) => String(number).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`
}
