import { join } from 'node:path'
import type { Logger } from 'pino'
import type { SessionStore } from '../../persistence/contract.ts'
import type { Broker } from '../broker/broker.ts'
import type { Config } from '../config/config.ts'
import { DeadLetterDesk } from '../dead-letter/dead-letter-desk.ts'
import { DeadLetterLog } from '../dead-letter/dead-letter-log.ts'
import { type OpenLetterStream, openDeadLetterStream } from '../dead-letter/open.ts'
import type { Counters } from '../metrics/counters.ts'
import type { Cleanup } from './cleanup.ts'

interface LetterSurroundings {
  store: SessionStore
  counters: Counters
  logger: Logger | undefined
  cleanup: Cleanup
}

/** Where dead letters are written; undefined when the configuration keeps none. */
export async function openLetterLog(config: Config, { store, counters, logger, cleanup }: LetterSurroundings) {
  if (config.deadLetter === false) return undefined
  const { retention, ...policy } = config.deadLetter
  const folder = join(config.data, 'streams')
  const letters = await openDeadLetterStream({ folder, retention, ...(logger ? { logger } : {}) })
  const log = new DeadLetterLog({ stream: letters.stream, store, counters, now: Date.now, policy })
  cleanup.add('dead letters', () => closeLetters(log, letters))
  return log
}

/** What the log cannot write keeps the session store from writing that it was removed from a queue. */
async function closeLetters(log: DeadLetterLog, letters: OpenLetterStream): Promise<void> {
  try {
    await log.sync()
  } finally {
    await letters.close()
  }
}

/** What operators and programs do with dead letters. */
export function openDesk(
  config: Config,
  log: DeadLetterLog,
  broker: Broker,
  logger: Logger | undefined
): DeadLetterDesk | undefined {
  const { redriver } = broker
  if (config.deadLetter === false || redriver === undefined) return undefined
  return new DeadLetterDesk({ log, redriver, redrivePerSecond: config.deadLetter.redrivePerSecond, now: Date.now, logger })
}
