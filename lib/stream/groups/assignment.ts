/**
 * Who should have which partition: everybody the same number, one more or less, and each keeps what it has as far as that allows.
 * `owners[i]` is who has partition i now, or is to get it; the answer has the same order, undefined throughout when there are no members.
 */
export function assign<Member>(owners: readonly (Member | undefined)[], members: readonly Member[]): (Member | undefined)[] {
  const shares = new Map(members.map(member => [member, 0]))
  const few = Math.floor(owners.length / Math.max(shares.size, 1))
  /** How many may have one more. */
  let above = shares.size === 0 ? 0 : owners.length % shares.size
  const wanted: (Member | undefined)[] = owners.map(owner => {
    const share = owner === undefined ? undefined : shares.get(owner)
    if (owner === undefined || share === undefined || share > few || (share === few && above === 0)) return undefined
    if (share === few) above--
    shares.set(owner, share + 1)
    return owner
  })
  // First everybody gets their own share, then those in front one more.
  const free = wanted.flatMap((owner, index) => (owner === undefined ? [index] : []))
  for (const level of [few, few + 1]) {
    for (const [member, share] of shares) {
      let has = share
      for (; has < level && free.length > 0 && (level === few || above > 0); has++) {
        if (level > few) above--
        wanted[free.shift()!] = member
      }
      shares.set(member, has)
    }
  }
  return wanted
}
