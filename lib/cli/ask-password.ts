import { type CliContext, CommandFailure, exitCodes } from './context.ts'

const enterKeys = new Set(['\r', '\n', '\u0004'])
const eraseKeys = new Set(['\u007f', '\b'])
const CTRL_C = '\u0003'
const CTRL_U = '\u0015'

/**
 * A password, not empty: typed twice without echo when standard input is a terminal, otherwise the first line of standard
 * input.
 */
export async function askPassword(prompt: string, context: CliContext): Promise<string> {
  const password = context.in.isTTY === true ? await askTwice(prompt, context) : await firstLine(context)
  if (password === '') throw new CommandFailure('the password is empty')
  return password
}

async function askTwice(prompt: string, context: CliContext): Promise<string> {
  const password = await typed(prompt, context)
  if (password !== '' && (await typed('Once more: ', context)) !== password) throw new CommandFailure('the two passwords differ')
  return password
}

/** One line typed on a terminal in raw mode, in which nothing is echoed and Ctrl-C is just a key. */
function typed(prompt: string, context: CliContext): Promise<string> {
  const { in: input, err } = context
  return new Promise((resolve, reject) => {
    let text = ''
    const end = (settle: () => void) => {
      input.off('data', take)
      input.setRawMode?.(false)
      input.pause()
      err.write('\n')
      settle()
    }
    const take = (chunk: Buffer | string) => {
      const keys = [...String(chunk)]
      for (const [i, key] of keys.entries()) {
        if (key === CTRL_C) return end(() => reject(new CommandFailure('interrupted', exitCodes.interrupted)))
        if (enterKeys.has(key)) {
          // What was typed ahead belongs to the next question.
          const ahead = keys.slice(i + 1).join('')
          end(() => resolve(text))
          if (ahead !== '') input.unshift(Buffer.from(ahead))
          return
        }
        if (key === CTRL_U) text = ''
        else if (eraseKeys.has(key)) text = [...text].slice(0, -1).join('')
        else text += key
      }
    }
    err.write(prompt)
    input.setRawMode?.(true)
    input.on('data', take)
    input.resume()
  })
}

async function firstLine({ in: input }: CliContext): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of input) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1)[0]!
}
