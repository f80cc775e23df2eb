import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { LevelPersistence } from '../../persistence/index.ts'

/** The suite that ships with aedes-persistence, for node:test: run this file with `node --test`. */
type AbstractSuite = (options: { test: typeof test; testAsync: true; persistence: () => LevelPersistence }) => void
const abstractSuite: AbstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js')

const root = mkdtempSync(join(tmpdir(), 'tributary-aedes-abstract-'))
let made = 0

abstractSuite({ test, testAsync: true, persistence: () => new LevelPersistence({ folder: join(root, String(made++)) }) })

after(() => rmSync(root, { recursive: true, force: true }))
