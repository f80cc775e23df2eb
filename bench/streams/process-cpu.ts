import { readdirSync, readFileSync } from 'node:fs'

/** Processor time of a process so far, all its threads that still run, in seconds. Linux only; /proc counts it in nanoseconds. */
export function processCpuSeconds(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) nanoseconds += threadNanoseconds(`/proc/${pid}/task/${thread}/schedstat`)
  return nanoseconds / 1e9
}

function threadNanoseconds(file: string): number {
  try {
    return Number(readFileSync(file, 'latin1').split(' ')[0])
  } catch {
    return 0 // the thread ended between the two looks
  }
}
