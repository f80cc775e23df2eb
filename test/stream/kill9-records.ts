/** What the process that is killed writes at an offset, so that its parent can tell what must be there. */
export function keyAt(offset: number): string {
  return `key-${((offset * 2654435761) >>> 7) % 40}`
}

export function payloadAt(offset: number): string {
  return offset % 11 === 3 ? '' : `${offset} ${'x'.repeat(offset % 200)}`
}
