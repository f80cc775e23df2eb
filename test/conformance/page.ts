import type { Catalogue, Standard } from './catalogue.ts'
import type { Citation, Citations } from './citations.ts'
import { introduction } from './page-text.ts'
import type { Section, Statement } from './statement.ts'

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
  readonly #sources: Map<string, string[]>

  constructor(standard: Standard, citations: Citations) {
    this.#proofs = filesById(citations.proofs, standard)
    this.#sources = filesById(citations.sources, standard)
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
      const sources = this.#sources.get(id) ?? []
      lines.push(`| ${id.slice(5)} | ${binds} | ${escaped(does)} | ${links(tests)} | ${links(sources)} |`)
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
