/**
 * True when every topic that matches the filter `requested` also matches the filter `allowed`. Both are valid Topic Filters
 * (MQTT 5 section 4.7.1) without `$share/group/`.
 */
export function filterCovers(allowed: string, requested: string): boolean {
  if (allowed === requested) return true
  // Every topic has a first level, so `+/#` matches as much as `#`.
  if (requested === '#') return allowed === '+/#'
  const allowedLevels = allowed.split('/')
  const requestedLevels = requested.split('/')
  // A leading wildcard does not reach topics that start with `$` [MQTT-4.7.2-1].
  if (isWildcard(allowedLevels[0]!) && requested.startsWith('$')) return false
  for (let i = 0; i < allowedLevels.length; i++) {
    const level = allowedLevels[i]
    if (level === '#') return true
    const asked = requestedLevels[i]
    // `a/#` matches `a` as well, so only a `#` that comes next covers a filter that ends here.
    if (asked === undefined || asked === '#') return false
    if (level !== '+' && level !== asked) return false
  }
  return requestedLevels.length === allowedLevels.length
}

function isWildcard(level: string): boolean {
  return level === '+' || level === '#'
}
