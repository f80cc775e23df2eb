import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import { type ReasonCode, reasonCode } from '../../mqtt/reason-code.ts'
import type { Session } from '../../session/session.ts'
import type { NativeContext } from './context.ts'
import type { PublishWay } from './on-publish.ts'
import { Publication } from './publication.ts'

/** Why a publish is not taken, and how its publisher is told. */
export interface Refusal {
  readonly code: ReasonCode
  /** What refusals are counted under; also the close reason of clients that can only be disconnected. */
  readonly counted: string
  /** What a message at QoS 0 is dropped as. */
  readonly droppedAs: string
  /** Do clients before MQTT 5 lose their connection for a message at QoS 0, too? */
  readonly closes: boolean
  readonly text: string
}

export const notAuthorized: Refusal = {
  code: reasonCode.notAuthorized,
  counted: 'not-authorized',
  droppedAs: 'publish-denied',
  closes: true,
  text: 'not authorized to publish on this topic'
}

/** Nothing is wrong with the client: at QoS 0 it loses the message and not its connection. */
export function readOnlyRefusal(why: string): Refusal {
  return {
    code: reasonCode.quotaExceeded,
    counted: 'read-only',
    droppedAs: 'read-only',
    closes: false,
    text: `the broker is read-only: ${why}`
  }
}

/**
 * A stream does not take this payload, and so nobody gets it. MQTT 3.1.1 has no way to say so but to end the connection, as for what is
 * not authorized [MQTT3-3.3.5-2]. At QoS 0 nobody waits for an answer, and other messages of the client may be good.
 */
export function schemaRefusal(text: string): Refusal {
  return { code: reasonCode.payloadFormatInvalid, counted: 'schema-invalid', droppedAs: 'schema-invalid', closes: false, text }
}

/**
 * Would taking this publish write anything that has to be on disk? Streams, a retained message, the queue of a session or a shared
 * subscription that is stored, the packet id of a QoS 2 message of such a session. Only asked while the broker is read-only.
 */
export function needsDisk(
  { routes }: NativeContext,
  publication: Publication,
  way: Pick<PublishWay, 'streams'>,
  session: Session | undefined,
  qos: Qos
): boolean {
  const { route, retain, payloadStart, payloadEnd } = publication
  if (way.streams.length > 0) return true
  // An empty one only deletes.
  if (retain && payloadEnd > payloadStart) return true
  if (qos === 2 && session?.stored) return true
  if (publication.qos === 0) return false
  if (route.generation !== routes.generation) routes.refresh(route)
  if (route.targets.some(target => target.qos > 0 && target.session.stored)) return true
  return route.groups.some(({ backlog }) => backlog.stored)
}

/** The same of a message that no connection publishes. */
export function messageNeedsDisk(context: NativeContext, message: Message): boolean {
  const { topic, publisherId, qos } = message
  const { routes, streams } = context
  const publication = new Publication()
  publication.beginMessage(message, routes.route(topic))
  const way = { streams: streams.resolve(topic, publisherId) }
  return needsDisk(context, publication, way, undefined, qos)
}
