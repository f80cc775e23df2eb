import type { AccessConfig, ListenerConfig } from './config.ts'

/** Whether clients without credentials are let in on this listener: both the access settings and the listener must say so. */
export function anonymousAllowed(
  listener: Pick<ListenerConfig, 'host' | 'anonymous'>,
  access: Pick<AccessConfig, 'anonymous'>
): boolean {
  if (!access.anonymous || listener.anonymous === 'deny') return false
  return listener.anonymous === 'allow-from-anywhere' || isLoopback(listener.host)
}

/** True for addresses that only this machine can reach. Host names other than `localhost` could be anything, so they are not. */
export function isLoopback(host: string): boolean {
  const address = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  if (address === 'localhost' || address === '::1' || address === '0:0:0:0:0:0:0:1') return true
  return /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address)
}
