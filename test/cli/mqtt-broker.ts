import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { generate, type IConnackPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet'

const version = { protocolVersion: 5 as const }

export interface Publication {
  clientId: string
  packet: IPublishPacket
}

/** Just enough of a broker to see what a client sends and to answer as a test wants. */
export class FakeBroker {
  readonly publications: Publication[] = []
  readonly connects: Packet[] = []
  readonly disconnects: Packet[] = []
  /** Asked for each CONNECT. */
  connack: () => Partial<IConnackPacket> = () => ({ reasonCode: 0 })
  /** Reason code of the PUBACK; undefined = none is sent. */
  puback: (publication: Publication) => number | undefined = () => 0
  readonly #sockets = new Set<Socket>()
  readonly #server: Server

  constructor() {
    this.#server = createServer(socket => this.#serve(socket))
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  dropAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.dropAll()
    await closed
  }

  #serve(socket: Socket): void {
    const packets = parser(version)
    let clientId = ''
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', chunk => packets.parse(chunk))
    packets.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connect') {
        clientId = packet.clientId
        this.connects.push(packet)
        socket.write(generate({ cmd: 'connack', sessionPresent: false, reasonCode: 0, ...this.connack() }, version))
      } else if (packet.cmd === 'publish') {
        const publication = { clientId, packet }
        this.publications.push(publication)
        const reasonCode = this.puback(publication)
        if (reasonCode !== undefined) socket.write(generate({ cmd: 'puback', messageId: packet.messageId!, reasonCode }, version))
      } else if (packet.cmd === 'disconnect') this.disconnects.push(packet)
    })
  }
}
