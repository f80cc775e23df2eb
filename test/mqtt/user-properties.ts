import type { UserProperties } from '../../lib/mqtt/packet.ts'

/** User properties in the shape `mqtt-packet` and `mqtt` use: a name that repeats has a list of values. */
export type UserPropertyObject = Record<string, string | string[]>

/** The order between different names is lost. The object has no prototype, so a property named `__proto__` is one like any other. */
export function toUserPropertyObject(properties: UserProperties): UserPropertyObject {
  const object: UserPropertyObject = Object.create(null)
  for (const [name, value] of properties) {
    const known = object[name]
    if (known === undefined) object[name] = value
    else if (typeof known === 'string') object[name] = [known, value]
    else known.push(value)
  }
  return object
}
