import type { ChangeAction, Deletion, Plan, StreamChange } from '../apply/plan.ts'
import { type Paint, printable, type Style } from './paint.ts'
import { formatBytes, formatCount } from './units.ts'

const marks: Readonly<Record<ChangeAction, { mark: string; style: Style; words: string }>> = {
  create: { mark: '+', style: 'green', words: 'create' },
  change: { mark: '~', style: 'yellow', words: 'change' },
  remove: { mark: '-', style: 'red', words: 'remove' },
  keep: { mark: '-', style: 'dim', words: 'remove (needs --prune)' },
  refuse: { mark: '!', style: 'red', words: 'cannot be applied' }
}

/** What a plan does, for people: one stream after the other, and a line that counts. */
export function formatPlan({ changes, unchanged }: Plan, paint: Paint): string {
  const lines = changes.map(change => formatChange(change, paint))
  const count = (action: ChangeAction) => changes.filter(change => change.action === action).length
  const [create, change, remove] = [count('create'), count('change'), count('remove')]
  if (create + change + remove === 0 && count('refuse') === 0) {
    lines.push(`nothing to change${unchanged.length === 0 ? '' : ` (${unchanged.length} as wanted already)`}\n`)
  } else {
    lines.push(`${create} to create, ${change} to change, ${remove} to remove, ${unchanged.length} unchanged\n`)
  }
  return lines.join('')
}

export function formatChange({ stream, action, settings, deletes, notes }: StreamChange, paint: Paint): string {
  const { mark, style, words } = marks[action]
  const lines = [paint(style, `${mark} ${words}: ${stream}`)]
  for (const { key, from, to } of settings) {
    lines.push(`    ${key}: ${action === 'create' ? to : `${from || '(not set)'} -> ${to || '(not set)'}`}`)
  }
  if (deletes !== undefined) lines.push(...formatDeletion(deletes, action === 'keep', paint))
  for (const note of notes) lines.push(paint('dim', `    note: ${note}`))
  return `${lines.join('\n')}\n`
}

function formatDeletion(
  { records, compacted, bytes, oldest, newest, readers }: Deletion,
  wouldOnly: boolean,
  paint: Paint
): string[] {
  const range = oldest === null ? '' : `, from ${oldest} to ${newest}`
  const what = `${compacted ? 'up to ' : ''}${formatCount(records)} ${records === 1 ? 'record' : 'records'} (${formatBytes(bytes)}${range})`
  const lines = [paint(wouldOnly ? 'dim' : 'red', `    ${wouldOnly ? 'would delete' : 'deletes'} ${what}`)]
  for (const { kind, name, filter, unread } of readers) {
    lines.push(`      ${kind} ${printable(name)} (${printable(filter)}) has not read ${formatCount(unread)} of them`)
  }
  return lines
}
