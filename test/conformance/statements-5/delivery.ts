import type { Section } from '../statement.ts'

export const deliverySections: readonly Section[] = [
  {
    number: '4.3',
    title: 'Quality of Service and protocol flows',
    statements: [
      {
        id: 'MQTT-4.3.1-1',
        binds: 'both',
        does: 'Sends a QoS 0 message with QoS 0 and without DUP.'
      },
      {
        id: 'MQTT-4.3.2-1',
        binds: 'both',
        does: 'Gives each QoS 1 message a Packet Identifier that no unacknowledged message of this client has.'
      },
      {
        id: 'MQTT-4.3.2-2',
        binds: 'both',
        does: 'Sends a QoS 1 message the first time with QoS 1, its Packet Identifier and without DUP.'
      },
      {
        id: 'MQTT-4.3.2-3',
        binds: 'both',
        does: 'Holds a QoS 1 message and its place in the window until its PUBACK arrives.'
      },
      {
        id: 'MQTT-4.3.2-4',
        binds: 'both',
        does: 'Sends PUBACK with the Packet Identifier once the message is on disk wherever it is to be kept.'
      },
      {
        id: 'MQTT-4.3.2-5',
        binds: 'both',
        does: 'Takes a PUBLISH with the same Packet Identifier after the PUBACK for a new message, even with DUP.'
      },
      {
        id: 'MQTT-4.3.3-1',
        binds: 'both',
        does: 'Gives each QoS 2 message a Packet Identifier that no unfinished message of this client has.'
      },
      {
        id: 'MQTT-4.3.3-2',
        binds: 'both',
        does: 'Sends a QoS 2 message the first time with QoS 2, its Packet Identifier and without DUP.'
      },
      {
        id: 'MQTT-4.3.3-3',
        binds: 'both',
        does: 'Holds a QoS 2 message until its PUBREC arrives.'
      },
      {
        id: 'MQTT-4.3.3-4',
        binds: 'both',
        does: 'Answers a PUBREC below 0x80 with a PUBREL for the same Packet Identifier, and one that refuses with nothing.'
      },
      {
        id: 'MQTT-4.3.3-5',
        binds: 'both',
        does: 'Holds the Packet Identifier and its place in the window until PUBCOMP arrives, and sends PUBREL again after a reconnect.'
      },
      {
        id: 'MQTT-4.3.3-6',
        binds: 'both',
        does: 'Never sends the PUBLISH again once PUBREL was sent, not even after a restart.'
      },
      {
        id: 'MQTT-4.3.3-7',
        binds: 'both',
        does: 'Finishes a delivery that had begun even if the message expired since.'
      },
      {
        id: 'MQTT-4.3.3-8',
        binds: 'both',
        does: 'Sends PUBREC with the Packet Identifier once the message is on disk wherever it is to be kept.'
      },
      {
        id: 'MQTT-4.3.3-9',
        binds: 'both',
        does: 'Takes a PUBLISH with the same Packet Identifier for a new message after refusing the one before.'
      },
      {
        id: 'MQTT-4.3.3-10',
        binds: 'both',
        does: 'Answers a PUBLISH that comes again before PUBREL with PUBREC and delivers nothing twice, after a restart too.'
      },
      {
        id: 'MQTT-4.3.3-11',
        binds: 'both',
        does: 'Answers each PUBREL with a PUBCOMP for the same Packet Identifier.'
      },
      {
        id: 'MQTT-4.3.3-12',
        binds: 'both',
        does: 'Takes a PUBLISH with the same Packet Identifier after PUBCOMP for a new message.'
      },
      {
        id: 'MQTT-4.3.3-13',
        binds: 'both',
        does: 'Goes through the whole acknowledgement of a message that expired on arrival or while it waited.'
      }
    ]
  },
  {
    number: '4.4',
    title: 'Message delivery retry',
    statements: [
      {
        id: 'MQTT-4.4.0-1',
        binds: 'both',
        does: 'Sends what is unacknowledged again when the session is taken up again, under the same Packet Identifiers, and at no other time.'
      },
      {
        id: 'MQTT-4.4.0-2',
        binds: 'both',
        does: 'Takes a PUBACK or PUBREC of 0x80 or more as the end of the delivery.'
      }
    ]
  },
  {
    number: '4.5',
    title: 'Message receipt',
    statements: [
      {
        id: 'MQTT-4.5.0-1',
        binds: 'server',
        does: 'Adds a message to the queue of every session with a matching subscription, connected or not.'
      },
      {
        id: 'MQTT-4.5.0-2',
        binds: 'client',
        does: 'Acknowledges every PUBLISH by its QoS, whatever it does with the message.'
      }
    ]
  },
  {
    number: '4.6',
    title: 'Message ordering',
    statements: [
      {
        id: 'MQTT-4.6.0-1',
        binds: 'client',
        does: 'Sends PUBLISH packets again in the order in which it sent them first; the broker does so for each QoS.'
      },
      {
        id: 'MQTT-4.6.0-2',
        binds: 'client',
        does: 'Sends PUBACKs in the order of the PUBLISH packets; the broker does so too.'
      },
      {
        id: 'MQTT-4.6.0-3',
        binds: 'client',
        does: 'Sends PUBRECs in the order of the PUBLISH packets; the broker does so too.'
      },
      {
        id: 'MQTT-4.6.0-4',
        binds: 'client',
        does: 'Sends PUBRELs in the order of the PUBRECs; the broker does so too.'
      },
      {
        id: 'MQTT-4.6.0-5',
        binds: 'server',
        does: 'Delivers what one client published to a topic at one QoS in the order in which it arrived, live, queued or sent again.'
      },
      {
        id: 'MQTT-4.6.0-6',
        binds: 'server',
        does: 'Keeps that order for every topic of a subscription that is not shared.'
      }
    ]
  }
]
