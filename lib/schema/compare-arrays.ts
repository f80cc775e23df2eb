import { atLeast, atMost } from './compare-scalars.ts'
import { type Facts, itemsOf } from './facts.ts'
import { type Narrowing, narrowing, undecided } from './problem.ts'
import { childOf, type SchemaNode } from './schema-document.ts'
import type { Subset } from './subset.ts'

/** Items that are compared one by one; a longer list cannot be decided. */
const ITEMS_MAX = 1000

/** The keywords of the outer schema that look at arrays. */
export function compareArrays(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  if (!facts.kinds.has('array')) return []
  const schema = outer.schema as Record<string, unknown>
  const longest = Math.min(...facts.numbers('maxItems'), firstImpossible(facts))
  const problems = [...atLeast(facts, outer, 'minItems', 0), ...atMost(facts, outer, 'maxItems', longest)]
  if (schema.uniqueItems === true && !facts.all('uniqueItems').includes(true) && longest > 1) {
    problems.push(narrowing(outer, 'uniqueItems', undefined, 'equal items were accepted'))
  }
  problems.push(...compareItems(subset, facts, outer, depth, longest))
  problems.push(...compareContains(subset, facts, outer, depth))
  return problems
}

function compareItems(subset: Subset, facts: Facts, outer: SchemaNode, depth: number, longest: number): Narrowing[] {
  const { list, rest } = itemsOf(outer)
  if (list.length === 0 && rest === undefined) return []
  const listed = Math.max(list.length, ...facts.conjuncts.map(node => itemsOf(node).list.length))
  if (listed > ITEMS_MAX) return [undecided(outer, '', undefined, `more than ${ITEMS_MAX} items are not compared`)]
  const problems: Narrowing[] = []
  // One more than are listed on either side stands for all that follow.
  for (let i = 0; i <= Math.min(listed, longest - 1); i++) {
    const here = list[i] ?? rest
    if (here !== undefined) problems.push(...subset.within(facts.item(i), here, depth + 1))
  }
  return problems
}

function compareContains(subset: Subset, facts: Facts, outer: SchemaNode, depth: number): Narrowing[] {
  const { contains, minContains = 1, maxContains } = outer.schema as Record<string, unknown>
  if (contains === undefined) return []
  const problems: Narrowing[] = []
  const wanted = childOf(outer, 'contains')
  const found = facts.conjuncts.some(node => {
    if (node.schema.contains === undefined || Number(node.schema.minContains ?? 1) < Number(minContains)) return false
    return subset.within([childOf(node, 'contains')], wanted, depth + 1).length === 0
  })
  if (minContains !== 0 && !found) {
    problems.push(undecided(outer, 'contains', facts.all('contains')[0], 'an array without such an item may have been accepted'))
  }
  if (maxContains !== undefined) {
    problems.push(undecided(outer, 'maxContains', facts.all('maxContains')[0], 'maxContains is not compared'))
  }
  return problems
}

/** Index of the first item that can never be there: no array is longer. */
function firstImpossible(facts: Facts): number {
  const ends = facts.conjuncts.flatMap(node => {
    const { list, rest } = itemsOf(node)
    return rest?.schema === false ? [list.length] : []
  })
  return Math.min(Infinity, ...ends)
}
