import { type Logger, type LoggerOptions, pino } from 'pino'
import pretty from 'pino-pretty'

export type { Logger }

export interface LoggerSettings {
  level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  /** `auto` is `pretty` on a terminal and `json` everywhere else. */
  format: 'auto' | 'json' | 'pretty'
}

/** Where lines go. Standard output unless told otherwise. */
export interface LogDestination {
  write(line: string): unknown
  isTTY?: boolean
}

/**
 * Fields that are never logged, on the first three levels of what is handed to the logger. The broker does not log payloads and
 * credentials on purpose; this is for the packet or request object that one day ends up in a log call.
 */
const secretFields = ['password', 'payload', 'credentials', 'passphrase', 'authenticationData', 'authorization', 'cookie']

/**
 * The root logger of a process; rooms get it, or a child of it, through their constructors. Lines are written synchronously: what
 * was logged before a crash is there. Pretty printing runs in this process, not in a worker, so that nothing is lost on exit.
 */
export function createLogger({ level, format }: LoggerSettings, destination: LogDestination = process.stdout): Logger {
  const options: LoggerOptions = {
    level,
    redact: { paths: secretFields.flatMap(name => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    // Process id and host name are what the service manager adds anyway.
    base: null,
    serializers: { err: pino.stdSerializers.err }
  }
  const isTerminal = destination.isTTY === true
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  return pino(options, isPretty ? prettyStream(destination, isTerminal) : jsonStream(destination))
}

function prettyStream(destination: LogDestination, colorize: boolean) {
  const stream = pretty.prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' })
  return { write: (line: string) => destination.write(stream(line)) }
}

function jsonStream(destination: LogDestination) {
  return destination === process.stdout
    ? pino.destination({ dest: 1, sync: true })
    : { write: (line: string) => destination.write(line) }
}
