/** How topics are spelled in an emitter: mqemitter's options of the same names. */
export interface TopicDialectOptions {
  separator?: string
  wildcardOne?: string
  wildcardSome?: string
  /** false: wildcardOne does not match an empty level. */
  matchEmptyLevels?: boolean
}

/**
 * Translates an emitter's own spelling into the Topic Filters and Topic Names of the trie, so that it matches as mqemitter does: any
 * separator and wildcards, and no special rule for topics that begin with '$'. U+0000 marks what must be taken literally; it cannot
 * be in an MQTT topic [MQTT-4.7.3-2].
 */
export class TopicDialect {
  readonly matchEmptyLevels: boolean
  readonly #separator: string
  readonly #wildcardOne: string
  readonly #wildcardSome: string
  /** Spelled as MQTT does: only a leading '$' needs translation. */
  readonly #plain: boolean

  constructor(options: TopicDialectOptions) {
    this.#separator = options.separator || '/'
    this.#wildcardOne = options.wildcardOne || '+'
    this.#wildcardSome = options.wildcardSome || '#'
    this.matchEmptyLevels = options.matchEmptyLevels ?? true
    this.#plain = this.#separator === '/' && this.#wildcardOne === '+' && this.#wildcardSome === '#'
  }

  filter(filter: string): string {
    if (this.#plain) return escapeDollar(filter)
    const levels = filter.split(this.#separator).map(level => {
      if (level === this.#wildcardOne) return '+'
      return level === this.#wildcardSome ? '#' : literal(level)
    })
    return escapeDollar(levels.join('/'))
  }

  topic(topic: string): string {
    if (this.#plain) return escapeDollar(topic)
    return escapeDollar(topic.split(this.#separator).map(literal).join('/'))
  }

  /** Does a filter that matches still do so when wildcardOne needs at least one character? Both as translated. */
  matchesNonEmpty(filter: string, topic: string): boolean {
    const levels = topic.split('/')
    return filter.split('/').every((level, index) => level !== '+' || levels[index] !== '')
  }
}

function escapeDollar(topic: string): string {
  return topic.charCodeAt(0) === 0x24 ? `\0${topic}` : topic
}

function literal(level: string): string {
  const escaped = level.includes('/') ? level.replaceAll('/', '\0') : level
  return escaped === '+' || escaped === '#' ? `\0${escaped}` : escaped
}
