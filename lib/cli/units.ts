const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** 1536 → `1.5 KiB` */
export function formatBytes(bytes: number): string {
  const unit = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** unit
  return `${unit === 0 ? value : value.toFixed(1)} ${byteUnits[unit]}`
}

/** 1234567 → `1,234,567` */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

const ageUnits: [name: string, seconds: number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1]
]

/** How long ago an ISO time was: `3 min ago`, `just now`. */
export function formatAge(time: string | null, nowMs: number): string {
  if (time === null) return '-'
  const seconds = Math.floor((nowMs - Date.parse(time)) / 1000)
  for (const [name, size] of ageUnits) if (seconds >= size) return `${Math.floor(seconds / size)} ${name} ago`
  return 'just now'
}

/** Seconds as a length of time: `2.5 s`, `3 min`; `-` when it is not known. */
export function formatSeconds(seconds: number | undefined): string {
  if (seconds === undefined) return '-'
  for (const [name, size] of ageUnits) if (size > 1 && seconds >= size) return `${Math.floor(seconds / size)} ${name}`
  return `${Number(seconds.toFixed(1))} s`
}
