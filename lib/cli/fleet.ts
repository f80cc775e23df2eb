import { setMaxListeners } from 'node:events'
import { DeviceLink, type LinkEvents, type LinkOptions } from './device-link.ts'
import { Telemetry } from './telemetry.ts'

export interface FleetOptions {
  devices: number
  /** Messages per second and device. */
  rate: number
  link: Omit<LinkOptions, 'clientId'>
}

export interface FleetTotals {
  published: number
  acknowledged: number
  /** Acknowledged with a refusal: not kept. */
  rejected: number
  reconnects: number
  /** Mean time to the acknowledgement over the last ones, milliseconds. */
  ackMs: number
  /** Readings that were not sent because too much was unacknowledged. */
  skipped: number
}

export interface FleetEvents {
  /** The broker lets a device not in, or does not take what it publishes. */
  refused(reason: string): void
  /** A device lost its connection or could not make one; it goes on trying. */
  offline(reason: string): void
}

interface Device {
  id: string
  link: DeviceLink
  telemetry: Telemetry
  /** Readings that are due; a fraction is on its way to become one. */
  owed: number
}

const TICK_MS = 20

/** Simulated devices that publish telemetry to `devices/<id>/telemetry` at QoS 1 until they are stopped. */
export class Fleet {
  readonly totals: FleetTotals = { published: 0, acknowledged: 0, rejected: 0, reconnects: 0, ackMs: 0, skipped: 0 }
  readonly #devices: Device[] = []
  readonly #rate: number
  #everOnline = false
  #timer: NodeJS.Timeout | undefined
  #tickedAtMs = 0

  constructor({ devices, rate, link }: FleetOptions, events: FleetEvents) {
    this.#rate = rate
    const width = String(devices).length
    for (let i = 1; i <= devices; i++) {
      const id = `demo-${String(i).padStart(width, '0')}`
      const device = { id, link: new DeviceLink({ ...link, clientId: id }, this.#count(events)), telemetry: new Telemetry() }
      // Devices do not publish in step.
      this.#devices.push({ ...device, owed: Math.random() })
    }
  }

  /** True once any device has been let in. */
  get everOnline(): boolean {
    return this.#everOnline
  }

  get online(): number {
    return this.#devices.reduce((sum, { link }) => sum + (link.online ? 1 : 0), 0)
  }

  #count(events: FleetEvents): LinkEvents {
    const { totals } = this
    let wasOnline = false
    return {
      online: () => {
        if (wasOnline) totals.reconnects++
        wasOnline = true
        this.#everOnline = true
      },
      offline: reason => events.offline(reason),
      refused: reason => events.refused(reason),
      acknowledged: milliseconds => {
        totals.acknowledged++
        totals.ackMs += (milliseconds - totals.ackMs) / Math.min(totals.acknowledged, 50)
      },
      rejected: reason => {
        totals.rejected++
        events.refused(reason)
      }
    }
  }

  start(): void {
    for (const { link } of this.#devices) link.open()
    this.#tickedAtMs = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** Publishes nothing more, waits for what is unacknowledged until `signal` is aborted, and disconnects. */
  async stop(signal: AbortSignal): Promise<void> {
    clearInterval(this.#timer)
    // One listener per device is what is meant here, and no leak.
    setMaxListeners(0, signal)
    await Promise.all(this.#devices.map(({ link }) => link.close(signal)))
  }

  #tick(): void {
    const now = performance.now()
    const due = ((now - this.#tickedAtMs) / 1000) * this.#rate
    this.#tickedAtMs = now
    for (const device of this.#devices) {
      for (device.owed += due; device.owed >= 1; device.owed--) {
        if (device.link.publish(`devices/${device.id}/telemetry`, device.telemetry.next(Date.now()))) this.totals.published++
        else this.totals.skipped++
      }
    }
  }
}
