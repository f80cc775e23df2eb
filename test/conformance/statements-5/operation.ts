import type { Section } from '../statement.ts'
import { enhancedAuthenticationSection } from './auth.ts'
import { deliverySections } from './delivery.ts'

export const operationSections: readonly Section[] = [
  {
    number: '4.1',
    title: 'Session State',
    statements: [
      {
        id: 'MQTT-4.1.0-1',
        binds: 'both',
        does: 'Keeps the session as long as its connection is open, however short its Session Expiry Interval.'
      },
      {
        id: 'MQTT-4.1.0-2',
        binds: 'server',
        does: 'Removes a session and everything stored for it when its Session Expiry Interval has passed since the connection closed.'
      }
    ]
  },
  {
    number: '4.2',
    title: 'Network Connections',
    statements: [
      {
        id: 'MQTT-4.2.0-1',
        binds: 'both',
        does: 'Listens on TCP, TLS, WebSocket and WebSocket over TLS.'
      }
    ]
  },
  ...deliverySections,
  {
    number: '4.7',
    title: 'Topic Names and Topic Filters',
    statements: [
      {
        id: 'MQTT-4.7.0-1',
        binds: 'both',
        does: 'Matches "+" and "#" in filters, and hangs up with 0x90 on a PUBLISH whose Topic Name contains one.'
      },
      {
        id: 'MQTT-4.7.1-1',
        binds: 'both',
        does: 'Refuses a filter in which "#" is not alone in the last level with 0x8F.'
      },
      {
        id: 'MQTT-4.7.1-2',
        binds: 'both',
        does: 'Refuses a filter in which "+" is not alone in its level with 0x8F.'
      },
      {
        id: 'MQTT-4.7.2-1',
        binds: 'server',
        does: 'Does not match topics that begin with "$" by a filter that begins with a wildcard, nor their retained messages.'
      },
      {
        id: 'MQTT-4.7.3-1',
        binds: 'both',
        does: 'Refuses an empty filter with 0x8F, and hangs up with 0x82 on an empty Topic Name that no Topic Alias stands for.'
      },
      {
        id: 'MQTT-4.7.3-2',
        binds: 'both',
        does: 'Hangs up with 0x81 on U+0000 in a Topic Name or Topic Filter.'
      },
      {
        id: 'MQTT-4.7.3-3',
        binds: 'both',
        does: 'Takes topics of up to 65,535 bytes, which is all their length field can say, and sends none that are longer.'
      },
      {
        id: 'MQTT-4.7.3-4',
        binds: 'server',
        does: 'Compares topics code unit by code unit: no case folding, no Unicode normalization, empty levels and spaces count.'
      }
    ]
  },
  {
    number: '4.8',
    title: 'Shared Subscriptions',
    statements: [
      {
        id: 'MQTT-4.8.2-1',
        binds: 'both',
        does: 'Takes filters that begin with "$share/" as shared ones and refuses an empty ShareName with 0x8F.'
      },
      {
        id: 'MQTT-4.8.2-2',
        binds: 'both',
        does: 'Refuses a ShareName that contains "+" or "#" or is not followed by "/" and a Topic Filter with 0x8F.'
      },
      {
        id: 'MQTT-4.8.2-3',
        binds: 'server',
        does: 'Delivers to a member at no more than the QoS granted to it.'
      },
      {
        id: 'MQTT-4.8.2-4',
        binds: 'server',
        does: 'Completes a QoS 2 delivery that had begun with the same member when it comes back.'
      },
      {
        id: 'MQTT-4.8.2-5',
        binds: 'server',
        does: 'Gives a QoS 2 message that was sent to a member to nobody else when the session of that member ends.'
      },
      {
        id: 'MQTT-4.8.2-6',
        binds: 'server',
        does: 'Discards a message that a member refused by PUBACK or PUBREC; no other member gets it.'
      }
    ]
  },
  {
    number: '4.9',
    title: 'Flow control',
    statements: [
      {
        id: 'MQTT-4.9.0-1',
        binds: 'both',
        does: 'Starts each connection with a send quota of the Receive Maximum of the client, or of maxInflight if that is lower.'
      },
      {
        id: 'MQTT-4.9.0-2',
        binds: 'both',
        does: 'Sends no PUBLISH at QoS 1 or 2 while the quota is used up, and goes on as acknowledgements arrive.'
      },
      {
        id: 'MQTT-4.9.0-3',
        binds: 'both',
        does: 'Answers every other packet while the quota is used up, and sends QoS 0.'
      }
    ]
  },
  enhancedAuthenticationSection,
  {
    number: '4.13',
    title: 'Handling errors',
    statements: [
      {
        id: 'MQTT-4.13.1-1',
        binds: 'server',
        does: 'Closes the connection on a malformed packet or a protocol error, after saying which in a CONNACK or DISCONNECT.'
      },
      {
        id: 'MQTT-4.13.2-1',
        binds: 'both',
        does: 'Closes the connection with every CONNACK and DISCONNECT of 0x80 or more, and where neither may be sent as well.'
      }
    ]
  }
]
