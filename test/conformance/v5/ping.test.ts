import t from 'tap'
import { raw } from '../../mqtt/packets/case.ts'
import { TestBroker } from '../../support/native-broker.ts'
import { connect, disconnectsWith, lastWords, publishPacket } from './clients.ts'

const { port } = await TestBroker.start(t)

t.test('[MQTT-3.12.4-1] each PINGREQ is answered with a PINGRESP, between the answers to what came around it', async t => {
  const client = await connect(port, '')
  await client.subscribe('ping', 0)
  client.socket.cork()
  for (let id = 1; id <= 3; id++) {
    client.send({ cmd: 'pingreq' })
    client.send(publishPacket('ping', String(id), 0))
  }
  client.socket.uncork()
  const answers: unknown[] = []
  while (answers.length < 6) answers.push((await client.next())?.cmd)
  t.same(answers, ['pingresp', 'publish', 'pingresp', 'publish', 'pingresp', 'publish'])
})

t.test('a PINGREQ with a flag or a body is answered with DISCONNECT 0x81, before MQTT 5 by hanging up', async t => {
  for (const bytes of [raw(0xc1), raw(0xc8), raw(0xc0, 0)]) {
    t.match(await lastWords(port, bytes), disconnectsWith(0x81))
    t.same(await lastWords(port, bytes, { version: 4, clientId: 'ping4' }), [])
  }
})
