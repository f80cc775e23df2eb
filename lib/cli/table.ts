import type { Paint } from './paint.ts'

export interface Column {
  title: string
  align?: 'left' | 'right'
}

/** Rows in aligned columns under their titles. Cells are plain text: they are measured before they are painted. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const widths = columns.map((column, i) => Math.max(column.title.length, ...rows.map(row => row[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (columns[i]!.align === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  const head = paint('dim', line(columns.map(column => column.title)))
  return `${[head, ...rows.map(line)].join('\n')}\n`
}
