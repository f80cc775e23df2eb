import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const CHILD = fileURLToPath(new URL('./aedes-abstract-child.js', import.meta.url))
/** How many tests abstract.js of aedes-persistence 11 has. */
const TESTS = 50

t.test('LevelPersistence passes the abstract suite of aedes-persistence', async t => {
  // The suite needs node:test, which must not find itself inside another test runner's process.
  const { NODE_OPTIONS: _options, NODE_TEST_CONTEXT: _context, ...env } = process.env
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', CHILD], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const output = await text(child.stdout)
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1])
  t.equal(count('fail'), 0)
  t.equal(count('cancelled'), 0)
  t.equal(count('skipped'), 0)
  t.equal(count('pass'), TESTS)
  if (!t.passing()) t.comment(output)
})
