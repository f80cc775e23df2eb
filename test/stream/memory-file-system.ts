import type { File, FileSystem, OpenMode } from '../../lib/stream/file-system.ts'

/** Small pages make torn writes and half-written pages common. */
const PAGE_BYTES = 128

export type Operation = 'open' | 'write' | 'read' | 'truncate' | 'sync' | 'rename' | 'unlink' | 'rmdir' | 'syncFolder' | 'readdir'

export interface Fault {
  operation: Operation
  /** Only where the path contains this. */
  path?: string
  code: string
  /** Bytes of a failing write that reach the page cache all the same (and, after a crash, the disk). */
  bytesWritten?: number
  /** Let this many matching operations pass first. */
  skip?: number
  /** How often it strikes; default once. */
  times?: number
  /** The machine goes down instead of the operation returning an error. */
  crash?: boolean
}

/** A file's bytes as programs see them, and as they are on the disk. */
class Inode {
  current = Buffer.alloc(0)
  durable = Buffer.alloc(0)
  readonly dirtyPages = new Set<number>()

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    if (end > this.current.length) this.current = Buffer.concat([this.current, Buffer.alloc(end - this.current.length)])
    this.current.set(bytes, position)
    this.#markDirty(position, end)
  }

  truncate(length: number): void {
    const kept = Buffer.alloc(length)
    this.current.copy(kept)
    this.current = kept
    this.#markDirty(Math.max(0, length - 1), length)
  }

  /** Only dirty pages reach the disk: one whose writeback failed is clean, and a later sync passes it by. */
  flush(): void {
    const next = Buffer.alloc(this.current.length)
    this.durable.copy(next)
    for (const page of this.dirtyPages) {
      const start = page * PAGE_BYTES
      if (start >= this.current.length) continue
      this.current.copy(next, start, start, Math.min(start + PAGE_BYTES, this.current.length))
    }
    this.durable = next
    this.dirtyPages.clear()
  }

  #markDirty(start: number, end: number): void {
    for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++) this.dirtyPages.add(page)
  }
}

/**
 * A file system in memory with a disk that can fill up, fail and lose power. What is not synced is gone after `crash()`: bytes,
 * and names in folders that were not synced.
 */
export class MemoryFileSystem implements FileSystem {
  readonly faults: Fault[] = []
  /** Operations that were asked for, by kind, and the bytes read; for claims about what is not done. */
  readonly counts = new Map<Operation, number>()
  bytesRead = 0
  /** Bytes that are free on the disk; not kept up to date by writes. */
  free = 2 ** 40
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #folders = new Set<string>()
  #power = 0

  get power(): number {
    return this.#power
  }

  fail(fault: Fault): void {
    this.faults.push(fault)
  }

