import type { Redriver } from '../../dead-letter/dead-letter-desk.ts'
import type { Message } from '../../mqtt/message.ts'
import type { Qos } from '../../mqtt/packet.ts'
import type { NativeContext } from './context.ts'
import type { Deliverer } from './deliver.ts'
import type { PublishHandler } from './on-publish.ts'
import { Publication } from './publication.ts'

/** Sends dead letters again, by the ways every message goes. */
export class Redelivery implements Redriver {
  readonly #context: NativeContext
  readonly #deliverer: Deliverer
  readonly #publisher: PublishHandler

  constructor(context: NativeContext, deliverer: Deliverer, publisher: PublishHandler) {
    this.#context = context
    this.#deliverer = deliverer
    this.#publisher = publisher
  }

  toClient(clientId: string, message: Message, qos: Qos): string | undefined {
    const { sessions, limits, commit } = this.#context
    const nowMs = this.#context.now()
    const session = sessions.get(clientId)
    if (session === undefined) return `client ${clientId} has no session any more`
    if (session.expiresAtMs <= nowMs) return `the session of client ${clientId} is over`
    if (!session.stored && !session.online) return `client ${clientId} is not connected, and its session is not kept`
    if (session.backlog >= limits.maxQueuedMessagesPerSession + session.inflightCount) {
      return `the queue of client ${clientId} is full (limits.maxQueuedMessagesPerSession)`
    }
    const { policy } = session
    if (policy !== undefined && !policy.permitsAll && !policy.canReceive(message.topic)) {
      return notShown(clientId, message)
    }
    const publication = new Publication()
    publication.beginMessage({ ...message, qos }, this.#context.routes.route(message.topic), nowMs)
    const shown = this.#deliverer.shownTo(session, publication)
    if (shown === undefined) return notShown(clientId, message)
    this.#deliverer.permitted(session, shown, qos, false, [], publication)
    commit.schedule()
    return undefined
  }

  toTopic(message: Message): Promise<void> {
    if (this.#context.stopped) return Promise.reject(new Error('the broker is closed'))
    return new Promise((resolve, reject) => {
      this.#publisher.publishMessage(message, error => (error ? reject(error) : resolve()))
    })
  }

  async flush(): Promise<void> {
    if (this.#context.stopped) throw new Error('the broker is closed')
    const failure = await this.#context.commit.flush()
    if (failure !== undefined) throw failure.error
  }
}

function notShown(clientId: string, { topic }: Message): string {
  return `client ${clientId} may not receive ${topic}`
}
