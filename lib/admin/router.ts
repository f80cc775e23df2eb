import type { ServerResponse } from 'node:http'
import { badRequest, notFound, Refusal } from './answer.ts'

export interface AdminRequest {
  method: 'GET' | 'HEAD'
  /** Decoded path segments that stood for `:name`. */
  params: ReadonlyMap<string, string>
  query: URLSearchParams
}

export interface Route {
  /** `/streams/:name` */
  path: string
  /** One line for the index at `/`. */
  purpose: string
  handle(request: AdminRequest, response: ServerResponse): void | Promise<void>
}

/** Finds the route of a request, or throws a Refusal that says what is wrong with it. */
export function findRoute(routes: readonly Route[], method: string, url: string): { route: Route; request: AdminRequest } {
  if (!URL.canParse(url, 'http://admin')) throw badRequest('the request target is not a path')
  const { pathname, searchParams } = new URL(url, 'http://admin')
  const segments = splitPath(pathname).map(decodeSegment)
  for (const route of routes) {
    const params = matchPath(splitPath(route.path), segments)
    if (params === undefined) continue
    if (method !== 'GET' && method !== 'HEAD')
      throw new Refusal(405, 'method-not-allowed', 'the admin endpoints are read only: use GET')
    return { route, request: { method, params, query: searchParams } }
  }
  throw notFound(`there is nothing at ${pathname}; GET / lists what there is`)
}

/** Throws when the request has a parameter that the endpoint does not know: a misspelt one must not be ignored in silence. */
export function checkParameters(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name)) {
      throw badRequest(`unknown parameter "${name}": expected ${known.length === 0 ? 'none' : `one of ${known.join(', ')}`}`)
    }
    if (query.getAll(name).length > 1) throw badRequest(`parameter "${name}" is given more than once`)
  }
}

function matchPath(pattern: readonly string[], segments: readonly string[]): Map<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined
  const params = new Map<string, string>()
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i]!
    if (part.startsWith(':')) params.set(part.slice(1), segment)
    else if (part !== segment) return undefined
  }
  return params
}

function splitPath(path: string): string[] {
  return path.split('/').slice(1)
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw badRequest(`"${segment}" in the path is not percent-encoded UTF-8`)
  }
}
