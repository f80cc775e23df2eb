import { topicMatches } from '../topic/filter.ts'

/** Whose records are wanted; everything absent = everybody's. */
export interface Selection {
  filter?: string | undefined
  partition?: number | undefined
  /** Client id, or topic in a stream whose key is the topic; the stream's own key field where it is known, else either. */
  key?: string | undefined
  keyField?: 'clientId' | 'topic' | undefined
}

/** What a record, and the batch's table of who sent what, says of the sender. */
interface Sender {
  topic: string
  clientId: string
  partition: number
}

/** True for senders whose records are wanted; undefined when all are. */
export function senderTest({ filter, partition, key, keyField }: Selection): ((sender: Sender) => boolean) | undefined {
  if (filter === undefined && partition === undefined && key === undefined) return undefined
  return sender =>
    (partition === undefined || sender.partition === partition) &&
    (key === undefined || keyOf(sender, keyField, key) === key) &&
    (filter === undefined || topicMatches(filter, sender.topic))
}

function keyOf({ topic, clientId }: Sender, field: 'clientId' | 'topic' | undefined, wanted: string): string {
  // Files do not say which of the two is the key. A client id that is also a topic is nobody's idea of a key.
  if (field === undefined) return topic === wanted ? topic : clientId
  return field === 'topic' ? topic : clientId
}
