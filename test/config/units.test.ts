import fc from 'fast-check'
import { t } from 'tap'
import { didYouMean } from '../../lib/config/did-you-mean.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../lib/config/units.ts'

t.test('durations and sizes are read with their units', async t => {
  t.equal(parseDuration('7d'), 604_800_000)
  t.equal(parseDuration('2w'), 1_209_600_000)
  t.equal(parseDuration('30s'), 30_000)
  t.equal(parseDuration('500ms'), 500)
  t.equal(parseDuration('1.5h'), 5_400_000)
  t.equal(parseSize('1MiB'), 1_048_576)
  t.equal(parseSize('10GiB'), 10_737_418_240)
  t.equal(parseSize('7B'), 7)
})

t.test('what could mean two things, or nothing, is refused', async t => {
  for (const text of ['', '7', '7 d', '-7d', 'd', '7D', '7d ', '1h30m', '.5s', '1e3s', '99999999999999d']) {
    t.equal(parseDuration(text), undefined, text)
  }
  for (const text of ['', '1', '1MB', '1M', '1mib', '1 MiB', '-1MiB', '0x10B']) t.equal(parseSize(text), undefined, text)
})

t.test('what is written is read back as the same number', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), value => {
      t.equal(parseSize(formatSize(value)), value)
      t.equal(parseDuration(formatDuration(value)), value)
    })
  )
  t.equal(formatDuration(604_800_000), '7d')
  t.equal(formatSize(10 * 1024 ** 3), '10GiB')
})

t.test('a mistyped word finds the one that was meant', async t => {
  const keys = ['listeners', 'passwordFile', 'aclFile', 'anonymous', 'constructor']
  t.equal(didYouMean('listners', keys), 'listeners')
  t.equal(didYouMean('password_file', keys), 'passwordFile')
  t.equal(didYouMean('annonymuos', keys), 'anonymous')
  t.equal(didYouMean('passwords', ['maxPacketBytes']), undefined)
  t.equal(didYouMean('x', []), undefined)
  t.equal(didYouMean('a'.repeat(10_000), keys), undefined)
})
