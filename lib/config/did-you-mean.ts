/** The candidate that is most likely meant by a mistyped word, or undefined when none is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const distance = editDistance(canonical(word), canonical(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  if (best === undefined) return undefined
  // A third of the letters may be wrong; more, and the suggestion would be a guess.
  const near = bestDistance <= Math.max(1, Math.floor(Math.max(word.length, best.length) / 3))
  return near || isPartOf(word, best) ? best : undefined
}

/** `password_file`, `password-file` and `PasswordFile` are all meant as `passwordFile`. */
function canonical(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '')
}

function isPartOf(word: string, candidate: string): boolean {
  return word.length >= 4 && canonical(candidate).includes(canonical(word))
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each. */
function editDistance(a: string, b: string): number {
  // Only words a person may have typed are compared; anything longer is no slip of the finger.
  if (a.length > 64 || b.length > 64) return Number.POSITIVE_INFINITY
  const width = b.length + 1
  const at = new Uint16Array((a.length + 1) * width)
  for (let i = 0; i <= a.length; i++) at[i * width] = i
  for (let j = 0; j <= b.length; j++) at[j] = j
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(at[(i - 1) * width + j]! + 1, at[i * width + j - 1]! + 1, at[(i - 1) * width + j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at[(i - 2) * width + j - 2]! + 1)
      }
      at[i * width + j] = least
    }
  }
  return at[a.length * width + b.length]!
}
