import type { Section } from '../statement.ts'

export const authSections: readonly Section[] = [
  {
    number: '3.15',
    title: 'AUTH: the steps of an enhanced authentication',
    statements: [
      {
        id: 'MQTT-3.15.1-1',
        binds: 'both',
        does: 'Hangs up with 0x81 on an AUTH with a flag set.'
      },
      {
        id: 'MQTT-3.15.2-1',
        binds: 'both',
        does: 'Sends 0x00 and 0x18, and hangs up with 0x82 on an AUTH from a client that says neither 0x18 nor 0x19.'
      },
      {
        id: 'MQTT-3.15.2-2',
        binds: 'both',
        does: 'Leaves the Reason String out of an AUTH that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.15.2-3',
        binds: 'both',
        does: 'Leaves User Properties out of an AUTH that would exceed the Maximum Packet Size of the client with them.'
      }
    ]
  }
]

export const enhancedAuthenticationSection: Section = {
  number: '4.12',
  title: 'Enhanced authentication',
  statements: [
    {
      id: 'MQTT-4.12.0-1',
      binds: 'server',
      does: 'Refuses an Authentication Method it does not know with CONNACK 0x8C and hangs up.'
    },
    {
      id: 'MQTT-4.12.0-2',
      binds: 'server',
      does: 'Asks for the next step with an AUTH that says 0x18.'
    },
    {
      id: 'MQTT-4.12.0-3',
      binds: 'client',
      does: 'Answers an AUTH of the broker with an AUTH that says 0x18.'
    },
    {
      id: 'MQTT-4.12.0-4',
      binds: 'server',
      does: 'Refuses at any step with a CONNACK that says why and hangs up.'
    },
    {
      id: 'MQTT-4.12.0-5',
      binds: 'both',
      does: 'Names the Authentication Method of the CONNECT in every AUTH and in the CONNACK, and hangs up on another one.'
    },
    {
      id: 'MQTT-4.12.0-6',
      binds: 'server',
      does: 'Sends neither AUTH nor an Authentication Method to a client that named none.'
    },
    {
      id: 'MQTT-4.12.0-7',
      binds: 'client',
      does: 'Sends no AUTH without an Authentication Method in its CONNECT; the broker hangs up with 0x82.'
    },
    {
      id: 'MQTT-4.12.1-1',
      binds: 'client',
      does: 'Authenticates again with the same Authentication Method as at first; the broker hangs up on another one.'
    },
    {
      id: 'MQTT-4.12.1-2',
      binds: 'both',
      does: 'Ends the connection with a DISCONNECT that says why when authenticating again fails.'
    }
  ]
}
