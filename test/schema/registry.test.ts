import { t } from 'tap'
import { SchemaRegistry } from '../../lib/schema/registry.ts'
import { MemoryFileSystem } from '../stream/memory-file-system.ts'

const folder = '/data/schemas'
const text = { type: 'string' }
const short = { type: 'string', maxLength: 3 }
const open = (fileSystem: MemoryFileSystem) => SchemaRegistry.open({ folder, fileSystem, now: () => 1_700_000_000_000 })

t.test('versions count from 1, never change and are there again after a crash', async t => {
  const fileSystem = new MemoryFileSystem()
  const registry = await open(fileSystem)
  t.same(await registry.add('reading', short), { subject: 'reading', version: 1, checkedFor: 'backward', outcome: 'added' })
  t.same(await registry.add('reading', text), { subject: 'reading', version: 2, checkedFor: 'backward', outcome: 'added' })
  fileSystem.crash()
  const again = await open(fileSystem)
  t.same(again.list(), registry.list())
  t.same(again.version('reading', 1).schema, short)
  t.same(again.version('reading', 'latest').schema, text)
  t.equal(again.version('reading', 2).addedAtMs, 1_700_000_000_000)
})

t.test('the schema that is the latest already adds no version', async t => {
  const registry = await open(new MemoryFileSystem())
  await registry.add('reading', text)
  t.match(await registry.add('reading', { ...text }), { version: 1, outcome: 'unchanged' })
  t.equal(registry.subject('reading').versions.length, 1)
})

t.test('a version that breaks the promise of its subject is refused with every reason, and nothing is written', async t => {
  const fileSystem = new MemoryFileSystem()
  const registry = await open(fileSystem)
  await registry.add('reading', { type: 'object', properties: { a: text, b: text } })
  const before = fileSystem.bytes(`${folder}/reading.json`)
  const next = { type: 'object', properties: { a: short, b: { type: 'number' } } }
  await t.rejects(registry.add('reading', next), {
    code: 'TRB_SCHEMA_INCOMPATIBLE',
    message:
      /not backward compatible with version 1;.*\n {2}backward: \/properties\/a\/maxLength: .*\n {2}backward: \/properties\/b\/type: /,
    reasons: [{ pointer: '/properties/a/maxLength' }, { pointer: '/properties/b/type' }]
  })
  t.equal(fileSystem.bytes(`${folder}/reading.json`), before)
  t.match(await registry.add('reading', next, { compatibility: 'none' }), { version: 2, checkedFor: 'none' })
  t.equal(registry.subject('reading').compatibility, 'backward', 'the subject goes on promising what it promised')
  await t.rejects(registry.add('reading', text), { code: 'TRB_SCHEMA_INCOMPATIBLE' })
})

t.test('the first version says what the subject promises', async t => {
  const registry = await open(new MemoryFileSystem())
  await registry.add('reading', text, { compatibility: 'forward' })
  t.match(await registry.add('reading', short), { version: 2, checkedFor: 'forward' })
  await t.rejects(registry.add('reading', text), { code: 'TRB_SCHEMA_INCOMPATIBLE' })
})

t.test('check says what add would do and does not do it', async t => {
  const registry = await open(new MemoryFileSystem())
  t.match(registry.check('reading', short), { version: 1, outcome: 'added' })
  t.same(registry.list(), [])
  await registry.add('reading', text)
  t.throws(() => registry.check('reading', short), { code: 'TRB_SCHEMA_INCOMPATIBLE' })
})

