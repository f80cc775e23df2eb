import type { Section } from '../statement.ts'

export const subscribeSections: readonly Section[] = [
  {
    number: '3.8',
    title: 'SUBSCRIBE: a client asks for messages',
    statements: [
      {
        id: 'MQTT-3.8.1-1',
        binds: 'both',
        does: 'Hangs up with 0x81 on a SUBSCRIBE whose flags are not 0010.'
      },
      {
        id: 'MQTT-3.8.3-1',
        binds: 'both',
        does: 'Hangs up with 0x81 on a Topic Filter that is not well-formed UTF-8.'
      },
      {
        id: 'MQTT-3.8.3-2',
        binds: 'both',
        does: 'Hangs up with 0x82 on a SUBSCRIBE without a Topic Filter.'
      },
      {
        id: 'MQTT-3.8.3-3',
        binds: 'server',
        does: 'Sends no message to the client that published it by a subscription with No Local, retained ones of earlier apart.'
      },
      {
        id: 'MQTT-3.8.3-4',
        binds: 'both',
        does: 'Hangs up with 0x82 on a Shared Subscription with No Local.'
      },
      {
        id: 'MQTT-3.8.3-5',
        binds: 'server',
        does: 'Hangs up with 0x81 when bit 6 or 7 of the Subscription Options is set.'
      },
      {
        id: 'MQTT-3.8.4-1',
        binds: 'server',
        does: 'Answers each SUBSCRIBE with one SUBACK, for a stored session once the subscriptions are on disk.'
      },
      {
        id: 'MQTT-3.8.4-2',
        binds: 'server',
        does: 'Puts the Packet Identifier of the SUBSCRIBE into the SUBACK.'
      },
      {
        id: 'MQTT-3.8.4-3',
        binds: 'server',
        does: 'Replaces QoS, options and Subscription Identifier of a subscription to the same filter; there is never a second one.'
      },
      {
        id: 'MQTT-3.8.4-4',
        binds: 'server',
        does: 'Sends retained messages again when the replacing subscription has Retain Handling 0, and loses no message meanwhile.'
      },
      {
        id: 'MQTT-3.8.4-5',
        binds: 'server',
        does: 'Handles the filters of one SUBSCRIBE in turn, each by its own options, and answers with one SUBACK.'
      },
      {
        id: 'MQTT-3.8.4-6',
        binds: 'server',
        does: 'Puts one Reason Code per Topic Filter into the SUBACK.'
      },
      {
        id: 'MQTT-3.8.4-7',
        binds: 'server',
        does: 'Grants the QoS that was asked for, or says by the Reason Code why the subscription was refused.'
      },
      {
        id: 'MQTT-3.8.4-8',
        binds: 'server',
        does: 'Delivers at the lower one of the QoS of the message and the QoS granted.'
      }
    ]
  },
  {
    number: '3.9',
    title: 'SUBACK: the answer to SUBSCRIBE',
    statements: [
      {
        id: 'MQTT-3.9.2-1',
        binds: 'server',
        does: 'Leaves the Reason String out of a SUBACK that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.9.2-2',
        binds: 'server',
        does: 'Leaves User Properties out of a SUBACK that would exceed the Maximum Packet Size of the client with them.'
      },
      {
        id: 'MQTT-3.9.3-1',
        binds: 'server',
        does: 'Gives the Reason Codes in the order of the Topic Filters.'
      },
      {
        id: 'MQTT-3.9.3-2',
        binds: 'server',
        does: 'Uses the granted QoS and 0x87, 0x8F and 0x97 of the table of Subscribe Reason Codes, to clients before MQTT 5 0x80.'
      }
    ]
  },
  {
    number: '3.10',
    title: 'UNSUBSCRIBE: a client wants no more of it',
    statements: [
      {
        id: 'MQTT-3.10.1-1',
        binds: 'both',
        does: 'Hangs up with 0x81 on an UNSUBSCRIBE whose flags are not 0010.'
      },
      {
        id: 'MQTT-3.10.3-1',
        binds: 'both',
        does: 'Hangs up with 0x81 on a Topic Filter that is not well-formed UTF-8.'
      },
      {
        id: 'MQTT-3.10.3-2',
        binds: 'both',
        does: 'Hangs up with 0x82 on an UNSUBSCRIBE without a Topic Filter.'
      },
      {
        id: 'MQTT-3.10.4-1',
        binds: 'server',
        does: 'Compares filters character by character: only the subscription with exactly this filter is removed, matching ones stay.'
      },
      {
        id: 'MQTT-3.10.4-2',
        binds: 'server',
        does: 'Queues and sends nothing for the filter that is published after the UNSUBSCRIBE.'
      },
      {
        id: 'MQTT-3.10.4-3',
        binds: 'server',
        does: 'Completes the QoS 1 and 2 deliveries that had begun, after a reconnect too.'
      },
      {
        id: 'MQTT-3.10.4-4',
        binds: 'server',
        does: 'Answers each UNSUBSCRIBE with one UNSUBACK, for a stored session once the removal is on disk.'
      },
      {
        id: 'MQTT-3.10.4-5',
        binds: 'server',
        does: 'Puts the Packet Identifier of the UNSUBSCRIBE into the UNSUBACK, which comes even if there was nothing to remove.'
      },
      {
        id: 'MQTT-3.10.4-6',
        binds: 'server',
        does: 'Handles the filters of one UNSUBSCRIBE in turn and answers with one UNSUBACK.'
      }
    ]
  },
  {
    number: '3.11',
    title: 'UNSUBACK: the answer to UNSUBSCRIBE',
    statements: [
      {
        id: 'MQTT-3.11.2-1',
        binds: 'server',
        does: 'Leaves the Reason String out of an UNSUBACK that would exceed the Maximum Packet Size of the client with it.'
      },
      {
        id: 'MQTT-3.11.2-2',
        binds: 'server',
        does: 'Leaves User Properties out of an UNSUBACK that would exceed the Maximum Packet Size of the client with them.'
      },
      {
        id: 'MQTT-3.11.3-1',
        binds: 'server',
        does: 'Gives the Reason Codes in the order of the Topic Filters.'
      },
      {
        id: 'MQTT-3.11.3-2',
        binds: 'server',
        does: 'Says 0x00 for a subscription removed, 0x11 for one that did not exist and 0x8F for what is no Topic Filter.'
      }
    ]
  }
]
