import type { Section } from '../statement.ts'

export const websocketSections: readonly Section[] = [
  {
    number: '6',
    title: 'MQTT over WebSocket',
    statements: [
      {
        id: 'MQTT-6.0.0-1',
        binds: 'both',
        does: 'Sends binary frames only, and closes the connection with 1003 on a text frame.'
      },
      {
        id: 'MQTT-6.0.0-2',
        binds: 'both',
        does: 'Reads packets from the bytes of the frames, wherever a frame begins or ends.'
      },
      {
        id: 'MQTT-6.0.0-3',
        binds: 'client',
        does: 'Offers the subprotocol "mqtt"; the broker refuses an upgrade without it.'
      },
      {
        id: 'MQTT-6.0.0-4',
        binds: 'server',
        does: 'Selects the subprotocol "mqtt" whenever it is offered.'
      }
    ]
  }
]
