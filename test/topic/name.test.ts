import t from 'tap'
import { topicLevels, topicNameError } from '../../lib/topic/name.ts'

t.test('a Topic Name is any text the standard lets through', async t => {
  const good = ['a', '/', '//', ' ', 'a b/é/😀', '$SYS/x', '\ufeff', 'A'.repeat(65_535), 'é'.repeat(32_767)]
  for (const topic of good) t.equal(topicNameError(topic), undefined, topic.slice(0, 20))
})

t.test('a Topic Name that breaks a clause is told which', async t => {
  const bad: [string, string][] = [
    ['', 'MQTT-4.7.3-1'],
    ['a\u0000', 'MQTT-4.7.3-2'],
    ['a'.repeat(65_536), 'MQTT-4.7.3-3'],
    ['é'.repeat(32_768), 'MQTT-4.7.3-3'],
    ['a/+', 'MQTT-3.3.2-2'],
    ['#', 'MQTT-3.3.2-2'],
    ['a+b', 'MQTT-3.3.2-2'],
    ['\ud800', 'MQTT-1.5.4-1'],
    ['a\udc00b', 'MQTT-1.5.4-1']
  ]
  for (const [topic, clause] of bad) t.match(topicNameError(topic), clause, clause)
})

t.test('empty levels are levels', async t => {
  const counts = ['a', '/', 'a/b', '/a', 'a/', 'a//b'].map(topicLevels)
  t.strictSame(counts, [1, 2, 2, 2, 2, 3])
})
