import type { z } from 'zod'
import { didYouMean } from './did-you-mean.ts'
import { type JsonSchema, knownKeys, schemaAt } from './json-schema.ts'
import { formatPath, type Path, type Problem, showValue } from './problem.ts'
import type { YamlSource } from './yaml-source.ts'

type Issue = z.core.$ZodIssue

/** What zod found wrong, in words, with lines and hints. Messages of our own schemas start with "expected ". */
export function explainIssues(issues: readonly Issue[], source: YamlSource, schema: JsonSchema): Problem[] {
  return issues.flatMap(issue => explainIssue(issue, [], source, schema))
}

function explainIssue(issue: Issue, prefix: Path, source: YamlSource, schema: JsonSchema): Problem[] {
  const path: Path = [...prefix, ...(issue.path as (string | number)[])]
  // The source has already complained about `__proto__`, which is wrong everywhere.
  if (issue.code === 'unrecognized_keys')
    return issue.keys.filter(key => key !== '__proto__').map(key => unknownKey(path, key, source, schema))
  if (issue.code === 'invalid_union' && !issue.message.startsWith('expected ')) {
    const branch = fittingBranch(issue.errors)
    if (branch !== undefined) return branch.flatMap(inner => explainIssue(inner, path, source, schema))
  }
  const value = valueAt(source.value, path)
  const got = issue.code === 'invalid_key' ? showValue(path.at(-1)) : showValue(value)
  const expected = expectedWords(issue)
  return [{ line: source.lineOf(path), path: formatPath(path), expected, got, hint: hintFor(issue, value, path, source, schema) }]
}

function unknownKey(path: Path, key: string, source: YamlSource, schema: JsonSchema): Problem {
  const known = knownKeys(schemaAt(schema, source.value, path))
  const suggestion = didYouMean(key, known)
  return {
    line: source.lineOf([...path, key]),
    path: formatPath([...path, key]),
    expected: 'a known key',
    got: JSON.stringify(key),
    hint: suggestion === undefined ? `the keys here are ${known.join(', ')}` : `did you mean \`${suggestion}\`?`
  }
}

/** The member of a union that the value was meant to be: the one whose type fits, so that only parts of it are wrong. */
function fittingBranch(errors: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return errors.find(issues => issues.every(issue => issue.path.length > 0 || issue.code === 'unrecognized_keys'))
}

function expectedWords(issue: Issue): string {
  if (issue.message.startsWith('expected ')) return issue.message.slice('expected '.length)
  switch (issue.code) {
    case 'invalid_type':
      return typeWords.get(issue.expected) ?? issue.expected
    case 'invalid_value':
      return oneOf(issue.values.map(String))
    case 'invalid_union':
      return oneOf(choicesOf(issue) ?? [unionWords(issue.errors)])
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues.map(expectedWords).join(' and ')
    default:
      return issue.message
  }
}

/** The words that may stand at this place, when there is a list of them. */
function choicesOf(issue: Issue): string[] | undefined {
  if (issue.code === 'invalid_value') return issue.values.map(String)
  if (issue.code === 'invalid_union' && 'options' in issue) return issue.options?.map(String)
  return undefined
}

function unionWords(errors: readonly (readonly Issue[])[]): string {
  return errors.map(issues => issues.map(expectedWords).join(' and ')).join(' or ')
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? values[0]! : `one of ${values.join(', ')}`
}

const typeWords: ReadonlyMap<string, string> = new Map([
  ['object', 'a map'],
  ['record', 'a map'],
  ['array', 'a list'],
  ['string', 'text'],
  ['number', 'a number'],
  ['int', 'a whole number'],
  ['boolean', 'true or false']
])

function hintFor(issue: Issue, value: unknown, path: Path, source: YamlSource, schema: JsonSchema): string | undefined {
  if (issue.code === 'custom' && typeof issue.params?.hint === 'string') return issue.params.hint
  const choices = choicesOf(issue)
  if (typeof value === 'string' && choices !== undefined) {
    const suggestion = didYouMean(value, choices)
    if (suggestion !== undefined) return `did you mean \`${suggestion}\`?`
  }
  if (issue.code === 'invalid_type') {
    const expected: string = issue.expected
    if (typeof value === 'string' && (expected === 'number' || expected === 'int' || expected === 'boolean')) {
      const unquoted = /^(\d+|true|false)$/.test(value)
      if (unquoted) return 'remove the quotes'
    }
    if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return `put it in quotes: '${value}'`
    if (expected === 'array' && value !== undefined && value !== null) return 'put it in brackets: [ ... ]'
  }
  return example(schemaAt(schema, source.value, path), path)
}

function example(schema: JsonSchema | undefined, path: Path): string | undefined {
  const value = schema?.examples?.[0] ?? schema?.default
  const key = path.findLast(part => typeof part === 'string')
  if (value === undefined || key === undefined || typeof value === 'object') return undefined
  return `for example \`${key}: ${String(value)}\``
}

export function valueAt(root: unknown, path: Path): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
