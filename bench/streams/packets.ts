/** The few packets that the readers and publishers of these benchmarks send. */

export function encodeConnect(clientId: string, version: 4 | 5, clean: boolean): Buffer {
  // A session of MQTT 5 that is to be found again needs an expiry: property 0x11, an hour.
  const properties = version === 4 ? [] : clean ? [0] : [5, 0x11, 0, 0, 0x0e, 0x10]
  return packet(0x10, [...string('MQTT'), version, clean ? 2 : 0, 0, 0, ...properties, ...string(clientId)])
}

export function encodeSubscribe(filter: string, qos: number, version: 4 | 5): Buffer {
  return packet(0x82, [0, 1, ...(version === 5 ? [0] : []), ...string(filter), qos])
}

/** One QoS 1 PUBLISH for MQTT 3.1.1; where its packet id and payload begin. */
export function encodePublish(topic: string, payloadBytes: number): { bytes: Buffer; idAt: number; payloadAt: number } {
  const head = [...string(topic), 0, 0]
  const bytes = packet(0x32, [...head, ...Buffer.alloc(payloadBytes, 'telemetry ')])
  const payloadAt = bytes.length - payloadBytes
  return { bytes, idAt: payloadAt - 2, payloadAt }
}

function packet(firstByte: number, body: number[]): Buffer {
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.from([firstByte, ...length, ...body])
}

function string(text: string): number[] {
  return [text.length >> 8, text.length & 0xff, ...Buffer.from(text)]
}
