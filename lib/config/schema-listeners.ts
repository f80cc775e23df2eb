import { z } from 'zod'
import { choice, filePath, host, origin, port } from './schema-fields.ts'

const common = {
  host: host.prefault('127.0.0.1').meta({
    description: 'Address to listen on. The default is reachable from this machine only; `0.0.0.0` and `::` are all addresses.'
  }),
  port: port.meta({ description: 'TCP port; 0 = any free one.', examples: [1883] }),
  anonymous: choice('allow-on-loopback', 'allow-from-anywhere', 'deny').prefault('allow-on-loopback').meta({
    description:
      'Where `access.anonymous` is true: whether clients without credentials are let in here. A listener that other machines can reach must say `allow-from-anywhere` or `deny`.'
  })
}

const tls = {
  cert: filePath.meta({ description: 'PEM file with the certificate chain of the server.', examples: ['server.pem'] }),
  key: filePath.meta({ description: 'PEM file with the private key of the server.', examples: ['server.key'] }),
  ca: filePath
    .optional()
    .meta({ description: 'PEM file with the authorities that sign client certificates.', examples: ['devices-ca.pem'] }),
  clientCertificate: choice('none', 'request', 'require').prefault('none').meta({
    description:
      'Client certificates: not asked for, asked for (one that does not verify is refused, having none is fine), or needed to connect.'
  }),
  minVersion: choice('TLSv1.2', 'TLSv1.3').prefault('TLSv1.2').meta({ description: 'Oldest TLS version spoken.' })
}

const pathError = 'expected a URL path that starts with /'
const webSocket = {
  path: z
    .string({ error: pathError })
    .regex(/^\/[^\s?#]*$/, { error: pathError })
    .prefault('/mqtt')
    .meta({ description: 'URL path of the WebSocket endpoint. Other paths are answered with 404.' }),
  origins: z
    .array(origin)
    .min(1, { error: 'expected at least one origin' })
    .optional()
    .meta({
      examples: [['https://dash.example']],
      description:
        "Web origins whose pages may connect, `'*'` for all. Left out: pages of the host that is connected to. Clients that send no Origin header are no browsers and are not concerned."
    })
}

const type = <const Name extends string>(name: Name, description: string) => z.literal(name).meta({ description })

export const listenerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: type('tcp', 'MQTT over plain TCP.'), ...common }),
  z.strictObject({ type: type('tls', 'MQTT over TLS.'), ...common, ...tls }),
  z.strictObject({ type: type('ws', 'MQTT over WebSocket.'), ...common, ...webSocket }),
  z.strictObject({ type: type('wss', 'MQTT over WebSocket over TLS.'), ...common, ...tls, ...webSocket })
])
