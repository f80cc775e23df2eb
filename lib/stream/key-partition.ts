/** What decides a record's partition: all records of one client, or of one topic, are in the same one and so in order. */
export type KeyField = 'clientId' | 'topic'

export function keyPartition(key: KeyField, topic: string, clientId: string, partitions: number): number {
  return fnv1a32(key === 'topic' ? topic : clientId) % partitions
}

/**
 * FNV-1a, 32 bits, over the UTF-8 bytes (http://www.isthe.com/chongo/tech/comp/fnv/). Part of the format: the partition is stored
 * with each record, and a different hash would send a key's new records elsewhere than its old ones.
 */
export function fnv1a32(key: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
