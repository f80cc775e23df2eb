/** One level of the filters stored. Members that most nodes do not need are made when first used. */
class Node<T> {
  readonly parent: Node<T> | undefined
  /** The level this node stands for under its parent; '+' is kept apart from a literal by `parent.plus`. */
  readonly level: string
  children: Map<string, Node<T>> | undefined = undefined
  plus: Node<T> | undefined = undefined
  /** Values of the filters that end here. */
  exact: Values<T> | undefined = undefined
  /** Values of the filters that end in '#' one level below. */
  hash: Values<T> | undefined = undefined

  constructor(parent: Node<T> | undefined, level: string) {
    this.parent = parent
    this.level = level
  }
}

/** Most filters have one subscriber, some have a hundred thousand: a list up to `listMax`, a Set beyond. */
type Values<T> = T[] | Set<T>
const listMax = 8

/**
 * Topic Filters with values, made to be asked which values a topic reaches. Values are told apart by identity.
 *
 * Filters must be valid and topics be Topic Names (topicFilterError(), topicNameError()); a shared filter goes in without its
 * `$share/{ShareName}/`. Nothing recurses, so a filter of 32,768 levels costs its sender time but never the stack.
 */
export class TopicTrie<T> {
  readonly #root = new Node<T>(undefined, '')
  #size = 0
  #nodes = 0
  /** The topic at hand, level by level; kept because a new array for each match would cost more than filling this one. */
  readonly #levels: string[] = []
  /** Work list of match(): nodes to visit and the topic level they stand before. Empty between calls. */
  readonly #pending: Node<T>[] = []
  readonly #depths: number[] = []

  /** Number of (filter, value) pairs. */
  get size(): number {
    return this.#size
  }

  /** Number of levels kept for them: what the memory of the trie grows with. 0 when the trie is empty. */
  get nodes(): number {
    return this.#nodes
  }

  /** Returns false when this very value is there already under this filter. */
  add(filter: string, value: T): boolean {
    const { path, endsInHash } = parseFilter(filter)
    let node = this.#root
    for (const level of path) node = this.#child(node, level)
    const values = endsInHash ? node.hash : node.exact
    const next = withValue(values, value)
    if (next === undefined) return false
    if (endsInHash) node.hash = next
    else node.exact = next
    this.#size++
    return true
  }

  /** Returns false when there was no such pair. Nodes that nothing needs any more go with the last value. */
  remove(filter: string, value: T): boolean {
    const { path, endsInHash } = parseFilter(filter)
    let node: Node<T> | undefined = this.#root
    for (const level of path) {
      node = level === '+' ? node.plus : node.children?.get(level)
      if (node === undefined) return false
    }
    const values = endsInHash ? node.hash : node.exact
    if (values === undefined || !dropValue(values, value)) return false
    if (sizeOf(values) === 0) {
      if (endsInHash) node.hash = undefined
      else node.exact = undefined
      this.#prune(node)
    }
    this.#size--
    return true
  }

  /**
   * The values of all filters that match `topic`, in no particular order; a value added under two matching filters comes twice.
   * `a/#` matches `a` (section 4.7.1.2); topics that begin with '$' are not matched by a leading wildcard [MQTT-4.7.2-1].
   */
  match(topic: string): T[] {
    const found: T[] = []
    if (this.#size === 0) return found
    const levels = this.#levels
    fillLevels(levels, topic)
    const pending = this.#pending
    const depths = this.#depths
    const root = this.#root
    if (topic.charCodeAt(0) === 0x24) {
      const child = root.children?.get(levels[0]!)
      if (child === undefined) return found
      pending.push(child)
      depths.push(1)
    } else {
      pending.push(root)
      depths.push(0)
    }
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      // Goes down the literal branch in a loop and leaves the '+' branches for later.
      for (let depth = depths.pop()!; ; depth++) {
        if (node.hash !== undefined) collect(node.hash, found)
        if (depth === levels.length) {
          if (node.exact !== undefined) collect(node.exact, found)
          break
        }
        if (node.plus !== undefined) {
          pending.push(node.plus)
          depths.push(depth + 1)
        }
        const child: Node<T> | undefined = node.children?.get(levels[depth]!)
        if (child === undefined) break
        node = child
      }
    }
    return found
  }

  #child(node: Node<T>, level: string): Node<T> {
    const known = level === '+' ? node.plus : node.children?.get(level)
    if (known !== undefined) return known
    const child = new Node(node, level)
    if (level === '+') {
      node.plus = child
    } else {
      node.children ??= new Map()
      node.children.set(level, child)
    }
    this.#nodes++
    return child
  }

  /** Takes `from` and every ancestor out that holds neither values nor children. */
  #prune(from: Node<T>): void {
    let node = from
    while (node.parent !== undefined && !node.exact && !node.hash && !node.plus && !node.children) {
      const { parent, level } = node
      if (parent.plus === node) {
        parent.plus = undefined
      } else {
        parent.children!.delete(level)
        if (parent.children!.size === 0) parent.children = undefined
      }
      this.#nodes--
      node = parent
    }
  }
}

/** What split('/') returns, in less than half the time. */
function fillLevels(levels: string[], topic: string): void {
  let count = 0
  let start = 0
  for (let end = topic.indexOf('/'); end !== -1; end = topic.indexOf('/', start)) {
    levels[count++] = topic.slice(start, end)
    start = end + 1
  }
  levels[count++] = topic.slice(start)
  levels.length = count
}

/** The levels of a filter; a final '#' is told apart, because its values live in the node above it. */
function parseFilter(filter: string): { path: string[]; endsInHash: boolean } {
  const path = filter.split('/')
  const endsInHash = path.at(-1) === '#'
  if (endsInHash) path.pop()
  return { path, endsInHash }
}

/** The values with `value` among them, or undefined when it is there already. */
function withValue<T>(values: Values<T> | undefined, value: T): Values<T> | undefined {
  if (values === undefined) return [value]
  if (values instanceof Set) {
    if (values.has(value)) return undefined
    return values.add(value)
  }
  if (values.includes(value)) return undefined
  if (values.length >= listMax) return new Set(values).add(value)
  values.push(value)
  return values
}

function dropValue<T>(values: Values<T>, value: T): boolean {
  if (values instanceof Set) return values.delete(value)
  const at = values.indexOf(value)
  if (at === -1) return false
  values.splice(at, 1)
  return true
}

function sizeOf<T>(values: Values<T>): number {
  return values instanceof Set ? values.size : values.length
}

function collect<T>(values: Values<T>, into: T[]): void {
  if (values instanceof Set) {
    for (const value of values) into.push(value)
    return
  }
  for (let i = 0; i < values.length; i++) into.push(values[i]!)
}
