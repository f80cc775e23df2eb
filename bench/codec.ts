/** What one QoS 1 PUBLISH of 100 bytes costs to decode and encode: node build/bench/codec.js. The baseline is mqtt-packet. */
import mqttPacket from 'mqtt-packet'
import { formatMicro, measure } from './micro.ts'

const publish = {
  cmd: 'publish',
  topic: 'devices/17/telemetry',
  payload: Buffer.alloc(100, 'x'),
  qos: 1,
  retain: false,
  dup: false,
  messageId: 7
} as const
const bytes = mqttPacket.generate(publish)
const chunk = Buffer.concat(Array.from({ length: 64 }, () => bytes))

const parser = mqttPacket.parser({ protocolVersion: 4 })
let decodedBytes = 0
parser.on('packet', packet => (decodedBytes += packet.length ?? 0))

// Packets arrive in chunks: one operation here is a chunk of 64, shown per packet.
const decodeChunk = measure('decode with mqtt-packet', () => {
  parser.parse(chunk)
  return decodedBytes
})
const encode = measure('encode with mqtt-packet', () => mqttPacket.generate(publish).length)

console.log(formatMicro([{ ...decodeChunk, nanosecondsPerOperation: decodeChunk.nanosecondsPerOperation / 64 }]))
console.log()
console.log(formatMicro([encode]))