t.test('what is no schema is refused and says why', async t => {
  const registry = await open(new MemoryFileSystem())
  const refused: [object, RegExp][] = [
    [{ type: 'strnig' }, /schema\/type must be equal to one of the allowed values/],
    [{ requried: ['a'] }, /unknown keyword: "requried"/],
    [{ $ref: 'https://example.com/other.json' }, /can't resolve reference/],
    [{ $schema: 'http://json-schema.org/draft-04/schema#' }, /\$schema: expected .*2020-12.*draft-07/],
    [{ pattern: '(' }, /[Ii]nvalid regular expression|must match format "regex"/],
    [{ format: 'colour' }, /unknown format "colour"/]
  ]
  for (const [schema, message] of refused) {
    await t.rejects(registry.add('reading', schema as never), { code: 'TRB_SCHEMA_INVALID', message })
  }
  await t.rejects(registry.add('../reading', text), { code: 'TRB_SCHEMA_INVALID', message: /not a name for a schema/ })
  await registry.add('reading', text)
  await t.rejects(registry.add('Reading', text), { code: 'TRB_SCHEMA_INVALID', message: /in case only/ })
})

t.test('draft-07 and 2020-12 schemas are understood, and x- keywords are notes', async t => {
  const registry = await open(new MemoryFileSystem())
  await registry.add('old', {
    $schema: 'http://json-schema.org/draft-07/schema#',
    items: [text],
    additionalItems: false,
    definitions: { a: text },
    'x-unit': 'm'
  })
  await registry.add('new', { $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [text], items: false })
  t.equal(registry.list().length, 2)
})

t.test('a removed subject is gone for good', async t => {
  const fileSystem = new MemoryFileSystem()
  const registry = await open(fileSystem)
  await registry.add('reading', text)
  await registry.remove('reading')
  fileSystem.crash()
  t.same((await open(fileSystem)).list(), [])
  await t.rejects(registry.remove('reading'), { code: 'TRB_SCHEMA_UNKNOWN' })
  t.throws(() => registry.version('reading', 1), { code: 'TRB_SCHEMA_UNKNOWN', message: /there are none yet/ })
})

t.test('a file that is not what was written keeps the registry from opening and is named', async t => {
  const fileSystem = new MemoryFileSystem()
  await (await open(fileSystem)).add('reading', short)
  const path = `${folder}/reading.json`
  const whole = fileSystem.bytes(path).toString()
  const damages: [string, RegExp][] = [
    [whole.replace('"maxLength": 3', '"maxLength": 4'), /its checksum does not hold/],
    [whole.slice(0, 50), /it is no JSON/],
    ['[]', /expected format 1/],
    ['null', /expected an object/],
    ['', /it is no JSON/]
  ]
  for (const [text, message] of damages) {
    fileSystem.put(path, Buffer.from(text))
    await t.rejects(open(fileSystem), { code: 'TRB_SCHEMA_CORRUPT', message })
    await t.rejects(open(fileSystem), { message: /^\/data\/schemas\/reading\.json: .*restore the file from a backup/ })
  }
  fileSystem.put(path, Buffer.from(whole))
  fileSystem.put(`${folder}/other.json`, Buffer.from(whole))
  await t.rejects(open(fileSystem), {
    code: 'TRB_SCHEMA_CORRUPT',
    message: /other\.json: expected the subject other, got "reading"/
  })
})

t.test('a write that fails changes nothing, and a crash during one leaves the old version or the new one', async t => {
  const outcomes = new Set<number>()
  for (const operation of ['open', 'write', 'sync', 'rename', 'syncFolder'] as const) {
    for (let skip = 0; skip < 3; skip++) {
      const fileSystem = new MemoryFileSystem()
      const registry = await open(fileSystem)
      await registry.add('reading', short)
      fileSystem.fail({ operation, path: '/data', code: 'EIO', skip, crash: true, bytesWritten: 40 })
      const failed = await registry.add('reading', text).then(
        () => false,
        () => true
      )
      if (failed) t.equal(registry.subject('reading').versions.length, 1, `${operation} ${skip}: not in memory either`)
      fileSystem.faults.length = 0
      fileSystem.crash()
      outcomes.add((await open(fileSystem)).subject('reading').versions.length)
    }
  }
  t.same([...outcomes].sort(), [1, 2])
})

t.test('additions at the same time take turns', async t => {
  const registry = await open(new MemoryFileSystem())
  const versions = await Promise.all(
    [short, { type: 'string', maxLength: 4 }, text].map(schema => registry.add('reading', schema))
  )
  t.same(
    versions.map(({ version }) => version),
    [1, 2, 3]
  )
})
