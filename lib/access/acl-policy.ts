import { parseSharedFilter } from '../topic/filter.ts'
import { type Acl, isBrokersOwn } from './acl.ts'
import type { CompiledPolicy, Identity, Policy } from './contract.ts'
import { type Filters, RuleSet, type Side } from './rule-set.ts'

const RULE_SETS_MAX = 1024
const ANSWERS_MAX = 256
/** Answers for longer topics are worked out each time: 65,535-byte topics must not pile up in every connection. */
const CACHED_TOPIC_LENGTH_MAX = 256

/** The policy an ACL file describes: what no rule allows is refused, what a rule denies is refused whatever allows it. */
export class AclPolicy implements Policy {
  #acl: Acl
  #generation = 1
  /** By roles: thousands of devices share one set. */
  readonly #ruleSets = new Map<string, RuleSet>()

  constructor(acl: Acl) {
    this.#acl = acl
  }

  get generation(): number {
    return this.#generation
  }

  /** Puts other rules in force. Policies compiled before are outdated, which the generation tells. */
  replace(acl: Acl): void {
    this.#acl = acl
    this.#ruleSets.clear()
    this.#generation++
  }

  compile(identity: Identity): CompiledPolicy {
    const rules = this.#ruleSet(this.#rolesOf(identity))
    return new CompiledAcl(rules.allowFor(identity), rules.denyFor(identity))
  }

  /** In the order of the ACL file, so that the same roles make the same key. */
  #rolesOf({ by, username, roles }: Identity): string[] {
    const { authenticated, anonymous, users } = this.#acl
    const named = username === undefined ? undefined : users.get(username)
    const given = new Set(by === 'anonymous' ? anonymous : [...authenticated, ...(named ?? []), ...roles])
    return [...this.#acl.roles.keys()].filter(role => given.has(role))
  }

  #ruleSet(roles: readonly string[]): RuleSet {
    const key = roles.join(' ')
    let rules = this.#ruleSets.get(key)
    if (rules === undefined) {
      if (this.#ruleSets.size >= RULE_SETS_MAX) this.#ruleSets.clear()
      rules = new RuleSet(roles.flatMap(role => this.#acl.roles.get(role) ?? []))
      this.#ruleSets.set(key, rules)
    }
    return rules
  }
}

class CompiledAcl implements CompiledPolicy {
  /** `$SYS` and the like are never open for publishing, so no ACL answers yes to everything. */
  readonly permitsAll = false
  readonly #allow: Side
  readonly #deny: Side
  #published: Map<string, boolean> | undefined
  #received: Map<string, boolean> | undefined

  constructor(allow: Side, deny: Side) {
    this.#allow = allow
    this.#deny = deny
  }

  canPublish(topic: string): boolean {
    this.#published ??= new Map()
    const known = this.#published.get(topic)
    if (known !== undefined) return known
    const answer = !isBrokersOwn(topic) && permits(this.#allow.publish, this.#deny.publish, topic)
    return remember(this.#published, topic, answer)
  }

  canReceive(topic: string): boolean {
    this.#received ??= new Map()
    const known = this.#received.get(topic)
    if (known !== undefined) return known
    return remember(this.#received, topic, permits(this.#allow.receive, this.#deny.receive, topic))
  }

  /**
   * One allow filter must cover all that is asked for. A deny filter refuses what it covers as a whole; where it covers a part,
   * the subscription is granted and `canReceive` keeps that part back.
   */
  canSubscribe(filter: string): boolean {
    const requested = filter.startsWith('$share') ? parseSharedFilter(filter)?.filter : filter
    if (requested === undefined) return false
    return covers(this.#allow.subscribe, requested) && !covers(this.#deny.subscribe, requested)
  }
}

function permits(allow: Filters, deny: Filters, topic: string): boolean {
  return matches(allow, topic) && !matches(deny, topic)
}

function matches({ shared, own, everything }: Filters, topic: string): boolean {
  return everything || shared.matches(topic) || own.matches(topic)
}

function covers({ shared, own, everything }: Filters, requested: string): boolean {
  return everything || shared.covers(requested) || own.covers(requested)
}

function remember(answers: Map<string, boolean>, topic: string, answer: boolean): boolean {
  if (topic.length > CACHED_TOPIC_LENGTH_MAX) return answer
  if (answers.size >= ANSWERS_MAX) answers.clear()
  answers.set(topic, answer)
  return answer
}
