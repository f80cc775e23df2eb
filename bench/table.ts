export type Alignment = 'left' | 'right'

export interface Column {
  title: string
  align: Alignment
}

/** A Markdown table whose columns also line up in a terminal. Every row must have as many cells as there are columns. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  for (const row of rows) {
    if (row.length !== columns.length) throw new RangeError(`a row has ${row.length} cells, the table ${columns.length} columns`)
  }
  const widths = columns.map((column, i) => Math.max(3, column.title.length, ...rows.map(row => row[i]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (columns[i]!.align === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`
  const rule = columns.map((column, i) => (column.align === 'right' ? `${'-'.repeat(widths[i]! - 1)}:` : '-'.repeat(widths[i]!)))
  return [line(columns.map(column => column.title)), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** Three significant digits below 1000, thousands separated by a space above: 1.42, 14.2, 142, 14 200. `–` for no value. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 999.5) return size < 0.01 ? value.toExponential(1) : String(Number(value.toPrecision(3)))
  const digits = Math.round(value).toString()
  return digits.replace(/\B(?=(\d{3})+$)/g, ' ')
}
