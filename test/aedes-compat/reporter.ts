/** A node:test reporter: one JSON line for each finished test. Runs in the child process. */

interface TestEvent {
  type: string
  data: {
    name: string
    file?: string
    nesting: number
    skip?: string | boolean
    details?: { duration_ms?: number; type?: string; error?: { cause?: { message?: string }; message?: string } }
  }
}

export interface TestOutcome {
  /** File name without its folder. */
  file: string
  name: string
  result: 'pass' | 'fail' | 'skip'
  error: string
  milliseconds: number
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const { name, file = '', details, skip } = data
    if (details?.type === 'suite') continue
    const outcome: TestOutcome = {
      file: file.slice(file.lastIndexOf('/') + 1),
      name,
      result: skip !== undefined && skip !== false ? 'skip' : type === 'test:pass' ? 'pass' : 'fail',
      error: details?.error?.cause?.message ?? details?.error?.message ?? '',
      milliseconds: Math.round(details?.duration_ms ?? 0)
    }
    yield `${JSON.stringify(outcome)}\n`
  }
}
