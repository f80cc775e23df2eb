import { join } from 'node:path'
import { t } from 'tap'
import { parseAcl, readAclFile } from '../../lib/access/acl-file.ts'
import { TributaryError } from '../../lib/errors.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

function problems(text: string): string[] {
  try {
    parseAcl(text, 'acl.yaml')
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'TRB_ACCESS_FILE_INVALID') return error.message.split('\n')
    throw error
  }
  return []
}

t.test('mistakes are told with line and path, several at once', async t => {
  const lines = problems(`roles:
  sensor:
    allow:
      - publsh: 'a/#'
      - publish: 'a/#/b'
      - subscribe: ['ok', 'devices/{clientid}/x']
      - publish: $SYS/x
      - subscribe: $share/g/a
      - {}
    denny: []
users: { alice: sensor }
defaults: [sensor]
`)
  for (const expected of [
    /^acl.yaml:4: roles.sensor.allow\[0\].publsh: expected a known key/,
    /did you mean `publish`/,
    /^acl.yaml:5: roles.sensor.allow\[1\].publish: expected a topic filter, got "a\/#\/b"/,
    /^acl.yaml:6: roles.sensor.allow\[2\].subscribe\[1\]: expected a topic filter with no placeholders but {clientId} and {username}/,
    /did you mean `{clientId}`/,
    /^acl.yaml:7: roles.sensor.allow\[3\].publish: expected topics that clients can publish to/,
    /^acl.yaml:8: roles.sensor.allow\[4\].subscribe: expected a topic filter without \$share/,
    /^acl.yaml:9: roles.sensor.allow\[5\]: expected a rule with publish, subscribe, receive or all/,
    /^acl.yaml:10: roles.sensor.denny: expected a known key/,
    /^acl.yaml:11: users.alice: expected a list, got "sensor"/,
    /^acl.yaml:12: defaults: expected a known key/
  ]) {
    t.ok(
      lines.some(line => expected.test(line)),
      String(expected)
    )
  }
})

t.test('a role that is given must exist', async t => {
  const lines = problems('roles: { sensor: {} }\nusers:\n  alice: [sensr]\ndefault: [toString]\n')
  t.match(lines, [
    'acl.yaml:3: users.alice[0]: expected a role of this file, got "sensr"',
    '  hint: did you mean `sensor`?',
    'acl.yaml:4: default[0]: expected a role of this file, got "toString"',
    '  hint: the roles are sensor'
  ])
})

t.test('an ACL file without roles is a mistake, not an open door', async t => {
  t.match(problems('')[0], /^acl.yaml:1: roles: expected a map, got nothing/)
  t.match(problems('roles: { __proto__: {} }')[0], /__proto__/)
})

t.test('a file that cannot be read is an access file error', async t => {
  await t.rejects(readAclFile(join(temporaryFolder(t), 'none.yaml')), { code: 'TRB_ACCESS_FILE_INVALID', message: /ENOENT/ })
})
