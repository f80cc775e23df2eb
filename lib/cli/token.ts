import { type Command, Option } from 'commander'
import type { AdminRole } from '../admin/token-file.ts'
import { type CliContext, CommandFailure } from './context.ts'

/** `tributary token FILE NAME` */
export function addTokenCommand(program: Command, context: CliContext): void {
  program
    .command('token <file> <name>')
    .summary('make or remove a token for the admin API')
    .description(
      'Make a token for somebody, in place of the one they have; the file is made when it is not there. The\n' +
        'token is printed once: the file holds its hash alone. Name the file as admin.tokenFile in the\n' +
        'configuration; a running broker takes a change at SIGHUP.'
    )
    .addOption(new Option('--role <role>', 'what the token is for').choices(['read', 'write']).default('read'))
    .option('--delete', 'remove the token')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tributary token admin-tokens prometheus > prometheus.token\n' +
        '  $ tributary token admin-tokens alice --role write > alice.token\n' +
        '  $ tributary group ls --token-file alice.token'
    )
    .action((file: string, name: string, flags: { role: AdminRole; delete?: boolean }) => token(file, name, flags, context))
}

async function token(
  file: string,
  name: string,
  flags: { role: AdminRole; delete?: boolean },
  context: CliContext
): Promise<void> {
  const { addToken, removeToken } = await import('../admin/token-file.ts')
  if (flags.delete) {
    if (!(await removeToken(file, name))) throw new CommandFailure(`${file} has no token of "${name}"`)
    context.err.write(`removed the token of ${name} from ${file}\n`)
    return
  }
  const made = await addToken(file, name, flags.role)
  context.out.write(`${made}\n`)
  context.err.write(`${name} may ${flags.role === 'write' ? 'read and write' : 'read'}; ${file} holds the hash of this token\n`)
}
