import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { didYouMean } from '../config/did-you-mean.ts'
import { explainIssues } from '../config/explain.ts'
import type { JsonSchema } from '../config/json-schema.ts'
import { formatPath, formatProblems, type Path, type Problem } from '../config/problem.ts'
import { YamlSource } from '../config/yaml-source.ts'
import { TributaryError } from '../errors.ts'
import { parseSharedFilter, topicFilterError } from '../topic/filter.ts'
import { type Acl, type Action, actions, isBrokersOwn, type RoleRules, roleNamePattern } from './acl.ts'
import { placeholderNames, unknownPlaceholders } from './rule-pattern.ts'

/**
 * Reads an ACL file. The grammar is in docs/access.md.
 * @throws TributaryError TRB_ACCESS_FILE_INVALID with a line `file:line: path: expected ..., got ...` per problem.
 */
export async function readAclFile(file: string): Promise<Acl> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TributaryError('TRB_ACCESS_FILE_INVALID', `${file}: expected an ACL file that can be read, got: ${reason}`, {
      cause
    })
  }
  return parseAcl(text, file)
}

export function parseAcl(text: string, file: string): Acl {
  const source = new YamlSource(text)
  const problems = [...source.problems]
  if (source.readable) {
    const result = aclSchema.safeParse(source.value)
    if (result.success) problems.push(...unknownRoles(result.data, source))
    else problems.push(...explainIssues(result.error.issues, source, z.toJSONSchema(aclSchema, { io: 'input' }) as JsonSchema))
    if (result.success && problems.length === 0) return toAcl(result.data)
  }
  throw new TributaryError('TRB_ACCESS_FILE_INVALID', formatProblems(file, problems))
}

const roleNameError = 'expected the name of a role: letters, digits, _, . and -'
const roleName = z.string({ error: roleNameError }).regex(roleNamePattern, { error: roleNameError })
const roleNames = z.array(roleName)

const patternsFor = (action: Action) => {
  const pattern = z.string({ error: 'expected a topic filter' }).superRefine((text, context) => {
    const problem = patternProblem(action, text)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem.expected, params: { hint: problem.hint } })
  })
  return z.union([pattern, z.array(pattern).min(1, { error: 'expected at least one topic filter' })]).optional()
}

const ruleError = 'expected a rule with publish, subscribe, receive or all'
const rule = z
  .strictObject({
    publish: patternsFor('publish'),
    subscribe: patternsFor('subscribe'),
    receive: patternsFor('receive'),
    all: patternsFor('all')
  })
  .refine(value => Object.keys(value).length > 0, { error: ruleError })

const aclSchema = z.strictObject({
  roles: z
    .record(roleName, z.strictObject({ allow: z.array(rule).optional(), deny: z.array(rule).optional() }))
    .meta({ examples: ['{ sensor: { allow: [ { publish: devices/{clientId}/# } ] } }'] }),
  users: z.record(z.string(), roleNames).optional(),
  default: roleNames.optional(),
  anonymous: roleNames.optional()
})

type AclInFile = z.output<typeof aclSchema>

function patternProblem(action: Action, pattern: string): { expected: string; hint: string } | undefined {
  const [unknown] = unknownPlaceholders(pattern)
  if (unknown !== undefined) {
    const hint = `did you mean \`{${didYouMean(unknown, placeholderNames) ?? placeholderNames.join('}` or `{')}}\`?`
    return { expected: 'expected a topic filter with no placeholders but {clientId} and {username}', hint }
  }
  if (parseSharedFilter(pattern) !== undefined || /^\$share(\/|$)/.test(pattern)) {
    const hint = 'a shared subscription is checked by its filter alone: leave out $share and the group'
    return { expected: 'expected a topic filter without $share/GROUP/', hint }
  }
  if (action === 'publish' && isBrokersOwn(pattern)) {
    return { expected: 'expected topics that clients can publish to', hint: 'the broker alone publishes there: use `subscribe`' }
  }
  const error = topicFilterError(pattern.replaceAll(/\{\w+\}/g, 'x'))
  return error === undefined ? undefined : { expected: 'expected a topic filter', hint: error }
}

/** A role that is given but not described would silently give nothing, and its `deny` rules would silently be missing. */
function unknownRoles(acl: AclInFile, source: YamlSource): Problem[] {
  const known = Object.keys(acl.roles)
  const lists: [Path, string[]][] = [
    [['default'], acl.default ?? []],
    [['anonymous'], acl.anonymous ?? []],
    ...Object.entries(acl.users ?? {}).map(([name, roles]): [Path, string[]] => [['users', name], roles])
  ]
  return lists.flatMap(([path, roles]) =>
    roles.flatMap((role, index) => {
      if (known.includes(role)) return []
      const at = [...path, index]
      const suggestion = didYouMean(role, known)
      const hint = suggestion === undefined ? `the roles are ${known.join(', ')}` : `did you mean \`${suggestion}\`?`
      return [{ line: source.lineOf(at), path: formatPath(at), expected: 'a role of this file', got: JSON.stringify(role), hint }]
    })
  )
}

function toAcl(acl: AclInFile): Acl {
  return {
    roles: new Map(Object.entries(acl.roles).map(([name, role]) => [name, { allow: merge(role.allow), deny: merge(role.deny) }])),
    users: new Map(Object.entries(acl.users ?? {})),
    authenticated: acl.default ?? [],
    anonymous: acl.anonymous ?? []
  }
}

function merge(rules: z.output<typeof rule>[] = []): RoleRules {
  const merged: Record<Action, string[]> = { publish: [], subscribe: [], receive: [], all: [] }
  for (const each of rules) for (const action of actions) merged[action].push(...[each[action] ?? []].flat())
  return merged
}
