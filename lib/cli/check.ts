import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import type { CliContext } from './context.ts'
import { painter } from './paint.ts'

/** `tributary check` */
export function addCheckCommand(program: Command, context: CliContext): void {
  program
    .command('check')
    .summary('validate a configuration')
    .description(
      'Validate a configuration and the password, ACL, certificate and key files it names. What is wrong\n' +
        'is printed as file:line: path: what was expected, and the exit code is 1.'
    )
    .option('-c, --config <file>', 'YAML file; without one the embedded default is checked')
    .option('--print', 'print the whole configuration with every default and what it means')
    .action((options: { config?: string; print?: boolean }) => check(options, context))
}

async function check(options: { config?: string; print?: boolean }, context: CliContext): Promise<void> {
  const { loadConfig } = await import('../config/load.ts')
  const { renderConfig } = await import('../config/render.ts')
  const config = loadConfig({ file: options.config })
  await checkFiles(config)
  if (options.print) context.out.write(renderConfig(config, process.cwd()))
  else context.out.write(`${painter(context.out, context.env)('green', 'valid')}: ${summary(config, options.config)}\n`)
}

async function checkFiles(config: Config): Promise<void> {
  const { Access } = await import('../access/access.ts')
  const { tlsFilesOf } = await import('../listener/open.ts')
  const { readTlsFiles } = await import('../listener/tls-files.ts')
  // The hooks module is left out: loading it would run it.
  await Access.load({ ...config.access, hooks: undefined })
  for (const [i, listener] of config.listeners.entries()) {
    if (listener.type === 'tls' || listener.type === 'wss') await readTlsFiles(tlsFilesOf(listener), `listeners[${i}]`)
  }
}

function summary(config: Config, file: string | undefined): string {
  const parts = [plural(config.listeners.length, 'listener'), plural(Object.keys(config.streams).length, 'stream')]
  const admin = config.admin === false ? 'no admin listener' : `admin on ${config.admin.host}:${config.admin.port}`
  return `${file ?? 'the embedded default'}: ${[...parts, admin].join(', ')}, data in ${config.data}`
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
