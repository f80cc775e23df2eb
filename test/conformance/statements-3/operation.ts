import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '4.1',
    title: 'Storing state',
    statements: [
      {
        id: 'MQTT-4.1.0-1',
        binds: 'both',
        does: 'Keeps the state of a session as long as the session lasts, over restarts too.'
      },
      { id: 'MQTT-4.1.0-2', binds: 'both', does: 'Lets no session end before its connection.' }
    ]
  },
  {
    number: '4.3',
    title: 'Quality of Service',
    statements: [
      { id: 'MQTT-4.3.1-1', binds: 'both', does: 'Sends QoS 0 with QoS 0 and DUP 0.' },
      {
        id: 'MQTT-4.3.2-1',
        binds: 'both',
        does: 'Sends QoS 1 with a free identifier and DUP 0, and takes it as unacknowledged until PUBACK.'
      },
      {
        id: 'MQTT-4.3.2-2',
        binds: 'both',
        does: 'Answers QoS 1 with PUBACK when the message is in its hands; the same identifier is then a new message, DUP or not.'
      },
      {
        id: 'MQTT-4.3.3-1',
        binds: 'both',
        does: 'Sends QoS 2 with a free identifier, PUBREL after PUBREC, and never PUBLISH again once PUBREL was sent.'
      },
      {
        id: 'MQTT-4.3.3-2',
        binds: 'both',
        does: 'Answers QoS 2 with PUBREC, again for a repetition without delivering it twice, and PUBREL with PUBCOMP.'
      }
    ]
  },
  {
    number: '4.4',
    title: 'Redelivery',
    statements: [
      {
        id: 'MQTT-4.4.0-1',
        binds: 'both',
        does: 'Sends unacknowledged PUBLISH and PUBREL packets again, with their identifiers, when the client is back.'
      }
    ]
  },
  {
    number: '4.5',
    title: 'Receipt of messages',
    statements: [
      {
        id: 'MQTT-4.5.0-1',
        binds: 'server',
        does: 'Adds a message to the sessions of all clients with a matching subscription.'
      },
      { id: 'MQTT-4.5.0-2', binds: 'client', does: 'A client acknowledges what it receives, whatever it does with it.' }
    ]
  },
  {
    number: '4.6',
    title: 'Order',
    statements: [
      { id: 'MQTT-4.6.0-1', binds: 'both', does: 'Sends PUBLISH packets again in their original order.' },
      { id: 'MQTT-4.6.0-2', binds: 'both', does: 'Sends PUBACK in the order of the QoS 1 messages.' },
      { id: 'MQTT-4.6.0-3', binds: 'both', does: 'Sends PUBREC in the order of the QoS 2 messages.' },
      { id: 'MQTT-4.6.0-4', binds: 'both', does: 'Sends PUBREL in the order of the PUBREC packets.' },
      { id: 'MQTT-4.6.0-5', binds: 'server', does: 'Keeps every topic in order; there is no switch for the contrary.' },
      {
        id: 'MQTT-4.6.0-6',
        binds: 'server',
        does: 'Delivers the messages of one publisher, topic and QoS in the order they came.'
      }
    ]
  },
  {
    number: '4.7',
    title: 'Topic Names and Topic Filters',
    statements: [
      { id: 'MQTT-4.7.1-1', binds: 'both', does: 'Takes wildcards in filters and refuses them in names.' },
      { id: 'MQTT-4.7.1-2', binds: 'both', does: 'Grants # as a whole last level only; another filter gets 0x80.' },
      { id: 'MQTT-4.7.1-3', binds: 'both', does: 'Grants + as a whole level anywhere; another filter gets 0x80.' },
      {
        id: 'MQTT-4.7.2-1',
        binds: 'server',
        does: 'Matches no topic that begins with $ by a filter that begins with a wildcard.'
      },
      { id: 'MQTT-4.7.3-1', binds: 'both', does: 'Refuses empty Topic Names and Topic Filters.' },
      { id: 'MQTT-4.7.3-2', binds: 'both', does: 'Refuses Topic Names and Topic Filters with U+0000.' },
      {
        id: 'MQTT-4.7.3-3',
        binds: 'both',
        does: 'Takes Topic Names and Topic Filters of up to 65,535 bytes; the length field holds no more.'
      },
      { id: 'MQTT-4.7.3-4', binds: 'server', does: 'Compares code points; composed and decomposed letters are different topics.' }
    ]
  },
  {
    number: '4.8',
    title: 'Handling errors',
    statements: [
      { id: 'MQTT-4.8.0-1', binds: 'both', does: 'Closes the connection on which the protocol was broken.' },
      {
        id: 'MQTT-4.8.0-2',
        binds: 'both',
        does: 'Closes the connection of a packet that could not be stored, without acknowledging it.'
      }
    ]
  }
]
