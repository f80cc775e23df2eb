import type { CompiledPolicy, Policy } from '../../../lib/access/contract.ts'
import { type AnyPacket, RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

/** A client of MQTT 5 whose session ends with its connection. */
export async function connect(port: number, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(port, { clientId, version: 5, ...options })).client
}

/** A client of MQTT 5 whose session outlives the connection; takes it up again when there is one. */
export function connectStored(port: number, clientId: string, properties: object = {}): Promise<RawClient> {
  return connect(port, clientId, { clean: false, properties: { sessionExpiryInterval: 1000, ...properties } })
}

/** What the broker says to these bytes from a client it has accepted, up to the end of the connection. Fails when it goes on. */
export async function lastWords(port: number, bytes: Buffer, options: RawConnectOptions = {}): Promise<AnyPacket[]> {
  const { client } = await RawClient.connect(port, { clientId: '', version: 5, ...options })
  return lastWordsTo(client, bytes)
}

export async function lastWordsTo(client: RawClient, bytes: Buffer): Promise<AnyPacket[]> {
  // One write, so that the broker has read all of it when it hangs up, and answers the PINGREQ if it does not.
  client.sendBytes(Buffer.concat([bytes, pingreq]))
  const words: AnyPacket[] = []
  for (let packet = await client.next(); packet !== undefined; packet = await client.next()) {
    if (packet.cmd === 'pingresp') throw new Error('the broker went on with this connection')
    words.push(packet)
  }
  return words
}

/** Pattern for what lastWords() returns: a DISCONNECT and nothing else. */
export function disconnectsWith(reasonCode: number): object {
  return { length: 1, 0: { cmd: 'disconnect', reasonCode } }
}

export function publishPacket(topic: string, payload: string, qos: 0 | 1 | 2, messageId = 0, changes: object = {}): object {
  return { cmd: 'publish', topic, payload, qos, retain: false, dup: false, ...(qos > 0 ? { messageId } : {}), ...changes }
}

/** The next packets; what waits in a queue on disk comes when it has been read, so a PINGREQ may be answered before it. */
export async function arrivals(client: RawClient, count: number): Promise<AnyPacket[]> {
  const packets: AnyPacket[] = []
  while (packets.length < count) {
    const packet = await client.next()
    if (packet === undefined) throw new Error(`the connection ended after ${packets.length} of ${count} packets`)
    packets.push(packet)
  }
  return packets
}

export function payloads(packets: readonly (AnyPacket | undefined)[]): string[] {
  return packets.map(packet => String(packet?.payload))
}

/** Nobody may publish or subscribe to what begins with `secret`. */
export const noSecrets: Policy = {
  generation: 1,
  compile(): CompiledPolicy {
    const open = (text: string): boolean => !text.startsWith('secret')
    return { permitsAll: false, canPublish: open, canSubscribe: open, canReceive: () => true }
  }
}

const pingreq = Buffer.from([0xc0, 0])
