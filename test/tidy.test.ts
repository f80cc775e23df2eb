import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** The structure of the sources as ARCHITECTURE.md promises it. Reads the .ts files, not what was compiled from them. */

const root = fileURLToPath(new URL('../../', import.meta.url))
const sourceFolders = ['bin', 'lib', 'persistence']
const linesMax = 400

/** Height of each room; a file may import its own room and lower rooms. Whole numbers are the layers of ARCHITECTURE.md. */
const layers: Record<string, number> = {
  'lib/errors.ts': 0,
  'lib/logger.ts': 0.1,
  'lib/version.ts': 0.1,
  'lib/topic': 0.1,
  'lib/mqtt': 0.2,
  'lib/stream': 1,
  'lib/commit': 1,
  'lib/config': 1,
  'lib/schema': 1.1,
  'lib/events': 1.1,
  'lib/metrics': 1.1,
  persistence: 1.1,
  'lib/apply': 2,
  'lib/dead-letter': 2,
  'lib/session': 2,
  'lib/access': 2,
  'lib/broker': 3,
  'lib/listener': 4,
  'lib/admin': 4.1,
  'lib/composition': 4.9,
  'lib/server.ts': 5,
  'lib/index.ts': 6,
  'lib/cli': 6,
  bin: 7
}

interface SourceFile {
  path: string
  lines: number
  imports: { target: string; typeOnly: boolean }[]
  packages: string[]
}

const files = new Map<string, SourceFile>()
for (const folder of sourceFolders) for (const path of list(folder)) files.set(path, read(path))

t.test('no source file is longer than 400 lines', t => {
  for (const { path, lines } of files.values()) if (lines > linesMax) t.fail(`${path} has ${lines} lines`)
  t.ok(files.size > 50, 'the files were found')
  t.end()
})

t.test('every file belongs to a room, and imports point down the layers', t => {
  for (const file of files.values()) {
    const room = roomOf(file.path)
    if (room === undefined) {
      t.fail(`${file.path} belongs to no room of this test's table`)
      continue
    }
    for (const { target } of file.imports) {
      const other = roomOf(target)
      if (other === undefined) t.fail(`${file.path} imports ${target}, which does not exist or has no room`)
      else if (other !== room && layers[other]! >= layers[room]!) {
        t.fail(`${file.path} (layer ${layers[room]}) imports ${target} (layer ${layers[other]})`)
      }
    }
  }
  t.pass('looked at every import')
  t.end()
})

t.test('no cycles, imports that exist only for types aside', t => {
  const done = new Set<string>()
  const walk = (path: string, trail: string[]): void => {
    if (trail.includes(path)) {
      t.fail(`cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`)
      return
    }
    if (done.has(path)) return
    for (const { target, typeOnly } of files.get(path)?.imports ?? []) if (!typeOnly) walk(target, [...trail, path])
    done.add(path)
  }
  for (const path of files.keys()) walk(path, [])
  t.equal(done.size, files.size)
  t.end()
})

t.test('every file is used by another one or is an entry point', t => {
  const entries = new Set(['bin/tributary.ts', 'lib/index.ts', 'persistence/index.ts'])
  const used = new Set([...files.values()].flatMap(file => file.imports.map(({ target }) => target)))
  const unused = [...files.keys()].filter(path => !used.has(path) && !entries.has(path))
  t.same(unused, [])
  t.end()
})

t.test('each foreign engine has one room that knows it', t => {
  const owners: Record<string, RegExp> = {
    aedes: /^lib\/broker\//,
    level: /^persistence\//,
    'classic-level': /^persistence\//,
    ws: /^lib\/(listener|cli)\//,
    'prom-client': /^lib\/metrics\//,
    pino: /^lib\/logger\.ts$/,
    zod: /^lib\/(config|access|admin)\//,
    fastify: /^lib\/admin\//,
    '@fastify/swagger': /^lib\/admin\//,
    ajv: /^lib\/schema\//,
    'ajv-formats': /^lib\/schema\//,
    commander: /^lib\/cli\//,
    '@node-rs/argon2': /^lib\/access\//
  }
  for (const { path, packages } of files.values()) {
    for (const name of packages) {
      const owner = owners[name]
      if (owner && !owner.test(path)) t.fail(`${path} imports ${name}`)
    }
    if (path.startsWith('lib/stream/') && path !== 'lib/stream/file-system.ts' && packages.includes('node:fs')) {
      t.fail(`${path} imports node:fs; faults can only be injected through file-system.ts`)
    }
  }
  t.pass('looked at every package import')
  t.end()
})

t.test('folders of tests go when everything is torn down', t => {
  const users = list('test').filter(path => /\bt\.testdir\(/.test(readFileSync(join(root, path), 'utf8')))
  t.same(users, [join('test', 'support', 'temporary-folder.ts')])
  t.end()
})

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts'))
    .map(path => normalize(join(folder, path)))
}

function read(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8')
  const imports: SourceFile['imports'] = []
  const packages: string[] = []
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s)?([^'"]*?from\s+)?['"]([^'"]+)['"]/gm)) {
    const [, type, , target = ''] = match
    if (target.startsWith('.')) imports.push({ target: relative('.', join(dirname(path), target)), typeOnly: type !== undefined })
    else if (type === undefined) packages.push(target)
  }
  // Commands load what they need when they run.
  for (const [, target = ''] of text.matchAll(/\bimport\('(\.[^']+)'\)/g)) {
    imports.push({ target: relative('.', join(dirname(path), target)), typeOnly: false })
  }
  return { path, lines: text.split('\n').length - 1, imports, packages }
}

function roomOf(path: string): string | undefined {
  if (!files.has(path)) return undefined
  return Object.keys(layers).find(room => path === room || path.startsWith(`${room}/`))
}
