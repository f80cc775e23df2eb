import { join, resolve } from 'node:path'
import { t } from 'tap'
import { anonymousAllowed } from '../../lib/config/anonymous.ts'
import { defaultConfig, loadConfig, parseConfig } from '../../lib/config/load.ts'
import { TributaryError } from '../../lib/errors.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const file = '/etc/tributary/tributary.yaml'

function problems(text: string): string[] {
  try {
    parseConfig(text, 'tributary.yaml')
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'TRB_CONFIG_INVALID') return error.message.split('\n')
    throw error
  }
  return []
}

t.test('the embedded default listens on loopback only and declares one stream', async t => {
  const config = defaultConfig()
  t.match(config.listeners, [
    { type: 'tcp', host: '127.0.0.1', port: 1883 },
    { type: 'ws', host: '127.0.0.1', port: 8083, path: '/mqtt' }
  ])
  t.same(config.admin, { host: '127.0.0.1', port: 9883, maxReaders: 100 })
  t.same(
    { ...config.streams },
    {
      telemetry: {
        filter: 'devices/#',
        key: 'clientId',
        partitions: 8,
        retention: { ageMs: 604_800_000, bytes: 10 * 1024 ** 3 },
        cleanup: 'delete',
        compaction: {
          ...{ tombstoneAgeMs: 86_400_000, minDirtyRatio: 0.5, maxLagMs: 86_400_000 },
          ...{ memoryBytes: 64 * 1024 ** 2, bytesPerSecond: 32 * 1024 ** 2 }
        },
        ack: 'synced',
        groups: { maxDeliveryAttempts: 0, ackTimeoutMs: 0, retryDelayMs: 1000, refused: 'dead-letter' },
        segmentBytesMax: 64 * 1024 ** 2
      }
    }
  )
  t.equal(config.access.anonymous, true)
  t.equal(config.data, resolve('data'))
  t.same(loadConfig(), config)
  t.same(parseConfig('', 'tributary.yaml'), config, 'an empty file changes nothing')
})

t.test('a full file is understood, and relative paths start at its folder', async t => {
  const config = parseConfig(
    `data: ./data
listeners:
  - { type: tcp, host: 127.0.0.1, port: 1883 }
  - { type: tls, host: 0.0.0.0, port: 8883, cert: server.pem, key: server.key, ca: devices-ca.pem, clientCertificate: require }
  - { type: ws,  host: 127.0.0.1, port: 8083, path: /mqtt, origins: ['https://dash.example'] }
admin: { host: 127.0.0.1, port: 9883 }
access: { anonymous: false, passwordFile: passwords, aclFile: /srv/acl.yaml }
streams:
  telemetry: { filter: 'devices/+/telemetry', key: clientId, partitions: 8, retention: { age: 7d, bytes: 10GiB }, ack: synced }
limits: { maxPacketBytes: 1MiB, maxQueuedMessagesPerSession: 10000, receiveMaximum: 100, connectTimeoutMs: 5s }
ack: [{ filter: 'chat/#', mode: received }]
log: { level: info }
`,
    file
  )
  t.equal(config.data, '/etc/tributary/data')
  t.match(config.listeners[1], {
    type: 'tls',
    cert: '/etc/tributary/server.pem',
    key: '/etc/tributary/server.key',
    ca: '/etc/tributary/devices-ca.pem',
    clientCertificate: 'require',
    minVersion: 'TLSv1.2'
  })
  t.match(config.access, { passwordFile: '/etc/tributary/passwords', aclFile: '/srv/acl.yaml', anonymous: false })
  t.equal(config.limits.connectTimeoutMs, 5000)
  t.equal(config.limits.maxPacketBytes, 1024 * 1024)
  t.same(config.ack, [{ filter: 'chat/#', mode: 'received' }])
})

