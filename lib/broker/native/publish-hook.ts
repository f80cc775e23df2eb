import type { Message } from '../../mqtt/message.ts'
import { aedesPacketOf, messageFromHook } from '../aedes-packet.ts'
import { askHook, endAfterHookError, HookError } from '../ask-hook.ts'
import type { Connection } from '../connection.ts'
import type { NativeContext } from './context.ts'
import type { PublishHandler } from './on-publish.ts'
import { Publication } from './publication.ts'

/**
 * A PUBLISH on its way through a user's authorizePublish hook, which may change topic, payload, QoS and retain. While the hook
 * thinks the connection decodes nothing more; a hook that answers at once costs no turn.
 */
export function publishThroughHook(
  context: NativeContext,
  handler: PublishHandler,
  connection: Connection,
  message: Message,
  packetId: number,
  dup: boolean
): void {
  const { broker, routes } = context
  const packet = aedesPacketOf(message, broker.id, 0)
  packet.messageId = message.qos > 0 ? packetId : undefined
  let waiting = false
  const call = (done: (error?: Error | null) => void) => broker.authorizePublish(connection as never, packet as never, done)
  const answered = askHook(broker, 'authorizePublish', connection, call, error => {
    if (!connection.closed) {
      if (error instanceof HookError) endAfterHookError(connection, error)
      else if (error) handler.refuse(connection, message.qos, packetId)
      else {
        // Accepted now, but its life began when it arrived [MQTT-3.3.2-6].
        const changed = { ...messageFromHook(packet, message), publishedAtMs: context.now() }
        const publication = new Publication()
        publication.beginMessage(changed, routes.route(changed.topic))
        publication.dup = dup
        handler.accept(connection, publication, handler.wayOf(changed.topic, message.publisherId), packetId, message.qos)
      }
    }
    if (waiting) connection.resume()
  })
  if (!answered) {
    waiting = true
    connection.suspend()
  }
}
