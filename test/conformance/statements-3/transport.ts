import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '6',
    title: 'WebSocket',
    statements: [
      { id: 'MQTT-6.0.0-1', binds: 'both', does: 'Sends binary frames only, and closes over any other.' },
      { id: 'MQTT-6.0.0-2', binds: 'both', does: 'Takes packets as they are cut over frames, several in one or one in several.' },
      { id: 'MQTT-6.0.0-3', binds: 'both', does: 'Refuses an upgrade that does not offer the subprotocol mqtt (or mqttv3.1).' },
      { id: 'MQTT-6.0.0-4', binds: 'server', does: 'Answers with the subprotocol mqtt where it is offered.' }
    ]
  },
  {
    number: '7',
    title: 'Conformance',
    statements: [
      {
        id: 'MQTT-7.0.0-1',
        binds: 'server',
        does: 'Opens no connections to other brokers, so it need not be a conformant client.'
      },
      { id: 'MQTT-7.0.0-2', binds: 'both', does: 'Needs nothing of a client that the standard does not define.' },
      { id: 'MQTT-7.1.1-1', binds: 'server', does: 'Listens on TCP, TLS and WebSocket, which are ordered and lossless.' },
      { id: 'MQTT-7.1.2-1', binds: 'client', does: 'A client uses an ordered, lossless transport.' }
    ]
  }
]
