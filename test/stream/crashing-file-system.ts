import type { File, FileSystem, OpenMode } from '../../lib/stream/file-system.ts'

const PAGE_BYTES = 64

/** A file's bytes: as programs see them, and those that a loss of power cannot take. */
class Inode {
  bytes = Buffer.alloc(0)
  durable = Buffer.alloc(0)

  clone(): Inode {
    const copy = new Inode()
    copy.bytes = Buffer.from(this.bytes)
    copy.durable = Buffer.from(this.durable)
    return copy
  }
}

type Change =
  | { type: 'create'; path: string; inode: Inode }
  | { type: 'unlink'; path: string }
  | { type: 'rename'; from: string; to: string; inode: Inode }

/**
 * A file system in memory that counts what changes it, so that a test can strike at each of these steps: the process dies there
 * (`kill`: what it did stays), the power goes (`power`: of what was not synced any part stays, in any order), or the step fails.
 */
export class CrashingFileSystem implements FileSystem {
  /** Steps done. */
  steps = 0
  /** What happens at which step: death, or an error of this code. */
  strike: { step: number; code: string | undefined } | undefined
  /** What the step was that was struck. */
  struck: string | undefined
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  /** Changes of names that a sync of the folder has not made durable. */
  #changes: Change[] = []
  #dead = false

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  /** The same disk for another process: as it is now (`kill`), or after a loss of power in which `random` decides what stays. */
  after(random?: () => number): CrashingFileSystem {
    const next = new CrashingFileSystem()
    const copies = new Map<Inode, Inode>()
    const copyOf = (inode: Inode): Inode => {
      let copy = copies.get(inode)
      if (copy === undefined) {
        copy = inode.clone()
        if (random !== undefined) loseUnsynced(copy, random)
        copies.set(inode, copy)
      }
      return copy
    }
    const names = new Map(random === undefined ? this.#names : this.#durableNames)
    if (random !== undefined) for (const change of this.#changes) if (random() < 0.5) apply(change, names)
    for (const [path, inode] of names) {
      next.#names.set(path, copyOf(inode))
      next.#durableNames.set(path, copyOf(inode))
    }
    return next
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    this.#demandAlive()
    let inode = this.#names.get(path)
    if (inode === undefined) {
      if (mode === 'read') throw systemError('ENOENT', path)
      inode = new Inode()
      const created = inode
      this.#step(`create ${path}`, () => this.#change({ type: 'create', path, inode: created }))
    }
    return this.#file(path, inode, mode)
  }

  async readdir(folder: string): Promise<string[]> {
    this.#demandAlive()
    return this.paths()
      .filter(path => path.startsWith(`${folder}/`))
      .map(path => path.slice(folder.length + 1))
  }

  async mkdir(): Promise<void> {}

  async rmdir(): Promise<void> {}

  async freeBytes(): Promise<number> {
    return Number.MAX_SAFE_INTEGER
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = this.#names.get(from)
    if (inode === undefined) throw systemError('ENOENT', from)
    this.#step(`rename ${from} ${to}`, () => this.#change({ type: 'rename', from, to, inode }))
  }

  async unlink(path: string): Promise<void> {
    if (!this.#names.has(path)) throw systemError('ENOENT', path)
    this.#step(`unlink ${path}`, () => this.#change({ type: 'unlink', path }))
  }

  async syncFolder(folder: string): Promise<void> {
    this.#step(`syncFolder ${folder}`, () => {
      this.#durableNames = new Map(this.#names)
      this.#changes = []
    })
  }

  #file(path: string, inode: Inode, mode: OpenMode): File {
    return {
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers)
        const put = (part: Buffer): void => {
          const size = Math.max(inode.bytes.length, position + part.length)
          inode.bytes = Buffer.concat([inode.bytes, Buffer.alloc(size - inode.bytes.length)])
          part.copy(inode.bytes, position)
        }
        const half = bytes.subarray(0, bytes.length >> 1)
        this.#step(
          `write ${path}`,
          () => put(bytes),
          () => put(half)
        )
        if (mode === 'write-synced') inode.durable = Buffer.from(inode.bytes)
      },
      read: async (target, start, length, position) => {
        this.#demandAlive()
        return inode.bytes.copy(target, start, position, Math.min(position + length, inode.bytes.length))
      },
      size: async () => inode.bytes.length,
      truncate: async length => {
        this.#step(`truncate ${path}`, () => {
          const bytes = Buffer.alloc(length)
          inode.bytes.copy(bytes)
          inode.bytes = bytes
        })
      },
      sync: async () => {
        this.#step(`sync ${path}`, () => {
          inode.durable = Buffer.from(inode.bytes)
        })
      },
      close: async () => {}
    }
  }

  #step(what: string, work: () => void, half: () => void = () => {}): void {
    this.#demandAlive()
    this.steps++
    if (this.steps === this.strike?.step) {
      half()
      this.struck = what
      this.#dead = this.strike.code === undefined
      throw systemError(this.strike.code ?? 'EHOSTDOWN', what)
    }
    work()
  }

  #change(change: Change): void {
    apply(change, this.#names)
    this.#changes.push(change)
  }

  #demandAlive(): void {
    if (this.#dead) throw systemError('EHOSTDOWN', 'the process is dead')
  }
}

function apply(change: Change, names: Map<string, Inode>): void {
  if (change.type === 'create') names.set(change.path, change.inode)
  else if (change.type === 'unlink') names.delete(change.path)
  else {
    names.delete(change.from)
    names.set(change.to, change.inode)
  }
}

function loseUnsynced(inode: Inode, random: () => number): void {
  const { bytes, durable } = inode
  const kept = Buffer.from(random() < 0.5 ? bytes : durable)
  for (let at = 0; at < kept.length; at += PAGE_BYTES) {
    const end = Math.min(kept.length, at + PAGE_BYTES)
    const source = random() < 0.5 ? bytes : durable
    // A page that never reached the disk is zeros where the file has grown.
    const page = Buffer.alloc(end - at)
    if (at < source.length) source.copy(page, 0, at, end)
    page.copy(kept, at)
  }
  inode.bytes = kept
  inode.durable = Buffer.from(kept)
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}
