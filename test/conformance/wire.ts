import type { ProtocolVersion } from '../../lib/mqtt/packet.ts'
import { RawClient } from '../support/raw-client.ts'

const pingreq = Buffer.from([0xc0, 0])

/**
 * What the broker makes of bytes that a connection begins with: the packets it sends, CONNACK with its code and DISCONNECT with
 * its reason, then 'closed', or 'alive' when it goes on to answer a PINGREQ.
 */
export async function answerToFirst(port: number, bytes: Uint8Array, version: ProtocolVersion = 4): Promise<string[]> {
  const client = await RawClient.open(port, version)
  client.sendBytes(Buffer.concat([bytes, pingreq]))
  return answersOf(client)
}

/** The same for bytes that come after an accepted CONNECT of this version, with these properties. */
export async function answerTo(
  port: number,
  bytes: Uint8Array,
  version: ProtocolVersion = 4,
  properties?: object
): Promise<string[]> {
  const options = { version, clientId: `wire-${++clients}`, ...(properties === undefined ? {} : { properties }) }
  const { client } = await RawClient.connect(port, options)
  client.sendBytes(Buffer.concat([bytes, pingreq]))
  return answersOf(client)
}

let clients = 0

async function answersOf(client: RawClient): Promise<string[]> {
  const answers: string[] = []
  for (;;) {
    const packet = await client.next()
    if (packet === undefined) return [...answers, 'closed']
    if (packet.cmd === 'pingresp') {
      await client.cut()
      return [...answers, 'alive']
    }
    if (packet.cmd === 'connack') answers.push(`connack ${packet.returnCode ?? packet.reasonCode}`)
    else if (packet.cmd === 'disconnect') answers.push(`disconnect ${packet.reasonCode}`)
    else answers.push(packet.cmd)
  }
}
