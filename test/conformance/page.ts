import type { Catalogue, Standard } from './catalogue.ts'
import type { Citation, Citations } from './citations.ts'
import { introduction } from './page-text.ts'
import type { Section, Statement } from './statement.ts'
import { twins } from './twins.ts'

/** docs/conformance.md, made from the catalogues, the titles of the tests and the comments of the sources. */
export function renderConformancePage(catalogues: readonly Catalogue[], citations: Citations, paho: string | undefined): string {
  const parts = [introduction(catalogues.map(counts).join('\n'))]
  if (paho !== undefined) parts.push(paho.trim())
  for (const catalogue of catalogues) {
    const rows = new Rows(catalogue.standard, citations)
    parts.push(`## ${names[catalogue.standard]}`, ...catalogue.sections.map(section => rows.section(section)))
  }
  return `${parts.join('\n\n')}\n`
}

export const names: Record<Standard, string> = { 3: 'MQTT 3.1.1', 5: 'MQTT 5' }

export function bindsServer(statement: Statement): boolean {
  return statement.binds !== 'client'
}

function counts({ standard, statements }: Catalogue): string {
  const all = [...statements.values()]
  const server = all.filter(bindsServer).length
  return `| ${names[standard]} | ${all.length} | ${server} | ${all.length - server} |`
}

class Rows {
  readonly #proofs: Map<string, string[]>
  readonly #sources: (id: string) => string[]

  constructor(standard: Standard, citations: Citations) {
    this.#proofs = filesById(citations.proofs, standard)
    const own = filesById(citations.sources, standard)
    const later = filesById(standard === 3 ? citations.sources : [], 5)
    this.#sources = id => [...new Set([...(own.get(id) ?? []), ...(later.get(twins.get(id) ?? '') ?? [])])].sort()
  }

  section({ number, title, statements }: Section): string {
    const lines = [
      `### ${number} ${title}`,
      '',
      '| statement | binds | what the broker does | tests | source |',
      '| --- | --- | --- | --- | --- |'
    ]
    for (const { id, binds, does } of statements) {
      const tests = this.#proofs.get(id) ?? []
      lines.push(`| ${id.slice(5)} | ${binds} | ${escaped(does)} | ${links(tests)} | ${links(this.#sources(id))} |`)
    }
    return lines.join('\n')
  }
}

function filesById(citations: readonly Citation[], standard: Standard): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const citation of citations) {
    if (citation.standard !== standard) continue
    const known = files.get(citation.id)
    if (known === undefined) files.set(citation.id, [citation.file])
    else if (!known.includes(citation.file)) known.push(citation.file)
  }
  return files
}

function links(files: readonly string[]): string {
  return files.map(file => `[${shortened(file)}](../${file})`).join(', ')
}

/** Tests without their root and both endings, sources without theirs. */
function shortened(file: string): string {
  return file.replace(/^(test|lib)\//, '').replace(/(\.test)?\.ts$/, '')
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|')
}
