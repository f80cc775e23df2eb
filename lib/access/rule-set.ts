import type { Role, RoleRules } from './acl.ts'
import { FilterSet } from './filter-set.ts'
import { fillPattern, hasPlaceholder, type Named } from './rule-pattern.ts'

/** What is asked of a policy; `all` of an ACL file has become each of the three. */
export type Question = 'publish' | 'subscribe' | 'receive'

/** The filters that allow, or deny: those that are the same for everybody and those of one identity. */
export interface Filters {
  readonly shared: FilterSet
  readonly own: FilterSet
  /** A deny rule could not be filled in, so the action is denied on all topics. */
  readonly everything: boolean
}

export interface Rules {
  readonly allow: Filters
  readonly deny: Filters
}

/** The rules of a set of roles, prepared for all identities that have just these roles. */
export class RuleSet {
  readonly #allow: Prepared
  readonly #deny: Prepared

  constructor(roles: readonly Role[]) {
    this.#allow = prepare(roles.map(role => allowed(role.allow)))
    this.#deny = prepare(roles.map(role => denied(role.deny)))
  }

  /** The rules for one question with the identity filled in. */
  rulesFor(question: Question, identity: Named): Rules {
    return { allow: fillAllowed(this.#allow[question], identity), deny: fillDenied(this.#deny[question], identity) }
  }
}

interface Patterns {
  /** Without placeholders: built once for all identities with the same roles. */
  forEverybody: Filters
  /** With placeholders: filled in for each identity. */
  templates: readonly string[]
}

type Prepared = Record<Question, Patterns>
type Expanded = Record<Question, readonly string[]>

/** Whoever may subscribe may receive, unless the role says itself what may be received. */
function allowed({ publish, subscribe, receive, all }: RoleRules): Expanded {
  return {
    publish: [...publish, ...all],
    subscribe: [...subscribe, ...all],
    receive: [...(receive.length > 0 ? receive : subscribe), ...all]
  }
}

/** What may not be subscribed to is not delivered either: a wider subscription would be a way around it. */
function denied({ publish, subscribe, receive, all }: RoleRules): Expanded {
  return { publish: [...publish, ...all], subscribe: [...subscribe, ...all], receive: [...receive, ...subscribe, ...all] }
}

function prepare(roles: readonly Expanded[]): Prepared {
  const patterns = (question: Question): Patterns => {
    const all = roles.flatMap(role => role[question])
    const shared = new FilterSet(all.filter(pattern => !hasPlaceholder(pattern)))
    return {
      forEverybody: { shared, own: FilterSet.empty, everything: false },
      templates: [...new Set(all.filter(hasPlaceholder))]
    }
  }
  return { publish: patterns('publish'), subscribe: patterns('subscribe'), receive: patterns('receive') }
}

function fillAllowed({ forEverybody, templates }: Patterns, identity: Named): Filters {
  if (templates.length === 0) return forEverybody
  const filled = templates.map(template => fillPattern(template, identity))
  const own = new FilterSet(filled.flatMap(result => (result.type === 'filter' ? [result.filter] : [])))
  return { ...forEverybody, own }
}

/** A client must not get rid of a deny rule by choosing a client id that does not fit into it. */
function fillDenied(patterns: Patterns, identity: Named): Filters {
  const unusable = patterns.templates.some(template => fillPattern(template, identity).type === 'unusable')
  const filters = fillAllowed(patterns, identity)
  return unusable ? { ...filters, everything: true } : filters
}
