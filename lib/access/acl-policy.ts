import { parseSharedFilter } from '../topic/filter.ts'
import { type Acl, isBrokersOwn } from './acl.ts'
import type { CompiledPolicy, Identity, Policy } from './contract.ts'
import type { Named } from './rule-pattern.ts'
import { type Filters, type Question, RuleSet, type Rules } from './rule-set.ts'

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
    return new CompiledAcl(this.#ruleSet(this.#rolesOf(identity)), identity)
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

/** Rules are filled in when they are first asked for, so that a client that is merely connected costs a handful of fields. */
class CompiledAcl implements CompiledPolicy {
  /** `$SYS` and the like are never open for publishing, so no ACL answers yes to everything. */
  readonly permitsAll = false
  readonly #ruleSet: RuleSet
  /** Copied: what is filled in later must be what was granted, even if somebody changes the identity's object. */
  readonly #clientId: string
  readonly #username: string | undefined
  #publish: Answers | undefined
  #receive: Answers | undefined
  #subscribe: Rules | undefined

  constructor(ruleSet: RuleSet, identity: Named) {
    this.#ruleSet = ruleSet
    this.#clientId = identity.clientId
    this.#username = identity.username
  }

  canPublish(topic: string): boolean {
    this.#publish ??= new Answers(this.#rulesFor('publish'))
    return this.#publish.to(topic) && !(topic.startsWith('$') && isBrokersOwn(topic))
  }

  canReceive(topic: string): boolean {
    this.#receive ??= new Answers(this.#rulesFor('receive'))
    return this.#receive.to(topic)
  }

  /**
   * One allow filter must cover all that is asked for. A deny filter refuses what it covers as a whole; where it covers a part,
   * the subscription is granted and `canReceive` keeps that part back.
   */
  canSubscribe(filter: string): boolean {
    const requested = filter.startsWith('$share') ? parseSharedFilter(filter)?.filter : filter
    if (requested === undefined) return false
    this.#subscribe ??= this.#rulesFor('subscribe')
    return covers(this.#subscribe.allow, requested) && !covers(this.#subscribe.deny, requested)
  }

  #rulesFor(question: Question): Rules {
    return this.#ruleSet.rulesFor(question, { clientId: this.#clientId, username: this.#username })
  }
}

/** Yes or no per topic, remembered for the topics asked about last. */
class Answers {
  readonly #rules: Rules
  readonly #known = new Map<string, boolean>()

  constructor(rules: Rules) {
    this.#rules = rules
  }

  to(topic: string): boolean {
    const known = this.#known.get(topic)
    if (known !== undefined) return known
    const answer = matches(this.#rules.allow, topic) && !matches(this.#rules.deny, topic)
    if (topic.length > CACHED_TOPIC_LENGTH_MAX) return answer
    if (this.#known.size >= ANSWERS_MAX) this.#known.clear()
    this.#known.set(topic, answer)
    return answer
  }
}

function matches({ shared, own, everything }: Filters, topic: string): boolean {
  return everything || shared.matches(topic) || own.matches(topic)
}

function covers({ shared, own, everything }: Filters, requested: string): boolean {
  return everything || shared.covers(requested) || own.covers(requested)
}
