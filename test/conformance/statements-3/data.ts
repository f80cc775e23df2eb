import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '1.5',
    title: 'Data representations',
    statements: [
      {
        id: 'MQTT-1.5.3-1',
        binds: 'both',
        does: 'Closes the connection when a string is ill-formed UTF-8: surrogates, overlong forms, truncated sequences, above U+10FFFF.'
      },
      { id: 'MQTT-1.5.3-2', binds: 'both', does: 'Closes the connection when a string holds U+0000.' },
      { id: 'MQTT-1.5.3-3', binds: 'both', does: 'Keeps the bytes EF BB BF as the character U+FEFF wherever they stand.' }
    ]
  },
  {
    number: '2.2',
    title: 'Fixed header',
    statements: [
      { id: 'MQTT-2.2.2-1', binds: 'both', does: 'Sets the reserved flags of what it sends to the values of table 2.2.' },
      {
        id: 'MQTT-2.2.2-2',
        binds: 'both',
        does: 'Closes the connection when the flags of a packet are not the ones of table 2.2.'
      }
    ]
  },
  {
    number: '2.3',
    title: 'Variable header: Packet Identifier',
    statements: [
      {
        id: 'MQTT-2.3.1-1',
        binds: 'both',
        does: 'Closes the connection over Packet Identifier 0, and sends no PUBLISH above QoS 0 with it.'
      },
      { id: 'MQTT-2.3.1-2', binds: 'client', does: 'A client uses an identifier that is free for each new packet.' },
      { id: 'MQTT-2.3.1-3', binds: 'client', does: 'A client sends a packet again with the identifier it had.' },
      {
        id: 'MQTT-2.3.1-4',
        binds: 'server',
        does: 'Gives each PUBLISH above QoS 0 a free identifier, keeps it on redelivery, and frees it with PUBACK or PUBCOMP.'
      },
      { id: 'MQTT-2.3.1-5', binds: 'both', does: 'Sends QoS 0 without an identifier, and reads none there.' },
      { id: 'MQTT-2.3.1-6', binds: 'both', does: 'Answers a PUBLISH with its own identifier in PUBACK, PUBREC and PUBREL.' },
      { id: 'MQTT-2.3.1-7', binds: 'server', does: 'Answers SUBSCRIBE and UNSUBSCRIBE with their own identifier.' }
    ]
  }
]