t.test('all problems of a file are told at once, each with line, path, what was expected and what was found', async t => {
  const lines = problems(`data: 5
listners: []
listeners:
  - { type: tcp, port: '1883' }
  - { type: tsl, port: 1 }
  - type: tls
    port: 8883
    clientCertificate: required
admin: { prt: 5 }
streams:
  a/b: { filter: 'devices/#' }
  t: { filter: 'devices/#/x', retention: { age: 7, bytes: 10GB } }
log: { level: verbose }
`)
  for (const line of [
    'tributary.yaml:1: data: expected the path of a folder, got 5',
    'tributary.yaml:2: listners: expected a known key, got "listners"',
    '  hint: did you mean `listeners`?',
    'tributary.yaml:4: listeners[0].port: expected a whole number from 0 to 65535, got "1883"',
    '  hint: remove the quotes',
    'tributary.yaml:5: listeners[1].type: expected one of tcp, tls, ws, wss, got "tsl"',
    '  hint: did you mean `tls`?',
    'tributary.yaml:6: listeners[2].cert: expected the path of a file, got nothing',
    'tributary.yaml:6: listeners[2].key: expected the path of a file, got nothing',
    'tributary.yaml:8: listeners[2].clientCertificate: expected one of none, request, require, got "required"',
    'tributary.yaml:9: admin.prt: expected a known key, got "prt"',
    '  hint: did you mean `port`?',
    'tributary.yaml:11: streams["a/b"]: expected a stream name: letters, digits, _ and -, starting with a letter or digit, at most 64, got "a/b"',
    'tributary.yaml:12: streams.t.retention.age: expected a duration up to 36500d, got 7',
    '  hint: add a unit (ms, s, m, h, d or w), as in `7s`',
    '  hint: write `10GiB`',
    'tributary.yaml:13: log.level: expected one of fatal, error, warn, info, debug, trace, silent, got "verbose"'
  ]) {
    t.ok(lines.includes(line), line)
  }
  t.ok(lines.some(line => line.startsWith('tributary.yaml:12: streams.t.filter: expected a topic filter')))
})

t.test('a key that is written twice is an error, and the rest is checked all the same', async t => {
  const lines = problems('log: { level: info }\ndata: a\nlog: { level: debug }\nadmin: 7\n')
  t.match(lines, [
    'tributary.yaml:3: expected every key once, got "log" a second time',
    /hint/,
    /^tributary.yaml:4: admin: expected/
  ])
})

t.test('what is no YAML is told with its line', async t => {
  t.match(problems('log:\n\tlevel: info\n')[0], /^tributary.yaml:2: expected valid YAML, got a syntax error/)
  t.match(problems('a: [1\nb: 2\n')[0], /^tributary.yaml:2: expected valid YAML/)
  t.match(problems('data: a\n---\ndata: b\n')[0], /expected valid YAML/)
  t.match(problems('data: !secret a\n')[0], /^tributary.yaml:1: expected valid YAML/)
  t.match(problems('just words')[0], /^tributary.yaml:1: expected a map, got "just words"/)
})

t.test('a file whose aliases explode is refused', async t => {
  const levels = Array.from({ length: 12 }, (_, i) => `  l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`)
  t.ok(problems(`streams:\n  l0: &l0 [x]\n${levels.join('\n')}\n`).length > 0)
})

t.test('names that mean something to JavaScript objects are just names, or refused', async t => {
  const { streams } = parseConfig("streams: { constructor: { filter: 'a/#' }, toString: { filter: 'b/#' } }", file)
  t.same(Object.keys(streams), ['constructor', 'toString'])
  t.equal(defaultConfig().streams.constructor, undefined)
  t.match(problems("streams: { __proto__: { filter: 'a/#' } }")[0], /__proto__/)
  t.match(problems('limits: { constructor: 5 }')[0], /limits.constructor: expected a known key/)
  t.match(problems('__proto__: { data: x }')[0], /__proto__/)
})

