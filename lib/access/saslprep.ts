/**
 * A password as both sides of SCRAM must see it, whatever keyboard it was typed on: RFC 4013 (SASLprep) in what changes a
 * text. Spaces of all kinds become U+0020, characters without a width go, and the rest is normalized to NFKC. A text that
 * SASLprep forbids stays as it is, as clients that do not know SASLprep would send it.
 */
export function saslPrepared(text: string): string {
  if (/^[\u0020-\u007e]*$/.test(text)) return text
  const prepared = text.replace(spaces, ' ').replace(mappedToNothing, '').normalize('NFKC')
  return prohibited.test(prepared) ? text : prepared
}

/** RFC 3454 table C.1.2; U+200B is in both tables and goes. */
const spaces = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g
/** RFC 3454 table B.1. Variation selectors and joiners are listed one by one: a class would take them for parts of characters. */
const mappedToNothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/g
/** RFC 3454 tables C.2 to C.8 as Unicode names them today: controls, private use, surrogates, unassigned, marks of direction. */
const prohibited = /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\u2028\u2029\u200e\u200f\u202a-\u202e\u206a-\u206f\ufff9-\ufffd\u2ff0-\u2ffb]/u
