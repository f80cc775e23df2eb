import t from 'tap'
import { parseSharedFilter, topicFilterError, topicMatches } from '../../lib/topic/filter.ts'

t.test('a Topic Filter may hold wildcards where the standard allows them', async t => {
  const good = [
    '#',
    '+',
    '/',
    'a/#',
    '+/+',
    '+/#',
    '/+',
    '+/',
    'a/+/b',
    '$SYS/#',
    '$share',
    '$shared/g/a',
    '$share/g/a',
    '$share/g/#'
  ]
  for (const filter of [...good, '$share/g//', '$share/g/+/b', '$queue/a']) t.equal(topicFilterError(filter), undefined, filter)
})

t.test('a Topic Filter that breaks a clause is told which', async t => {
  const bad: [string, string][] = [
    ['', 'MQTT-4.7.3-1'],
    ['a\u0000', 'MQTT-4.7.3-2'],
    ['a'.repeat(65_536), 'MQTT-4.7.3-3'],
    ['\udfff', 'MQTT-1.5.4-1'],
    ['a#', 'MQTT-4.7.1-1'],
    ['#/a', 'MQTT-4.7.1-1'],
    ['a/#/b', 'MQTT-4.7.1-1'],
    ['##', 'MQTT-4.7.1-1'],
    ['a+', 'MQTT-4.7.1-2'],
    ['+a', 'MQTT-4.7.1-2'],
    ['a/+b/c', 'MQTT-4.7.1-2'],
    ['++', 'MQTT-4.7.1-2'],
    ['+#', 'MQTT-4.7.1'],
    ['$share/', 'MQTT-4.8.2-1'],
    ['$share//a', 'MQTT-4.8.2-1'],
    ['$share/g', 'MQTT-4.8.2-2'],
    ['$share/g/', 'MQTT-4.8.2-2'],
    ['$share/g+/a', 'MQTT-4.8.2-2'],
    ['$share/#/a', 'MQTT-4.8.2-2'],
    ['$share/g/a#', 'MQTT-4.7.1-1']
  ]
  for (const [filter, clause] of bad) t.match(topicFilterError(filter), clause, filter.slice(0, 20))
})

t.test('a shared filter is taken apart, anything else is not one', async t => {
  t.strictSame(parseSharedFilter('$share/g/a/b'), { group: 'g', filter: 'a/b' })
  t.strictSame(parseSharedFilter('$share/g//a'), { group: 'g', filter: '/a' })
  t.strictSame(parseSharedFilter('$share/g/$stream/s'), { group: 'g', filter: '$stream/s' })
  for (const filter of ['a', '$share', '$share/g', '$share//a', '$share/g/', '$share/g/a#', '$SHARE/g/a']) {
    t.equal(parseSharedFilter(filter), undefined, filter)
  }
})

t.test('the examples of section 4.7 match as it says', async t => {
  const table: [filter: string, topic: string, matches: boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/tennis/player1/#', 'sport/tennis/player10', false],
    ['sport/#', 'sport', true],
    ['#', 'a/b/c', true],
    ['#', '/', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['ACCOUNTS', 'Accounts', false],
    ['#', '$SYS/monitor', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/monitor', true],
    ['$SYS/#', '$SYS', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['+/$SYS', 'a/$SYS', true],
    ['a/+', 'a/', true],
    ['+/#', 'a', true],
    ['+/b/#', 'a/b', true],
    ['+/b/#', 'a/bc', false],
    ['a/b', 'a', false],
    ['a', 'a/b', false],
    ['a/', 'a', false],
    ['a', 'a/', false],
    ['ab', 'a', false],
    ['a', 'ab', false],
    ['a/#', 'ab', false],
    ['/#', '', true],
    ['//#', '/', true]
  ]
  for (const [filter, topic, matches] of table) t.equal(topicMatches(filter, topic), matches, `${filter} ${topic}`)
})
