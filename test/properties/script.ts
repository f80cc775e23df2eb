import fc from 'fast-check'
import type { WillPlan } from './model-client.ts'
import { sharePrefix } from './model-groups.ts'
import { ModelWorld } from './model-world.ts'

/**
 * Scripts: what happens in one run of the model, as plain data that fast-check makes, shrinks and prints. A step that makes no
 * sense at its time, such as a publish of a client that is not connected, does nothing, so that every part of a script is a script.
 */

interface FilterRequest {
  filter: string
  qos: 0 | 1 | 2
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
}

export type Step =
  | { do: 'connect'; who: number; clean: boolean; expirySeconds: number; receiveMaximum: number; will: WillPlan | undefined }
  | { do: 'cut'; who: number }
  | { do: 'disconnect'; who: number; withWill: boolean; expirySeconds: number | undefined }
  | { do: 'subscribe'; who: number; requests: FilterRequest[]; subscriptionId: number }
  | { do: 'unsubscribe'; who: number; filter: string }
  | { do: 'publish'; who: number; messages: { topic: string; qos: 0 | 1 | 2; retain: boolean; expirySeconds: number }[] }
  | { do: 'clear'; who: number; topic: string }
  | { do: 'answer'; who: number; count: number; shuffle: number }
  | { do: 'release'; who: number; atOnce: boolean }
  | { do: 'time'; seconds: number }
  | { do: 'turns'; count: number }
  | { do: 'settle' }
  | { do: 'restart' }
  | { do: 'crash' }

export interface Script {
  versions: (3 | 4 | 5)[]
  commitTurns: number
  steps: Step[]
}

const topic = fc.constantFrom('t/a', 't/b', 't', 'u/a', 't/')
const ownFilters = ['t/#', 't/+', 't/a', '#', '+/a', 'u/a', 't']
const sharedFilters = ['$share/g/t/#', '$share/g/t/#', '$share/g/t/#', '$share/h/u/a', 't/a']
const qos = fc.constantFrom(0, 1, 2)
/** Mostly not zero: that is where the work is. */
const highQos = fc.constantFrom(0, 1, 1, 2, 2)
const who = fc.nat(3)

const will = fc.record({ topic, qos, retain: fc.boolean(), delaySeconds: fc.constantFrom(0, 0, 10, 200) })
const message = fc.record({
  topic,
  qos: highQos,
  retain: fc.constantFrom(false, false, false, true),
  expirySeconds: fc.constantFrom(0, 0, 0, 15)
})

const connect = fc.record({
  do: fc.constant('connect'),
  who,
  clean: fc.constantFrom(false, false, false, true),
  expirySeconds: fc.constantFrom(100, 100, 100, 0, 20),
  receiveMaximum: fc.constantFrom(1, 2, 3, 20),
  will: fc.option(will, { nil: undefined, freq: 3 })
})
const publish = fc.record({
  do: fc.constant('publish'),
  who,
  messages: fc.array(message, { minLength: 1, maxLength: 5 })
})

const disconnect = fc.record({
  do: fc.constant('disconnect'),
  who,
  withWill: fc.boolean(),
  expirySeconds: fc.constantFrom(undefined, undefined, 0, 30)
})

const answer = fc.record({
  do: fc.constant('answer'),
  who,
  count: fc.integer({ min: 1, max: 6 }),
  shuffle: fc.constantFrom(0, 0, 1, 7)
})

interface ScriptOptions {
  stepsMax: number
  /** How often the broker is restarted, or crashes, among the other steps. */
  restarts?: number
  crashes?: number
  /** Most subscriptions are shared ones. */
  shared?: boolean
}

export function scripts({ stepsMax, restarts = 0, crashes = 0, shared = false }: ScriptOptions): fc.Arbitrary<Script> {
  const filter = fc.constantFrom(...(shared ? sharedFilters : ownFilters))
  const request = fc.record({
    filter,
    qos: highQos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom(0, 0, 1, 2)
  })
  const subscribe = fc.record({
    do: fc.constant('subscribe'),
    who,
    requests: fc.uniqueArray(request, { minLength: 1, maxLength: shared ? 1 : 2, selector: ({ filter }) => filter }),
    subscriptionId: fc.nat(3)
  })
  const weighted: [number, fc.Arbitrary<object>][] = [
    [5, connect],
    [4, subscribe],
    [10, publish],
    [2, fc.record({ do: fc.constant('cut'), who })],
    [1, disconnect],
    [1, fc.record({ do: fc.constant('unsubscribe'), who, filter })],
    // Empty payloads cannot be told apart; who of a group has which must be known.
    [shared ? 0 : 1, fc.record({ do: fc.constant('clear'), who, topic })],
    [8, answer],
    [2, fc.record({ do: fc.constant('release'), who, atOnce: fc.boolean() })],
    [2, fc.record({ do: fc.constant('time'), seconds: fc.constantFrom(5, 12, 25, 120) })],
    [5, fc.record({ do: fc.constant('turns'), count: fc.integer({ min: 1, max: 6 }) })],
    [1, fc.constant({ do: 'settle' })],
    [restarts, fc.constant({ do: 'restart' })],
    [crashes, fc.constant({ do: 'crash' })]
  ]
  const possible = weighted.filter(([weight]) => weight > 0).map(([weight, arbitrary]) => ({ weight, arbitrary }))
  return fc.record({
    versions: fc.constantFrom<(3 | 4 | 5)[]>([5, 4, 5, 3], [4, 4, 5, 5], [5, 5, 5, 5]),
    commitTurns: fc.constantFrom(0, 1, 4, 12),
    // Everybody begins connected and with a subscription; shrinking removes what is not needed.
    steps: fc
      .tuple(
        fc.array(connect, { maxLength: 4 }),
        fc.array(subscribe, { maxLength: 4 }),
        fc.array(fc.oneof(...possible), { maxLength: stepsMax, size: 'max' })
      )
      .map(([first, second, rest]) => [...spread(first), ...spread(second), ...rest] as Step[])
  })
}

