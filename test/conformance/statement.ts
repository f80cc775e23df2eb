/** One numbered statement of a standard, with what this broker does about it. */
export interface Statement {
  /** As the standard's appendix writes it, without brackets: 'MQTT-3.1.2-24'. The two standards number independently. */
  id: string
  /** Whom it binds. What binds only a client needs no test here. */
  binds: 'server' | 'client' | 'both'
  /** What the broker does, in our own words, in one short sentence. Of a client's duty: what the client has to do. */
  does: string
}

/** The statements of one section of a standard, in the order of its appendix. */
export interface Section {
  /** '3.1' */
  number: string
  /** 'CONNECT: a client asks for a connection' */
  title: string
  statements: readonly Statement[]
}
