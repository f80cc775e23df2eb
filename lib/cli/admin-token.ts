import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { ADMIN_URL_DEFAULT } from './admin-client.ts'
import { type CliContext, CommandFailure, exitCodes } from './context.ts'

/** Where a token may be when there is no file; a command line can be seen by every user of the machine. */
const TOKEN_VARIABLE = 'TRIBUTARY_ADMIN_TOKEN'

/**
 * Gives every command that has `--admin` the option `--token-file`. The token goes into the URL the command connects to, where
 * AdminClient finds it, so that no command has to know of tokens.
 */
export function addTokenOption(command: Command, context: CliContext): void {
  for (const child of command.commands) addTokenOption(child, context)
  if (!command.options.some(option => option.long === '--admin')) return
  command.option('--token-file <file>', `file with the token for the admin listener (or ${TOKEN_VARIABLE})`)
  command.hook('preAction', async (_program, action) => {
    const { admin, data, tokenFile } = action.opts<{ admin?: string; data?: string; tokenFile?: string }>()
    // With --data no broker is asked.
    if (data !== undefined) return
    const token = await findToken(tokenFile, context)
    if (token !== undefined) action.setOptionValue('admin', withToken(admin ?? ADMIN_URL_DEFAULT, token))
  })
}

async function findToken(file: string | undefined, { env }: CliContext): Promise<string | undefined> {
  if (file === undefined) return env[TOKEN_VARIABLE]?.trim() || undefined
  let text: string
  try {
    text = (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CommandFailure(`--token-file: ${file} cannot be read: ${reason}`, exitCodes.usage, { cause })
  }
  if (text === '' || /\s/.test(text)) {
    throw new CommandFailure(
      `--token-file: expected a token and nothing else in ${file}; \`tributary token\` prints one`,
      exitCodes.usage
    )
  }
  return text
}

function withToken(admin: string, token: string): string {
  // What is no URL is refused by AdminClient, with its own words.
  if (!URL.canParse(admin)) return admin
  const url = new URL(admin)
  url.password = encodeURIComponent(token)
  return url.href
}
