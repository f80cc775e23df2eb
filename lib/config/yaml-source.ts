import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
  type YAMLError
} from 'yaml'
import type { Path, Problem } from './problem.ts'

/** A YAML file that remembers on which line everything stands, so that every later complaint can name it. */
export class YamlSource {
  /** Plain data; undefined when the text is no YAML (then `problems` says why). */
  readonly value: unknown
  readonly problems: readonly Problem[]
  readonly #lines = new LineCounter()
  readonly #document: ReturnType<typeof parseDocument>

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, stringKeys: true })
    const faults = [...this.#document.errors, ...this.#document.warnings]
    this.problems = [...faults.map(fault => this.#explain(fault, text)), ...this.#forbiddenKeys()]
    // With a key written twice the rest can still be checked, so that one run shows all there is to fix.
    const readable = faults.every(fault => fault.code === 'DUPLICATE_KEY')
    this.value = readable ? this.#toPlain() : undefined
  }

  /** True when the text could be read at all. */
  get readable(): boolean {
    return this.value !== undefined
  }

  /** The line of the key or list item at `path`, or of the nearest part of the path that exists. */
  lineOf(path: Path): number {
    let node: unknown = this.#document.contents
    let offset = startOf(node) ?? 0
    for (const part of path) {
      const found = childNode(this.#resolve(node), part)
      if (found === undefined) break
      offset = found.offset ?? offset
      node = found.node
    }
    return this.#lineAt(offset)
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node
  }

  #toPlain(): unknown {
    try {
      // An empty file means that every default is wanted.
      return this.#document.toJS({ maxAliasCount: 100 }) ?? {}
    } catch (error) {
      ;(this.problems as Problem[]).push({
        line: 1,
        path: '',
        expected: 'YAML whose aliases can be resolved',
        got: error instanceof Error ? error.message : String(error)
      })
      return undefined
    }
  }

  /** `__proto__` would change what an object is instead of adding a key to it. */
  #forbiddenKeys(): Problem[] {
    const problems: Problem[] = []
    visit(this.#document, {
      Pair: (_, { key }) => {
        if (!isScalar(key) || key.value !== '__proto__') return
        const line = this.#lineAt(startOf(key) ?? 0)
        problems.push({
          line,
          path: '',
          expected: 'a name',
          got: '"__proto__"',
          hint: 'JavaScript keeps this word for itself: use another'
        })
      }
    })
    return problems
  }

  #explain(fault: YAMLError, text: string): Problem {
    const line = this.#lineAt(fault.pos[0])
    if (fault.code === 'DUPLICATE_KEY') {
      const word = /^[^\s:,{}[\]]+/.exec(text.slice(fault.pos[0]))?.[0] ?? 'a key'
      return {
        line,
        path: '',
        expected: 'every key once',
        got: `${JSON.stringify(word)} a second time`,
        hint: 'remove one of the two'
      }
    }
    const hint = syntaxHints.get(fault.code)
    return { line, path: '', expected: 'valid YAML', got: `a syntax error: ${fault.message.split('\n')[0]}`, hint }
  }

  #lineAt(offset: number): number {
    return this.#lines.linePos(offset).line || 1
  }
}

const syntaxHints: ReadonlyMap<string, string> = new Map([
  ['TAB_AS_INDENT', 'indent with spaces; YAML does not take tabs'],
  ['BAD_INDENT', 'keys of the same map start in the same column'],
  ['MULTIPLE_DOCS', 'remove the line `---` between the two documents'],
  ['BLOCK_AS_IMPLICIT_KEY', 'put the value in quotes if it holds a colon followed by a space'],
  ['BAD_SCALAR_START', 'put the value in quotes'],
  ['TAG_RESOLVE_FAILED', 'put the value in quotes if it starts with an exclamation mark']
])

function childNode(node: unknown, part: string | number): { node: unknown; offset: number | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
    return pair && { node: pair.value, offset: startOf(pair.key) }
  }
  if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
    const item = node.items[part]
    return { node: item, offset: startOf(item) }
  }
  return undefined
}

function startOf(node: unknown): number | undefined {
  return (node as Node | ParsedNode | null | undefined)?.range?.[0]
}
