import { type File, type FileSystem, NodeFileSystem, type OpenMode } from '../../lib/stream/file-system.ts'

/** A real file system whose writes fail while `failure` is set, as they do on a full or a broken disk. */
export class FailingFileSystem implements FileSystem {
  /** 'ENOSPC', 'EIO' ... ; undefined = all is well. */
  failure: string | undefined
  failures = 0
  /** What is said to be free on the disk; undefined = the truth. */
  free: number | undefined
  /** Part of the paths that are concerned; '' = all. */
  path = ''
  readonly #inner = new NodeFileSystem()

  async open(path: string, mode: OpenMode): Promise<File> {
    const file = await this.#inner.open(path, mode)
    return {
      read: file.read.bind(file),
      size: file.size.bind(file),
      close: file.close.bind(file),
      write: async (buffers, position) => {
        await this.#fail('write', path)
        await file.write(buffers, position)
      },
      truncate: async bytes => {
        await this.#fail('truncate', path)
        await file.truncate(bytes)
      },
      sync: async () => {
        await this.#fail('fsync', path)
        await file.sync()
      }
    }
  }

  readdir(folder: string): Promise<string[]> {
    return this.#inner.readdir(folder)
  }

  mkdir(folder: string): Promise<void> {
    return this.#inner.mkdir(folder)
  }

  rename(from: string, to: string): Promise<void> {
    return this.#inner.rename(from, to)
  }

  unlink(path: string): Promise<void> {
    return this.#inner.unlink(path)
  }

  rmdir(folder: string): Promise<void> {
    return this.#inner.rmdir(folder)
  }

  freeBytes(folder: string): Promise<number> {
    return this.free === undefined ? this.#inner.freeBytes(folder) : Promise.resolve(this.free)
  }

  syncFolder(folder: string): Promise<void> {
    return this.#inner.syncFolder(folder)
  }

  async #fail(call: string, path: string): Promise<void> {
    if (this.failure === undefined || !path.includes(this.path)) return
    this.failures++
    throw Object.assign(new Error(`${this.failure}: ${call}`), { code: this.failure })
  }
}
