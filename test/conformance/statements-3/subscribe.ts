import type { Section } from '../statement.ts'

export const sections: readonly Section[] = [
  {
    number: '3.8',
    title: 'SUBSCRIBE',
    statements: [
      { id: 'MQTT-3.8.1-1', binds: 'both', does: 'Closes when the flags of SUBSCRIBE are not 0010.' },
      { id: 'MQTT-3.8.3-1', binds: 'both', does: 'Closes when a Topic Filter is not UTF-8.' },
      { id: 'MQTT-3.8.3-2', binds: 'server', does: 'Supports wildcards in every Topic Filter, so there is nothing to reject.' },
      { id: 'MQTT-3.8.3-3', binds: 'both', does: 'Closes over a SUBSCRIBE without a Topic Filter.' },
      {
        id: 'MQTT-3.8.3-4',
        binds: 'server',
        does: 'Closes over reserved bits beside the requested QoS, and over QoS 3 (the appendix prints this number as 3-8.3-4).'
      },
      { id: 'MQTT-3.8.4-1', binds: 'server', does: 'Answers SUBSCRIBE with SUBACK.' },
      { id: 'MQTT-3.8.4-2', binds: 'server', does: 'Puts the identifier of SUBSCRIBE into SUBACK.' },
      {
        id: 'MQTT-3.8.4-3',
        binds: 'server',
        does: 'Replaces a subscription with the same filter, sends the retained messages again and loses no live one.'
      },
      { id: 'MQTT-3.8.4-4', binds: 'server', does: 'Takes several filters of one SUBSCRIBE as several, and answers once.' },
      { id: 'MQTT-3.8.4-5', binds: 'server', does: 'Puts one return code per filter into SUBACK: the granted QoS, or 0x80.' },
      { id: 'MQTT-3.8.4-6', binds: 'server', does: 'Delivers at the lower of the published and the granted QoS.' }
    ]
  },
  {
    number: '3.9',
    title: 'SUBACK',
    statements: [
      { id: 'MQTT-3.9.3-1', binds: 'server', does: 'Gives the return codes in the order of the filters.' },
      { id: 'MQTT-3.9.3-2', binds: 'server', does: 'Uses no return codes but 0, 1, 2 and 0x80.' }
    ]
  },
  {
    number: '3.10',
    title: 'UNSUBSCRIBE',
    statements: [
      { id: 'MQTT-3.10.1-1', binds: 'both', does: 'Closes when the flags of UNSUBSCRIBE are not 0010.' },
      { id: 'MQTT-3.10.3-1', binds: 'both', does: 'Closes when a Topic Filter is not UTF-8 or does not end with the packet.' },
      { id: 'MQTT-3.10.3-2', binds: 'both', does: 'Closes over an UNSUBSCRIBE without a Topic Filter.' },
      {
        id: 'MQTT-3.10.4-1',
        binds: 'server',
        does: 'Removes the subscription whose filter has the same characters, and no other.'
      },
      { id: 'MQTT-3.10.4-2', binds: 'server', does: 'Adds no new messages for a removed subscription.' },
      {
        id: 'MQTT-3.10.4-3',
        binds: 'server',
        does: 'Completes QoS 1 and 2 deliveries that began before the subscription was removed.'
      },
      { id: 'MQTT-3.10.4-4', binds: 'server', does: 'Answers UNSUBSCRIBE with UNSUBACK and its identifier.' },
      { id: 'MQTT-3.10.4-5', binds: 'server', does: 'Sends UNSUBACK also where nothing was removed.' },
      { id: 'MQTT-3.10.4-6', binds: 'server', does: 'Takes several filters of one UNSUBSCRIBE as several, and answers once.' }
    ]
  },
  {
    number: '3.12',
    title: 'PINGREQ',
    statements: [{ id: 'MQTT-3.12.4-1', binds: 'server', does: 'Answers PINGREQ with PINGRESP.' }]
  },
  {
    number: '3.14',
    title: 'DISCONNECT',
    statements: [
      {
        id: 'MQTT-3.14.1-1',
        binds: 'server',
        does: 'Treats a DISCONNECT with reserved flags as an error: the will is published.'
      },
      {
        id: 'MQTT-3.14.4-1',
        binds: 'client',
        does: 'A client closes the connection after DISCONNECT; the broker closes it if the client does not.'
      },
      {
        id: 'MQTT-3.14.4-2',
        binds: 'client',
        does: 'A client sends nothing after DISCONNECT; the broker reads nothing after it.'
      },
      { id: 'MQTT-3.14.4-3', binds: 'server', does: 'Discards the will when DISCONNECT arrives.' }
    ]
  }
]
