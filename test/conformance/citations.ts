import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Standard } from './catalogue.ts'

/** A place that names a statement. */
export interface Citation {
  standard: Standard
  /** 'MQTT-3.1.2-24' */
  id: string
  /** From the root of the repository. */
  file: string
  line: number
}

export interface Citations {
  /** Titles of tests, and of rows of the packet table, which tests are made of. */
  proofs: readonly Citation[]
  /** Comments and messages of lib/ and persistence/. */
  sources: readonly Citation[]
  /** Everything in brackets that begins like a number of a statement and is none, as 'file:line: text'. */
  illFormed: readonly string[]
}

/**
 * Finds what is cited where, in the TypeScript sources. `[MQTT-3.1.2-24]` is of MQTT 5, `[MQTT3-3.1.2-24]` of 3.1.1; but in
 * test/conformance/v3, where everything is about 3.1.1, it is written without the 3.
 */
export function collectCitations(root: string): Citations {
  const proofs: Citation[] = []
  const sources: Citation[] = []
  const illFormed: string[] = []
  for (const file of list(root, 'test')) {
    const text = readFileSync(join(root, file), 'utf8')
    const standard = file.startsWith('test/conformance/v3/') ? 3 : 5
    for (const { title, line } of titlesOf(text)) proofs.push(...cited(title, file, line, standard))
    if (!explains.has(file)) illFormed.push(...illFormedOf(text, file))
  }
  for (const file of [...list(root, 'lib'), ...list(root, 'persistence')]) {
    const text = readFileSync(join(root, file), 'utf8')
    text.split('\n').forEach((content, index) => {
      sources.push(...cited(content, file, index + 1, 5))
    })
    illFormed.push(...illFormedOf(text, file))
  }
  return { proofs, sources, illFormed }
}

/** Says in its comments how citations look. */
const explains = new Set(['test/conformance/citations.ts'])

/**
 * The static beginnings of test titles: the first argument of `t.test(…)` and the value of `title:`, as '…', "…" or `…` up to
 * its first `${`. Tests that are switched off prove nothing and are left out.
 */
export function titlesOf(text: string): { title: string; line: number }[] {
  const titles: { title: string; line: number }[] = []
  for (const match of text.matchAll(
    /(?:\.test\(|\btitle:)\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\$]|\\.|\$(?!\{))*))/g
  )) {
    const before = text.slice(text.lastIndexOf('\n', match.index) + 1, match.index)
    const after = text.slice(match.index + match[0].length, match.index + match[0].length + 60)
    if (/^\s*(\/\/|\/?\*)/.test(before) || /^\s*,\s*\{\s*(skip|todo)\b/.test(after)) continue
    titles.push({ title: match[1] ?? match[2] ?? match[3] ?? '', line: text.slice(0, match.index).split('\n').length })
  }
  return titles
}

function cited(text: string, file: string, line: number, plain: Standard): Citation[] {
  return [...text.matchAll(/\[MQTT(3?)-(\d+(?:\.\d+)*-\d+)\]/g)].map(([, three, number]) => ({
    standard: three === '3' ? 3 : plain,
    id: `MQTT-${number}`,
    file,
    line
  }))
}

function illFormedOf(text: string, file: string): string[] {
  return text
    .split('\n')
    .flatMap((content, index) =>
      [...content.matchAll(/\[MQTT3?-[^\]]*\]?/g)]
        .filter(([found]) => !/^\[MQTT3?-\d+(\.\d+)*-\d+\]$/.test(found))
        .map(([found]) => `${file}:${index + 1}: ${found}`)
    )
}

function list(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts'))
    .map(path => `${folder}/${path}`)
    .sort()
}
