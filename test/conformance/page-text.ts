/** What is written by hand on docs/conformance.md. */
export function introduction(countRows: string): string {
  return `# Conformance

Every numbered statement of MQTT 3.1.1 and MQTT 5, what the broker does about it, the tests that prove it and the lines that
enforce it. The page is made by \`test/conformance/documentation.test.ts\` from the statements in \`test/conformance\`, the titles of
the tests and the comments of the sources. That test fails when a statement that binds a server has no test, when a title or a
comment names a statement that does not exist, and when this page is not what they say.

| standard | statements | bind a server | bind clients only |
| --- | --- | --- | --- |
${countRows}

A statement that binds clients counts as binding both where the broker checks it: a client that breaks it has broken the
protocol, and a server has to answer that. "Closes" means: an MQTT 5 client gets a DISCONNECT (or, before it is connected, a
CONNACK) with the reason code first, clients of 3.1.1 and 3.1 get nothing, as there is nothing to tell them with. In titles and
comments the numbers of MQTT 5 begin with \`MQTT-\`, those of 3.1.1 with \`MQTT3-\`, but in \`test/conformance/v3\` all are of 3.1.1.
Where MQTT 5 has a statement of 3.1.1 too, the sources cite it by its number there; the table of 3.1.1 shows them as well.

## Decisions

Where the standards leave a choice:

| matter | standards | here |
| --- | --- | --- |
| Control characters U+0001..U+001F and U+007F..U+009F, non-characters such as U+FFFE in strings | should not be sent; a receiver may close the connection | let through unchanged, in all versions |
| U+FEFF | is an ordinary character | let through unchanged, also at the beginning |
| Remaining Length with more bytes than needed | MQTT 5 forbids it, 3.1.1 is silent | malformed in MQTT 5, taken in 3.1.1 and 3.1 |
| protocol name neither \`MQTT\` nor \`MQIsdp\` | may be answered or closed | closed without an answer |
| protocol level above 5 | return code 1 / reason code 0x84 | 6 to 127 get the CONNACK of MQTT 5 with 0x84, others that of 3.1.1 with 1 |
| top bit of the protocol level (bridges of other brokers) | unknown to the standards | taken in 3.1.1 and 3.1: such a client gets no messages of its own, and RETAIN as published |
| Client Identifier longer than 23 bytes, or with other characters than letters and digits | may be allowed from 3.1.1 on | allowed; in 3.1, where the limit is a rule, more than 23 characters get return code 2 |
| empty Client Identifier | may be allowed with Clean Session 1 | allowed in 3.1.1 with Clean Session 1 and in MQTT 5; refused in 3.1 |
| flags that 3.1 does not use | 3.1 says to ignore them | ignored in 3.1, refused from 3.1.1 on |
| Topic Filters that are ill-formed | not said how to answer | SUBACK 0x8F (MQTT 5) or 0x80; the connection stays |
| WebSocket subprotocol | \`mqtt\`; MQTT 3.1 has none of its own | \`mqtt\` where it is offered, else \`mqttv3.1\`, which clients of 3.1 offer; without either the upgrade is refused |
| overlapping subscriptions of one client | one copy, or one each | one copy at the highest QoS, with all Subscription Identifiers |
| a publisher without the right to publish | acknowledge or close (3.1.1) | closed in 3.1.1 and 3.1; MQTT 5 gets 0x87 in PUBACK or PUBREC and stays |
| a Keep Alive above the configured limit | not foreseen before MQTT 5 | closed without CONNACK, as no return code says it; MQTT 5 gets Server Keep Alive |
| acknowledgements for identifiers that are not in use | not said | PUBACK and PUBCOMP are let pass, PUBREC gets PUBREL and PUBREL gets PUBCOMP (0x92 in MQTT 5) |
| QoS 0 retained messages | may be discarded at any time | kept like others |
| QoS 0 messages for a client that is away | may be queued | not queued |
| topics are ordered | may be switched off | always |`
}
