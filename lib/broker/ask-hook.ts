import { countUp } from '../metrics/counters.ts'
import { reasonCode } from '../mqtt/reason-code.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'

/**
 * Every call of a user's hook goes through here. A hook that throws, or that is an async function and rejects, is a fault of the
 * program around the broker: it is logged and counted, and it ends the connection it was asked about, never the broker.
 */

export type HookName =
  | 'preConnect'
  | 'authenticate'
  | 'authorizePublish'
  | 'authorizeSubscribe'
  | 'authorizeForward'
  | 'published'

/** A hook threw or rejected; `cause` is what with. The message goes to the client and tells nothing of the program. */
export class HookError extends Error {
  constructor(hook: HookName, cause: unknown) {
    super(`the ${hook} hook failed`, { cause })
    this.name = 'HookError'
  }
}

type Answer<T> = (error?: Error | null, value?: T) => void

/**
 * Calls a hook that answers through a callback. `answer` gets what it answers first, after the hook returned, or a HookError. True
 * when that happened within the call.
 */
export function askHook<T>(
  broker: Broker,
  hook: HookName,
  connection: Connection | null,
  call: (done: Answer<T>) => unknown,
  answer: Answer<T>
): boolean {
  let returned = false
  let answered = false
  let error: Error | null | undefined
  let value: T | undefined
  const done: Answer<T> = (newError, newValue) => {
    if (answered) return
    answered = true
    if (returned) return answer(newError, newValue)
    error = newError
    value = newValue
  }
  const result = guarded(broker, hook, connection, () => call(done), done)
  returned = true
  watchPromise(broker, hook, connection, result, done)
  if (answered) answer(error, value)
  return answered
}

/** Calls a hook that answers with what it returns. Throws a HookError, also for a promise: nobody could wait for it. */
export function callHook<T>(broker: Broker, hook: HookName, connection: Connection | null, call: () => T): T {
  let failure: Error | undefined
  const fail = (error: Error): void => {
    failure ??= error
  }
  const result = guarded(broker, hook, connection, call, fail)
  if (isPromise(result)) {
    watchPromise(broker, hook, connection, result, noop)
    fail(failed(broker, hook, connection, new TypeError(`${hook} must answer at once, not with a promise`)))
  }
  if (failure !== undefined) throw failure
  return result as T
}

/** Ends a connection because a hook could not be asked about it: 0x83, to 3.x clients return code 3 or nothing. */
export function endAfterHookError(connection: Connection, error: HookError): void {
  const code = reasonCode.implementationSpecificError
  if (connection.connected) connection.disconnect(code, error, 'hook-failed')
  else connection.refuse(code, 3, error)
}

function guarded<T>(
  broker: Broker,
  hook: HookName,
  connection: Connection | null,
  call: () => T,
  fail: (error: Error) => void
): T | undefined {
  try {
    return call()
  } catch (cause) {
    fail(failed(broker, hook, connection, cause))
    return undefined
  }
}

function watchPromise(
  broker: Broker,
  hook: HookName,
  connection: Connection | null,
  result: unknown,
  fail: (error: Error) => void
): void {
  if (isPromise(result)) result.then(undefined, (cause: unknown) => fail(failed(broker, hook, connection, cause)))
}

function isPromise(result: unknown): result is PromiseLike<unknown> {
  return typeof result === 'object' && result !== null && typeof (result as { then?: unknown }).then === 'function'
}

function failed(broker: Broker, hook: HookName, connection: Connection | null, cause: unknown): HookError {
  countUp(broker.counters.hookFailures, hook)
  broker.logger?.error({ err: cause, hook, clientId: connection?.id }, 'a hook threw or rejected')
  return new HookError(hook, cause)
}

function noop(): void {}
