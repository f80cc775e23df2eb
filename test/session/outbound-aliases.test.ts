import t from 'tap'
import { OutboundAliases } from '../../lib/session/outbound-aliases.ts'

t.test('topics get the aliases from 1 up in the order they come, and keep them', async t => {
  const aliases = new OutboundAliases(3)
  const numberOf = (topic: string) => {
    const alias = aliases.find(topic) ?? aliases.next(topic.length)
    if (alias !== undefined) aliases.define(topic, alias)
    return alias?.number
  }
  t.same(['one!', 'two!', 'one!', 'three', 'four', 'two!', 'one!'].map(numberOf), [1, 2, 1, 3, undefined, 2, 1])
})

t.test('an alias that was never told to the client is not used up', async t => {
  const aliases = new OutboundAliases(1)
  t.equal(aliases.next(10)?.number, 1)
  t.equal(aliases.find('never sent'), undefined)
  t.equal(aliases.next(10)?.number, 1)
})

t.test('the property is what a PUBLISH carries, up to the highest alias there is', async t => {
  const aliases = new OutboundAliases(65_535)
  for (let n = 1; n < 65_535; n++) aliases.define(`topic ${n}`, aliases.next(10)!)
  t.same(aliases.find('topic 258')?.property, Buffer.from([0x23, 1, 2]))
  const last = aliases.next(10)!
  t.same(last.property, Buffer.from([0x23, 0xff, 0xff]))
  aliases.define('last', last)
  t.equal(aliases.next(10), undefined)
})

t.test('a topic as short as the property gets no alias', async t => {
  const aliases = new OutboundAliases(1)
  t.equal(aliases.next(3), undefined)
  t.equal(aliases.next(4)?.number, 1)
})
