import { readFileSync, writeFileSync } from 'node:fs'
import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { adminSources } from './sources.ts'

interface Parameter {
  name: string
  in: string
  description?: string
  schema: { type?: string; default?: unknown; enum?: unknown[]; minimum?: number; maximum?: number }
}

interface Operation {
  tags: [string]
  summary: string
  parameters?: Parameter[]
  requestBody?: object
  'x-access': 'open' | 'read' | 'write'
}

interface Document {
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
}

const page = new URL('../../../docs/http-api.md', import.meta.url)

t.test('docs/http-api.md lists the endpoints of the OpenAPI document', async t => {
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([]) })
  t.teardown(() => server.close())
  const endpoints = renderEndpoints((await (await fetch(`${server.url}/openapi.json`)).json()) as Document)
  const committed = readFileSync(page, 'utf8')
  const current = committed.replace(/(<!-- endpoints: .*-->\n)[\s\S]*(<!-- end of endpoints -->)/, (_all, start, end) =>
    [start, '\n', endpoints, '\n', end].join('')
  )
  t.match(current, endpoints, 'the page has a place for the list')
  if (process.env.UPDATE_DOCS === '1') writeFileSync(page, current)
  t.equal(readFileSync(page, 'utf8'), current, 'run this test with UPDATE_DOCS=1 to write the file')
})

function renderEndpoints({ tags, paths }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, ...operation }))
  )
  return tags
    .map(tag => {
      const rows = operations.filter(operation => operation.tags[0] === tag.name)
      const table = rows.map(row => `| \`${row.name}\` | ${row['x-access']} | ${row.summary.replaceAll('|', '\\|')} |`)
      const head = ['| Endpoint | Token | What it does |', '| --- | --- | --- |']
      return [`### ${tag.name}`, '', tag.description, '', ...head, ...table, ...rows.flatMap(renderParameters), ''].join('\n')
    })
    .join('\n')
}

function renderParameters({ name, parameters = [] }: Operation & { name: string }): string[] {
  const queries = parameters.filter(parameter => parameter.in === 'query')
  if (queries.length === 0) return []
  return [
    '',
    `\`${name}\` takes:`,
    '',
    ...queries.map(parameter => `- \`${parameter.name}\`${values(parameter)}: ${parameter.description}`)
  ]
}

function values({ schema }: Parameter): string {
  const { type, minimum, maximum, enum: choices, default: standard } = schema
  const parts: string[] = []
  if (type === 'boolean') parts.push('true or false')
  else if (choices !== undefined) parts.push(choices.join(', '))
  else if (type === 'integer')
    parts.push(maximum === undefined || maximum > 1e15 ? `${minimum} or more` : `${minimum} to ${maximum}`)
  if (standard !== undefined) parts.push(`default ${standard}`)
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`
}
