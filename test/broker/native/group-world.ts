import type { StreamRecord } from '../../../lib/stream/contract.ts'
import type { GroupConsumer } from '../../../lib/stream/groups/consumer.ts'
import type { ConsumerGroups, JoinOptions } from '../../../lib/stream/groups/groups.ts'
import type { TestBroker } from '../../support/native-broker.ts'
import { RawClient, type RawConnectOptions } from '../../support/raw-client.ts'

export async function connect(broker: TestBroker, clientId: string, options: RawConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(broker.port, { version: 5, clientId, ...options })).client
}

/** One device publishes numbers; its records are in one partition, in order. */
export async function publish(broker: TestBroker, device: string, first: number, last: number): Promise<void> {
  const client = await connect(broker, device)
  for (let n = first; n <= last; n++) await client.publish(`devices/${device}`, String(n), 1)
  await client.disconnect()
}

export function join(broker: TestBroker, options: Partial<JoinOptions> = {}): Promise<GroupConsumer> {
  return broker.broker.groups.join({ stream: 'telemetry', group: 'workers', from: 'earliest', ...options })
}

export function text({ topic, payload }: Pick<StreamRecord, 'topic' | 'payload'>): string {
  return `${topic.slice('devices/'.length)} ${payload}`
}

/** So many records from a consumer, not committed. */
export async function take(consumer: GroupConsumer, count: number): Promise<StreamRecord[]> {
  const records: StreamRecord[] = []
  const iterator = consumer[Symbol.asyncIterator]()
  while (records.length < count) {
    const { value, done } = await iterator.next()
    if (done) break
    records.push(value)
  }
  return records
}

export function description(groups: ConsumerGroups) {
  return groups.describe()[0]!
}
