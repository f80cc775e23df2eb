import { isUtf8 } from 'node:buffer'
import type { Properties } from '../mqtt/packet.ts'
import { decodeMessageProperties } from '../mqtt/properties.ts'
import type { StreamRecord } from '../stream/contract.ts'

/** A stream record as JSON: one line of `/streams/:name/records` and of `tributary stream read --format json`. */
export interface RecordJson {
  offset: number
  partition: number
  /** ISO 8601, UTC, milliseconds. */
  timestamp: string
  topic: string
  clientId: string
  qos: number
  retain: boolean
  /** ISO 8601; absent when the message does not expire. */
  expiresAt?: string
  /** MQTT 5 properties; binary ones in base64. Absent when there are none. */
  properties?: PropertiesJson
  /** Text, or base64 when `encoding` says so. */
  payload: string
  /** Absent when the payload is UTF-8. */
  encoding?: 'base64'
}

export type PropertiesJson = Omit<Properties, 'correlationData' | 'authenticationData'> & {
  correlationData?: string
  authenticationData?: string
}

export function recordJson(record: StreamRecord): RecordJson {
  const { payload } = record
  const isText = isUtf8(payload)
  const json: RecordJson = {
    offset: record.offset,
    partition: record.partition,
    timestamp: new Date(record.timestampMs).toISOString(),
    topic: record.topic,
    clientId: record.clientId,
    qos: record.qos,
    retain: record.retain,
    payload: payload.toString(isText ? 'utf8' : 'base64')
  }
  if (!isText) json.encoding = 'base64'
  if (record.expiresAtMs !== 0) json.expiresAt = new Date(record.expiresAtMs).toISOString()
  if (record.properties.length > 0) json.properties = propertiesJson(decodeMessageProperties(record.properties))
  return json
}

export function propertiesJson(properties: Properties): PropertiesJson {
  const { correlationData, authenticationData, ...plain } = properties
  const json: PropertiesJson = plain
  if (correlationData !== undefined) json.correlationData = correlationData.toString('base64')
  if (authenticationData !== undefined) json.authenticationData = authenticationData.toString('base64')
  return json
}

/** MQTT 5 properties as the text of a JSON object. */
export function propertiesText(properties: Buffer): string {
  return JSON.stringify(propertiesJson(decodeMessageProperties(properties)))
}
