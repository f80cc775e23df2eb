import { z } from 'zod'

const count = z.number().int().nonnegative()
const counters = z.strictObject({ sent: count, acked: count, refused: count, received: count })
const quantiles = z.strictObject({ count, p50: z.number(), p99: z.number(), p999: z.number(), max: z.number() }).nullable()

const resultSchema = z.strictObject({
  connections: z.strictObject({
    wanted: count,
    open: count,
    failed: count,
    lost: count,
    seconds: z.number(),
    brokerCpuSeconds: z.number()
  }),
  seconds: z.number(),
  measured: counters,
  total: counters,
  expected: count,
  outOfOrder: count,
  unexpectedAcks: count,
  strangers: count,
  brokerCpuSeconds: z.number(),
  loadCpuSeconds: z.number(),
  residentKib: z.strictObject({ before: count, connected: count, after: count }),
  ackMicroseconds: quantiles,
  endToEndMicroseconds: quantiles,
  connectMicroseconds: quantiles,
  drain: z.strictObject({ seconds: z.number(), complete: z.boolean() }),
  firstFailure: z.string()
})

/** What one run of the load generator (load.c) printed. `measured` counts the measured seconds, `total` warm-up and drain too. */
export type LoadResult = z.infer<typeof resultSchema>

/** Reads the generator's JSON. Throws when it is not JSON or not what load.c of this version prints. */
export function parseLoadResult(text: string): LoadResult {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new Error(`the load generator did not print JSON: ${text.slice(0, 200) || '(nothing)'}`, { cause })
  }
  const parsed = resultSchema.safeParse(json)
  if (!parsed.success) throw new Error(`the load generator printed something else: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** Everything that went wrong in a run, in words; empty when the figures may be believed. `isAcknowledged` is false at QoS 0. */
export function failuresOf(result: LoadResult, drainSecondsMax: number, isAcknowledged = true): string[] {
  const { connections, total, expected, drain } = result
  const failures: string[] = []
  const unopened = connections.wanted - connections.open
  if (unopened > 0) failures.push(`${unopened} of ${connections.wanted} connections not opened${because(result)}`)
  if (connections.lost > 0) failures.push(`${connections.lost} of ${connections.wanted} connections lost${because(result)}`)
  if (total.refused > 0) failures.push(`${total.refused} messages refused`)
  // A broker still at work when the time is up is behind; one that has fallen silent has lost what is missing.
  const fate = !drain.complete && drain.seconds >= drainSecondsMax ? `not yet delivered after ${drainSecondsMax} s` : 'lost'
  if (total.received < expected) failures.push(`${expected - total.received} of ${expected} deliveries ${fate}`)
  if (total.received > expected && expected > 0) failures.push(`${total.received - expected} deliveries too many`)
  const unacknowledged = total.sent - total.acked - total.refused
  if (isAcknowledged && unacknowledged > 0) failures.push(`${unacknowledged} of ${total.sent} messages never acknowledged`)
  if (result.outOfOrder > 0) failures.push(`${result.outOfOrder} deliveries repeated or out of order`)
  if (result.unexpectedAcks > 0) failures.push(`${result.unexpectedAcks} acknowledgements of nothing in flight`)
  if (result.strangers > 0) failures.push(`${result.strangers} deliveries nobody sent`)
  return failures
}

function because(result: LoadResult): string {
  return result.firstFailure ? ` (first: ${result.firstFailure})` : ''
}