t.test('anonymous access from other machines must be said in words', async t => {
  const listener = (extra: string) => `listeners: [{ type: tcp, host: 0.0.0.0, port: 1883${extra} }]`
  const [complaint, hint] = problems(listener(''))
  t.match(complaint, /^tributary.yaml:1: listeners\[0\].host: expected .* got anonymous access on 0.0.0.0/)
  t.match(hint, /anonymous: false.*anonymous: deny.*anonymous: allow-from-anywhere/)
  t.ok(problems(listener(', anonymous: allow-on-loopback')).length > 0)
  const open = parseConfig(listener(', anonymous: allow-from-anywhere'), file)
  t.equal(anonymousAllowed(open.listeners[0]!, open.access), true)
  const closed = parseConfig(listener(', anonymous: deny'), file)
  t.equal(anonymousAllowed(closed.listeners[0]!, closed.access), false)
  const withPasswords = parseConfig(`${listener('')}\naccess: { anonymous: false, passwordFile: p }`, file)
  t.equal(anonymousAllowed(withPasswords.listeners[0]!, withPasswords.access), false)
})

t.test('loopback is what only this machine can reach', async t => {
  const allowed = (host: string) => anonymousAllowed({ host, anonymous: 'allow-on-loopback' }, { anonymous: true })
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1'])
    t.ok(allowed(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'broker.lan', '127.0.0.1.example', 'localhost.example', '1127.0.0.1']) {
    t.notOk(allowed(host), host)
  }
})

t.test('keys that are right alone and wrong together are told', async t => {
  const cases: [text: string, complaint: RegExp][] = [
    ['access: { anonymous: false }', /access.anonymous: expected some way for clients to come in/],
    ['listeners: [{ type: tls, port: 1, cert: a, key: b, clientCertificate: request }]', /listeners\[0\].ca: expected the file/],
    ['listeners: [{ type: tcp, port: 1 }, { type: ws, port: 1 }]', /listeners\[1\].port: expected an address of its own/],
    ['listeners: [{ type: tcp, port: 9883 }]', /admin.port: expected an address of its own/],
    ["streams: { a: { filter: 'a/#' }, A: { filter: 'b/#' } }", /streams.A: expected a name that differs/],
    [
      'limits: { maxPacketBytes: 2MiB, maxUncommittedBytes: 1MiB }',
      /limits.maxUncommittedBytes: expected at least maxPacketBytes/
    ],
    ["streams: { a: { filter: '$SYS/#' } }", /streams.a.filter: expected a topic filter that does not start with \$/],
    ['limits: { maximumQos: 3 }', /limits.maximumQos: expected a whole number from 0 to 2/],
    ['features: { retained: false }', /features.retained: expected a known key/],
    ['responseTopicPrefix: answers', /responseTopicPrefix: expected topic levels that end with \//],
    ['responseTopicPrefix: a/+/', /responseTopicPrefix: expected topic levels .* without wildcards/],
    ['responseTopicPrefix: $SYS/', /responseTopicPrefix: expected topic levels .* not starting with \$/],
    ["responseTopicPrefix: 'a/{client}/'", /responseTopicPrefix: expected no placeholders but {clientId} and {username}/],
    ["serverReference: ''", /serverReference: expected another server/],
    ['listeners: []', /listeners: expected at least one listener/],
    ["listeners: [{ type: ws, port: 1, origins: ['dash.example'] }]", /listeners\[0\].origins\[0\]: expected a web origin/]
  ]
  for (const [text, complaint] of cases) t.match(problems(text)[0], complaint)
  t.same(problems("responseTopicPrefix: ''"), [], 'no prefix at all')
  t.same(problems('listeners: [{ type: tcp, port: 0 }, { type: ws, port: 0 }]'), [], 'port 0 is never taken')
})

t.test('a data folder given beside the file takes the place of the one in it', async t => {
  const folder = temporaryFolder(t, { 'tributary.yaml': 'data: here\nadmin: false\n' })
  const path = join(folder, 'tributary.yaml')
  t.equal(loadConfig({ file: path }).data, join(folder, 'here'))
  t.equal(loadConfig({ file: path, dataFolder: 'there' }).data, resolve('there'))
  t.equal(loadConfig({ file: path }).admin, false)
})

t.test('a file that cannot be read is a configuration error', async t => {
  t.throws(() => loadConfig({ file: '/nowhere/tributary.yaml' }), { code: 'TRB_CONFIG_INVALID', message: /ENOENT/ })
})
