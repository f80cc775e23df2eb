import { join } from 'node:path'
import { t } from 'tap'
import { loadHooks } from '../../lib/access/hooks.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder(t, {
  'named.mjs': 'export function authenticate() {}\nexport const published = () => {}',
  'default.mjs': 'export default { authorizePublish() {}, authorizeForward() {} }',
  'both.mjs': 'export function authenticate() {}\nexport default { preConnect() {} }',
  'common.cjs': 'module.exports = { authorizeSubscribe() {} }',
  'named-common.cjs': 'exports.authorizeSubscribe = () => {}',
  'typo.mjs': 'export function authorisePublish() {}',
  'typo-inside.mjs': 'export default { authenticates() {} }',
  'value.mjs': 'export const authenticate = true',
  'function.mjs': 'export default function authenticate() {}',
  'twice.mjs': 'export function authenticate() {}\nexport default { authenticate() {} }',
  'other.mjs': 'export function authenticate() {}\nexport const constructor = () => {}',
  'none.mjs': 'const nothing = 1',
  'broken.mjs': 'export function {',
  'throws.mjs': "throw new Error('no database')"
})

const load = (name: string) => loadHooks(join(folder, name))
const refusal = (message: RegExp) => ({ code: 'TRB_ACCESS_FILE_INVALID', message })

t.test('hooks are named exports, or keys of the default export, or both', async t => {
  t.same(Object.keys(await load('named.mjs')).sort(), ['authenticate', 'published'])
  t.same(Object.keys(await load('default.mjs')).sort(), ['authorizeForward', 'authorizePublish'])
  t.same(Object.keys(await load('both.mjs')).sort(), ['authenticate', 'preConnect'])
})

t.test('a CommonJS module works too', async t => {
  t.same(Object.keys(await load('common.cjs')), ['authorizeSubscribe'])
  t.same(Object.keys(await load('named-common.cjs')), ['authorizeSubscribe'])
})

t.test('whatever is no hook is an error that names it', async t => {
  await t.rejects(
    load('typo.mjs'),
    refusal(/typo.mjs: export authorisePublish: expected one of.*\n {2}hint: did you mean `authorizePublish`/)
  )
  await t.rejects(load('typo-inside.mjs'), refusal(/key authenticates of the default export/))
  await t.rejects(load('value.mjs'), refusal(/export authenticate: expected a function, got boolean/))
  await t.rejects(load('function.mjs'), refusal(/default export: expected an object of hooks, got function/))
  await t.rejects(load('other.mjs'), refusal(/export constructor: expected one of/))
})

t.test('a hook that is exported twice, or not at all, is an error', async t => {
  await t.rejects(load('twice.mjs'), refusal(/hook authenticate is exported twice/))
  await t.rejects(load('none.mjs'), refusal(/expected at least one of the hooks/))
})

t.test('a module that does not load says why', async t => {
  await t.rejects(load('broken.mjs'), refusal(/expected a JavaScript module that loads/))
  await t.rejects(load('throws.mjs'), refusal(/no database/))
})
