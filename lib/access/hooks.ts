import { pathToFileURL } from 'node:url'
import { didYouMean } from '../config/did-you-mean.ts'
import { TributaryError } from '../errors.ts'

export const hookNames = [
  'preConnect',
  'authenticate',
  'authenticateEnhanced',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published'
] as const

export type HookName = (typeof hookNames)[number]

/**
 * A function with the signature Aedes gives the hook of that name; the broker, which imports Aedes, knows which. Not Aedes' but
 * ours is `authenticateEnhanced`.
 */
export type Hook = (...given: never[]) => unknown

export type AedesHooks = Partial<Record<HookName, Hook>>

/**
 * Imports a hooks module. Hooks are named exports or keys of an object that is the default export; a CommonJS module works too.
 * @throws TributaryError TRB_ACCESS_FILE_INVALID when the module does not load, or exports anything that is no hook: a hook
 * that is misspelt would leave a door open that its author believes closed.
 */
export async function loadHooks(file: string): Promise<AedesHooks> {
  const exported = await importModule(file)
  const hooks = new Map<HookName, Hook>()
  const add = (name: string, value: unknown, shownAs: string) => {
    const hook = checkHook(file, name, value, shownAs)
    const known = hooks.get(name as HookName)
    // Node shows the keys of a CommonJS module twice, as names and inside the default export.
    if (known !== undefined && known !== hook) throw invalid(file, `hook ${name} is exported twice, by name and by default`)
    hooks.set(name as HookName, hook)
  }
  for (const [name, value] of Object.entries(exported)) {
    if (name === 'module.exports' || name === '__esModule') continue
    if (name !== 'default') add(name, value, `export ${name}`)
    else for (const [key, inner] of keysOfDefault(file, value)) add(key, inner, `key ${key} of the default export`)
  }
  if (hooks.size === 0) throw invalid(file, `expected at least one of the hooks ${hookNames.join(', ')}, got none`)
  return Object.fromEntries(hooks)
}

async function importModule(file: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(file).href)
  } catch (cause) {
    throw invalid(
      file,
      `expected a JavaScript module that loads, got: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause
    )
  }
}

function keysOfDefault(file: string, value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null) {
    throw invalid(file, `default export: expected an object of hooks, got ${value === null ? 'null' : typeof value}`)
  }
  return Object.entries(value)
}

function checkHook(file: string, name: string, value: unknown, shownAs: string): Hook {
  if (!hookNames.includes(name as HookName)) {
    const suggestion = didYouMean(name, hookNames)
    const hint = suggestion === undefined ? '' : `\n  hint: did you mean \`${suggestion}\`?`
    throw invalid(file, `${shownAs}: expected one of the hooks ${hookNames.join(', ')}, got ${JSON.stringify(name)}${hint}`)
  }
  if (typeof value !== 'function') throw invalid(file, `${shownAs}: expected a function, got ${typeof value}`)
  return value as Hook
}

function invalid(file: string, message: string, cause?: unknown): TributaryError {
  return new TributaryError('TRB_ACCESS_FILE_INVALID', `${file}: ${message}`, { cause })
}
