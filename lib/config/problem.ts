/** One thing that is wrong in a file people write: where, what was expected there, what was found, how to fix it. */
export interface Problem {
  line: number
  /** As in `listeners[1].port`; '' for the file as a whole. */
  path: string
  /** Reads on from "expected ". */
  expected: string
  /** Reads on from "got ". */
  got: string
  hint?: string | undefined
}

export type Path = readonly (string | number)[]

/** `file:line: path: expected ..., got ...` for each problem, in the order of the lines, with the hints below. */
export function formatProblems(file: string, problems: readonly Problem[]): string {
  return [...problems]
    .sort((a, b) => a.line - b.line)
    .map(problem => formatProblem(file, problem))
    .join('\n')
}

function formatProblem(file: string, { line, path, expected, got, hint }: Problem): string {
  const where = path === '' ? `${file}:${line}` : `${file}:${line}: ${path}`
  return `${where}: expected ${expected}, got ${got}${hint === undefined ? '' : `\n  hint: ${hint}`}`
}

/** `['listeners', 1, 'port']` becomes `listeners[1].port`; keys that are no plain words are quoted. */
export function formatPath(path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (!/^[\w$-]+$/.test(part)) text += `[${JSON.stringify(part)}]`
    else text += text === '' ? part : `.${part}`
  }
  return text
}

/** A value as it is shown after "got": short, on one line. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'an empty value'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value === 'object') return 'a map'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
}
