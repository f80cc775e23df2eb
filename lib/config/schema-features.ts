import { z } from 'zod'

/** What concerns MQTT 5 alone, or nearly so: features that may be off, and what CONNACK tells clients that ask. */

export const featuresSchema = z.strictObject({
  retain: feature('Retained messages. Off: a publish with RETAIN ends the connection (0x9A), a will with RETAIN is refused.'),
  wildcardSubscriptions: feature('Subscriptions with `+` and `#`. Off: they end the connection (0xA2); 3.1.1 clients get 0x80.'),
  subscriptionIdentifiers: feature('Subscription identifiers. Off: a SUBSCRIBE with one ends the connection (0xA1).'),
  sharedSubscriptions: feature('Shared subscriptions. Off: they end the connection (0x9E); 3.1.1 clients get 0x80.')
})

function feature(description: string) {
  return z.boolean().prefault(true).meta({ description })
}

const prefixError = 'expected topic levels that end with /, without wildcards and not starting with $'

export const responseTopicPrefix = z
  .string({ error: prefixError })
  .refine(prefix => prefix === '' || /^[^$+#\0][^+#\0]*\/$/.test(prefix), { error: prefixError })
  .refine(prefix => !/[{}]/.test(prefix.replaceAll(/\{(clientId|username)\}/g, '')), {
    error: 'expected no placeholders but {clientId} and {username}'
  })
  .prefault('responses/{clientId}/')
  .meta({
    description:
      'Told, filled in, to MQTT 5 clients that ask for Response Information: below it a client may choose response topics that no other client is told. Rights are not changed: where there is an ACL file, let each client subscribe there, and responders publish. A client that may not subscribe there is told nothing, and so is one whose name contains `+`, `#` or `/`. `""` = nobody is told.'
  })

const referenceError = 'expected another server, such as mqtt.example.com:1883'

export const serverReference = z
  .string({ error: referenceError })
  .regex(/^[^\0]{1,1024}$/, { error: referenceError })
  .optional()
  .meta({
    description:
      'Other servers for the clients of this one: host or host:port, several with spaces between. When the broker stops, MQTT 5 clients are told to use them (0x9C) instead of that it shuts down (0x8B).',
    examples: ['mqtt-2.example.com:1883']
  })
