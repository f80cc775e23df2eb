import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '3.1',
    title: 'CONNECT',
    statements: [
      { id: 'MQTT-3.1.0-1', binds: 'both', does: 'Closes a connection whose first packet is not CONNECT.' },
      { id: 'MQTT-3.1.0-2', binds: 'server', does: 'Closes a connection that sends a second CONNECT.' },
      {
        id: 'MQTT-3.1.2-1',
        binds: 'server',
        does: 'Closes without an answer when the protocol name is neither MQTT nor MQIsdp.'
      },
      {
        id: 'MQTT-3.1.2-2',
        binds: 'server',
        does: 'Answers a protocol level it does not speak with return code 1, then closes.'
      },
      { id: 'MQTT-3.1.2-3', binds: 'server', does: 'Closes when the reserved connect flag is set.' },
      {
        id: 'MQTT-3.1.2-4',
        binds: 'both',
        does: 'With Clean Session 0 goes on with the stored session or begins one, and keeps it after the connection.'
      },
      {
        id: 'MQTT-3.1.2-5',
        binds: 'server',
        does: 'Queues matching QoS 1 and 2 messages for a stored session whose client is away; QoS 0 is not kept.'
      },
      {
        id: 'MQTT-3.1.2-6',
        binds: 'both',
        does: 'With Clean Session 1 drops the old session, and the new one ends with the connection.'
      },
      { id: 'MQTT-3.1.2-7', binds: 'server', does: 'Keeps retained messages when the session of their publisher ends.' },
      { id: 'MQTT-3.1.2-8', binds: 'server', does: 'Publishes the will when the connection ends in any way but DISCONNECT.' },
      {
        id: 'MQTT-3.1.2-9',
        binds: 'both',
        does: 'Uses Will QoS and Will Retain, and closes when topic or message of the will are missing.'
      },
      { id: 'MQTT-3.1.2-10', binds: 'server', does: 'Forgets the will once it is published or DISCONNECT arrived.' },
      { id: 'MQTT-3.1.2-11', binds: 'both', does: 'Closes when will fields are present though the Will Flag is 0.' },
      { id: 'MQTT-3.1.2-12', binds: 'server', does: 'Publishes no will for a connection whose Will Flag was 0.' },
      { id: 'MQTT-3.1.2-13', binds: 'both', does: 'Closes over a Will QoS without Will Flag.' },
      { id: 'MQTT-3.1.2-14', binds: 'both', does: 'Closes over Will QoS 3.' },
      { id: 'MQTT-3.1.2-15', binds: 'both', does: 'Closes over Will Retain without Will Flag.' },
      { id: 'MQTT-3.1.2-16', binds: 'server', does: 'Publishes a will without Will Retain as an ordinary message.' },
      { id: 'MQTT-3.1.2-17', binds: 'server', does: 'Retains a will with Will Retain.' },
      { id: 'MQTT-3.1.2-18', binds: 'both', does: 'Closes when there is a user name without its flag.' },
      { id: 'MQTT-3.1.2-19', binds: 'both', does: 'Closes when the user name is missing though flagged.' },
      { id: 'MQTT-3.1.2-20', binds: 'both', does: 'Closes when there is a password without its flag.' },
      { id: 'MQTT-3.1.2-21', binds: 'both', does: 'Closes when the password is missing though flagged.' },
      { id: 'MQTT-3.1.2-22', binds: 'both', does: 'Closes over a password without a user name.' },
      { id: 'MQTT-3.1.2-23', binds: 'client', does: 'A client sends something, PINGREQ if need be, within each Keep Alive.' },
      {
        id: 'MQTT-3.1.2-24',
        binds: 'server',
        does: 'Ends a connection that was silent for one and a half times its Keep Alive, as a lost one: the will is published.'
      },
      {
        id: 'MQTT-3.1.3-1',
        binds: 'both',
        does: 'Reads identifier, will topic, will message, user name and password in this order.'
      },
      { id: 'MQTT-3.1.3-2', binds: 'both', does: 'Finds the session by the Client Identifier.' },
      { id: 'MQTT-3.1.3-3', binds: 'both', does: 'Closes when the payload does not begin with a Client Identifier.' },
      { id: 'MQTT-3.1.3-4', binds: 'both', does: 'Closes when the Client Identifier is not UTF-8.' },
      {
        id: 'MQTT-3.1.3-5',
        binds: 'server',
        does: 'Accepts every Client Identifier of 1 to 23 letters and digits (and others).'
      },
      {
        id: 'MQTT-3.1.3-6',
        binds: 'server',
        does: 'Gives a client with an empty identifier and Clean Session 1 one of its own.'
      },
      { id: 'MQTT-3.1.3-7', binds: 'both', does: 'Takes an empty Client Identifier with Clean Session 1 only.' },
      {
        id: 'MQTT-3.1.3-8',
        binds: 'server',
        does: 'Answers an empty Client Identifier with Clean Session 0 with return code 2, then closes.'
      },
      { id: 'MQTT-3.1.3-9', binds: 'server', does: 'Answers a Client Identifier it refuses with return code 2, then closes.' },
      { id: 'MQTT-3.1.3-10', binds: 'both', does: 'Closes when the Will Topic is not UTF-8.' },
      { id: 'MQTT-3.1.3-11', binds: 'both', does: 'Closes when the User Name is not UTF-8.' },
      { id: 'MQTT-3.1.4-1', binds: 'server', does: 'Closes without CONNACK when a CONNECT breaks the rules of its section.' },
      { id: 'MQTT-3.1.4-2', binds: 'server', does: 'Ends the older connection of a Client Identifier that connects again.' },
      { id: 'MQTT-3.1.4-3', binds: 'server', does: 'Resumes or discards the session before it accepts.' },
      { id: 'MQTT-3.1.4-4', binds: 'server', does: 'Answers a valid CONNECT with return code 0.' },
      { id: 'MQTT-3.1.4-5', binds: 'server', does: 'Looks at nothing that follows a CONNECT it refused.' }
    ]
  },
  {
    number: '3.2',
    title: 'CONNACK',
    statements: [
      { id: 'MQTT-3.2.0-1', binds: 'server', does: 'Sends CONNACK before everything else, also where messages wait.' },
      { id: 'MQTT-3.2.2-1', binds: 'server', does: 'Says Session Present 0 to Clean Session 1.' },
      {
        id: 'MQTT-3.2.2-2',
        binds: 'server',
        does: 'Says Session Present 1 when there is a stored session, with or without subscriptions.'
      },
      { id: 'MQTT-3.2.2-3', binds: 'server', does: 'Says Session Present 0 when there is none.' },
      { id: 'MQTT-3.2.2-4', binds: 'server', does: 'Says Session Present 0 in every refusal.' },
      { id: 'MQTT-3.2.2-5', binds: 'server', does: 'Closes after every refusal.' },
      { id: 'MQTT-3.2.2-6', binds: 'server', does: 'Closes without CONNACK where no return code fits.' }
    ]
  }
]
