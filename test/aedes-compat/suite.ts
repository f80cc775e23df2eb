import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { TestOutcome } from './reporter.ts'

const aedesFolder = dirname(fileURLToPath(import.meta.resolve('aedes')))
/** build/, where the compiled broker and reporter are. */
const buildFolder = fileURLToPath(new URL('../../', import.meta.url))

/** A test that does not end is a failure after this long; the longest of them takes 3 s. */
const testTimeoutMs = 6000
/** Aedes' suite takes half a minute on Aedes. */
const suiteTimeoutMs = 240_000

/** Needs a Docker container. */
const leftOut = new Set(['drain-toxiproxy.js'])

/**
 * Copies Aedes' own test files into `folder`, with our Broker where they import Aedes, and runs them in a child process.
 *
 * Replaced: `aedes.js` by our class, and `lib/client.js`, of which the tests only ask whether a client is an instance, by our
 * Connection. Every test gets a timeout, so that one which waits for what never comes fails instead of stopping the rest.
 */
export async function runAedesTests(folder: string, only?: readonly string[]): Promise<TestOutcome[]> {
  await prepare(folder)
  const files = only ?? (await readdir(join(folder, 'test'))).filter(name => /\.c?js$/.test(name) && name !== 'helper.js')
  return await runNodeTests(
    folder,
    files.map(name => join('test', name)),
    suiteTimeoutMs
  )
}

async function prepare(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  for (const name of ['test', 'lib', 'types', 'docs', 'package.json']) {
    await cp(join(aedesFolder, name), join(folder, name), { recursive: true })
  }
  await symlink(dirname(aedesFolder), join(folder, 'node_modules'), 'dir')
  const broker = pathToFileURL(join(buildFolder, 'lib/broker/broker.js'))
  const connection = pathToFileURL(join(buildFolder, 'lib/broker/connection.js'))
  const aedes = pathToFileURL(join(aedesFolder, 'aedes.js'))
  await writeFile(
    join(folder, 'aedes.js'),
    `import warnMigrate from '${aedes}'\nexport { Broker as Aedes } from '${broker}'\nexport default warnMigrate\n`
  )
  await writeFile(join(folder, 'lib/client.js'), `export { Connection as default } from '${connection}'\n`)
  for (const name of await readdir(join(folder, 'test'))) {
    const path = join(folder, 'test', name)
    if (leftOut.has(name)) await rm(path)
    else if (/\.c?js$/.test(name)) await writeFile(path, withTimeouts(await withFreePorts(await readFile(path, 'utf8'))))
  }
}

/** Two of the tests listen on ports that may be in use, 1883 and 4883. */
async function withFreePorts(source: string): Promise<string> {
  if (!/const port = \d+/.test(source)) return source
  const port = await freePort()
  return source.replace(/const port = \d+/, `const port = ${port}`).replaceAll("'mqtt://localhost'", `'mqtt://localhost:${port}'`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** `test(title, async (t) => ...` becomes `test(title, { timeout }, async (t) => ...`; options a test has already win. */
function withTimeouts(source: string): string {
  const title = /^(\s*test\((?:'(?:[^'\\\n]|\\.)*'|`[^`]*`)(?: \+ [^,\n]+)?, )/.source
  return source
    .replace(new RegExp(`${title}((?:async )?\\()`, 'gm'), `$1{ timeout: ${testTimeoutMs} }, $2`)
    .replace(new RegExp(`${title}\\{ (?!timeout: ${testTimeoutMs} )`, 'gm'), `$1{ timeout: ${testTimeoutMs}, `)
}

/** Runs test files with `node --test` in `folder`, one after the other, and returns what became of every test. */
export async function runNodeTests(folder: string, files: readonly string[], timeoutMs: number): Promise<TestOutcome[]> {
  const reporter = pathToFileURL(join(buildFolder, 'test/aedes-compat/reporter.js')).href
  const options = ['--test', '--test-concurrency=1', '--test-force-exit', `--test-reporter=${reporter}`]
  const { NODE_TEST_CONTEXT: _context, NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(process.execPath, [...options, ...files], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  await new Promise(resolve => child.once('close', resolve))
  clearTimeout(stop)
  const lines = output.split('\n').filter(line => line.startsWith('{'))
  if (lines.length === 0) throw new Error(`no test ran: ${errors}`)
  return lines.map(line => JSON.parse(line) as TestOutcome)
}
