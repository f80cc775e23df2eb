import type { AckPacket } from '../../../lib/mqtt/packet.ts'
import { field, forVersions, type PacketCase, properties, raw } from './case.ts'

const kinds: { cmd: AckPacket['cmd']; firstByte: number; failure: number }[] = [
  { cmd: 'puback', firstByte: 0x40, failure: 0x87 },
  { cmd: 'pubrec', firstByte: 0x50, failure: 0x97 },
  { cmd: 'pubrel', firstByte: 0x62, failure: 0x92 },
  { cmd: 'pubcomp', firstByte: 0x70, failure: 0x92 }
]

export const acknowledgementCases: PacketCase[] = kinds.flatMap(({ cmd, firstByte, failure }): PacketCase[] => {
  const NAME = cmd.toUpperCase()
  const ack = (changes: Partial<AckPacket> = {}): AckPacket => ({
    cmd,
    messageId: 513,
    reasonCode: 0,
    properties: {},
    ...changes
  })
  return [
    ...forVersions([3, 4, 5], version => [
      { title: `${NAME} in two bytes`, version, bytes: raw(firstByte, 2, 1), packet: ack() },
      { title: `[MQTT-2.2.1-3] ${NAME} with Packet Identifier 0`, version, bytes: raw(firstByte, 0, 0), reasonCode: 0x82 },
      { title: `${NAME} that ends inside the Packet Identifier`, version, bytes: raw(firstByte, 2), reasonCode: 0x81 },
      { title: `${NAME} without a Packet Identifier`, version, bytes: raw(firstByte), reasonCode: 0x81 }
    ]),
    ...forVersions([4, 5], version => ({
      title: `[MQTT-2.1.3-1] ${NAME} with a reserved flag set`,
      version,
      bytes: raw(firstByte | 8, 2, 1),
      reasonCode: 0x81
    })),
    ...forVersions([3, 4], version => ({
      title: `${NAME} with a reason code, which is of MQTT 5`,
      version,
      bytes: raw(firstByte, 2, 1, 0),
      reasonCode: 0x81
    })),
    { title: `${NAME} with DUP (3.1)`, version: 3, bytes: raw(firstByte | 8, 2, 1), packet: ack() },
    {
      title: `${NAME} with a reason code (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, failure),
      packet: ack({ reasonCode: failure })
    },
    {
      title: `${NAME} with no properties after the reason code (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, 0, 0),
      packet: ack()
    },
    {
      title: `${NAME} with Reason String and user properties (5)`,
      version: 5,
      bytes: raw(
        firstByte,
        2,
        1,
        failure,
        properties(0x26, field('k'), field('v'), 0x1f, field('why'), 0x26, field('k'), field('w'))
      ),
      packet: ack({
        reasonCode: failure,
        properties: {
          reasonString: 'why',
          userProperties: [
            ['k', 'v'],
            ['k', 'w']
          ]
        }
      })
    },
    {
      title: `[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] ${NAME} with a reason code of another packet (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, 0x04),
      reasonCode: 0x82
    },
    {
      title: `section 2.2.2.2: ${NAME} with a property of PUBLISH (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, 0, properties(0x01, 0)),
      reasonCode: 0x81
    },
    {
      title: `section 3.4.2.2.2: ${NAME} with two Reason Strings (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, 0, properties(0x1f, field('a'), 0x1f, field('a'))),
      reasonCode: 0x82
    },
    {
      title: `${NAME} with bytes after its properties (5)`,
      version: 5,
      bytes: raw(firstByte, 2, 1, 0, 0, 0),
      reasonCode: 0x81
    },
    {
      title: `[MQTT-1.5.5-1] ${NAME} with a padded Remaining Length (5)`,
      version: 5,
      bytes: Buffer.from([firstByte, 0x82, 0x00, 2, 1]),
      reasonCode: 0x81
    }
  ]
})
