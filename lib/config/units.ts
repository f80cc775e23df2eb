/** Durations and sizes as people write them: `7d`, `30s`, `500ms`; `1MiB`, `10GiB`. */

const milliseconds: ReadonlyMap<string, number> = new Map([
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1]
])

const bytes: ReadonlyMap<string, number> = new Map([
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1]
])

export const durationPattern = /^\d+(\.\d+)?(ms|s|m|h|d|w)$/
export const sizePattern = /^\d+(\.\d+)?(B|KiB|MiB|GiB|TiB)$/

/** Milliseconds, or undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  return durationPattern.test(text) ? inUnits(text, milliseconds) : undefined
}

/** Bytes, or undefined when the text is no size. `KB`, `MB` and `M` are refused: people disagree on what they mean. */
export function parseSize(text: string): number | undefined {
  return sizePattern.test(text) ? inUnits(text, bytes) : undefined
}

/** The largest unit up to days that is exact: 86400000 is `1d`, 90000 is `90s`. 0 is `0`. */
export function formatDuration(ms: number): string {
  return format(ms, milliseconds)
}

/** The largest unit that is exact: 1048576 is `1MiB`. 0 is `0`. */
export function formatSize(size: number): string {
  return format(size, bytes)
}

function inUnits(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const unit = text.replace(/^[\d.]+/, '')
  const value = Math.round(Number.parseFloat(text) * (units.get(unit) ?? Number.NaN))
  return Number.isSafeInteger(value) ? value : undefined
}

function format(value: number, units: ReadonlyMap<string, number>): string {
  if (value === 0) return '0'
  for (const [unit, factor] of units) {
    // `7d` is what people write; `1w` would be shorter and needs a second look.
    if (unit !== 'w' && value % factor === 0) return `${value / factor}${unit}`
  }
  return String(value)
}
