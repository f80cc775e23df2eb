import { execFile } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { median } from './statistics.ts'

/** Where and with what the figures were taken; without it they mean nothing. */
export interface Machine {
  processor: string
  cores: number
  memoryGib: number
  system: string
  node: string
  fileSystem: string
  /** Median of appending 4 KiB and syncing it: what one group commit costs at least. */
  syncMilliseconds: number
  openFilesMax: number
  commit: string
}

export async function describeMachine(root: string, folder: string): Promise<Machine> {
  const [firstCpu] = cpus()
  const raised = await commandOutput('/bin/sh', ['-c', 'ulimit -Hn'])
  const commit = (await commandOutput('git', ['-C', root, 'describe', '--always', '--dirty'])).trim()
  return {
    processor: firstCpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    fileSystem: fileSystemOf(folder, readFileSync('/proc/self/mounts', 'utf8')),
    syncMilliseconds: await syncMilliseconds(folder),
    openFilesMax: raised.trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(raised),
    commit: commit || 'unknown'
  }
}

/** The type of the file system a folder is on: that of the longest mount point above it in the text of /proc/self/mounts. */
export function fileSystemOf(folder: string, mounts: string): string {
  let best = { point: '', fileSystem: 'unknown' }
  for (const line of mounts.split('\n')) {
    const [, point, fileSystem] = line.split(' ')
    if (!point || !fileSystem) continue
    const isAbove = folder === point || folder.startsWith(point.endsWith('/') ? point : `${point}/`)
    // Of two mounts on one point the later covers the earlier.
    if (isAbove && point.length >= best.point.length) best = { point, fileSystem }
  }
  return best.fileSystem
}

/** Standard output and error of a command; '' when it does not exist. An exit code other than 0 is no fault here: `-h` has one. */
export function commandOutput(command: string, args: readonly string[]): Promise<string> {
  return new Promise(resolve => {
    execFile(command, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      const isMissing = error !== null && 'code' in error && error.code === 'ENOENT'
      resolve(isMissing ? '' : stdout + stderr)
    })
  })
}

async function syncMilliseconds(folder: string): Promise<number> {
  const file = join(folder, 'sync-probe')
  const descriptor = openSync(file, 'w')
  const bytes = Buffer.alloc(4096, 1)
  const times: number[] = []
  for (let i = 0; i < 50; i++) {
    const began = performance.now()
    writeSync(descriptor, bytes)
    fdatasyncSync(descriptor)
    times.push(performance.now() - began)
  }
  closeSync(descriptor)
  await rm(file)
  return median(times)
}
