import type { Section } from '../statement.ts'

export const connect: Section = {
  number: '3.1',
  title: 'CONNECT',
  statements: [
    { id: 'MQTT-3.1.0-1', binds: 'both', does: 'Closes a connection that begins with anything but CONNECT, without an answer.' },
    { id: 'MQTT-3.1.0-2', binds: 'server', does: 'Answers a second CONNECT with DISCONNECT 0x82 and closes.' },
    { id: 'MQTT-3.1.2-1', binds: 'both', does: 'Closes a connection whose Protocol Name is no name of MQTT, without a word.' },
    {
      id: 'MQTT-3.1.2-2',
      binds: 'server',
      does: 'Refuses a Protocol Version it does not know with 0x84, in the form of the nearest version, and closes.'
    },
    { id: 'MQTT-3.1.2-3', binds: 'server', does: 'Refuses a CONNECT with the reserved flag set as malformed.' },
    { id: 'MQTT-3.1.2-4', binds: 'both', does: 'Drops the old session with everything in it when Clean Start is 1.' },
    { id: 'MQTT-3.1.2-5', binds: 'server', does: 'Goes on with the stored session when Clean Start is 0 and there is one.' },
    { id: 'MQTT-3.1.2-6', binds: 'server', does: 'Creates a session when Clean Start is 0 and there is none.' },
    { id: 'MQTT-3.1.2-7', binds: 'server', does: 'Stores the Will Message before CONNACK leaves, so that it outlives a crash.' },
    {
      id: 'MQTT-3.1.2-8',
      binds: 'server',
      does: 'Publishes the will when the connection has ended and its delay or its session is over, unless one of the two exceptions holds.'
    },
    { id: 'MQTT-3.1.2-9', binds: 'both', does: 'Refuses a CONNECT with the Will Flag and without will fields as malformed.' },
    { id: 'MQTT-3.1.2-10', binds: 'server', does: 'Forgets the will once it is published, or when DISCONNECT 0x00 arrives.' },
    { id: 'MQTT-3.1.2-11', binds: 'both', does: 'Refuses a Will QoS without Will Flag as malformed.' },
    { id: 'MQTT-3.1.2-12', binds: 'both', does: 'Publishes wills at QoS 0, 1 and 2 and refuses Will QoS 3 as malformed.' },
    { id: 'MQTT-3.1.2-13', binds: 'both', does: 'Refuses Will Retain without Will Flag as malformed.' },
    { id: 'MQTT-3.1.2-14', binds: 'server', does: 'Retains no will whose Will Retain is 0.' },
    { id: 'MQTT-3.1.2-15', binds: 'server', does: 'Retains a will whose Will Retain is 1.' },
    {
      id: 'MQTT-3.1.2-16',
      binds: 'both',
      does: 'Takes what follows the last announced field for a malformed packet: a User Name too.'
    },
    { id: 'MQTT-3.1.2-17', binds: 'both', does: 'Refuses a CONNECT that announces a User Name and has none as malformed.' },
    {
      id: 'MQTT-3.1.2-18',
      binds: 'both',
      does: 'Takes what follows the last announced field for a malformed packet: a Password too.'
    },
    { id: 'MQTT-3.1.2-19', binds: 'both', does: 'Refuses a CONNECT that announces a Password and has none as malformed.' },
    { id: 'MQTT-3.1.2-20', binds: 'client', does: 'Send PINGREQ when there is nothing else to send within Keep Alive.' },
    { id: 'MQTT-3.1.2-21', binds: 'client', does: 'Keep to the Server Keep Alive of the CONNACK; the broker measures by it.' },
    {
      id: 'MQTT-3.1.2-22',
      binds: 'server',
      does: 'Ends a connection that is silent for one and a half times its Keep Alive, publishing its will.'
    },
    {
      id: 'MQTT-3.1.2-23',
      binds: 'both',
      does: 'Keeps the session on disk for its Session Expiry Interval, also over a restart.'
    },
    { id: 'MQTT-3.1.2-24', binds: 'server', does: 'Never sends a packet larger than the Maximum Packet Size of the client.' },
    {
      id: 'MQTT-3.1.2-25',
      binds: 'server',
      does: 'Drops a PUBLISH that is too large for a client, counts it, and treats it as delivered.'
    },
    { id: 'MQTT-3.1.2-26', binds: 'server', does: 'Uses no Topic Alias above the Topic Alias Maximum of the client.' },
    {
      id: 'MQTT-3.1.2-27',
      binds: 'server',
      does: 'Uses no Topic Alias at all towards a client that named no Topic Alias Maximum.'
    },
    { id: 'MQTT-3.1.2-28', binds: 'server', does: 'Returns Response Information to those clients only that asked for it.' },
    {
      id: 'MQTT-3.1.2-29',
      binds: 'server',
      does: 'Sends no Reason String and no User Property of its own, in any packet, where Request Problem Information is 0.'
    },
    {
      id: 'MQTT-3.1.2-30',
      binds: 'both',
      does: 'Ends a connection that sends anything but AUTH and DISCONNECT while an authentication exchange decides about its CONNECT.'
    },
    {
      id: 'MQTT-3.1.3-1',
      binds: 'both',
      does: 'Reads Client Identifier, will, User Name and Password in this order, as the flags announce them.'
    },
    { id: 'MQTT-3.1.3-2', binds: 'both', does: 'Knows a session by its Client Identifier alone.' },
    { id: 'MQTT-3.1.3-3', binds: 'both', does: 'Refuses a CONNECT without a Client Identifier field as malformed.' },
    { id: 'MQTT-3.1.3-4', binds: 'both', does: 'Refuses a Client Identifier that is not well-formed UTF-8 as malformed.' },
    { id: 'MQTT-3.1.3-5', binds: 'server', does: 'Takes any Client Identifier, long ones and all characters included.' },
    { id: 'MQTT-3.1.3-6', binds: 'server', does: 'Gives a client with an empty Client Identifier one that nobody else has.' },
    {
      id: 'MQTT-3.1.3-7',
      binds: 'server',
      does: 'Returns it as Assigned Client Identifier and finds the session by it later on.'
    },
    { id: 'MQTT-3.1.3-8', binds: 'server', does: 'Refuses a Client Identifier, as a hook may ask for, with 0x85 and closes.' },
    {
      id: 'MQTT-3.1.3-9',
      binds: 'server',
      does: 'Keeps a will back when the client returns before its Will Delay Interval is over.'
    },
    { id: 'MQTT-3.1.3-10', binds: 'server', does: 'Publishes the User Properties of a will in the order they came in.' },
    { id: 'MQTT-3.1.3-11', binds: 'both', does: 'Refuses a Will Topic that is not well-formed UTF-8 as malformed.' },
    { id: 'MQTT-3.1.3-12', binds: 'both', does: 'Refuses a User Name that is not well-formed UTF-8 as malformed.' },
    { id: 'MQTT-3.1.4-1', binds: 'server', does: 'Refuses a CONNECT that is not as section 3.1 has it, and closes.' },
    {
      id: 'MQTT-3.1.4-2',
      binds: 'server',
      does: 'Closes after a CONNACK that says why, when the client is not who it says or may not do what it asks.'
    },
    { id: 'MQTT-3.1.4-3', binds: 'server', does: 'Tells an older connection of the same Client Identifier 0x8E and closes it.' },
    { id: 'MQTT-3.1.4-4', binds: 'server', does: 'Does what Clean Start asks for once the client is authenticated.' },
    { id: 'MQTT-3.1.4-5', binds: 'server', does: 'Answers a CONNECT it accepts with CONNACK 0x00.' },
    { id: 'MQTT-3.1.4-6', binds: 'server', does: 'Reads nothing more of a client whose CONNECT it refuses.' }
  ]
}
