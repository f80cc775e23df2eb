/** A simulated device: its readings wander like those of a sensor and do not jump. */
export class Telemetry {
  readonly #random: () => number
  #temperature: number
  #humidity: number
  #battery = 100
  #sequence = 0

  constructor(random: () => number = Math.random) {
    this.#random = random
    this.#temperature = 18 + random() * 8
    this.#humidity = 35 + random() * 30
  }

  /** The next reading as JSON. `seq` counts from 1 so that a gap in a stream can be seen. */
  next(nowMs: number): string {
    this.#temperature = wander(this.#temperature, 0.3, -10, 60, this.#random())
    this.#humidity = wander(this.#humidity, 0.8, 0, 100, this.#random())
    this.#battery = Math.max(0, this.#battery - this.#random() * 0.01)
    return JSON.stringify({
      seq: ++this.#sequence,
      at: new Date(nowMs).toISOString(),
      temperature: round(this.#temperature),
      humidity: round(this.#humidity),
      battery: round(this.#battery)
    })
  }
}

function wander(value: number, step: number, min: number, max: number, random: number): number {
  return Math.min(max, Math.max(min, value + (random * 2 - 1) * step))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
