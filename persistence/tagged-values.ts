import { corrupt, type RecordReader, type RecordWriter } from './record-bytes.ts'

const UNDEFINED = 0
const NULL = 1
const FALSE = 2
const TRUE = 3
const NUMBER = 4
const TEXT = 5
const BYTES = 6
const LIST = 7
const FIELDS = 8

/** Packets are flat; what nests deeper is not one. */
const DEPTH_MAX = 16

/**
 * Values of the kinds packets are made of, each with a tag in front:
 *
 * value = 0 (undefined) | 1 (null) | 2 (false) | 3 (true) | 4 text(decimal number) | 5 text | 6 bytes | 7 varint(n) n*value | 8 varint(n) n*(text value)
 *
 * Functions and symbols are left out, as they are by structured cloning of what goes over a wire.
 */
export function writeValue(out: RecordWriter, value: unknown, depth = 0): void {
  if (depth > DEPTH_MAX) throw new RangeError('a packet nests too deeply to be stored')
  if (value === null) out.u8(NULL)
  else if (typeof value === 'boolean') out.u8(value ? TRUE : FALSE)
  else if (typeof value === 'number') out.u8(NUMBER).text(String(value))
  else if (typeof value === 'string') out.u8(TEXT).text(value)
  else if (value instanceof Uint8Array) out.u8(BYTES).bytes(value)
  else if (Array.isArray(value)) writeList(out, value, depth)
  else if (typeof value === 'object') writeFields(out, value, depth)
  else out.u8(UNDEFINED)
}

export function readValue(from: RecordReader): unknown {
  const tag = from.u8()
  switch (tag) {
    case UNDEFINED:
      return undefined
    case NULL:
      return null
    case FALSE:
      return false
    case TRUE:
      return true
    case NUMBER:
      return Number(from.text())
    case TEXT:
      return from.text()
    case BYTES:
      return from.bytes()
    case LIST:
      return Array.from(counted(from), () => readValue(from))
    case FIELDS:
      return readFields(from)
    default:
      throw corrupt(`value tag ${tag} means nothing`)
  }
}

function writeList(out: RecordWriter, list: readonly unknown[], depth: number): void {
  out.u8(LIST).varint(list.length)
  for (const item of list) writeValue(out, item, depth + 1)
}

function writeFields(out: RecordWriter, fields: object, depth: number): void {
  const entries = Object.entries(fields).filter(([, value]) => typeof value !== 'function' && typeof value !== 'symbol')
  out.u8(FIELDS).varint(entries.length)
  for (const [name, value] of entries) {
    out.text(name)
    writeValue(out, value, depth + 1)
  }
}

function readFields(from: RecordReader): object {
  // fromEntries defines its properties, so a user property named __proto__ is only a name.
  return Object.fromEntries(Array.from(counted(from), () => [from.text(), readValue(from)] as const))
}

/** Counts without making room: a count from a damaged record must not decide how much memory is taken. */
function* counted(from: RecordReader): Generator<void> {
  for (let left = from.varint(); left > 0; left--) yield
}
