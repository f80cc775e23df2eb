/** What an ACL file says, checked. Filters may hold `{clientId}` and `{username}`. */
export interface Acl {
  roles: ReadonlyMap<string, Role>
  /** Roles by username. */
  users: ReadonlyMap<string, readonly string[]>
  /** Roles of everybody who has shown who they are. */
  authenticated: readonly string[]
  anonymous: readonly string[]
}

export interface Role {
  allow: RoleRules
  deny: RoleRules
}

/** Filters by action; `all` stands for each of the three. */
export interface RoleRules {
  publish: readonly string[]
  subscribe: readonly string[]
  receive: readonly string[]
  all: readonly string[]
}

export const actions = ['publish', 'subscribe', 'receive', 'all'] as const
export type Action = (typeof actions)[number]

export const roleNamePattern = /^[A-Za-z0-9][\w.-]{0,63}$/

/** Topics that only the broker publishes to, whatever the rules say. */
export function isBrokersOwn(topic: string): boolean {
  return /^\$(SYS|stream|share|dead-letter)(\/|$)/.test(topic)
}
