/** One of Aedes' tests that our Broker does not pass, and why it should not. */
export interface KnownException {
  file: string
  name: string
  /** What the test wants. */
  wants: string
  /** Why it does not get it. */
  reason: string
}

const oneCodePerFilter =
  'SUBACK must carry one return code for each filter of the SUBSCRIBE [MQTT3-3.8.4-5] [MQTT-3.8.4-6]. ' +
  "The last of equal filters wins here, too; 'subscribe' tells of it once."
const liveRetain =
  'A message for an established subscription is sent with RETAIN 0, whether it waited in the queue or not [MQTT3-3.3.1-9].'

export const knownExceptions: readonly KnownException[] = [
  {
    file: 'auth.js',
    name: 'authorize subscribe multiple same topics with same qos',
    wants: 'one code in the SUBACK for a filter that comes twice',
    reason: oneCodePerFilter
  },
  {
    file: 'auth.js',
    name: 'authorize subscribe multiple same topics with different qos',
    wants: 'one code in the SUBACK for a filter that comes twice',
    reason: oneCodePerFilter
  },
  {
    file: 'auth.js',
    name: 'negate subscription with correct persistence',
    wants: 'the refused filter stored beside the granted one',
    reason:
      'Only granted subscriptions are stored. A refused one in the store is matched against every publish, queued for, and brings ' +
      'messages its client may not have.'
  },
  {
    file: 'basic.js',
    name: 'subscribe with messageId 0 should return suback',
    wants: 'a SUBACK for Packet Identifier 0',
    reason: 'A SUBSCRIBE must have a non-zero Packet Identifier [MQTT3-2.3.1-1]; one without is malformed.'
  },
  {
    file: 'client-pub-sub.js',
    name: 'offline message support for direct publish',
    wants: 'DUP 0 on a PUBLISH that is sent again on the next connection',
    reason: 'DUP must be 1 when a PUBLISH is sent again [MQTT-3.3.1-1].'
  },
  {
    file: 'connect.js',
    name: 'reject client requested for unsupported protocol version',
    wants: 'the connection closed without a CONNACK',
    reason: 'A Protocol Level that is not supported is answered with return code 1 first [MQTT3-3.1.2-2].'
  },
  {
    file: 'prototype-keys.js',
    name: 'duplicate prototype-named topic in one SUBSCRIBE keeps the last qos',
    wants: 'one code in the SUBACK for a filter that comes twice',
    reason: oneCodePerFilter
  },
  {
    file: 'qos1.js',
    name: 'subscribe and publish QoS 1 in parallel',
    wants: 'PUBACK before the SUBACK of an earlier SUBSCRIBE',
    reason: 'Packets of one connection are handled in the order they came, one at a time.'
  },
  {
    file: 'retain.js',
    name: 'disconnect and retain messages with QoS 1 [clean=false]',
    wants: 'RETAIN 1 on a message that waited in the queue',
    reason: liveRetain
  },
  {
    file: 'retain.js',
    name: 'disconnect and two retain messages with QoS 1 [clean=false]',
    wants: 'RETAIN 1 on messages that waited in the queue',
    reason: liveRetain
  },
  {
    file: 'topics.js',
    name: 'deliver overlapped topics respecting the maximum QoS of all the matching subscriptions - QoS 2 publish',
    wants: 'QoS 0, that of the filter that happens to match first',
    reason: 'The message is delivered at the highest QoS of all matching filters [MQTT3-3.3.5-1], as the title has it.'
  }
]

/** The table in docs/aedes-compatibility.md. */
export function exceptionsTable(): string {
  const rows = knownExceptions.map(({ file, name, wants, reason }) => `| \`${file}\` | ${name} | ${wants} | ${reason} |`)
  return ['| file | test | wants | why not |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
