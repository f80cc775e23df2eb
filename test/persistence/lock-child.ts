import { createInterface } from 'node:readline'
import { lockFolder } from '../../persistence/lock.ts'

/** Tries to lock the folder named by each line it reads, says what came of it, and holds on until it is told to end. */
process.stdout.write('ready\n')
for await (const folder of createInterface({ input: process.stdin })) {
  try {
    await lockFolder(folder)
    process.stdout.write('locked\n')
  } catch (error) {
    process.stdout.write(`${error instanceof Error && 'code' in error ? error.code : error}\n`)
  }
}
