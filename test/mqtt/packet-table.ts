import { acknowledgementCases } from './packets/acknowledgement.ts'
import type { PacketCase } from './packets/case.ts'
import { connectCases } from './packets/connect.ts'
import { connectionCases } from './packets/connection.ts'
import { fixedHeaderCases } from './packets/fixed-header.ts'
import { propertyMatrixCases } from './packets/property-matrix.ts'
import { publishCases } from './packets/publish.ts'
import { stringCases } from './packets/strings.ts'
import { subscribeCases } from './packets/subscribe.ts'

/** Every form of every packet a client may send, and every malformed form we know of, as bytes: for decoders and for sockets. */
export const packetTable: readonly PacketCase[] = [
  ...connectCases,
  ...publishCases,
  ...acknowledgementCases,
  ...subscribeCases,
  ...connectionCases,
  ...fixedHeaderCases,
  ...stringCases,
  ...propertyMatrixCases
]
