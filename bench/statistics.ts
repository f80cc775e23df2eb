/** The middle value; of an even number of values the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export interface Spread {
  median: number
  min: number
  max: number
}

/** What several rounds of one measurement amount to. Rounds without a value (NaN) are left out. */
export function spread(values: readonly number[]): Spread {
  const present = values.filter(Number.isFinite)
  if (present.length === 0) return { median: Number.NaN, min: Number.NaN, max: Number.NaN }
  return { median: median(present), min: Math.min(...present), max: Math.max(...present) }
}

/** How many times `value` is `baseline`; NaN unless both are there and the baseline is above zero. */
export function ratio(value: number, baseline: number): number {
  return Number.isFinite(value) && baseline > 0 && Number.isFinite(baseline) ? value / baseline : Number.NaN
}
