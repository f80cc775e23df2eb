import type { Section } from '../statement.ts'

export const acknowledgementSections: readonly Section[] = [
  {
    number: '3.4',
    title: 'PUBACK: the answer to a QoS 1 PUBLISH',
    statements: [
      {
        id: 'MQTT-3.4.2-1',
        binds: 'both',
        does: 'Sends 0x00, 0x10 or the failure codes of the PUBACK table, and hangs up with 0x82 on any other code from a client.'
      },
      {
        id: 'MQTT-3.4.2-2',
        binds: 'both',
        does: 'Leaves the Reason String out of a PUBACK that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.4.2-3',
        binds: 'both',
        does: 'Leaves User Properties out of a PUBACK that would exceed the Maximum Packet Size of the client with them.'
      }
    ]
  },
  {
    number: '3.5',
    title: 'PUBREC: the first answer to a QoS 2 PUBLISH',
    statements: [
      {
        id: 'MQTT-3.5.2-1',
        binds: 'both',
        does: 'Sends only codes of the PUBREC table, and hangs up with 0x82 on any other code from a client.'
      },
      {
        id: 'MQTT-3.5.2-2',
        binds: 'both',
        does: 'Leaves the Reason String out of a PUBREC that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.5.2-3',
        binds: 'both',
        does: 'Leaves User Properties out of a PUBREC that would exceed the Maximum Packet Size of the client with them.'
      }
    ]
  },
  {
    number: '3.6',
    title: 'PUBREL: the sender lets go of a QoS 2 message',
    statements: [
      {
        id: 'MQTT-3.6.1-1',
        binds: 'both',
        does: 'Sends PUBREL with the flags 0010 and hangs up with 0x81 on every other value.'
      },
      {
        id: 'MQTT-3.6.2-1',
        binds: 'both',
        does: 'Sends 0x00, or 0x92 for an id it does not know, and hangs up with 0x82 on any other code from a client.'
      },
      {
        id: 'MQTT-3.6.2-2',
        binds: 'both',
        does: 'Leaves the Reason String out of a PUBREL that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.6.2-3',
        binds: 'both',
        does: 'Leaves User Properties out of a PUBREL that would exceed the Maximum Packet Size of the client with them.'
      }
    ]
  },
  {
    number: '3.7',
    title: 'PUBCOMP: the end of a QoS 2 delivery',
    statements: [
      {
        id: 'MQTT-3.7.2-1',
        binds: 'both',
        does: 'Sends 0x00, or 0x92 for an id it does not know, and hangs up with 0x82 on any other code from a client.'
      },
      {
        id: 'MQTT-3.7.2-2',
        binds: 'both',
        does: 'Leaves the Reason String out of a PUBCOMP that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.7.2-3',
        binds: 'both',
        does: 'Leaves User Properties out of a PUBCOMP that would exceed the Maximum Packet Size of the client with them.'
      }
    ]
  }
]
