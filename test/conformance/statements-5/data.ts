import type { Section } from '../statement.ts'

export const dataRepresentation: Section = {
  number: '1.5',
  title: 'Data representation',
  statements: [
    {
      id: 'MQTT-1.5.4-1',
      binds: 'both',
      does: 'Takes a string that is not well-formed UTF-8, or encodes a surrogate, for a malformed packet, and sends none.'
    },
    { id: 'MQTT-1.5.4-2', binds: 'both', does: 'Takes a string with U+0000 in it for a malformed packet, and sends none.' },
    {
      id: 'MQTT-1.5.4-3',
      binds: 'both',
      does: 'Keeps EF BB BF as the character U+FEFF wherever it stands, so that names with and without it differ.'
    },
    {
      id: 'MQTT-1.5.5-1',
      binds: 'both',
      does: 'Writes Variable Byte Integers in as few bytes as they need and refuses those that are padded.'
    },
    { id: 'MQTT-1.5.7-1', binds: 'both', does: 'Checks name and value of a String Pair as any other string.' }
  ]
}

export const packetFormat: Section = {
  number: '2',
  title: 'Control packet format',
  statements: [
    { id: 'MQTT-2.1.3-1', binds: 'both', does: 'Sends reserved flags as the table has them and refuses packets with others.' },
    { id: 'MQTT-2.2.1-2', binds: 'both', does: 'Writes no Packet Identifier into a PUBLISH at QoS 0 and reads none from it.' },
    {
      id: 'MQTT-2.2.1-3',
      binds: 'both',
      does: 'Refuses Packet Identifier 0 with 0x82; whether a client uses an identifier twice is left to the client.'
    },
    {
      id: 'MQTT-2.2.1-4',
      binds: 'server',
      does: 'Gives each new PUBLISH above QoS 0 a Packet Identifier that is free in the session.'
    },
    {
      id: 'MQTT-2.2.1-5',
      binds: 'both',
      does: 'Answers a PUBLISH, PUBREC or PUBREL with the Packet Identifier that came with it.'
    },
    { id: 'MQTT-2.2.1-6', binds: 'server', does: 'Answers SUBSCRIBE and UNSUBSCRIBE with their own Packet Identifier.' },
    {
      id: 'MQTT-2.2.2-1',
      binds: 'both',
      does: 'Writes a Property Length of 0 where there are no properties and refuses a packet that lacks it.'
    }
  ]
}
