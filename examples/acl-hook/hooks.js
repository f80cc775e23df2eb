/**
 * Access decisions in code: which devices exist, and whether they are in service, is looked up for each connection.
 *
 * Run it (after `npm ci`):
 *
 *     node build/bin/tributary.js start --config examples/acl-hook/tributary.yaml
 *
 * and in other terminals (mosquitto-clients, port 1884):
 *
 *     mosquitto_pub -p 1884 -i pump-7 -u pump-7 -P blue -q 1 -t devices/pump-7/telemetry -m '{"t":21}'    # accepted
 *     mosquitto_pub -p 1884 -i pump-7 -u pump-7 -P blue -q 1 -t devices/pump-8/telemetry -m '{"t":21}'    # not its topic
 *     mosquitto_pub -p 1884 -i pump-9 -u pump-9 -P green -q 1 -t devices/pump-9/telemetry -m '{"t":21}'   # out of service
 *
 * The hooks have Aedes' names and signatures. `done(error)` says that no decision could be made, `done(null, false)` says no: the
 * two stay apart all the way to the device, which should try again in the first case only.
 */
import { readFile } from 'node:fs/promises'

const registry = new URL('devices.json', import.meta.url)

/** The device registry: a file here, a database or HTTP service in your house. */
async function findDevice(id) {
  const devices = JSON.parse(await readFile(registry, 'utf8'))
  return Object.hasOwn(devices, id) ? devices[id] : undefined
}

/** May this client come in at all? */
export function authenticate(client, username, password, done) {
  findDevice(username ?? '').then(
    device => done(null, device?.inService === true && client.id === username && String(password) === device.secret),
    done
  )
}

/** May it publish this? An error refuses; MQTT 5 devices get reason code 0x87. */
export function authorizePublish(client, packet, done) {
  // Wills of devices that are gone, and what the broker itself publishes, come without a client.
  if (client === null || packet.topic.startsWith(`devices/${client.id}/`)) done(null)
  else done(new Error(`${client.id} may only publish under devices/${client.id}/`))
}

/** May it subscribe to this? null instead of the subscription refuses. */
export function authorizeSubscribe(client, subscription, done) {
  done(null, subscription.topic.startsWith(`devices/${client.id}/`) ? subscription : null)
}
