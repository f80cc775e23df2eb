/**
 * Reads a stream over HTTP, does something with each record, and remembers how far it is: stop it, start it again, and it goes
 * on with the record after the last one it finished. That is how telemetry gets into a database without a gap.
 *
 * Run it (after `npm ci`, with a broker running):
 *
 *     node build/examples/stream-reader.js telemetry --offset-file reader.offset
 *
 * Options: --admin URL (default http://127.0.0.1:9883), --once (end with the stream instead of waiting for more)
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

interface StreamRecord {
  offset: number
  timestamp: string
  topic: string
  payload: string
  encoding?: 'base64'
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    admin: { type: 'string', default: 'http://127.0.0.1:9883' },
    'offset-file': { type: 'string', default: 'stream-reader.offset' },
    once: { type: 'boolean', default: false }
  }
})
const stream = positionals[0] ?? 'telemetry'
const offsetFile = values['offset-file']

for await (const record of records(stream, nextOffset())) {
  handle(record)
  remember(record.offset + 1)
}

/** What you would replace: here, one line per record. */
function handle(record: StreamRecord): void {
  console.log(`${record.offset} ${record.timestamp} ${record.topic} ${record.payload}`)
}

function nextOffset(): number | 'earliest' {
  return existsSync(offsetFile) ? Number(readFileSync(offsetFile, 'utf8')) : 'earliest'
}

/** Replaces the file as a whole, so that a crash leaves the old offset or the new one, never half of one. */
function remember(offset: number): void {
  writeFileSync(`${offsetFile}.new`, String(offset))
  renameSync(`${offsetFile}.new`, offsetFile)
}

async function* records(name: string, from: number | 'earliest'): AsyncGenerator<StreamRecord> {
  const query = new URLSearchParams({ from: String(from), follow: String(!values.once) })
  const response = await fetch(`${values.admin}/streams/${encodeURIComponent(name)}/records?${query}`)
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`)
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const record = JSON.parse(line)
      if ('error' in record) throw new Error(`${record.error}: ${record.message}`)
      yield record
    }
  }
}
