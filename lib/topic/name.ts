/**
 * Says why `topic` is not a Topic Name a message may be published to, or undefined when it is one.
 *
 * A Topic Name has at least one character [MQTT-4.7.3-1], no U+0000 [MQTT-4.7.3-2], at most 65,535 bytes of UTF-8
 * [MQTT-4.7.3-3] and no wildcards [MQTT-3.3.2-2]. Lone surrogates cannot be written as UTF-8 [MQTT-1.5.4-1].
 */
export function topicNameError(topic: string): string | undefined {
  return textError(topic) ?? (/[+#]/.test(topic) ? 'Topic Name contains a wildcard [MQTT-3.3.2-2]' : undefined)
}

/** Levels of a topic or filter: one more than it has '/'. Empty levels count (section 4.7.1.1). */
export function topicLevels(topic: string): number {
  let levels = 1
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels++
  return levels
}

/** What Topic Names and Topic Filters have to heed alike. */
export function textError(text: string): string | undefined {
  if (text.length === 0) return 'topic is empty [MQTT-4.7.3-1]'
  if (text.includes('\u0000')) return 'topic contains U+0000 [MQTT-4.7.3-2]'
  // A UTF-16 unit becomes three bytes at most, so most topics need no counting.
  if (text.length > maxBytes / 3 && Buffer.byteLength(text) > maxBytes) return 'topic is longer than 65535 bytes [MQTT-4.7.3-3]'
  if (loneSurrogate.test(text)) return 'topic contains a lone surrogate [MQTT-1.5.4-1]'
  return undefined
}

const maxBytes = 65_535
const loneSurrogate = /\p{Surrogate}/u