  /** Everything that is not on the disk is gone; files that are open stay dead. */
  crash(): void {
    this.#power++
    this.faults.length = 0
    this.#names = new Map(this.#durableNames)
    for (const inode of this.#names.values()) {
      inode.current = Buffer.from(inode.durable)
      inode.dirtyPages.clear()
    }
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  bytes(path: string): Buffer {
    const inode = this.#names.get(path)
    if (inode === undefined) throw systemError('ENOENT', path)
    return inode.current
  }

  /** Changes a file behind everybody's back. */
  put(path: string, bytes: Buffer): void {
    const inode = this.#names.get(path) ?? new Inode()
    inode.current = Buffer.from(bytes)
    inode.durable = Buffer.from(bytes)
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
  }

  remove(path: string): void {
    this.#names.delete(path)
    this.#durableNames.delete(path)
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    await this.enter('open', path)
    let inode = this.#names.get(path)
    if (inode === undefined) {
      if (mode === 'read') throw systemError('ENOENT', path)
      inode = new Inode()
      this.#names.set(path, inode)
    }
    return new MemoryFile(this, inode, path, mode)
  }

  async readdir(folder: string): Promise<string[]> {
    await this.enter('readdir', folder)
    if (!this.#folders.has(folder)) throw systemError('ENOENT', folder)
    const files = this.paths().filter(path => parent(path) === folder)
    const folders = [...this.#folders].filter(path => parent(path) === folder)
    return [...files, ...folders].map(path => path.slice(folder.length + 1))
  }

  async mkdir(folder: string): Promise<void> {
    for (let path = folder; path !== ''; path = parent(path)) this.#folders.add(path)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.enter('rename', from)
    const inode = this.#names.get(from)
    if (inode === undefined) throw systemError('ENOENT', from)
    this.#names.delete(from)
    this.#names.set(to, inode)
  }

  async unlink(path: string): Promise<void> {
    await this.enter('unlink', path)
    if (!this.#names.delete(path)) throw systemError('ENOENT', path)
  }

  async rmdir(folder: string): Promise<void> {
    await this.enter('rmdir', folder)
    if ((await this.readdir(folder)).length > 0) throw systemError('ENOTEMPTY', folder)
    this.#folders.delete(folder)
  }

  async freeBytes(): Promise<number> {
    return this.free
  }

  async syncFolder(folder: string): Promise<void> {
    await this.enter('syncFolder', folder)
    for (const path of this.#durableNames.keys()) if (parent(path) === folder) this.#durableNames.delete(path)
    for (const [path, inode] of this.#names) if (parent(path) === folder) this.#durableNames.set(path, inode)
  }

  /** Waits a turn as real I/O does, counts, and fails when a fault says so. */
  async enter(operation: Operation, path: string, failing?: (fault: Fault) => void): Promise<void> {
    const power = this.#power
    await new Promise(resolve => setImmediate(resolve))
    if (power !== this.#power) throw systemError('EHOSTDOWN', path)
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1)
    const fault = this.faults.find(one => one.operation === operation && path.includes(one.path ?? ''))
    if (fault === undefined) return
    if ((fault.skip ?? 0) > 0) {
      fault.skip = fault.skip! - 1
      return
    }
    fault.times = (fault.times ?? 1) - 1
    if (fault.times === 0) this.faults.splice(this.faults.indexOf(fault), 1)
    failing?.(fault)
    if (fault.crash) this.crash()
    throw systemError(fault.code, path)
  }
}

class MemoryFile implements File {
  readonly #fileSystem: MemoryFileSystem
  readonly #inode: Inode
  readonly #path: string
  readonly #mode: OpenMode
  readonly #power: number
  #open = true

  constructor(fileSystem: MemoryFileSystem, inode: Inode, path: string, mode: OpenMode) {
    this.#fileSystem = fileSystem
    this.#inode = inode
    this.#path = path
    this.#mode = mode
    this.#power = fileSystem.power
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    this.#demandUsable('write')
    const bytes = Buffer.concat(buffers)
    await this.#fileSystem.enter('write', this.#path, fault => {
      this.#inode.write(bytes.subarray(0, fault.bytesWritten ?? 0), position)
      if (fault.crash) this.#inode.flush()
      // A failed writeback leaves the pages clean, with bytes in memory that the disk does not have.
      else if (fault.code === 'EIO') this.#inode.dirtyPages.clear()
    })
    this.#demandUsable('write')
    this.#inode.write(bytes, position)
    if (this.#mode === 'write-synced') this.#inode.flush()
  }

  async read(target: Buffer, start: number, length: number, position: number): Promise<number> {
    this.#demandUsable('read')
    await this.#fileSystem.enter('read', this.#path)
    const count = this.#inode.current.copy(target, start, position, Math.min(position + length, this.#inode.current.length))
    this.#fileSystem.bytesRead += count
    return count
  }

  async size(): Promise<number> {
    this.#demandUsable('read')
    return this.#inode.current.length
  }

  async truncate(bytes: number): Promise<void> {
    this.#demandUsable('write')
    await this.#fileSystem.enter('truncate', this.#path)
    this.#inode.truncate(bytes)
  }

  async sync(): Promise<void> {
    this.#demandUsable('write')
    await this.#fileSystem.enter('sync', this.#path, () => this.#inode.dirtyPages.clear())
    this.#inode.flush()
  }

  async close(): Promise<void> {
    this.#open = false
  }

  #demandUsable(use: 'read' | 'write'): void {
    if (!this.#open || (use === 'write' && this.#mode === 'read')) throw systemError('EBADF', this.#path)
    if (this.#power !== this.#fileSystem.power) throw systemError('EHOSTDOWN', this.#path)
  }
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
