import { t } from 'tap'
import { createLogger, type LoggerSettings } from '../lib/logger.ts'

function logged(
  settings: Partial<LoggerSettings>,
  isTTY: boolean,
  log: (logger: ReturnType<typeof createLogger>) => void
): string {
  let text = ''
  log(createLogger({ level: 'info', format: 'auto', ...settings }, { write: line => (text += line), isTTY }))
  return text
}

t.test('lines are JSON where nobody reads them, and words on a terminal', async t => {
  const hello = (logger: ReturnType<typeof createLogger>) => logger.info({ port: 1883 }, 'listening')
  t.match(JSON.parse(logged({}, false, hello)), { level: 30, port: 1883, msg: 'listening', time: Number })
  t.match(logged({}, true, hello), /INFO.*listening/)
  t.match(JSON.parse(logged({ format: 'json' }, true, hello)), { msg: 'listening' })
  const words = logged({ format: 'pretty' }, false, hello)
  t.match(words, /INFO: listening\n {4}port: 1883/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours start with the escape character.
  t.notMatch(words, /\u001b/, 'no colours where there is no terminal')
})

t.test('what is below the level is not logged', async t => {
  t.equal(
    logged({ level: 'warn' }, false, logger => logger.info('x')),
    ''
  )
  t.equal(
    logged({ level: 'silent' }, false, logger => logger.fatal('x')),
    ''
  )
})

t.test('credentials and payloads never appear, wherever they are in what is logged', async t => {
  const secret = 'hunter2'
  for (const format of ['json', 'pretty'] as const) {
    const text = logged({ format }, false, logger => {
      logger.info({ password: secret, payload: secret }, 'flat')
      logger.info({ packet: { cmd: 'publish', payload: Buffer.from(secret), will: { payload: secret } } }, 'packet')
      logger.info({ credentials: { username: 'alice', password: secret } }, 'credentials')
      logger.info({ req: { headers: { authorization: secret, cookie: secret, host: 'a' } } }, 'request')
      logger.info({ packet: { properties: { authenticationData: secret } } }, 'properties')
      logger.child({ client: { password: secret } }).info('child')
      logger.error({ err: Object.assign(new Error('refused'), { packet: { password: secret } }) }, 'error')
    })
    t.notMatch(text, secret, format)
    t.notMatch(text, Buffer.from(secret).toJSON().data.slice(0, 3).join(','), `${format}, as bytes`)
    t.match(text, /\[redacted\]/)
    t.match(text, /refused/)
  }
})
