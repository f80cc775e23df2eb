/** `npm run bench`: Tributary beside its peers on this machine, in this minute. See docs/benchmarks.md. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatDocument } from './document.ts'
import { type BenchOptions, parseOptions, usage } from './options.ts'
import type { Peer } from './peer.ts'
import { MosquittoPeer } from './peers/mosquitto.ts'
import { scriptPeers } from './peers/script.ts'
import { TributaryPeer } from './peers/tributary.ts'
import type { WorkloadRun } from './runner.ts'
import { availablePeers, root, type Session, withSession } from './session.ts'
import { failuresOf } from './streams/report.ts'
import { runStreamBenchmarks } from './streams/run.ts'

async function main(words: string[]): Promise<number> {
  let options: BenchOptions
  try {
    options = parseOptions(words)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    return 2
  }
  if (options.help) {
    console.log(usage)
    return 0
  }
  try {
    return await withSession(session => compareBrokers(session, options, words))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    console.error(error.message)
    return 2
  }
}

async function compareBrokers({ runner, lab, machine }: Session, options: BenchOptions, words: string[]): Promise<number> {
  const known = [new TributaryPeer(root), new MosquittoPeer(), ...scriptPeers(import.meta.dirname, root)]
  const wanted = options.peers.map(name => known.find(peer => peer.name === name) ?? fail(`no broker is called ${name}`))
  const peers = await availablePeers(wanted)
  if (peers.length === 0) fail('none of the brokers can run here')
  const limits = options.limits ? known.filter(peer => peer.name.startsWith('limit-')) : []
  const runs: WorkloadRun[] = []
  for (const workload of options.workloads) {
    const entrants: Peer[] = [...peers, ...limits.filter(peer => peer.name === workload.limit)]
    runs.push(await runner.run(workload, entrants, options.pace))
  }
  const streams = await runStreamBenchmarks(lab, options.streams, options.pace, options.quick, line => console.error(line))
  const facts = await Promise.all(
    [...peers, ...limits].map(async peer => ({ name: peer.name, version: await peer.version(), setup: peer.setup }))
  )
  const document = formatDocument({
    machine,
    peers: facts,
    runs,
    streams,
    pace: options.pace,
    command: ['npm run bench', ...words]
  })
  console.log(document)
  if (options.json) {
    const measurements = runs.map(run => ({
      workload: run.workload.name,
      notes: run.notes,
      peers: Object.fromEntries(run.peers)
    }))
    const measuredStreams = streams.map(({ benchmark: { name }, entrants }) => ({ name, entrants: Object.fromEntries(entrants) }))
    await writeFile(
      options.json,
      `${JSON.stringify({ machine, peers: facts, pace: options.pace, measurements, streams: measuredStreams }, undefined, 2)}\n`
    )
  }
  if (options.write) await writeFile(join(root, 'docs', 'benchmarks.md'), document)
  const hasFailed = runs.some(run => [...run.peers.values()].flat().some(measurement => measurement.failures.length > 0))
  return hasFailed || streams.some(run => failuresOf(run).length > 0) ? 1 : 0
}

function fail(message: string): never {
  throw new RangeError(message)
}

// Leaves even when an interrupted run has not come to its own end yet.
process.exit(await main(process.argv.slice(2)))
