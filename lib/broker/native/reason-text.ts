import type { Properties } from '../../mqtt/packet.ts'
import { reasonCode } from '../../mqtt/reason-code.ts'

/** What the first failure among the codes of a SUBACK or UNSUBACK means, for the Reason String. Empty when nothing failed. */
export function failureProperties(codes: readonly number[]): Properties {
  const index = codes.findIndex(code => code >= 0x80)
  const text = index < 0 ? undefined : texts.get(codes[index]!)
  return text === undefined ? {} : { reasonString: codes.length === 1 ? text : `topic filter ${index + 1}: ${text}` }
}

const texts: ReadonlyMap<number, string> = new Map([
  [reasonCode.notAuthorized, 'not authorized to subscribe'],
  [reasonCode.topicFilterInvalid, 'not a topic filter, or one with too many levels'],
  [reasonCode.quotaExceeded, 'the session has as many subscriptions as it may have'],
  [reasonCode.sharedSubscriptionsNotSupported, 'shared subscriptions are not supported'],
  [reasonCode.wildcardSubscriptionsNotSupported, 'wildcard subscriptions are not supported']
])
