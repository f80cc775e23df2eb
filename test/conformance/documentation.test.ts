import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { t } from 'tap'
import { type Catalogue, loadCatalogue, type Standard } from './catalogue.ts'
import { type Citation, collectCitations, titlesOf } from './citations.ts'
import { bindsServer, names, renderConformancePage } from './page.ts'
import type { Statement } from './statement.ts'
import { twins } from './twins.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
/** What the appendices of the two standards number. */
const statementCount: Record<Standard, number> = { 3: 141, 5: 251 }

const catalogues: Catalogue[] = []
for (const standard of [5, 3] as const) {
  if (existsSync(join(root, `test/conformance/statements-${standard}`))) catalogues.push(await loadCatalogue(root, standard))
}
const citations = collectCitations(root)

for (const { standard, statements, duplicates } of catalogues) {
  const name = names[standard]

  t.test(`the catalogue of ${name} has every statement of its appendix, once`, async t => {
    t.same(duplicates, [])
    const wellFormed = ({ id, does }: Statement): boolean => /^MQTT-\d+(\.\d+)*-\d+$/.test(id) && /^\S.*\.$/.test(does)
    none(
      t,
      [...statements.values()].filter(statement => !wellFormed(statement)).map(({ id, does }) => `${id}: ${does}`)
    )
    t.equal(statements.size, statementCount[standard])
  })

  t.test(`every statement of ${name} that binds a server has a test`, async t => {
    const proven = new Set(citations.proofs.filter(proof => proof.standard === standard).map(proof => proof.id))
    const missing = [...statements.values()].filter(statement => bindsServer(statement) && !proven.has(statement.id))
    none(
      t,
      missing.map(({ id, does }) => `${id}: ${does}`)
    )
  })

  t.test(`every statement of ${name} that titles and comments name exists`, async t => {
    const unknown = (citation: Citation): boolean => citation.standard === standard && !statements.has(citation.id)
    none(
      t,
      [...citations.proofs, ...citations.sources].filter(unknown).map(({ id, file, line }) => `${file}:${line}: ${id}`)
    )
  })
}

t.test('statements of 3.1.1 have their twins in MQTT 5', async t => {
  const known = (standard: Standard, id: string): boolean => {
    const catalogue = catalogues.find(entry => entry.standard === standard)
    return catalogue === undefined || catalogue.statements.has(id)
  }
  none(
    t,
    [...twins].filter(([id, later]) => !known(3, id) || !known(5, later)).map(([id, later]) => `${id} = ${later}`)
  )
})

t.test('what looks like the number of a statement is one', async t => {
  none(t, citations.illFormed)
})

t.test('docs/conformance.md is what statements, tests and sources say today', async t => {
  const paho = join(root, 'test/conformance/paho.md')
  const current = renderConformancePage(catalogues, citations, existsSync(paho) ? readFileSync(paho, 'utf8') : undefined)
  const file = join(root, 'docs/conformance.md')
  if (process.env.UPDATE_DOCS === '1') writeFileSync(file, current)
  t.equal(readFileSync(file, 'utf8'), current, 'run this test with UPDATE_DOCS=1 to write the file')
})

t.test('titles are found in every form they are written in, and tests that are switched off are not', async t => {
  const source = [
    "t.test('[a] it\\'s', async t => {",
    't.test(`[b] $' + '{row.title} with a value`, run)',
    't.test(',
    '  "[c] on a line of its own",',
    "{ title: '[d] a row', bytes }",
    "// t.test('[no] commented out', run)",
    " * t.test('[no] in a docstring', run)",
    "t.test('[no] skipped', { skip: true }, run)",
    "t.equal(1, 1, '[no] a message')"
  ].join('\n')
  t.same(
    titlesOf(source).map(({ title, line }) => `${line} ${title}`),
    ["1 [a] it\\'s", '2 [b] ', '3 [c] on a line of its own', '5 [d] a row']
  )
})

/** An empty list, or a failure that shows each line as it is. */
function none(
  t: { comment(...lines: string[]): unknown; equal(found: number, wanted: number): unknown },
  lines: readonly string[]
): void {
  for (const line of lines) t.comment(line)
  t.equal(lines.length, 0)
}
