import type { Stream } from '../../stream/contract.ts'
import { type IntakeCounts, type IntakeSettings, StreamIntake } from './stream-intake.ts'

/** What a stream asks of messages by the configuration of this moment; undefined when it takes everything as it comes. */
export type IntakeSource = (stream: string) => IntakeSettings | undefined

/** The doors of all streams that have one. */
export class StreamIntakes {
  readonly #source: IntakeSource | undefined
  readonly #intakes = new Map<string, StreamIntake>()
  /** Told of doors that are new and remember nothing yet, once the broker runs. */
  onNew: ((stream: Stream, intake: StreamIntake) => void) | undefined

  constructor(source: IntakeSource | undefined) {
    this.#source = source
  }

  /** Asked when a route is made: streams change, and with them their routes. */
  of(stream: Stream): StreamIntake | undefined {
    const settings = this.#source?.(stream.name)
    const known = this.#intakes.get(stream.name)
    if (known?.settings === settings) return known
    this.#intakes.delete(stream.name)
    if (settings === undefined || (settings.schema === undefined && settings.deduplicate === undefined)) return undefined
    const intake = new StreamIntake(stream.name, settings)
    this.#intakes.set(stream.name, intake)
    if (intake.remembersAnything) this.onNew?.(stream, intake)
    return intake
  }

  /** The stream is gone. */
  forget(stream: string): void {
    this.#intakes.delete(stream)
  }

  /** True when some stream knows repetitions by Packet Identifier: then every packet's id is of interest, whatever its topic. */
  get byPacketId(): boolean {
    for (const intake of this.#intakes.values()) if (intake.byPacketId) return true
    return false
  }

  get counts(): IntakeCounts[] {
    return [...this.#intakes.values()].map(({ counts }) => counts)
  }

  discard(stream: string, from: number): void {
    this.#intakes.get(stream)?.discard(from)
  }
}
