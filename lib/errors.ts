/**
 * The catalogue of faults. A fault is something that should not have happened; expected outcomes (a refused publish, an
 * expired message) are values, not errors. `docs/errors.md` lists every code; a test keeps the two equal.
 */
export const errorCodes = {
  TRB_ACCESS_FILE_INVALID: 'A password file, token file, ACL file or hooks module could not be read as what it should be.',
  TRB_ACCESS_UNAVAILABLE: 'An access decision could not be made (not the same as a refusal): a store or hook failed.',
  TRB_ADMIN_UNREACHABLE: 'A command needs the admin listener of a running broker and could not reach it.',
  TRB_APPLY_REFUSED: 'A set of streams was not applied; the message says which stream cannot be, and why.',
  TRB_CLOSED: 'The component was used after close().',
  TRB_CONFIG_INVALID: 'The configuration is not valid; the message lists path, line and what was expected.',
  TRB_DATA_LOCKED: 'The data folder is in use by another running broker.',
  TRB_GROUP_BUSY: 'A member of a consumer group polls over HTTP while another poll of its waits.',
  TRB_GROUP_HAS_MEMBERS: 'A consumer group cannot be removed while it has members, unless it is forced.',
  TRB_GROUP_LIMIT: 'There are as many consumer groups, or members of them over HTTP, as there may be.',
  TRB_GROUP_NOT_OWNED: 'A member of a consumer group commits in a partition that is not, or no longer, its own.',
  TRB_GROUP_UNKNOWN: 'The stream has no consumer group of that name.',
  TRB_LISTENER_FAILED: 'A listener could not be opened (port in use, certificate unreadable).',
  TRB_MANIFEST_CORRUPT: 'The list of applied streams in the data folder is not as it was written.',
  TRB_OFFSET_OUT_OF_RANGE: 'A read asked for an offset that retention has removed or that does not exist yet.',
  TRB_PROTOCOL: 'A peer broke the MQTT protocol; carries the reason code for the wire.',
  TRB_SCHEMA_CORRUPT: 'A file of the schema registry does not hold what was written to it.',
  TRB_SCHEMA_INCOMPATIBLE: 'A new version of a schema breaks the compatibility its subject promises.',
  TRB_SCHEMA_INVALID: 'A JSON Schema is not valid, or not one that can be used.',
  TRB_SCHEMA_REJECTED: 'A message was refused because its payload is not valid under the schema of a stream.',
  TRB_SCHEMA_UNKNOWN: 'The schema registry has no such subject or version.',
  TRB_STORAGE_READ_ONLY: 'The disk, or the quota of the streams, is full: nothing that needs the disk is taken.',
  TRB_STORE_CORRUPT: 'A stored session, queue or retained entry does not decode.',
  TRB_STORE_WRITE_FAILED: 'The session store could not be written or synced; nothing that depended on it was acknowledged.',
  TRB_STREAM_CORRUPT: 'A stream segment fails its checksum before its tail.',
  TRB_STREAM_UNKNOWN: 'No stream of that name is declared.',
  TRB_STREAM_WRITE_FAILED: 'A stream could not be written or synced; nothing that depended on it was acknowledged.'
} as const

export type ErrorCode = keyof typeof errorCodes

/** Every error this project throws on purpose. `code` is stable; `message` is for people. */
export class TributaryError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'TributaryError'
    this.code = code
  }
}
