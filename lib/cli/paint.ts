import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]
export type Paint = (style: Style, text: string) => string

/** Colours text for a terminal and leaves it alone for anything else; https://no-color.org is honoured. */
export function painter(out: { isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Paint {
  const colourful = out.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return colourful ? (style, text) => styleText(style, text) : (_style, text) => text
}

/**
 * Text from the wire as it may be shown on a terminal: control characters are escaped, so that a topic or payload cannot move
 * the cursor, change colours or the title of the window.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to take out.
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escapeCharacter)
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\r') return '\\r'
  if (character === '\t') return '\\t'
  const code = character.charCodeAt(0)
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}
