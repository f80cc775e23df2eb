import type { Identity } from './contract.ts'

/** A filter of an ACL file, in which `{clientId}` and `{username}` stand for parts of the identity it is compiled for. */
export type Filled = { type: 'filter'; filter: string } | { type: 'not-applicable' } | { type: 'unusable' }

/** The part of an identity that rules can name. */
export type Named = Pick<Identity, 'clientId' | 'username'>

const placeholder = /\{([^{}/]*)\}/g
export const placeholderNames: readonly string[] = ['clientId', 'username']

export function hasPlaceholder(pattern: string): boolean {
  return /\{(clientId|username)\}/.test(pattern)
}

/** Placeholders in the pattern that do not exist. */
export function unknownPlaceholders(pattern: string): string[] {
  return [...pattern.matchAll(placeholder)].map(match => match[1]!).filter(name => !placeholderNames.includes(name))
}

/**
 * Puts the identity into the pattern. `not-applicable`: the identity has no username and the pattern asks for one. `unusable`:
 * a value would add levels or wildcards, or lead to `$` topics; it came from the client and must not bend the rule.
 */
export function fillPattern(pattern: string, identity: Named): Filled {
  let usable = true
  let applicable = true
  const filter = pattern.replace(placeholder, (_, name: string) => {
    const value = name === 'clientId' ? identity.clientId : identity.username
    if (value === undefined) applicable = false
    else if (!isOneLevel(value)) usable = false
    return value ?? ''
  })
  if (!applicable) return { type: 'not-applicable' }
  if (!usable || (filter.startsWith('$') && !pattern.startsWith('$'))) return { type: 'unusable' }
  return { type: 'filter', filter }
}

function isOneLevel(value: string): boolean {
  return value !== '' && !/[+#/\0]/.test(value)
}
