import { variableByteLength, writeVariableByte } from './encode-publish.ts'
import type { Properties, UserProperties } from './packet.ts'
import { PacketError } from './packet-error.ts'
import { type PropertyOwner, type PropertyRule, propertyOwner, propertyRule, propertyRules } from './property-table.ts'
import { Reader } from './reader.ts'
import { reasonCode } from './reason-code.ts'

/** Property Length and properties at the reader's position, for `owner`. Throws PacketError. */
export function readProperties(reader: Reader, owner: PropertyOwner): Properties {
  const length = reader.variableByte('Property Length')
  if (length === 0) return {}
  const packetEnd = reader.end
  if (length > packetEnd - reader.at) reader.malformed('Property Length is longer than the packet')
  // Nothing inside may reach beyond the Property Length.
  reader.end = reader.at + length
  const properties = readAll(reader, owner)
  reader.end = packetEnd
  return properties
}

/** The properties of Message.properties, section 3.3.2.3. Throws PacketError when the buffer does not decode. */
export function decodeMessageProperties(bytes: Buffer): Properties {
  return readAll(new Reader(bytes, 0, bytes.length), propertyOwner.publish)
}

/**
 * What of `properties` travels with a message, encoded as Message.properties is: Payload Format Indicator, Content Type,
 * Response Topic, Correlation Data, User Properties. Everything else is left out.
 */
export function encodeMessageProperties(properties: Properties): Buffer {
  return encode(properties, propertyOwner.message, false)
}

/**
 * Properties as they stand in a packet, Property Length excluded. Throws PacketError for one that `owner` may not carry and for
 * a string that cannot be sent, because a peer would have to drop the connection over either.
 */
export function encodeProperties(properties: Properties, owner: PropertyOwner): Buffer {
  return encode(properties, owner, true)
}

function readAll(reader: Reader, owner: PropertyOwner): Properties {
  const properties: Properties = {}
  while (!reader.atEnd) {
    const id = reader.byte('property identifier')
    const rule = propertyRule(id)
    // "A Control Packet which contains an Identifier which is not valid for its packet type ... is a Malformed Packet", 2.2.2.2.
    if (rule === undefined || (rule.owners & owner) === 0) {
      reader.malformed(`property 0x${id.toString(16)} is not allowed here (section 2.2.2.2)`)
    }
    readInto(properties, rule, reader, owner)
  }
  return properties
}

function readInto(properties: Properties, rule: PropertyRule, reader: Reader, owner: PropertyOwner): void {
  const { name } = rule
  const known = properties[name]
  if (known !== undefined && (rule.repeats & owner) === 0) reader.fail(reasonCode.protocolError, `${name} comes twice`)
  const value = readValue(rule, reader)
  if (value === 0 && rule.zero !== undefined) reader.fail(rule.zero, `${name} is 0`)
  // The table says which type belongs to which name; the compiler cannot follow it there.
  const target = properties as Record<string, unknown>
  if (rule.type === 'pair' || rule.type === 'variableByte') {
    if (known === undefined) target[name] = [value]
    else (known as unknown[]).push(value)
  } else {
    target[name] = value
  }
}

function readValue(rule: PropertyRule, reader: Reader): unknown {
  const { name } = rule
  switch (rule.type) {
    case 'flag':
    case 'bit': {
      const value = reader.byte(name)
      // Sections 3.1.2.11.6, 3.1.2.11.7, 3.2.2.3.4: "a value other than 0 or 1" is a Protocol Error.
      if (value > 1) reader.fail(reasonCode.protocolError, `${name} is ${value}, not 0 or 1`)
      return rule.type === 'flag' ? value === 1 : value
    }
    case 'twoByte':
      return reader.twoByte(name)
    case 'fourByte':
      return reader.fourByte(name)
    case 'variableByte':
      return reader.variableByte(name)
    case 'string':
      return reader.string(name)
    case 'binary':
      return reader.binary(name)
    case 'pair':
      return [reader.string(name), reader.string(name)] // [MQTT-1.5.7-1]
  }
}

const empty = Buffer.alloc(0)

function encode(properties: Properties, owner: PropertyOwner, strict: boolean): Buffer {
  const parts: Buffer[] = []
  for (const rule of propertyRules) {
    const value = properties[rule.name]
    if (value === undefined) continue
    if ((rule.owners & owner) !== 0) encodeProperty(rule, value, parts)
    else if (strict) throw new PacketError(reasonCode.protocolError, `${rule.name} is not allowed here (section 2.2.2.2)`)
  }
  return parts.length === 0 ? empty : Buffer.concat(parts)
}

function encodeProperty(rule: PropertyRule, value: NonNullable<Properties[keyof Properties]>, parts: Buffer[]): void {
  switch (rule.type) {
    case 'flag':
    case 'bit':
      parts.push(Buffer.from([rule.id, Number(value)]))
      return
    case 'twoByte': {
      const part = Buffer.from([rule.id, 0, 0])
      part.writeUInt16BE(value as number, 1)
      parts.push(part)
      return
    }
    case 'fourByte': {
      const part = Buffer.from([rule.id, 0, 0, 0, 0])
      part.writeUInt32BE(value as number, 1)
      parts.push(part)
      return
    }
    case 'variableByte':
      for (const number of value as number[]) {
        const part = Buffer.alloc(1 + variableByteLength(number), rule.id)
        writeVariableByte(part, 1, number)
        parts.push(part)
      }
      return
    case 'string':
      parts.push(Buffer.from([rule.id]), field(rule, Buffer.from(value as string)))
      return
    case 'binary':
      parts.push(Buffer.from([rule.id]), field(rule, value as Buffer))
      return
    case 'pair':
      for (const [name, text] of value as UserProperties) {
        parts.push(Buffer.from([rule.id]), field(rule, Buffer.from(name)), field(rule, Buffer.from(text)))
      }
  }
}

/** Two bytes of length, then the bytes, if they can be sent: at most 65,535, and no U+0000 in strings [MQTT-1.5.4-2]. */
function field(rule: PropertyRule, bytes: Buffer): Buffer {
  if (bytes.length > 0xffff) throw new PacketError(reasonCode.malformedPacket, `${rule.name} is longer than 65535 bytes`)
  if (rule.type !== 'binary' && bytes.includes(0)) {
    throw new PacketError(reasonCode.malformedPacket, `${rule.name} contains U+0000 [MQTT-1.5.4-2]`)
  }
  const out = Buffer.allocUnsafe(2 + bytes.length)
  out.writeUInt16BE(bytes.length, 0)
  bytes.copy(out, 2)
  return out
}
