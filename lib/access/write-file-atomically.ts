import { randomBytes } from 'node:crypto'
import { open, realpath, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Replaces a file so that a reader, or a crash, finds the old content or the new, never a part. Durable when it resolves. A
 * symbolic link stays and its target is replaced; an owner other than the caller is kept where the system allows it.
 */
export async function writeFileAtomically(file: string, content: string, mode: number): Promise<void> {
  const target = await realpath(file).catch(() => file)
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await writeSynced(temporary, content, mode, await ownerOf(target))
    await rename(temporary, target)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(target))
}

interface Owner {
  uid: number
  gid: number
}

async function writeSynced(file: string, content: string, mode: number, owner: Owner | undefined): Promise<void> {
  const handle = await open(file, 'wx', mode)
  try {
    // The umask may have taken bits away and must not decide who reads this.
    await handle.chmod(mode)
    if (owner !== undefined && owner.uid !== process.getuid?.()) await handle.chown(owner.uid, owner.gid)
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function ownerOf(file: string): Promise<Owner | undefined> {
  return stat(file).then(
    ({ uid, gid }) => ({ uid, gid }),
    () => undefined
  )
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
