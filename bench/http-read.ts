import { get, type IncomingMessage } from 'node:http'
import { pathToFileURL } from 'node:url'

/** Records a second of each way to read a stream over HTTP. */
export interface HttpReadRates {
  records: number
  ndjson: number
  sse: number
  /** Long polls of 10,000 records, one after the other. */
  polls: number
  /** Bytes of one record as NDJSON. */
  bytesPerRecord: number
}

const POLL_RECORDS = 10_000

/**
 * Reads all records of a stream of a running broker, which should not be written to meanwhile. The client counts bytes and does not
 * parse, so that it is the broker that is measured. By hand: `node build/bench/http-read.js http://127.0.0.1:9883 telemetry`.
 */
export async function measureHttpRead(adminUrl: string, stream: string): Promise<HttpReadRates> {
  const url = `${adminUrl}/streams/${stream}/records`
  const { headers } = await fetch(url, { method: 'HEAD' })
  const from = Number(headers.get('earliest-offset'))
  const end = Number(headers.get('latest-offset'))
  const records = end - from
  let bytes = 0
  const ndjson = await rate(records, async () => (bytes = await download(url)))
  const sse = await rate(records, () => download(`${url}?format=sse&follow=false`))
  const polls = await rate(records, () => pollAll(url, from, end))
  return { records, ndjson, sse, polls, bytesPerRecord: bytes / records }
}

async function rate(records: number, read: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await read()
  return (records / (performance.now() - startedMs)) * 1000
}

function download(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, (response: IncomingMessage) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.on('end', () => resolve(bytes))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

async function pollAll(url: string, from: number, end: number): Promise<void> {
  for (let at = from; at < end; ) {
    const response = await fetch(`${url}?from=${at}&limit=${POLL_RECORDS}&waitMs=0`)
    await response.arrayBuffer()
    at = Number(response.headers.get('next-offset'))
  }
}

const [, script, adminUrl, stream] = process.argv
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  if (adminUrl === undefined || stream === undefined) throw new Error('usage: http-read.js ADMIN_URL STREAM')
  const { records, bytesPerRecord, ...rates } = await measureHttpRead(adminUrl, stream)
  process.stdout.write(`${records} records, ${bytesPerRecord.toFixed(0)} bytes each as NDJSON\n`)
  for (const [name, perSecond] of Object.entries(rates))
    process.stdout.write(`${name} ${(perSecond / 1000).toFixed(0)} k records/s\n`)
}
