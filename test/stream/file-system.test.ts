import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Test, t } from 'tap'
import { NodeFileSystem, systemCode } from '../../lib/stream/file-system.ts'

const fileSystem = new NodeFileSystem()

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tributary-files-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

t.test('what is written at a position is read there, from many buffers and more of them than one call takes', async t => {
  const path = join(await folder(t), 'file')
  for (const mode of ['write', 'write-synced'] as const) {
    const file = await fileSystem.open(path, mode)
    await file.truncate(0)
    const buffers = Array.from({ length: 2500 }, (_, i) => Buffer.alloc(i % 7, i & 0xff))
    const whole = Buffer.concat(buffers)
    await file.write(buffers, 100)
    await file.write([], 50)
    await file.sync()
    t.equal(await file.size(), 100 + whole.length)
    const target = Buffer.alloc(whole.length + 20, 0xaa)
    t.equal(await file.read(target, 10, whole.length + 10, 100), whole.length)
    t.strictSame(target.subarray(10, 10 + whole.length), whole)
    t.equal(target[10 + whole.length], 0xaa)
    await file.truncate(120)
    t.equal(await file.size(), 120)
    t.equal(await file.read(target, 0, 10, 500), 0)
    await file.close()
  }
})

t.test('errors keep the code of the system', async t => {
  const path = await folder(t)
  const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> => systemCode(await promise.catch(error => error))
  t.equal(await codeOf(fileSystem.open(join(path, 'missing'), 'read')), 'ENOENT')
  t.equal(await codeOf(fileSystem.readdir(join(path, 'missing'))), 'ENOENT')
  t.equal(await codeOf(fileSystem.unlink(join(path, 'missing'))), 'ENOENT')
  await writeFile(join(path, 'file'), 'x')
  t.equal(await codeOf(fileSystem.readdir(join(path, 'file'))), 'ENOTDIR')
  const readOnly = await fileSystem.open(join(path, 'file'), 'read')
  t.equal(await codeOf(readOnly.write([Buffer.from('y')], 0)), 'EBADF')
  await readOnly.close()
  t.equal(systemCode('no error'), undefined)
})

t.test('a disk that is really full rejects the write with ENOSPC', { skip: process.platform !== 'linux' }, async t => {
  const path = join(await folder(t), 'full')
  await symlink('/dev/full', path)
  const file = await fileSystem.open(path, 'write')
  await t.rejects(file.write([Buffer.from('x')], 0), { code: 'ENOSPC' })
  await file.close()
})

t.test('folders are made with those above them, files renamed and removed, and both synced', async t => {
  const path = join(await folder(t), 'a', 'b')
  await fileSystem.mkdir(path)
  await fileSystem.mkdir(path)
  await (await fileSystem.open(join(path, 'one'), 'write')).close()
  await fileSystem.rename(join(path, 'one'), join(path, 'two'))
  await fileSystem.syncFolder(path)
  t.strictSame(await fileSystem.readdir(path), ['two'])
  await fileSystem.unlink(join(path, 'two'))
  t.strictSame(await fileSystem.readdir(path), [])
})
