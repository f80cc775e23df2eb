import type { EnhancedStep } from './contract.ts'

/** Authentication Data is a binary field of MQTT: two bytes of length. */
const dataBytesMax = 0xffff
const identityWays: readonly unknown[] = ['anonymous', 'password', 'certificate', 'hook', undefined]
const refusals: readonly unknown[] = ['bad-credentials', 'not-authorized', 'banned']

/**
 * An answer of code that may be JavaScript, as the contract has it: nobody is let in by a slip of the pen.
 * @throws TypeError that names what is wrong.
 */
export function checkedStep(answer: unknown): EnhancedStep {
  if (typeof answer !== 'object' || answer === null) throw wrong('is no object')
  const step = answer as Partial<Record<string, unknown>>
  switch (step.type) {
    case 'continue':
      checkData(step.data)
      break
    case 'granted':
      checkData(step.data)
      checkIdentity(step.identity)
      break
    case 'refused':
      if (!refusals.includes(step.reason)) throw wrong('has a reason that is none of bad-credentials, not-authorized, banned')
      if (typeof step.message !== 'string') throw wrong('has no message')
      break
    case 'unavailable':
      break
    default:
      throw wrong('has a type that is none of continue, granted, refused, unavailable')
  }
  return answer as EnhancedStep
}

function checkData(data: unknown): void {
  if (data === undefined) return
  if (!(data instanceof Uint8Array)) throw wrong('has data that are no bytes')
  if (data.length > dataBytesMax) throw wrong(`has more than ${dataBytesMax} bytes of data`)
}

function checkIdentity(identity: unknown): void {
  if (typeof identity !== 'object' || identity === null) throw wrong('grants without an identity')
  const { username, roles, by } = identity as Partial<Record<string, unknown>>
  if (username !== undefined && typeof username !== 'string') throw wrong('has a username that is no text')
  const sound = roles === undefined || (Array.isArray(roles) && roles.every(role => typeof role === 'string'))
  if (!sound) throw wrong('has roles that are no list of names')
  if (!identityWays.includes(by)) throw wrong('has an identity by unknown means')
}

function wrong(what: string): TypeError {
  return new TypeError(`an answer of enhanced authentication ${what}`)
}
