import t from 'tap'
import type { Properties } from '../../lib/mqtt/packet.ts'
import { decodeMessageProperties, encodeMessageProperties } from '../../lib/mqtt/properties.ts'
import { propertyId } from '../../lib/mqtt/property-id.ts'
import { propertyRules } from '../../lib/mqtt/property-table.ts'
import { packetErrorOf } from './decode-one.ts'
import { join } from './packets/case.ts'

t.test('the table has every property identifier of table 2-4 once', async t => {
  const ids = propertyRules.map(rule => rule.id)
  t.strictSame(
    [...ids].sort((a, b) => a - b),
    Object.values(propertyId).sort((a, b) => a - b)
  )
  t.equal(new Set(ids).size, 27)
})

t.test('message properties come back as they went in', async t => {
  const properties: Properties = {
    payloadFormatIndicator: 1,
    contentType: 'application/json',
    responseTopic: 'é',
    correlationData: Buffer.from([0, 1, 255]),
    userProperties: [
      ['b', '1'],
      ['a', ''],
      ['b', '2']
    ]
  }
  t.strictSame(decodeMessageProperties(encodeMessageProperties(properties)), properties)
})

t.test('what does not travel with a message is left out', async t => {
  const bytes = encodeMessageProperties({
    topicAlias: 1,
    messageExpiryInterval: 5,
    subscriptionIdentifiers: [1],
    contentType: 'x'
  })
  t.strictSame(decodeMessageProperties(bytes), { contentType: 'x' })
  t.equal(encodeMessageProperties({ topicAlias: 1 }).length, 0)
  t.strictSame(decodeMessageProperties(Buffer.alloc(0)), {})
})

t.test('stored properties that are damaged are refused', async t => {
  t.equal(packetErrorOf(() => decodeMessageProperties(join([0x03, 0, 9, 0x61])))?.reasonCode, 0x81)
  t.equal(packetErrorOf(() => decodeMessageProperties(join([0x7f])))?.reasonCode, 0x81)
})
