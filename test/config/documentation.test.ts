import { readFileSync, writeFileSync } from 'node:fs'
import { t } from 'tap'
import { renderConfigurationPage, renderJsonSchema } from './configuration-page.ts'

/** With UPDATE_DOCS=1 the committed files are written instead of compared. */
function committed(name: string, current: string): string {
  const file = new URL(`../../../docs/${name}`, import.meta.url)
  if (process.env.UPDATE_DOCS === '1') writeFileSync(file, current)
  return readFileSync(file, 'utf8')
}

t.test('docs/config.schema.json is what the schema says today', async t => {
  const current = renderJsonSchema()
  t.equal(committed('config.schema.json', current), current, 'run this test with UPDATE_DOCS=1 to write the file')
})

t.test('docs/configuration.md is what the schema says today', async t => {
  const current = renderConfigurationPage()
  t.equal(committed('configuration.md', current), current, 'run this test with UPDATE_DOCS=1 to write the file')
})

t.test('every key of the configuration is documented', async t => {
  const page = renderConfigurationPage()
  for (const line of page.split('\n').filter(line => line.startsWith('| `'))) {
    const [, key, value, standard, meaning] = line.split(/(?<!\\)\|/).map(text => text.trim())
    t.ok(meaning !== undefined && meaning.length > 5, `${key} has a meaning`)
    t.ok(value !== '' && standard !== '', `${key} has a value and a default`)
  }
})
