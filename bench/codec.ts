/** What one QoS 1 PUBLISH of 100 bytes costs to decode and encode: node build/bench/codec.js. The baseline is mqtt-packet. */
import mqttPacket from 'mqtt-packet'
import { publishLength, writePublish } from '../lib/mqtt/encode-publish.ts'
import { Frame, readFrame } from '../lib/mqtt/frame.ts'
import type { ProtocolVersion } from '../lib/mqtt/packet.ts'
import { PublishView, viewPublish } from '../lib/mqtt/publish-view.ts'
import { formatMicro, type MicroResult, measure } from './micro.ts'

const packetsPerChunk = 64
const packetBytesMax = 1 << 20
const empty = Buffer.alloc(0)
const topic = Buffer.from('devices/17/telemetry')
const payload = Buffer.alloc(100, 'x')

function packet(version: 4 | 5): Buffer {
  const publish = { cmd: 'publish', topic: topic.toString(), payload, qos: 1, retain: false, dup: false, messageId: 7 } as const
  if (version === 4) return mqttPacket.generate(publish)
  const userProperties = { property0: 'value', property1: 'value', property2: 'value' }
  return mqttPacket.generate({ ...publish, properties: { userProperties } }, { protocolVersion: 5 })
}

/** Packets arrive in chunks, so that is what is decoded; the cost is shown per packet. */
function perPacket(name: string, decodeChunk: () => number): MicroResult {
  const { nanosecondsPerOperation } = measure(name, decodeChunk)
  return { name, nanosecondsPerOperation: nanosecondsPerOperation / packetsPerChunk }
}

function reference(version: 4 | 5, name: string): MicroResult {
  const chunk = Buffer.concat(Array.from({ length: packetsPerChunk }, () => packet(version)))
  const parser = mqttPacket.parser({ protocolVersion: version })
  let payloadBytes = 0
  parser.on('packet', decoded => (payloadBytes += decoded.length ?? 0))
  return perPacket(name, () => {
    parser.parse(chunk)
    return payloadBytes
  })
}

function ours(version: ProtocolVersion & (4 | 5), name: string): MicroResult {
  const chunk = Buffer.concat(Array.from({ length: packetsPerChunk }, () => packet(version)))
  const frame = new Frame()
  const view = new PublishView()
  return perPacket(name, () => {
    let payloadBytes = 0
    for (let at = 0; at < chunk.length; ) {
      at = readFrame(chunk, at, chunk.length, packetBytesMax, frame)
      if (viewPublish(chunk, frame, version, view) !== 0) throw new Error('the benchmark sends a malformed packet')
      payloadBytes += view.payloadEnd - view.payloadStart
    }
    return payloadBytes
  })
}

const out = Buffer.alloc(4096)
const publish = { cmd: 'publish', topic: topic.toString(), payload, qos: 1, retain: false, dup: false, messageId: 7 } as const

console.log(formatMicro([reference(4, 'decode, mqtt-packet'), ours(4, 'decode: readFrame, viewPublish')]))
console.log()
console.log(
  formatMicro([reference(5, 'decode v5 with 3 user properties, mqtt-packet'), ours(5, 'the same: readFrame, viewPublish')])
)
console.log()
console.log(
  formatMicro([
    measure('encode, mqtt-packet', () => mqttPacket.generate(publish).length),
    measure('encode: publishLength, writePublish', () => {
      const length = publishLength(topic.length, 1, 4, 0, payload.length)
      return length + writePublish(out, 0, 0x32, topic, 7, 4, empty, empty, payload, 0, payload.length)
    })
  ])
)
