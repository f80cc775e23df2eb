import type { Section } from '../statement.ts'

export const publish: Section = {
  number: '3.3',
  title: 'PUBLISH',
  statements: [
    { id: 'MQTT-3.3.1-1', binds: 'both', does: 'Sets DUP on what it sends again.' },
    { id: 'MQTT-3.3.1-2', binds: 'both', does: 'Sends QoS 0 without DUP and refuses QoS 0 with DUP as malformed.' },
    { id: 'MQTT-3.3.1-3', binds: 'both', does: 'Pays no heed to the DUP of the publisher when it forwards.' },
    { id: 'MQTT-3.3.1-4', binds: 'both', does: 'Refuses QoS 3 as malformed.' },
    {
      id: 'MQTT-3.3.1-5',
      binds: 'server',
      does: 'Keeps the last retained message of each topic, on disk, in place of the one before.'
    },
    {
      id: 'MQTT-3.3.1-6',
      binds: 'server',
      does: 'Delivers a retained message without payload as usual and removes the retained one.'
    },
    { id: 'MQTT-3.3.1-7', binds: 'server', does: 'Retains no message without payload.' },
    { id: 'MQTT-3.3.1-8', binds: 'server', does: 'Leaves retained messages as they are when a message with RETAIN 0 comes.' },
    { id: 'MQTT-3.3.1-9', binds: 'server', does: 'Sends retained messages at each SUBSCRIBE with Retain Handling 0.' },
    {
      id: 'MQTT-3.3.1-10',
      binds: 'server',
      does: 'Sends retained messages with Retain Handling 1 if the subscription is new, else none.'
    },
    { id: 'MQTT-3.3.1-11', binds: 'server', does: 'Sends no retained messages with Retain Handling 2.' },
    { id: 'MQTT-3.3.1-12', binds: 'server', does: 'Clears RETAIN when forwarding, where Retain As Published is 0.' },
    { id: 'MQTT-3.3.1-13', binds: 'server', does: 'Forwards RETAIN as it came, where Retain As Published is 1.' },
    { id: 'MQTT-3.3.2-1', binds: 'both', does: 'Refuses a Topic Name that is missing or not well-formed UTF-8.' },
    { id: 'MQTT-3.3.2-2', binds: 'both', does: 'Answers a Topic Name with wildcards with DISCONNECT 0x90.' },
    { id: 'MQTT-3.3.2-3', binds: 'server', does: 'Sends what a Topic Filter matches under the Topic Name it was published to.' },
    { id: 'MQTT-3.3.2-4', binds: 'server', does: 'Forwards the Payload Format Indicator as it came.' },
    { id: 'MQTT-3.3.2-5', binds: 'server', does: 'Drops a copy whose message expired before it was sent, and counts it.' },
    {
      id: 'MQTT-3.3.2-6',
      binds: 'server',
      does: 'Forwards what is left of the Message Expiry Interval, of live, queued and retained messages.'
    },
    { id: 'MQTT-3.3.2-7', binds: 'both', does: 'Begins each connection with empty tables of Topic Aliases.' },
    { id: 'MQTT-3.3.2-8', binds: 'both', does: 'Answers Topic Alias 0 with DISCONNECT 0x94 and never sends it.' },
    {
      id: 'MQTT-3.3.2-9',
      binds: 'both',
      does: 'Answers a Topic Alias above its Topic Alias Maximum with DISCONNECT 0x94.'
    },
    { id: 'MQTT-3.3.2-10', binds: 'client', does: 'Accept every Topic Alias up to the own Topic Alias Maximum.' },
    { id: 'MQTT-3.3.2-11', binds: 'server', does: 'Uses no Topic Alias above the Topic Alias Maximum of the client.' },
    { id: 'MQTT-3.3.2-12', binds: 'server', does: 'Accepts every Topic Alias from 1 up to the maximum it announced.' },
    { id: 'MQTT-3.3.2-13', binds: 'both', does: 'Refuses a Response Topic that is not well-formed UTF-8 as malformed.' },
    { id: 'MQTT-3.3.2-14', binds: 'both', does: 'Answers a Response Topic with wildcards with DISCONNECT 0x82.' },
    { id: 'MQTT-3.3.2-15', binds: 'server', does: 'Forwards the Response Topic as it came.' },
    { id: 'MQTT-3.3.2-16', binds: 'server', does: 'Forwards the Correlation Data as they came.' },
    { id: 'MQTT-3.3.2-17', binds: 'server', does: 'Forwards every User Property as it came.' },
    { id: 'MQTT-3.3.2-18', binds: 'server', does: 'Forwards User Properties in the order they came in, equal names included.' },
    { id: 'MQTT-3.3.2-19', binds: 'both', does: 'Refuses a Content Type that is not well-formed UTF-8 as malformed.' },
    { id: 'MQTT-3.3.2-20', binds: 'server', does: 'Forwards the Content Type as it came.' },
    { id: 'MQTT-3.3.4-1', binds: 'both', does: 'Answers QoS 0 with nothing, QoS 1 with PUBACK and QoS 2 with PUBREC.' },
    { id: 'MQTT-3.3.4-2', binds: 'server', does: 'Delivers what several subscriptions match at the highest QoS among them.' },
    {
      id: 'MQTT-3.3.4-3',
      binds: 'server',
      does: 'Adds the Subscription Identifiers of the matching subscriptions to a delivery.'
    },
    {
      id: 'MQTT-3.3.4-4',
      binds: 'server',
      does: 'Sends one copy where several subscriptions match, with the identifiers of all of them.'
    },
    {
      id: 'MQTT-3.3.4-5',
      binds: 'server',
      does: 'Gives each copy the identifier of its own subscription where there are several copies, as of retained messages.'
    },
    {
      id: 'MQTT-3.3.4-6',
      binds: 'both',
      does: 'Answers a PUBLISH with a Subscription Identifier with DISCONNECT 0x82.'
    },
    { id: 'MQTT-3.3.4-7', binds: 'both', does: 'Answers one PUBLISH more than its Receive Maximum with DISCONNECT 0x93.' },
    { id: 'MQTT-3.3.4-8', binds: 'client', does: 'Send other packets than PUBLISH without regard to Receive Maximum.' },
    {
      id: 'MQTT-3.3.4-9',
      binds: 'server',
      does: 'Has no more PUBLISH packets unacknowledged than the Receive Maximum of the client; the rest waits.'
    },
    { id: 'MQTT-3.3.4-10', binds: 'server', does: 'Sends all other packets at once while PUBLISH packets wait for the window.' }
  ]
}
