import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Section, Statement } from './statement.ts'

export type Standard = 3 | 5

/** All statements of one standard, from the files of statements-3/ or statements-5/; each of them exports sections or lists of them. */
export interface Catalogue {
  standard: Standard
  sections: readonly Section[]
  statements: ReadonlyMap<string, Statement>
  /** Ids that two entries have. */
  duplicates: readonly string[]
}

/** `root`: of the repository. What is read is the list of sources, so that a deleted file is gone before it is cleaned from build/. */
export async function loadCatalogue(root: string, standard: Standard): Promise<Catalogue> {
  // A file may export a section by itself and within a list.
  const found = new Set<Section>()
  for (const file of readdirSync(join(root, `test/conformance/statements-${standard}`))) {
    const module: Record<string, Section | readonly Section[]> = await import(
      `./statements-${standard}/${file.replace(/\.ts$/, '.js')}`
    )
    for (const section of Object.values(module).flat()) found.add(section)
  }
  const sections = [...found].sort((a, b) => compareNumbers(a.number, b.number))
  const statements = new Map<string, Statement>()
  const duplicates: string[] = []
  for (const statement of sections.flatMap(section => section.statements)) {
    if (statements.has(statement.id)) duplicates.push(statement.id)
    statements.set(statement.id, statement)
  }
  return { standard, sections, statements, duplicates }
}

/** '3.10' comes after '3.9'. */
function compareNumbers(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1)
    if (difference !== 0) return difference
  }
  return 0
}
