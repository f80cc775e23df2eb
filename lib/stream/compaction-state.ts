import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { readUint64, writeUint64 } from './bytes.ts'
import type { Offset } from './contract.ts'
import { type FileSystem, systemCode } from './file-system.ts'
import type { KeyField } from './key-partition.ts'

/**
 *     state =
 *       0  u32  magic "TRBC"
 *       4  u8   version (1)
 *       5  u8   key: 0 = clientId, 1 = topic
 *       6  u16  reserved (0)
 *       8  u64  cleanedTo: offsets below have been compacted by this key
 *      16  u64  lastRunMs
 *      24  u64  earliestSettledMs: when the first tombstone still there was settled; 0 = there is none
 *      32  u32  CRC-32 of bytes 0..31
 *
 * Never needed: without it the next run looks at the whole log again.
 */
const STATE_BYTES = 36
const MAGIC = Buffer.from('TRBC').readUInt32LE(0)
const VERSION = 1
const keyFields: readonly KeyField[] = ['clientId', 'topic']

export interface CompactionState {
  cleanedTo: Offset
  key: KeyField
  /** 0 = never. */
  lastRunMs: number
  earliestSettledMs: number | undefined
}

export const nothingCompacted: CompactionState = { cleanedTo: 0, key: 'clientId', lastRunMs: 0, earliestSettledMs: undefined }

export async function readCompactionState(fileSystem: FileSystem, folder: string): Promise<CompactionState> {
  try {
    const file = await fileSystem.open(statePath(folder), 'read')
    try {
      const bytes = Buffer.alloc(STATE_BYTES)
      if ((await file.read(bytes, 0, STATE_BYTES, 0)) < STATE_BYTES) return nothingCompacted
      if (bytes.readUInt32LE(0) !== MAGIC || bytes[4] !== VERSION) return nothingCompacted
      if (bytes.readUInt32LE(32) !== crc32(bytes.subarray(0, 32))) return nothingCompacted
      const earliestSettledMs = readUint64(bytes, 24) || undefined
      const key = keyFields[bytes[5]!]
      if (key === undefined) return nothingCompacted
      return { cleanedTo: readUint64(bytes, 8), key, lastRunMs: readUint64(bytes, 16), earliestSettledMs }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return nothingCompacted
    throw error
  }
}

/** Written aside and renamed, so that a crash leaves the old one or the new one. */
export async function writeCompactionState(fileSystem: FileSystem, folder: string, state: CompactionState): Promise<void> {
  const bytes = Buffer.alloc(STATE_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes[4] = VERSION
  bytes[5] = keyFields.indexOf(state.key)
  writeUint64(bytes, 8, state.cleanedTo)
  writeUint64(bytes, 16, state.lastRunMs)
  writeUint64(bytes, 24, state.earliestSettledMs ?? 0)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 32)), 32)
  const aside = `${statePath(folder)}.new`
  const file = await fileSystem.open(aside, 'write')
  try {
    await file.truncate(0)
    await file.write([bytes], 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await fileSystem.rename(aside, statePath(folder))
  await fileSystem.syncFolder(folder)
}

function statePath(folder: string): string {
  return join(folder, 'compaction.state')
}
