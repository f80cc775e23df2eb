import { field, join, properties, raw } from '../../mqtt/packets/case.ts'
import { type AnyPacket, RawClient } from '../../support/raw-client.ts'

/** Packets byte by byte, for what mqtt-packet would neither write nor show. */

type Part = number | Buffer

export interface ConnectParts {
  name?: string
  version?: number
  flags?: number
  keepAliveSeconds?: number
  properties?: Part[]
  /** The fields of the payload; an empty Client Identifier alone when there are none. */
  payload?: Part[]
}

/** A CONNECT of MQTT 5 with Clean Start, or whatever it is made into. */
export function connectBytes(parts: ConnectParts = {}): Buffer {
  const { name = 'MQTT', version = 5, flags = 2, keepAliveSeconds = 0, payload = [field('')] } = parts
  const keepAlive = Buffer.from([keepAliveSeconds >> 8, keepAliveSeconds & 0xff])
  return raw(0x10, field(name), version, flags, keepAlive, properties(...(parts.properties ?? [])), ...payload)
}

/** A PUBLISH of MQTT 5. `flags` hold DUP, QoS and RETAIN; the Packet Identifier is written as it is asked for. */
export function publishBytes(flags: number, topic: string | Buffer, content: Part[], payload = '', packetId?: number): Buffer {
  const id = packetId === undefined ? [] : [packetId >> 8, packetId & 0xff]
  return raw(0x30 | flags, field(topic), ...id, properties(...content), Buffer.from(payload))
}

/** Sends bytes as the first of a connection and returns the packets that came until the broker closed it. */
export async function answersTo(port: number, bytes: Uint8Array): Promise<AnyPacket[]> {
  const client = await RawClient.open(port, 5)
  client.sendBytes(bytes)
  return client.ended()
}

/** The reason code of the CONNACK that refuses these bytes; undefined when the connection ended without one. */
export async function refusal(port: number, bytes: Uint8Array): Promise<unknown> {
  const [connack, ...more] = await answersTo(port, bytes)
  if (more.length > 0 || (connack !== undefined && connack.cmd !== 'connack')) throw new Error('one CONNACK at most is expected')
  return connack?.reasonCode
}

/** The reason code of the DISCONNECT that answers these bytes on an open connection. */
export async function violation(port: number, bytes: Uint8Array): Promise<unknown> {
  const { client } = await RawClient.connect(port, { version: 5 })
  client.sendBytes(bytes)
  const packets = await client.ended()
  const last = packets.at(-1)
  if (packets.length !== 1 || last?.cmd !== 'disconnect')
    throw new Error(`one DISCONNECT is expected: ${JSON.stringify(packets)}`)
  return last.reasonCode
}

/** Every byte that arrives from now on. */
export function recorded(client: RawClient): () => Buffer {
  const chunks: Buffer[] = []
  client.socket.on('data', (bytes: Buffer) => chunks.push(bytes))
  return () => Buffer.concat(chunks)
}

/** A User Property as it stands in a packet. */
export function userProperty(name: string | Buffer, value: string | Buffer): Buffer {
  return join([0x26, field(name), field(value)])
}
