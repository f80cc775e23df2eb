import t from 'tap'
import { reasonCode } from '../../../lib/mqtt/reason-code.ts'
import { properties, raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { connect, disconnectsWith, lastWords, lastWordsTo, noSecrets, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t, { access: { policy: noSecrets } })

const receiptCodes = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const releaseCodes = [0x00, 0x92]
/** First byte of each acknowledgement, and the codes its table has; every other code is answered with DISCONNECT 0x82. */
const acknowledgements = [
  { title: '[MQTT-3.4.2-1] a PUBACK says a code of its table', name: 'PUBACK', firstByte: 0x40, codes: receiptCodes },
  { title: '[MQTT-3.5.2-1] a PUBREC says a code of its table', name: 'PUBREC', firstByte: 0x50, codes: receiptCodes },
  { title: '[MQTT-3.6.2-1] a PUBREL says a code of its table', name: 'PUBREL', firstByte: 0x62, codes: releaseCodes },
  { title: '[MQTT-3.7.2-1] a PUBCOMP says a code of its table', name: 'PUBCOMP', firstByte: 0x70, codes: releaseCodes }
]

for (const { title, firstByte, codes } of acknowledgements) {
  t.test(`${title} or ends the connection`, async t => {
    const client = await connect(port, '')
    for (const code of codes) client.sendBytes(raw(firstByte, 0, 9, code))
    t.ok((await client.ping()).length <= codes.length, 'the connection lives on')
    for (const code of [...Object.values(reasonCode), 0x05, 0x7f, 0xff]) {
      if (codes.includes(code)) continue
      t.match(await lastWords(port, raw(firstByte, 0, 9, code)), disconnectsWith(0x82), `0x${code.toString(16)}`)
    }
  })
}

t.test(
  '[MQTT-3.4.2-1] the PUBACK says 0x00, 0x10 when there is no subscriber, and 0x87 where publishing is not allowed',
  async t => {
    const client = await connect(port, 'publisher1')
    await client.subscribe('puback/wanted', 0)
    client.send(publishPacket('puback/wanted', 'x', 1, 1))
    t.equal((await client.expect('publish')).topic, 'puback/wanted')
    t.match(await client.expect('puback'), { messageId: 1, reasonCode: 0x00 })
    client.send(publishPacket('puback/unwanted', 'x', 1, 2))
    t.match(await client.expect('puback'), { messageId: 2, reasonCode: 0x10 })
    client.send(publishPacket('secret', 'x', 1, 3))
    t.match(await client.expect('puback'), { messageId: 3, reasonCode: 0x87 })
  }
)

t.test('[MQTT-3.5.2-1] the PUBREC says 0x00, and 0x87 where publishing is not allowed', async t => {
  const client = await connect(port, 'publisher2')
  await client.subscribe('pubrec/wanted', 0)
  client.send(publishPacket('pubrec/wanted', 'x', 2, 1))
  t.equal((await client.expect('publish')).topic, 'pubrec/wanted')
  t.match(await client.expect('pubrec'), { messageId: 1, reasonCode: 0x00 })
  client.send(publishPacket('secret', 'x', 2, 2))
  t.match(await client.expect('pubrec'), { messageId: 2, reasonCode: 0x87 })
})

t.test(
  '[MQTT-3.6.1-1] the PUBREL of the broker has the flags 0010, and any others from a client are answered with 0x81',
  async t => {
    const client = await connect(port, '')
    const firstBytes: number[] = []
    client.socket.prependListener('data', bytes => firstBytes.push(bytes[0] ?? 0))
    await client.subscribe('pubrel', 2)
    await client.publish('pubrel', 'x', 0)
    const sender = await connect(port, '')
    await sender.publish('pubrel', 'x', 2)
    await client.expect('publish')
    const { messageId } = await client.expect('publish')
    client.send({ cmd: 'pubrec', messageId })
    await client.expect('pubrel')
    t.ok(firstBytes.includes(0x62))
    for (let flags = 0; flags < 16; flags++) {
      if (flags !== 2) t.match(await lastWords(port, raw(0x60 | flags, 0, 1)), disconnectsWith(0x81), `flags ${flags}`)
    }
  }
)

t.test('[MQTT-3.6.2-1] the PUBREL says 0x00 for a delivery that is under way and 0x92 for an id that is not', async t => {
  const client = await connect(port, '')
  await client.subscribe('pubrel/code', 2)
  await client.publish('pubrel/other', 'x', 0)
  const sender = await connect(port, '')
  await sender.publish('pubrel/code', 'x', 2)
  const { messageId } = await client.expect('publish')
  client.send({ cmd: 'pubrec', messageId })
  t.match(await client.expect('pubrel'), { messageId, reasonCode: 0x00 })
  client.send({ cmd: 'pubrec', messageId })
  t.match(await client.expect('pubrel'), { messageId, reasonCode: 0x00 }, 'asked twice, answered twice')
  client.send({ cmd: 'pubrec', messageId: 777 })
  t.match(await client.expect('pubrel'), { messageId: 777, reasonCode: 0x92 })
})

t.test('[MQTT-3.7.2-1] the PUBCOMP says 0x00 for a message that is held and 0x92 for an id that is not', async t => {
  const client = await connect(port, '')
  client.send(publishPacket('pubcomp', 'x', 2, 5))
  await client.expect('pubrec')
  client.send({ cmd: 'pubrel', messageId: 5 })
  t.match(await client.expect('pubcomp'), { messageId: 5, reasonCode: 0x00 })
  client.send({ cmd: 'pubrel', messageId: 5 })
  t.match(await client.expect('pubcomp'), { messageId: 5, reasonCode: 0x92 })
})

t.test('reason string and user properties of a client are read, twice a reason string is a protocol error', async t => {
  const client = await connect(port, '')
  const why = Buffer.from('1f0003776879', 'hex')
  const user = Buffer.from('2600016b000176', 'hex')
  for (const { firstByte } of acknowledgements) client.sendBytes(raw(firstByte, 0, 9, 0, properties(why, user, user)))
  await client.ping()
  for (const { firstByte, name } of acknowledgements) {
    const bytes = raw(firstByte, 0, 9, 0, properties(why, why))
    t.match(await lastWords(port, bytes), disconnectsWith(0x82), name)
  }
})

const wrongAnswers = [
  { qos: 1, firstByte: 0x50, what: 'PUBREC to a QoS 1 delivery' },
  { qos: 2, firstByte: 0x40, what: 'PUBACK to a QoS 2 delivery' },
  { qos: 2, firstByte: 0x70, what: 'PUBCOMP before PUBREC' }
] as const

for (const { qos, firstByte, what } of wrongAnswers) {
  t.test(`${what} is a protocol error: DISCONNECT 0x82 for MQTT 5, a bare end for 3.1 and 3.1.1`, async t => {
    for (const version of [3, 4, 5] as const) {
      const topic = `wrong/${firstByte}/${version}`
      const client = await connect(port, `wrong${firstByte}-${version}`, { version })
      await client.subscribe(topic, 2)
      const sender = await connect(port, '')
      await sender.publish(topic, 'x', qos)
      const { messageId } = await client.expect('publish')
      const words = await lastWordsTo(client, raw(firstByte, Number(messageId) >> 8, Number(messageId) & 0xff))
      if (version === 5) t.match(words, disconnectsWith(0x82))
      else t.same(words, [])
    }
  })
}

t.test('an acknowledgement of an id that is not in use is no error: it comes when a client answers twice', async t => {
  const client = await connect(port, '')
  client.sendBytes(Buffer.concat([raw(0x40, 0, 7), raw(0x70, 0, 7), raw(0x50, 0, 7, 0x87)]))
  t.same(await client.ping(), [])
})

t.test('an acknowledgement with packet identifier 0 is a protocol error', async t => {
  for (const { firstByte, name } of acknowledgements) {
    t.match(await lastWords(port, raw(firstByte, 0, 0)), disconnectsWith(0x82), name)
    t.same(await lastWords(port, raw(firstByte, 0, 0), { version: 4, clientId: 'zero' }), [], `${name} of 3.1.1`)
  }
})
