import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '3.3',
    title: 'PUBLISH',
    statements: [
      { id: 'MQTT-3.3.1-1', binds: 'both', does: 'Sets DUP on what it sends again.' },
      { id: 'MQTT-3.3.1-2', binds: 'both', does: 'Sends QoS 0 without DUP, and closes when a client sets it there.' },
      { id: 'MQTT-3.3.1-3', binds: 'server', does: 'Sets DUP by its own redelivery alone, never as the publisher had it.' },
      { id: 'MQTT-3.3.1-4', binds: 'both', does: 'Closes over QoS 3.' },
      { id: 'MQTT-3.3.1-5', binds: 'server', does: 'Stores a message with RETAIN together with its QoS.' },
      {
        id: 'MQTT-3.3.1-6',
        binds: 'server',
        does: 'Sends the last retained message of each matching topic to a new subscription.'
      },
      {
        id: 'MQTT-3.3.1-7',
        binds: 'server',
        does: 'Replaces what was retained by a QoS 0 message with RETAIN, and keeps that one like any other.'
      },
      { id: 'MQTT-3.3.1-8', binds: 'server', does: 'Sets RETAIN on what it sends because of a new subscription.' },
      { id: 'MQTT-3.3.1-9', binds: 'server', does: 'Clears RETAIN on what it sends because of an established subscription.' },
      {
        id: 'MQTT-3.3.1-10',
        binds: 'server',
        does: 'Forwards an empty message with RETAIN like any other and removes what was retained.'
      },
      { id: 'MQTT-3.3.1-11', binds: 'server', does: 'Never stores an empty retained message.' },
      { id: 'MQTT-3.3.1-12', binds: 'server', does: 'Leaves the retained message alone when one without RETAIN passes.' },
      {
        id: 'MQTT-3.3.2-1',
        binds: 'both',
        does: 'Closes when the Topic Name is missing or not UTF-8; sends it as the first field.'
      },
      { id: 'MQTT-3.3.2-2', binds: 'both', does: 'Closes when a Topic Name has a wildcard.' },
      {
        id: 'MQTT-3.3.2-3',
        binds: 'server',
        does: 'Delivers messages under the Topic Name they were published to, to matching filters only.'
      },
      { id: 'MQTT-3.3.4-1', binds: 'both', does: 'Answers QoS 1 with PUBACK, QoS 2 with PUBREC and QoS 0 with nothing.' },
      {
        id: 'MQTT-3.3.5-1',
        binds: 'server',
        does: 'Delivers one copy at the highest QoS of all matching subscriptions of a client.'
      },
      {
        id: 'MQTT-3.3.5-2',
        binds: 'server',
        does: 'Closes the connection of a client that publishes what it may not.'
      }
    ]
  },
  {
    number: '3.6',
    title: 'PUBREL',
    statements: [
      { id: 'MQTT-3.6.1-1', binds: 'both', does: 'Sends PUBREL with flags 0010, and closes when a client sends others.' }
    ]
  }
]
