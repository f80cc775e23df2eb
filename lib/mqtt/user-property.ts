import { propertyId } from './property-id.ts'

/**
 * User Properties in properties that are still encoded (see message.ts). What is asked for by name here is looked for in the bytes:
 * nothing else is decoded. The properties must have come through viewPublish() or encodeMessageProperties().
 */

/** The value of the first User Property of this name; undefined when there is none. */
export function userProperty(properties: Buffer, name: Buffer): string | undefined {
  for (let at = 0; at < properties.length; ) {
    const end = propertyEnd(properties, at)
    if (properties[at] === propertyId.userProperty && named(properties, at, name)) {
      return properties.toString('utf8', at + 5 + name.length, end)
    }
    at = end
  }
  return undefined
}

/** A copy with one more User Property at the end. */
export function withUserProperty(properties: Buffer, name: Buffer, value: string): Buffer {
  const valueBytes = Buffer.byteLength(value)
  const out = Buffer.allocUnsafe(properties.length + 5 + name.length + valueBytes)
  let at = properties.copy(out)
  out[at] = propertyId.userProperty
  at = out.writeUInt16BE(name.length, at + 1)
  at += name.copy(out, at)
  at = out.writeUInt16BE(valueBytes, at)
  out.write(value, at)
  return out
}

/** Where the last property begins if it is a User Property of this name; the length of all otherwise. */
export function endBeforeLast(properties: Buffer, name: Buffer): number {
  let last = properties.length
  for (let at = 0; at < properties.length; at = propertyEnd(properties, at)) last = at
  return properties[last] === propertyId.userProperty && named(properties, last, name) ? last : properties.length
}

function named(properties: Buffer, at: number, name: Buffer): boolean {
  return properties.readUInt16BE(at + 1) === name.length && name.compare(properties, at + 3, at + 3 + name.length) === 0
}

function propertyEnd(properties: Buffer, at: number): number {
  switch (properties[at]) {
    case propertyId.payloadFormatIndicator:
      return at + 2
    case propertyId.userProperty: {
      const nameEnd = at + 3 + properties.readUInt16BE(at + 1)
      return nameEnd + 2 + properties.readUInt16BE(nameEnd)
    }
    default:
      return at + 3 + properties.readUInt16BE(at + 1)
  }
}
