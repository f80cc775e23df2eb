import { readFileSync } from 'node:fs'
import t from 'tap'
import { errorCodes } from '../lib/errors.ts'

t.test('docs/errors.md lists exactly the codes of the catalogue, with their meaning', t => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const listed = Object.fromEntries(
    [...page.matchAll(/^\| `(TRB_\w+)` \| (.*?) \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning])
  )
  t.same(listed, { ...errorCodes })
  t.end()
})
