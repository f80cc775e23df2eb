import type { Command } from 'commander'
import { askPassword } from './ask-password.ts'
import { type CliContext, CommandFailure } from './context.ts'

interface PasswdFlags {
  role?: string[]
  delete?: boolean
  /** undefined: as the user had it. */
  scram?: boolean
}

/** `tributary passwd FILE USER` */
export function addPasswdCommand(program: Command, context: CliContext): void {
  program
    .command('passwd <file> <user>')
    .summary('set or remove a password in a password file')
    .description(
      'Set the password of a user in a password file; the file is made when it is not there. The password\n' +
        'is asked for without echo, or read from the first line of standard input. It is stored as an\n' +
        'argon2id hash. A running broker takes the change at its next start.\n\n' +
        'With --scram a verifier for SCRAM-SHA-256 stands beside it, so that MQTT 5 clients can prove that they\n' +
        'know the password without sending it. It is easier to guess from than the argon2id hash should the file\n' +
        'be stolen, so it is there only where it is asked for; a user who has one keeps it with a new password.'
    )
    .option(
      '--role <role>',
      'role of the user, as named in the ACL file; may be repeated; left out, those it has are kept',
      collect
    )
    .option('--scram', 'store a SCRAM-SHA-256 verifier too')
    .option('--no-scram', 'store no verifier, and remove the one that is there')
    .option('--delete', 'remove the user')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tributary passwd passwords pump-7 --role devices\n  $ tributary passwd passwords pump-8 --scram\n  $ printf \'%s\\n\' "$SECRET" | tributary passwd passwords pump-7'
    )
    .action((file: string, user: string, flags: PasswdFlags) => passwd(file, user, flags, context))
}

async function passwd(file: string, user: string, flags: PasswdFlags, context: CliContext): Promise<void> {
  // These bring the native argon2 module, which no other command needs.
  const { removePassword, setPassword } = await import('../access/password-file-edit.ts')
  const { hashPassword } = await import('../access/password-hash.ts')
  const { formatScramVerifier, scramVerifier } = await import('../access/scram-verifier.ts')
  if (flags.delete) {
    if (!(await removePassword(file, user))) throw new CommandFailure(`${file} has no user "${user}"`)
    context.out.write(`removed ${user} from ${file}\n`)
    return
  }
  const password = await askPassword(`Password for ${user}: `, context)
  const scram =
    flags.scram === false
      ? undefined
      : { verifier: formatScramVerifier(await scramVerifier(password)), add: flags.scram === true }
  const change = await setPassword(file, { username: user, hash: await hashPassword(password), roles: flags.role, scram })
  context.out.write(`${change} ${user} in ${file}\n`)
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value]
}
