import type { StreamRedo } from '../../../persistence/contract.ts'
import { Payload, type PayloadProblem } from '../../schema/payload.ts'
import type { Connection } from '../connection.ts'
import type { BrokerSession } from './broker-session.ts'
import type { NativeContext } from './context.ts'
import { contentHash, PacketIds, type PacketUse } from './packet-ids.ts'
import type { Publication } from './publication.ts'
import { type DuplicateKey, messageKey, taggedInvalid } from './stream-intake.ts'
import type { StreamTarget } from './stream-targets.ts'

/** What is to become of a message in one stream. */
interface Decision {
  readonly target: StreamTarget
  /** The stream has it: nothing is written, and the ack waits for what is open, the original's commit among it. */
  readonly duplicate: DuplicateKey | undefined
  readonly problem: PayloadProblem | undefined
  /** What its producer calls it. */
  readonly key: string | undefined
}

/** What is to become of one message, decided before anything is written. */
export interface Verdict {
  /** A stream that demands valid payloads refuses the message for everybody: what is wrong with it. */
  readonly refusal: string | undefined
  readonly decisions: readonly Decision[]
  /** Of a QoS 1 packet that some stream wants to know again. */
  readonly use: PacketUse | undefined
  readonly packetId: number
}

/**
 * The way into streams that look at messages before they take them. Only messages on a topic of such a stream come here; what is
 * decided holds for the streams, subscribers are served as ever unless the message is refused altogether.
 *
 * Where several streams think differently about one payload the strictest goes first: one `reject` refuses the message for all of
 * them, otherwise each stream does as it says.
 */
export class Intake {
  readonly #context: NativeContext

  constructor(context: NativeContext) {
    this.#context = context
  }

  /** `connection` when it came in a packet of its own at QoS 1. */
  judge(
    publication: Publication,
    targets: readonly StreamTarget[],
    connection: Connection | undefined,
    packetId: number
  ): Verdict {
    const { nowMs, properties, publisherId } = publication
    const use = connection === undefined ? undefined : this.#use(publication, targets, connection, packetId)
    let payload: Payload | undefined
    let key: string | undefined
    let refusal: string | undefined
    let refusing: Decision | undefined
    const decisions = targets.map(target => {
      const { intake } = target
      if (intake === undefined) return { target, duplicate: undefined, problem: undefined, key: undefined }
      if (intake.ids !== undefined) key ??= messageKey(publisherId, properties)
      const duplicate =
        key !== undefined && intake.ids?.has(key, nowMs)
          ? 'message-id'
          : use !== undefined && intake.byPacketId && intake.knows(use, nowMs)
            ? 'packet-id'
            : undefined
      let problem: PayloadProblem | undefined
      // What the stream took before is acknowledged again, whatever its schema says today.
      if (intake.schema !== undefined && duplicate === undefined) {
        payload ??= new Payload(publication.bytes, publication.payloadStart, publication.payloadEnd)
        problem = intake.problem(payload)
      }
      const decision: Decision = { target, duplicate, problem, key: intake.ids === undefined ? undefined : key }
      if (problem !== undefined && intake.schema?.onInvalid === 'reject' && refusal === undefined) {
        refusal = `not valid for stream ${target.stream.name}: ${problem.text}`
        refusing = decision
      }
      return decision
    })
    if (refusing !== undefined) refusing.target.intake?.validated('rejected', refusing.problem?.fault)
    return { refusal, decisions, use, packetId: use === undefined ? 0 : packetId }
  }

  /** Writes what was decided. Returns true when the acknowledgement must wait for the open epoch. */
  append(publication: Publication, { decisions, use, packetId }: Verdict, redo: StreamRedo[] | undefined): boolean {
    const { nowMs } = publication
    let durable = false
    for (const { target, duplicate, problem, key } of decisions) {
      const { intake, stream } = target
      if (duplicate !== undefined) {
        intake?.duplicate(duplicate)
        if (target.awaited) durable = true
        continue
      }
      if (problem !== undefined && intake?.schema?.onInvalid === 'dead-letter') {
        if (this.#deadLetter(publication, target, problem)) durable = true
        intake.validated('dead-lettered', problem.fault)
        continue
      }
      if (intake?.schema !== undefined) intake.validated(problem === undefined ? 'valid' : 'tagged', problem?.fault)
      const properties = problem === undefined ? publication.properties : taggedInvalid(publication.properties, problem)
      const known = intake?.byPacketId === true ? use : undefined
      const offset = appendTo(target, publication, properties, known === undefined ? 0 : packetId)
      if (key !== undefined) intake?.ids?.add(key, offset, nowMs)
      if (known !== undefined) intake?.remember(known, offset)
      if (target.awaited) durable = true
      redo?.push({ stream: stream.name, offset })
    }
    return durable
  }

  /** Its PUBACK leaves with the open epoch, or has left. */
  acknowledged(connection: Connection, { use }: Verdict, deferred: boolean): void {
    use?.acknowledged(this.#context.deferred(connection).progress, deferred ? this.#context.commit.openEpoch : 0)
  }

  /** A QoS 1 or 2 message that no stream wants to know again takes its id all the same. */
  took(session: BrokerSession, packetId: number): void {
    session.packetIds?.taken(packetId, this.#context.limits.receiveMaximum)
  }

  #use(
    publication: Publication,
    targets: readonly StreamTarget[],
    connection: Connection,
    packetId: number
  ): PacketUse | undefined {
    const session = connection.session as BrokerSession
    // A session that ends with its connection has nothing to send again.
    if (!session.stored || !targets.some(({ intake }) => intake?.byPacketId)) {
      this.took(session, packetId)
      return undefined
    }
    const { bytes, payloadStart, payloadEnd, properties, retain, route } = publication
    const hash = contentHash(route.topic, retain, [
      { bytes: properties, start: 0, end: properties.length },
      { bytes, start: payloadStart, end: payloadEnd }
    ])
    const limit = this.#context.limits.receiveMaximum
    session.packetIds ??= new PacketIds()
    const { progress } = this.#context.deferred(connection)
    const original = publication.dup ? session.packetIds.original(packetId, hash, progress, limit) : undefined
    if (original !== undefined) return original
    session.packetIds.taken(packetId, limit)
    return session.packetIds.remember(packetId, hash, publication.nowMs)
  }

  /** True when it is kept, with the open epoch; otherwise it is counted, by the policy of the dead letters. */
  #deadLetter(publication: Publication, { stream }: StreamTarget, problem: PayloadProblem): boolean {
    const kept = this.#context.deadLetter({
      reason: 'validation-failed',
      message: publication.message(),
      stream: stream.name,
      attempts: 0,
      error: problem.text
    })
    if (kept) this.#context.commit.schedule()
    return kept
  }
}

/** Puts a message into a stream as it came in. */
export function appendTo(target: StreamTarget, publication: Publication, properties: Buffer, packetId: number): number {
  return target.stream.append(
    target.source,
    publication.qos,
    publication.retain,
    publication.nowMs,
    publication.expiresAtMs,
    properties,
    publication.bytes,
    publication.payloadStart,
    publication.payloadEnd,
    packetId
  )
}
