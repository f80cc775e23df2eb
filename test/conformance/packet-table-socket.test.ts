import t from 'tap'
import { packetTable } from '../mqtt/packet-table.ts'
import type { PacketCase } from '../mqtt/packets/case.ts'
import { TestBroker } from '../support/native-broker.ts'
import { answerTo, answerToFirst } from './wire.ts'

/** The table that drives the decoder's tests, played against a broker: each row on a connection of its own. */
const { port } = await TestBroker.start(t, {
  // No row finds what another one left behind, or waits for the disk.
  ackRules: [{ filter: '#', mode: 'received' }],
  limits: { maxRetainedMessages: 0, topicAliasMaximum: 65_535 }
})

for (const group of ['CONNECT', 'PUBLISH', 'acknowledgement', 'other']) {
  t.test(`the rows of the packet table are answered as they say: ${group}`, async t => {
    const rows = packetTable.filter(row => groupOf(row) === group)
    t.ok(rows.length > 40, `${rows.length} rows`)
    // Most CONNECTs have the same Client Identifier and would take over from each other.
    const together = group === 'CONNECT' ? 1 : 20
    for (let at = 0; at < rows.length; at += together) {
      const some = rows.slice(at, at + together)
      const answers = await Promise.all(some.map(play))
      some.forEach((row, i) => {
        t.same(answers[i], expected(row), row.title)
      })
    }
  })
}

function groupOf({ bytes }: PacketCase): string {
  const type = bytes[0]! >> 4
  return type === 1 ? 'CONNECT' : type === 3 ? 'PUBLISH' : type >= 4 && type <= 7 ? 'acknowledgement' : 'other'
}

function play(row: PacketCase): Promise<string[]> {
  if (groupOf(row) === 'CONNECT') return answerToFirst(port, row.bytes, row.version)
  // A DISCONNECT may change an expiry interval that is not 0.
  const properties = row.version === 5 && row.bytes[0] === 0xe0 ? { sessionExpiryInterval: 60 } : undefined
  return answerTo(port, row.bytes, row.version, properties)
}

/** In the words of wire.ts. */
function expected(row: PacketCase): string[] {
  if ('packet' in row) return answersTo(row.packet)
  if (groupOf(row) !== 'CONNECT') return row.version === 5 ? [`disconnect ${row.reasonCode}`, 'closed'] : ['closed']
  if (row.connackVersion === 5) return [`connack ${row.reasonCode}`, 'closed']
  return row.connackReturnCode === undefined ? ['closed'] : [`connack ${row.connackReturnCode}`, 'closed']
}

/** What a sound packet gets from a broker that has not heard of its identifiers and aliases. */
function answersTo(packet: Extract<PacketCase, { packet: unknown }>['packet']): string[] {
  switch (packet.cmd) {
    case 'connect':
      return packet.properties.authenticationMethod === undefined ? ['connack 0', 'alive'] : ['connack 140', 'closed']
    case 'publish':
      if (packet.topic === '') return ['disconnect 130', 'closed']
      return packet.qos === 0 ? ['alive'] : [packet.qos === 1 ? 'puback' : 'pubrec', 'alive']
    case 'puback':
    case 'pubcomp':
      return ['alive']
    case 'pubrec':
      return packet.reasonCode >= 0x80 ? ['alive'] : ['pubrel', 'alive']
    case 'pubrel':
      return ['pubcomp', 'alive']
    case 'subscribe':
      return ['suback', 'alive']
    case 'unsubscribe':
      return ['unsuback', 'alive']
    case 'pingreq':
      return ['alive']
    case 'disconnect':
      return ['closed']
    case 'auth':
      return ['disconnect 130', 'closed']
  }
}
