import type { Section } from '../statement.ts'

export const disconnectSections: readonly Section[] = [
  {
    number: '3.12',
    title: 'PINGREQ: is anybody there?',
    statements: [
      {
        id: 'MQTT-3.12.4-1',
        binds: 'server',
        does: 'Answers each PINGREQ with a PINGRESP, in the order of what arrived around it.'
      }
    ]
  },
  {
    number: '3.14',
    title: 'DISCONNECT: the last packet',
    statements: [
      {
        id: 'MQTT-3.14.0-1',
        binds: 'server',
        does: 'Sends DISCONNECT only to clients that were accepted; before that it refuses by CONNACK or just hangs up.'
      },
      {
        id: 'MQTT-3.14.1-1',
        binds: 'both',
        does: 'Answers a DISCONNECT with reserved bits set with DISCONNECT 0x81.'
      },
      {
        id: 'MQTT-3.14.2-1',
        binds: 'both',
        does: 'Sends only codes of the DISCONNECT table, and answers a code that a client may not send with 0x82.'
      },
      {
        id: 'MQTT-3.14.2-2',
        binds: 'server',
        does: 'Never puts a Session Expiry Interval into a DISCONNECT.'
      },
      {
        id: 'MQTT-3.14.2-3',
        binds: 'both',
        does: 'Leaves the Reason String out of a DISCONNECT that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.14.2-4',
        binds: 'both',
        does: 'Leaves User Properties out of a DISCONNECT that would exceed the Maximum Packet Size of the client with them.'
      },
      {
        id: 'MQTT-3.14.4-1',
        binds: 'both',
        does: 'Sends nothing after its DISCONNECT, not even acknowledgements that were waiting for the disk.'
      },
      {
        id: 'MQTT-3.14.4-2',
        binds: 'both',
        does: 'Closes the connection once its DISCONNECT is sent, and when a DISCONNECT arrived.'
      },
      {
        id: 'MQTT-3.14.4-3',
        binds: 'server',
        does: 'Drops the Will Message when a DISCONNECT with 0x00 arrives, and publishes it on every other code.'
      }
    ]
  }
]
