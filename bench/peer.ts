import type { ProcessGroup, RunningBroker } from './process.ts'

/** A broker to measure. Every run gets a fresh process and an empty folder. */
export interface Peer {
  /** What the report and the command line call it. */
  readonly name: string
  /** The settings it runs with that matter for the figures, for the report. */
  readonly setup: string
  /** Why it cannot run on this machine; undefined when it can. */
  unavailable(): Promise<string | undefined>
  version(): Promise<string>
  start(processes: ProcessGroup, folder: string): Promise<RunningBroker>
}
