import { acknowledgementCases } from './packets/acknowledgement.ts'
import type { PacketCase } from './packets/case.ts'
import { connectCases } from './packets/connect.ts'
import { connectionCases } from './packets/connection.ts'
import { publishCases } from './packets/publish.ts'
import { subscribeCases } from './packets/subscribe.ts'

/** Every form of every packet a client may send, and every malformed form we know of, as bytes: for decoders and for sockets. */
export const packetTable: readonly PacketCase[] = [
  ...connectCases,
  ...publishCases,
  ...acknowledgementCases,
  ...subscribeCases,
  ...connectionCases
]
