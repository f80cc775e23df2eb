import { isUtf8 } from 'node:buffer'
import type { Check } from './json-schema.ts'

/** Why a payload is not what its schema says; closed, the names are stable. */
export type PayloadFault = 'too-large' | 'not-json' | 'too-deep' | 'invalid'

export interface PayloadProblem {
  fault: PayloadFault
  /** For people, with the JSON pointer of the first error; fit for a Reason String. */
  text: string
}

export interface PayloadLimits {
  /** Larger payloads are not parsed: they are `too-large`. */
  maxBytes: number
  /** More arrays and objects inside each other are `too-deep`. */
  maxDepth: number
}

/**
 * One payload on its way through the schemas of several streams: parsed once, when the first of them asks.
 * `bytes` must not change as long as this is in use.
 */
export class Payload {
  readonly #bytes: Buffer
  readonly #start: number
  readonly #end: number
  #parsed: { value: unknown } | PayloadProblem | undefined
  #depth = -1

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#start = start
    this.#end = end
  }

  /** The first thing that is wrong; undefined when the payload is JSON and valid. */
  check(check: Check, { maxBytes, maxDepth }: PayloadLimits): PayloadProblem | undefined {
    const length = this.#end - this.#start
    if (length > maxBytes) {
      return { fault: 'too-large', text: `the payload has ${length} bytes, more than the ${maxBytes} that are looked at` }
    }
    if (this.#deeperThan(maxDepth)) {
      return { fault: 'too-deep', text: `the payload nests arrays and objects deeper than ${maxDepth} levels` }
    }
    this.#parsed ??= this.#parse()
    if ('fault' in this.#parsed) return this.#parsed
    const text = check(this.#parsed.value)
    return text === undefined ? undefined : { fault: 'invalid', text }
  }

  #parse(): { value: unknown } | PayloadProblem {
    const payload = this.#bytes.subarray(this.#start, this.#end)
    // toString() would put replacement characters where bytes are no UTF-8, and the schema would be asked about another text.
    if (!isUtf8(payload)) return { fault: 'not-json', text: 'the payload is not JSON: it is not UTF-8' }
    try {
      return { value: JSON.parse(payload.toString('utf8')) }
    } catch {
      // V8's message repeats parts of the payload, which may be anything.
      return { fault: 'not-json', text: 'the payload is not JSON' }
    }
  }

  /** A compiled schema that refers to itself recurses with the value. */
  #deeperThan(maxDepth: number): boolean {
    // What is JSON closes everything it opens, so that a short payload needs no look.
    if (this.#end - this.#start <= maxDepth * 2) return false
    if (this.#depth < 0) this.#depth = nesting(this.#bytes, this.#start, this.#end)
    return this.#depth > maxDepth
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** The most brackets that are open at a time, those in strings aside. Exact for what is JSON. */
function nesting(bytes: Buffer, start: number, end: number): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > deepest) deepest = depth
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return deepest
}
