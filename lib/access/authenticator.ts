import type { AccessConfig } from '../config/config.ts'
import type { AuthenticationVerdict, Authenticator, Credentials, Identity, PeerIdentity } from './contract.ts'
import type { PasswordCheck, PasswordVerdict } from './password-check.ts'

type Settings = Pick<AccessConfig, 'anonymous' | 'certificateIdentity'>

/** Role of everybody whose identity is a client certificate. */
export const CERTIFICATE_ROLE = 'certificate'

const noPassword = new Uint8Array(0)

/**
 * Who comes in, and as whom:
 * 1. a username or password, where there is a password file, is checked against it and nothing else helps if it is wrong;
 * 2. else a verified client certificate names the user;
 * 3. else the client is anonymous, if both the settings and the listener allow that.
 * A username without a password file to check it against is never believed.
 */
export class BuiltInAuthenticator implements Authenticator {
  readonly #settings: Settings
  readonly #passwords: PasswordCheck | undefined

  constructor(settings: Settings, passwords: PasswordCheck | undefined) {
    this.#settings = settings
    this.#passwords = passwords
  }

  authenticate(credentials: Credentials): AuthenticationVerdict | Promise<AuthenticationVerdict> {
    const { username, password, peer } = credentials
    const certified = peer?.certificate && this.#certifiedName(peer.certificate)
    // Many clients can send a username only: one that says what the certificate says adds nothing to check.
    const repeatsCertificate = username !== undefined && password === undefined && username === certified
    const offersPassword = (username !== undefined || password !== undefined) && !repeatsCertificate
    if (this.#passwords !== undefined && offersPassword) return this.#byPassword(credentials, this.#passwords)
    if (certified !== undefined) return byCertificate(credentials, certified)
    return this.#anonymously(credentials)
  }

  #byPassword(
    { clientId, username, password }: Credentials,
    passwords: PasswordCheck
  ): AuthenticationVerdict | Promise<AuthenticationVerdict> {
    const conclude = (verdict: PasswordVerdict): AuthenticationVerdict => {
      if (verdict === 'overloaded') return { type: 'unavailable', cause: new Error('too many password checks are waiting') }
      if (verdict === 'wrong' || password === undefined) return refused('username or password is wrong')
      return granted({ clientId, username: verdict.username, roles: verdict.roles, by: 'password' })
    }
    // Without username or password the check is made all the same, so that the time to a refusal tells nothing.
    const verdict = passwords.check(username ?? '', password ?? noPassword)
    if (!(verdict instanceof Promise)) return conclude(verdict)
    return verdict.then(conclude, cause => ({ type: 'unavailable', cause }))
  }

  #certifiedName(certificate: NonNullable<PeerIdentity['certificate']>): string {
    return this.#settings.certificateIdentity === 'fingerprint' ? certificate.fingerprint256 : certificate.commonName
  }

  #anonymously({ clientId, peer }: Credentials): AuthenticationVerdict {
    if (!this.#settings.anonymous || peer?.anonymousAllowed !== true) {
      return { type: 'refused', reason: 'not-authorized', message: 'clients without credentials are not let in here' }
    }
    return granted({ clientId, username: undefined, roles: [], by: 'anonymous' })
  }
}

function byCertificate({ clientId, username }: Credentials, name: string): AuthenticationVerdict {
  if (name === '') return { type: 'refused', reason: 'not-authorized', message: 'the client certificate has no common name' }
  if (username !== undefined && username !== name) {
    return { type: 'refused', reason: 'not-authorized', message: 'the username is not the one of the client certificate' }
  }
  return granted({ clientId, username: name, roles: [CERTIFICATE_ROLE], by: 'certificate' })
}

function granted(identity: Identity): AuthenticationVerdict {
  return { type: 'granted', identity }
}

function refused(message: string): AuthenticationVerdict {
  return { type: 'refused', reason: 'bad-credentials', message }
}
