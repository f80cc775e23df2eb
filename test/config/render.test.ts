import { t } from 'tap'
import type { Config } from '../../lib/config/config.ts'
import { defaultConfig, parseConfig } from '../../lib/config/load.ts'
import { renderConfig } from '../../lib/config/render.ts'
import { jsonSchema } from '../../lib/config/schema.ts'

const file = '/etc/tributary/tributary.yaml'

const full = `listeners:
  - { type: tcp, port: 0, anonymous: deny }
  - { type: tls, host: '::', port: 8883, cert: s.pem, key: s.key, ca: ca.pem, clientCertificate: request, minVersion: TLSv1.3 }
  - { type: wss, port: 8084, path: /a b, cert: 'it''s: #1.pem', key: s.key, origins: ['*', 'null', 'https://dash.example:8443'] }
admin: false
access: { anonymous: false, passwordFile: p, aclFile: a.yaml, hooks: h.mjs, certificateIdentity: fingerprint }
streams:
  constructor: { filter: 'a/+/b', key: topic, partitions: 1, retention: { age: 90s, bytes: 1500 }, ack: written, segmentBytes: 4097 }
  checked: { filter: 'c/#', schema: { subject: reading, version: 2, onInvalid: tag, maxPayload: 1KiB, maxDepth: 9 }, deduplicate: { window: 90s, maxEntries: 7, by: [packet-id] } }
  filed: { filter: 'd/#', schema: { file: ./reading.json }, deduplicate: {} }
  '123': { filter: '+', retention: { age: 0, bytes: 0 } }
ack: [{ filter: 'chat/#', mode: received }, { filter: '+/fast', mode: written }]
limits: { sessionExpirySecondsMax: 4294967295, maxPacketBytes: 1048577, keepAliveSecondsMax: 2h, maximumQos: 1 }
features: { retain: false, sharedSubscriptions: false }
responseTopicPrefix: 'answers/{username}/'
serverReference: 'b.example:1883 c.example:1883'
log: { level: silent, format: json }
shutdown: { drainTimeoutMs: 0 }
`.replace('/a b', '/a')

for (const [name, config] of [
  ['the default', defaultConfig('/etc/tributary')],
  ['one with everything set', parseConfig(full, file)],
  ['one without streams', parseConfig('streams: {}', file)]
] as [string, Config][]) {
  t.test(`loading what was printed gives the same configuration: ${name}`, async t => {
    t.same(parseConfig(renderConfig(config), file), config)
    t.same(parseConfig(renderConfig(config, '/etc/tributary'), file), config, 'with relative paths')
  })
}

t.test('every key is printed with a comment, also those that are not set', async t => {
  const text = renderConfig(defaultConfig())
  const lines = text.split('\n')
  const mqtt5 = ['features', 'responseTopicPrefix', 'serverReference']
  const keys = [
    'data',
    'listeners',
    'admin',
    'access',
    'streams',
    'ack',
    'deadLetter',
    'storage',
    'limits',
    ...mqtt5,
    'log',
    'shutdown'
  ]
  t.same(Object.keys(jsonSchema().properties ?? {}), keys)
  const set = keys.filter(key => key !== 'serverReference')
  for (const key of [...set, ...Object.keys(jsonSchema().properties?.limits?.properties ?? {})]) {
    const at = lines.findIndex(line => line.trim().startsWith(`${key}:`))
    t.ok(at > 0 && lines[at - 1]?.trim().startsWith('#'), `${key} stands below a comment`)
  }
  for (const unset of ['serverReference', 'passwordFile', 'aclFile', 'hooks', 'origins'])
    t.match(text, new RegExp(`# ${unset}: `))
})
