import type { Role, RoleRules } from './acl.ts'
import type { Identity } from './contract.ts'
import { FilterSet } from './filter-set.ts'
import { fillPattern, hasPlaceholder } from './rule-pattern.ts'

/** The filters that allow, or deny, one action: those that are the same for everybody and those of one identity. */
export interface Filters {
  shared: FilterSet
  own: FilterSet
  /** A deny rule could not be filled in, so the action is denied on all topics. */
  everything: boolean
}

export type Side = Record<'publish' | 'subscribe' | 'receive', Filters>

interface Patterns {
  /** Without placeholders: built once for all identities with the same roles. */
  shared: FilterSet
  /** With placeholders: filled in for each identity. */
  templates: readonly string[]
}

type Prepared = Record<'publish' | 'subscribe' | 'receive', Patterns>

/** The rules of a set of roles, prepared for all identities that have just these roles. */
export class RuleSet {
  readonly #allow: Prepared
  readonly #deny: Prepared

  constructor(roles: readonly Role[]) {
    this.#allow = prepare(roles.map(role => allowed(role.allow)))
    this.#deny = prepare(roles.map(role => denied(role.deny)))
  }

  allowFor(identity: Identity): Side {
    return side(this.#allow, patterns => fillAllowed(patterns, identity))
  }

  denyFor(identity: Identity): Side {
    return side(this.#deny, patterns => fillDenied(patterns, identity))
  }
}

type Expanded = Record<'publish' | 'subscribe' | 'receive', readonly string[]>

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
  const patterns = (action: keyof Expanded): Patterns => {
    const all = roles.flatMap(role => role[action])
    const templates = [...new Set(all.filter(hasPlaceholder))]
    return { shared: new FilterSet(all.filter(pattern => !hasPlaceholder(pattern))), templates }
  }
  return { publish: patterns('publish'), subscribe: patterns('subscribe'), receive: patterns('receive') }
}

function side(prepared: Prepared, fill: (patterns: Patterns) => Filters): Side {
  return { publish: fill(prepared.publish), subscribe: fill(prepared.subscribe), receive: fill(prepared.receive) }
}

function fillAllowed({ shared, templates }: Patterns, identity: Identity): Filters {
  if (templates.length === 0) return { shared, own: FilterSet.empty, everything: false }
  const filled = templates.map(template => fillPattern(template, identity))
  const own = new FilterSet(filled.flatMap(result => (result.type === 'filter' ? [result.filter] : [])))
  return { shared, own, everything: false }
}

/** A client must not get rid of a deny rule by choosing a client id that does not fit into it. */
function fillDenied(patterns: Patterns, identity: Identity): Filters {
  const everything = patterns.templates.some(template => fillPattern(template, identity).type === 'unusable')
  return { ...fillAllowed(patterns, identity), everything }
}
