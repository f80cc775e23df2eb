import type { ControlPacket, ProtocolVersion, PublishPacket } from '../../../lib/mqtt/packet.ts'

/** What a client puts on the wire and what the standard says it is: a packet, or a reason to hang up. */
export type PacketCase = {
  /** Begins with the clause where one applies; ends in the version. */
  title: string
  version: ProtocolVersion
  bytes: Buffer
} & ({ packet: ControlPacket | PublishPacket } | Refusal)

export interface Refusal {
  reasonCode: number
  /** For CONNECT: return code of the 3.1.1 CONNACK, undefined = closed without one. */
  connackReturnCode?: number
  /** For CONNECT: form of the CONNACK, undefined = the version is not known. */
  connackVersion?: ProtocolVersion
}

type Part = number | Buffer

/** A packet from its first byte and its body; the Remaining Length is put in between. */
export function raw(firstByte: number, ...body: Part[]): Buffer {
  const bytes = join(body)
  return join([firstByte, variableByte(bytes.length), bytes])
}

/** A string or binary field: two bytes of length, then UTF-8. */
export function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string)
  return join([bytes.length >> 8, bytes.length & 0xff, bytes])
}

/** Property Length and properties. */
export function properties(...content: Part[]): Buffer {
  const bytes = join(content)
  return join([variableByte(bytes.length), bytes])
}

export function join(parts: Part[]): Buffer {
  return Buffer.concat(parts.map(part => (typeof part === 'number' ? Buffer.from([part]) : part)))
}

export function variableByte(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low + 128 : low)
  } while (rest > 0)
  return Buffer.from(bytes)
}

/** The same case for several versions that agree on it. */
export function forVersions(
  versions: ProtocolVersion[],
  make: (version: ProtocolVersion) => PacketCase | PacketCase[]
): PacketCase[] {
  return versions
    .flatMap(version => make(version))
    .map(entry => ({ ...entry, title: `${entry.title} (${names[entry.version]})` }))
}

const names = { 3: '3.1', 4: '3.1.1', 5: '5' } as const
