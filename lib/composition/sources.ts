import type { SchemaSource } from '../admin/routes-schemas.ts'
import type { ConfiguredIntakes } from '../schema/configured-intakes.ts'
import type { SchemaRegistry } from '../schema/registry.ts'
import type { Stream } from '../stream/contract.ts'
import type { Streams } from '../stream/streams.ts'

/** The declared streams and the broker's own: all that can be read. */
export function withOwn(streams: Streams, own: Stream | undefined) {
  if (own === undefined) return streams
  return {
    all: () => [...streams.all(), own],
    get: (name: string) => (name === own.name ? own : streams.get(name))
  }
}

/** The registry, and who uses it. */
export function schemaDesk(registry: SchemaRegistry, intakes: ConfiguredIntakes): SchemaSource {
  return {
    list: () => registry.list(),
    subject: name => registry.subject(name),
    version: (name, version) => registry.version(name, version),
    check: (name, schema, options) => registry.check(name, schema, options),
    add: (name, schema, options) => registry.add(name, schema, options),
    remove: name => registry.remove(name),
    users: name => intakes.users(name)
  }
}
