import fs from 'node:fs'

/**
 * What the log needs from a file system, small enough that tests can put a disk in its place which fills up, fails to sync or
 * loses power. The only module of the log that imports node:fs.
 */
export interface FileSystem {
  /**
   * `read` fails with ENOENT when the file is not there; the other two create it. A write to a file opened `write-synced` is
   * durable when its promise resolves, the file's size included. `write` needs `sync()` for that.
   */
  open(path: string, mode: OpenMode): Promise<File>
  /** Names in the folder, in no order. */
  readdir(folder: string): Promise<string[]>
  /** Creates the folder and those above it where missing. */
  mkdir(folder: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Removes an empty folder. */
  rmdir(folder: string): Promise<void>
  /** Bytes that this process may still write on the disk the folder is on. */
  freeBytes(folder: string): Promise<number>
  /** Makes creations, renames and removals in the folder durable. */
  syncFolder(folder: string): Promise<void>
}

export type OpenMode = 'read' | 'write' | 'write-synced'

export interface File {
  /** Writes all bytes of all buffers from `position` on, or rejects (some may be written then). */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>
  /** Reads into target[start, start + length) and returns how many bytes there were; less than `length` only at the end. */
  read(target: Buffer, start: number, length: number, position: number): Promise<number>
  size(): Promise<number>
  truncate(bytes: number): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

/** The error code of the operating system (ENOENT, ENOSPC ...), or undefined for errors of another kind. */
export function systemCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

export class NodeFileSystem implements FileSystem {
  async open(path: string, mode: OpenMode): Promise<File> {
    const { O_RDONLY, O_RDWR, O_CREAT, O_DSYNC } = fs.constants
    // One write to a file opened with O_DSYNC costs half of write and fdatasync. Apple's O_DSYNC does not reach the platter
    // (libuv's fdatasync does, through F_FULLFSYNC) and Windows has none: there, fdatasync follows each write.
    const dsync = process.platform === 'darwin' ? undefined : (O_DSYNC as number | undefined)
    const flags = mode === 'read' ? O_RDONLY : O_RDWR | O_CREAT | (mode === 'write-synced' ? (dsync ?? 0) : 0)
    const fd = await promised<number>(done => fs.open(path, flags, 0o640, done))
    return new NodeFile(fd, mode === 'write-synced' && dsync === undefined)
  }

  readdir(folder: string): Promise<string[]> {
    return promised(done => fs.readdir(folder, done))
  }

  async mkdir(folder: string): Promise<void> {
    await promised(done => fs.mkdir(folder, { recursive: true, mode: 0o750 }, done))
  }

  async rename(from: string, to: string): Promise<void> {
    await promised(done => fs.rename(from, to, done))
  }

  async unlink(path: string): Promise<void> {
    await promised(done => fs.unlink(path, done))
  }

  async rmdir(folder: string): Promise<void> {
    await promised(done => fs.rmdir(folder, done))
  }

  async freeBytes(folder: string): Promise<number> {
    const { bavail, bsize } = await promised<fs.StatsFs>(done => fs.statfs(folder, done))
    return bavail * bsize
  }

  async syncFolder(folder: string): Promise<void> {
    // Windows cannot open a folder; its file systems order such changes themselves.
    if (process.platform === 'win32') return
    const fd = await promised<number>(done => fs.open(folder, fs.constants.O_RDONLY, done))
    try {
      await promised(done => fs.fsync(fd, done))
    } finally {
      await promised(done => fs.close(fd, done))
    }
  }
}

class NodeFile implements File {
  readonly #fd: number
  readonly #syncAfterWrite: boolean

  constructor(fd: number, syncAfterWrite: boolean) {
    this.#fd = fd
    this.#syncAfterWrite = syncAfterWrite
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let rest = buffers.filter(buffer => buffer.length > 0)
    let at = position
    while (rest.length > 0) {
      const now = rest.slice(0, WRITEV_BUFFERS_MAX)
      const written = await promised<number>(done => fs.writev(this.#fd, now, at, done))
      at += written
      // A write may be short, for one when the disk fills up; the next one then says why.
      rest = written === byteLength(rest) ? [] : after(rest, written)
    }
    if (this.#syncAfterWrite) await promised(done => fs.fdatasync(this.#fd, done))
  }

  async read(target: Buffer, start: number, length: number, position: number): Promise<number> {
    let total = 0
    while (total < length) {
      const count = await promised<number>(done =>
        fs.read(this.#fd, target, start + total, length - total, position + total, done)
      )
      if (count === 0) break
      total += count
    }
    return total
  }

  async size(): Promise<number> {
    const stats = await promised<fs.Stats>(done => fs.fstat(this.#fd, done))
    return stats.size
  }

  async truncate(bytes: number): Promise<void> {
    await promised(done => fs.ftruncate(this.#fd, bytes, done))
  }

  async sync(): Promise<void> {
    await promised(done => fs.fsync(this.#fd, done))
  }

  async close(): Promise<void> {
    await promised(done => fs.close(this.#fd, done))
  }
}

/** IOV_MAX of Linux. */
const WRITEV_BUFFERS_MAX = 1024

function byteLength(buffers: readonly Uint8Array[]): number {
  let total = 0
  for (const buffer of buffers) total += buffer.length
  return total
}

function after(buffers: readonly Uint8Array[], written: number): Uint8Array[] {
  let skip = written
  const rest: Uint8Array[] = []
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(buffer.subarray(skip))
    skip = Math.max(0, skip - buffer.length)
  }
  return rest
}

/** Callbacks rather than fs.promises: a FileHandle costs twice as much per operation. */
function promised<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)))
  })
}
