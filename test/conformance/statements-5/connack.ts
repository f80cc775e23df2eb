import type { Section } from '../statement.ts'

export const connack: Section = {
  number: '3.2',
  title: 'CONNACK',
  statements: [
    { id: 'MQTT-3.2.0-1', binds: 'server', does: 'Sends nothing but AUTH before CONNACK.' },
    { id: 'MQTT-3.2.0-2', binds: 'server', does: 'Sends one CONNACK on a connection, whatever comes.' },
    { id: 'MQTT-3.2.2-1', binds: 'server', does: 'Leaves the reserved Connect Acknowledge Flags 0.' },
    { id: 'MQTT-3.2.2-2', binds: 'server', does: 'Answers Clean Start 1 with Session Present 0.' },
    {
      id: 'MQTT-3.2.2-3',
      binds: 'server',
      does: 'Sets Session Present when it goes on with a session, be there subscriptions in it or not.'
    },
    { id: 'MQTT-3.2.2-4', binds: 'client', does: 'Close when the server has a session that the client does not have.' },
    { id: 'MQTT-3.2.2-5', binds: 'client', does: 'Drop the own session state when the server has none.' },
    { id: 'MQTT-3.2.2-6', binds: 'server', does: 'Leaves Session Present 0 in a CONNACK that refuses.' },
    { id: 'MQTT-3.2.2-7', binds: 'server', does: 'Closes the connection after a CONNACK that refuses.' },
    { id: 'MQTT-3.2.2-8', binds: 'server', does: 'Uses the Connect Reason Codes of table 3-1 only.' },
    { id: 'MQTT-3.2.2-9', binds: 'server', does: 'Announces Maximum QoS when it is configured below 2.' },
    { id: 'MQTT-3.2.2-10', binds: 'server', does: 'Accepts subscriptions at any QoS, whatever its own Maximum QoS.' },
    { id: 'MQTT-3.2.2-11', binds: 'both', does: 'Answers a PUBLISH above its Maximum QoS with DISCONNECT 0x9B.' },
    { id: 'MQTT-3.2.2-12', binds: 'server', does: 'Refuses a CONNECT whose Will QoS is above its Maximum QoS with 0x9B.' },
    {
      id: 'MQTT-3.2.2-13',
      binds: 'server',
      does: 'Refuses a CONNECT with Will Retain with 0x9A when it is configured not to retain.'
    },
    {
      id: 'MQTT-3.2.2-14',
      binds: 'both',
      does: 'Answers a PUBLISH with RETAIN with DISCONNECT 0x9A when it is configured not to retain.'
    },
    {
      id: 'MQTT-3.2.2-15',
      binds: 'both',
      does: 'Answers a packet above its Maximum Packet Size with DISCONNECT 0x95.'
    },
    {
      id: 'MQTT-3.2.2-16',
      binds: 'server',
      does: 'Assigns a random identifier to a client that names none, unlike that of any session.'
    },
    {
      id: 'MQTT-3.2.2-17',
      binds: 'both',
      does: 'Answers a Topic Alias above its Topic Alias Maximum with DISCONNECT 0x94.'
    },
    {
      id: 'MQTT-3.2.2-18',
      binds: 'both',
      does: 'Answers any Topic Alias with DISCONNECT 0x94 when it is configured to take none.'
    },
    {
      id: 'MQTT-3.2.2-19',
      binds: 'server',
      does: 'Leaves the Reason String out of a CONNACK that would become too large for the client.'
    },
    {
      id: 'MQTT-3.2.2-20',
      binds: 'server',
      does: 'Leaves User Properties out of a CONNACK that would become too large for the client.'
    },
    { id: 'MQTT-3.2.2-21', binds: 'client', does: 'Keep to the Server Keep Alive of the CONNACK.' },
    { id: 'MQTT-3.2.2-22', binds: 'server', does: 'Measures silence by the Keep Alive of the client when it announces no other.' }
  ]
}
