import { t } from 'tap'
import { openAdminServer } from '../../lib/admin/server.ts'
import { MemoryStream } from './memory-stream.ts'
import { adminSources } from './sources.ts'

interface Operation {
  operationId?: string
  tags?: string[]
  summary?: string
  parameters?: { name: string; in: string; required: boolean; description?: string }[]
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}

interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
  tags: { name: string }[]
}

async function open(t: { teardown(fn: () => unknown): unknown }) {
  const server = await openAdminServer({ host: '127.0.0.1', port: 0, sources: adminSources([new MemoryStream('telemetry')]) })
  t.teardown(() => server.close())
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation }))
  )
  return { server, document, operations }
}

t.test('the document is OpenAPI 3.1 and holds every endpoint of the index', async t => {
  const { server, document, operations } = await open(t)
  t.equal(document.openapi, '3.1.0')
  const { endpoints } = (await (await fetch(server.url)).json()) as { endpoints: Record<string, string> }
  const index = Object.keys(endpoints).map(key => (key.startsWith('/') ? `GET ${key}` : key).replace(/:(\w+)/g, '{$1}'))
  t.same(operations.map(({ name }) => name).sort(), index.sort())
  t.ok(index.length >= 10)
})

t.test('each operation has a name of its own, a known tag, a summary and answers, errors included', async t => {
  const { document, operations } = await open(t)
  const known = document.tags.map(({ name }) => name)
  const faults: string[] = []
  for (const { name, path, operation } of operations) {
    if (!operation.operationId) faults.push(`${name}: no operationId`)
    if (!operation.summary) faults.push(`${name}: no summary`)
    if (!operation.tags?.every(tag => known.includes(tag))) faults.push(`${name}: tags ${operation.tags}`)
    const statuses = Object.keys(operation.responses)
    if (!statuses.some(status => status.startsWith('2'))) faults.push(`${name}: no answer of success`)
    for (const status of ['400', '403', '500']) if (!statuses.includes(status)) faults.push(`${name}: no ${status}`)
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      if (description === '' || description === 'Default Response') faults.push(`${name}: ${status} says nothing`)
      const error = JSON.stringify(content?.['application/json']?.schema) === '{"$ref":"#/components/schemas/Error"}'
      if (Number(status) >= 400 && status !== '503' && !error) faults.push(`${name}: ${status} is not an Error`)
    }
    const inPath = operation.parameters?.filter(parameter => parameter.in === 'path').map(parameter => `{${parameter.name}}`)
    for (const part of path.match(/\{\w+\}/g) ?? []) if (!inPath?.includes(part)) faults.push(`${name}: ${part} is not described`)
    for (const { name: parameter, description } of operation.parameters ?? [])
      if (!description) faults.push(`${name}: parameter ${parameter} is not described`)
  }
  t.same(faults, [])
  const names = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(names).size, names.length)
})

t.test('every reference leads somewhere', async t => {
  const { document } = await open(t)
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(match => match[1]!)
  t.ok(references.length > 0)
  t.same(
    references.filter(name => !(name in document.components.schemas)),
    []
  )
})
