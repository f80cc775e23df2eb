export type * from './contract.ts'
export { LevelStore, type LevelStoreOptions } from './level-store.ts'
export { type FolderLock, lockFolder } from './lock.ts'
export type { CorruptRecord, StoreLogger } from './quarantine.ts'