function spread(steps: object[]): object[] {
  return steps.map((step, who) => ({ ...step, who }))
}

/** Runs a script against a broker of its own; throws what the model complains about, with the last packets. */
export async function runScript({ versions, commitTurns, steps }: Script): Promise<void> {
  const world = new ModelWorld(versions, { maxInflight: 4, receiveMaximum: 5 }, commitTurns)
  await world.start()
  try {
    for (const [index, step] of steps.entries()) {
      world.note(`${index} ${JSON.stringify(step)}`)
      await take(world, step)
      if (world.complaints.length > 0) break
    }
    if (world.complaints.length === 0) {
      world.note('finish')
      await world.finish()
    }
  } finally {
    await world.stop()
  }
  if (world.complaints.length > 0) throw new Error(`${world.complaints.join('\n')}\n\nWhat happened:\n${world.trace}\n`)
}

async function take(world: ModelWorld, step: Step): Promise<void> {
  if (step.do === 'time') return world.passTime(step.seconds)
  if (step.do === 'settle') return world.settle()
  if (step.do === 'restart') return world.restart()
  if (step.do === 'crash') return world.crash()
  if (step.do === 'turns') {
    for (let i = 0; i < step.count; i++) await new Promise(resolve => setImmediate(resolve))
    return
  }
  const client = world.clients[step.who % world.clients.length]!
  if (step.do === 'connect') return world.connect(client, step)
  const { session, version } = client
  if (!client.connected || session === undefined) return
  switch (step.do) {
    case 'cut':
      return world.leave(client, undefined, true)
    case 'disconnect': {
      const packet: Record<string, unknown> = { cmd: 'disconnect' }
      const expirySeconds = version === 5 && session.expirySeconds > 0 ? step.expirySeconds : undefined
      if (version === 5) packet.reasonCode = step.withWill ? 4 : 0
      if (expirySeconds !== undefined) packet.properties = { sessionExpiryInterval: expirySeconds }
      // What a DISCONNECT does is not acknowledged: only at rest it is known.
      await world.settle()
      await world.leave(client, packet, version === 5 && step.withWill, expirySeconds)
      return world.settle()
    }
    case 'subscribe': {
      await world.settle()
      const v5 = version === 5
      // A number of its own tells shared deliveries from the others.
      const subscriptionId = step.requests.some(({ filter }) => filter.startsWith(sharePrefix)) ? 9 : step.subscriptionId
      const properties = v5 && subscriptionId > 0 ? { properties: { subscriptionIdentifier: subscriptionId } } : {}
      const subscriptions = step.requests.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) =>
        v5
          ? { topic: filter, qos, nl: noLocal && !filter.startsWith(sharePrefix), rap: retainAsPublished, rh: retainHandling }
          : { topic: filter, qos }
      )
      for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of step.requests) {
        const options = v5
          ? { noLocal, retainAsPublished, subscriptionId }
          : { noLocal: false, retainAsPublished: false, subscriptionId: 0 }
        const isShared = filter.startsWith(sharePrefix)
        // Not allowed there [MQTT-3.8.3-4].
        if (isShared) options.noLocal = false
        world.subscribing(session, { filter, qos, ...options }, v5 ? retainHandling : 0)
      }
      const answer = await client.ask({ cmd: 'subscribe', messageId: 500, subscriptions, ...properties })
      const granted = step.requests.map(({ qos }) => qos).join()
      if (String(answer.granted) !== granted) world.complain(`SUBACK says ${answer.granted}, not ${granted}`)
      return world.settle()
    }
    case 'unsubscribe': {
      await world.settle()
      const existed = world.unsubscribing(session, step.filter)
      const answer = await client.ask({ cmd: 'unsubscribe', messageId: 501, unsubscriptions: [step.filter] })
      const code = existed ? 0 : 0x11
      if (version === 5 && String(answer.granted) !== String(code)) world.complain(`UNSUBACK says ${answer.granted}, not ${code}`)
      return world.settle()
    }
    case 'publish':
      for (const message of step.messages) world.publish(client, message)
      return
    case 'clear':
      await world.settle()
      world.publish(client, { topic: step.topic, qos: 1, retain: true, expirySeconds: 0 }, '')
      return world.settle()
    case 'answer': {
      let state = step.shuffle
      const pick = (length: number): number => (step.shuffle === 0 ? 0 : (state = (state * 31 + 17) % 1009) % length)
      world.busy()
      return client.answer(step.count, pick)
    }
    case 'release':
      client.releasesAtOnce = step.atOnce
      world.busy()
      return client.releaseAll()
    default:
      step satisfies never
  }
}

/** Runs and seed come from the environment for long hunts; by default every run of the suite does the same. */
export async function assertScripts(script: fc.Arbitrary<Script>, runs: number): Promise<void> {
  await fc.assert(fc.asyncProperty(script, runScript), {
    numRuns: Number(process.env.RUNS ?? runs),
    seed: Number(process.env.SEED ?? 20240607),
    interruptAfterTimeLimit: Number(process.env.HUNT_MS ?? 600_000),
    ...(process.env.SHRINK === '0' ? { endOnFailure: true } : {})
  })
}
