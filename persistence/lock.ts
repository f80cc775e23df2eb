import { randomUUID } from 'node:crypto'
import { constants, copyFile, link, mkdir, open, readdir, readFile, readlink, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { TributaryError } from '../lib/errors.ts'

const LOCK_NAME = 'tributary.lock'
/** Each round ends unless another starter was quicker; that many can only be a fault. */
const ROUNDS_MAX = 100
const LINKS_UNSUPPORTED = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

export interface FolderLock {
  /** Frees the folder. Harmless when called twice. */
  release(): Promise<void>
}

/** Who holds a lock. A pid alone is not enough: it may have been given to another process, on another boot or in another container. */
interface Holder {
  pid: number
  /** Start time of the process in clock ticks since boot, '' where /proc does not tell. */
  started: string
  /** Boot id and pid namespace, '' where /proc does not tell: what makes pid and start time comparable. */
  realm: string
  /** Makes every attempt to take the lock distinguishable. */
  nonce: string
}

/**
 * Takes a folder for this process, across processes and within this one. LevelDB has a lock of its own, but a second open of it in
 * the same process releases the first one's.
 *
 * The lock file names its holder, so a lock left behind by a killed process is taken over, also when its pid was given to
 * another process since. Rejects TRB_DATA_LOCKED with the holder's pid. A holder in another container or on another boot cannot be
 * looked up and counts as gone; there LevelDB's own lock decides.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true })
  const holder = await describeSelf()
  const path = join(folder, LOCK_NAME)
  const ours = `${path}.${holder.nonce}`
  const file = await open(ours, 'wx')
  try {
    await file.writeFile(JSON.stringify(holder))
  } finally {
    await file.close()
  }
  try {
    await take(path, ours, folder)
  } finally {
    await unlink(ours)
  }
  let released = false
  return {
    async release() {
      if (released) return
      released = true
      // Whoever removed our file by hand may have let another process in; that one's lock is not ours to free.
      if (parseHolder((await readText(path)) ?? '')?.nonce === holder.nonce) await unlink(path)
    }
  }
}

/** Makes `path` a link to our file, by replacing at most the file of a holder that is gone. */
async function take(path: string, ours: string, folder: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    // A link, not a new file: it appears with its content, so nobody ever reads half a holder.
    if (await linked(ours, path)) return
    const found = await readText(path)
    if (found === undefined) continue
    const holder = parseHolder(found)
    if (holder !== undefined && (await isAlive(holder))) throw lockedError(folder, path, holder)
    if (await replaceStale(path, ours, found, holder, folder)) return
  }
  throw new TributaryError('TRB_DATA_LOCKED', `${path} kept changing hands while this process tried to take it`)
}

/**
 * Two starters may find the same stale lock. Who may replace it is decided by a claim, a lock named after the holder that is gone:
 * only its owner replaces that holder's file, and a dead holder never changes it. A claimant that died is replaced the same way.
 */
async function replaceStale(path: string, ours: string, stale: string, holder: Holder | undefined, folder: string) {
  const claim = `${path}.after.${holder?.nonce ?? 'unreadable'}`
  await take(claim, ours, folder)
  try {
    if ((await readText(path)) !== stale) return false
    const copy = `${ours}.copy`
    await linked(ours, copy)
    await rename(copy, path)
    return true
  } finally {
    await unlink(claim)
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    if (!LINKS_UNSUPPORTED.some(code => hasCode(error, code))) throw error
  }
  return copied(from, to)
}

/** For file systems without hard links: as exclusive, but a reader may catch it half written. */
async function copied(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

async function describeSelf(): Promise<Holder> {
  return { pid: process.pid, started: await startOf(process.pid), realm: await realm(), nonce: randomUUID() }
}

async function isAlive(holder: Holder): Promise<boolean> {
  if (holder.realm !== (await realm())) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    if (!hasCode(error, 'EPERM')) return false
  }
  return holder.started === (await startOf(holder.pid)) && !(await isZombie(holder.pid))
}

/**
 * Killed, and only waiting for its parent to take notice, which a container's first process may never do. As long as one of its
 * threads is left, in the middle of a write perhaps, it does not count as dead.
 */
async function isZombie(pid: number): Promise<boolean> {
  const stat = await readText(`/proc/${pid}/stat`)
  if (stat === undefined || !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3))) return false
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  return threads.length <= 1
}

async function startOf(pid: number): Promise<string> {
  const stat = await readText(`/proc/${pid}/stat`)
  if (stat === undefined) return ''
  // The second field is the command in parentheses and may hold anything; field 22, the start time, is the 20th after it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

async function realm(): Promise<string> {
  const boot = await readText('/proc/sys/kernel/random/boot_id')
  if (boot === undefined) return ''
  return `${boot.trim()} ${await readlink('/proc/self/ns/pid').catch(() => '')}`
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return undefined
    throw error
  }
}

/** Undefined for a file that is not one of ours, which then counts as left behind. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isHolder(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== 'object' || value === null) return false
  const { pid, started, realm, nonce } = value as Record<keyof Holder, unknown>
  return Number.isSafeInteger(pid) && typeof started === 'string' && typeof realm === 'string' && /^[\w-]+$/.test(String(nonce))
}

function lockedError(folder: string, path: string, { pid }: Holder): TributaryError {
  const who = pid === process.pid ? 'this process already' : `process ${pid}`
  const advice = 'stop it, or give this broker a data folder of its own'
  return new TributaryError('TRB_DATA_LOCKED', `${folder} is in use by ${who} (lock file ${path}): ${advice}`)
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
