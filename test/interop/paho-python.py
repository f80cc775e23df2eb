"""Eclipse Paho's Python client (1.6) against a broker: run by paho-python.test.ts.

    paho-python.py TRANSPORT PORT VERSION [CAFILE]

TRANSPORT is tcp, tls, ws or wss, VERSION 3, 4 or 5. Prints a JSON object per claim: claim, and error when it does not hold.
"""

import json
import os
import queue
import socket
import ssl
import sys
import traceback

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

transport, port, version = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ca_file = sys.argv[4] if len(sys.argv) > 4 else None
room = f"python/{transport}/{version}"
# Nothing here takes long; a broker that says nothing is not waited for in vain.
PATIENCE_SECONDS = 20

claims = []


def claim(text):
    def register(scenario):
        claims.append((text, scenario))
        return scenario

    return register


class Client:
    """A paho client whose callbacks fill queues."""

    def __init__(self, role, clean=True, will=None, properties=None):
        websockets = transport in ("ws", "wss")
        kind = {"transport": "websockets" if websockets else "tcp", "protocol": version}
        if version != 5:
            kind["clean_session"] = clean
        self.client = mqtt.Client(f"py-{transport}-{version}-{role}", **kind)
        if websockets:
            self.client.ws_set_options(path="/mqtt")
        if ca_file:
            self.client.tls_set(ca_file, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        if will:
            self.client.will_set(*will)
        self.connacks, self.subacks, self.messages, self.gone = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
        self.published = queue.Queue()
        self.client.on_connect = lambda client, data, flags, code, *more: self.connacks.put((flags, code, *more))
        self.client.on_subscribe = lambda client, data, mid, granted, *more: self.subacks.put(granted)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_disconnect = lambda client, data, code, *more: self.gone.put(code)
        self.client.on_publish = lambda client, data, mid: self.published.put(mid)
        options = {}
        if version == 5:
            options = {"clean_start": clean, "properties": connect_properties(clean, properties)}
        self.client.connect("127.0.0.1", port, keepalive=60, **options)
        self.client.loop_start()
        self.flags, code, *self.connack = wait(self.connacks)
        assert code == 0, f"CONNACK {code}"

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        granted = wait(self.subacks)
        assert [int(getattr(code, "value", code)) for code in granted] == [qos], granted

    def publish(self, topic, payload, qos=0, retain=False, **properties):
        options = {}
        if properties:
            options["properties"] = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(options["properties"], name, value)
        self.client.publish(topic, payload, qos, retain, **options)
        wait(self.published)

    def next(self):
        return wait(self.messages)

    def until(self, last):
        payloads = []
        while (payload := self.next().payload.decode()) != last:
            payloads.append(payload)
        return payloads

    def disconnect(self):
        self.client.disconnect()
        wait(self.gone)
        self.client.loop_stop()

    def cut(self):
        """Ends the transport without a DISCONNECT, and stays away."""
        self.client.reconnect_delay_set(3600, 3600)
        # Also that of TLS and WebSocket, whose wrappers have no such call: it is the connection that is shut down.
        with socket.socket(fileno=os.dup(self.client.socket().fileno())) as transport:
            transport.shutdown(socket.SHUT_RDWR)


def connect_properties(clean, extra):
    properties = Properties(PacketTypes.CONNECT)
    if not clean:
        properties.SessionExpiryInterval = 3600
    for name, value in (extra or {}).items():
        setattr(properties, name, value)
    return properties


def wait(fifo):
    return fifo.get(timeout=PATIENCE_SECONDS)


def equal(seen, expected):
    assert seen == expected, f"{seen!r} is not {expected!r}"


@claim("messages published at QoS 0, 1 and 2 arrive once each, whole")
def every_qos():
    subscriber, publisher = Client("subscriber"), Client("publisher")
    subscriber.subscribe(f"{room}/qos/+", 2)
    payload = b"x" * 100_000
    for qos in (0, 1, 2):
        publisher.publish(f"{room}/qos/{qos}", payload, qos)
        message = subscriber.next()
        equal((message.topic, message.qos, message.retain, message.dup), (f"{room}/qos/{qos}", qos, False, False))
        equal(message.payload, payload)
        publisher.publish(f"{room}/qos/end", b"end", qos)
        equal(subscriber.until("end"), [])
    subscriber.disconnect()
    publisher.disconnect()


@claim("a retained message reaches who subscribes later, until an empty one takes its place")
def retained():
    publisher = Client("publisher")
    publisher.publish(f"{room}/retained", b"kept", 1, retain=True)
    late = Client("late")
    late.subscribe(f"{room}/retained", 1)
    message = late.next()
    equal((message.payload, message.qos, message.retain), (b"kept", 1, True))
    publisher.publish(f"{room}/retained", b"", 1, retain=True)
    equal(late.next().payload, b"")
    later = Client("later")
    later.subscribe(f"{room}/retained", 1)
    publisher.publish(f"{room}/retained", b"end", 1)
    equal(later.until("end"), [])
    for client in (publisher, late, later):
        client.disconnect()


@claim("a will is published when the connection is cut, and not when the client says goodbye")
def wills():
    watcher = Client("watcher")
    watcher.subscribe(f"{room}/will", 2)
    Client("polite", will=(f"{room}/will", b"polite", 2, False)).disconnect()
    Client("cut", will=(f"{room}/will", b"cut", 2, False)).cut()
    message = watcher.next()
    equal((message.payload, message.qos, message.retain), (b"cut", 2, False))
    watcher.disconnect()


@claim("a session is kept and delivers what came meanwhile, in order")
def sessions():
    publisher = Client("publisher")
    for qos in (1, 2):
        first = Client("away", clean=False)
        first.subscribe(f"{room}/away", qos)
        first.disconnect()
        for payload in ("one", "two", "three", "end"):
            publisher.publish(f"{room}/away", payload, qos)
        second = Client("away", clean=False)
        # 3.1 has no such flag.
        equal(second.flags["session present"], 0 if version == 3 else 1)
        equal(second.until("end"), ["one", "two", "three"])
        second.disconnect()
        Client("away").disconnect()
    publisher.disconnect()


@claim("the members of a shared subscription get each message once, together")
def shared():
    members, publisher = [Client("member-1"), Client("member-2")], Client("publisher")
    for member in members:
        member.subscribe(f"$share/team/{room}/work", 1)
        member.subscribe(f"{room}/end", 1)
    sent = [f"job {i}" for i in range(10)]
    for payload in sent:
        publisher.publish(f"{room}/work", payload, 1)
    publisher.publish(f"{room}/end", "end", 1)
    shares = [member.until("end") for member in members]
    equal(sorted(shares[0] + shares[1]), sent)
    for client in (*members, publisher):
        client.disconnect()


if version == 5:

    @claim("a request is answered on its response topic with its correlation data, and properties keep their order")
    def request_response():
        requester, responder = Client("requester"), Client("responder")
        requester.subscribe(f"{room}/reply", 1)
        responder.subscribe(f"{room}/request", 1)
        user_properties = [("b", "1"), ("a", "2"), ("b", "3")]
        requester.publish(
            f"{room}/request",
            b"ping",
            1,
            ResponseTopic=f"{room}/reply",
            CorrelationData=b"\x00\xff",
            UserProperty=user_properties,
            ContentType="text/plain",
        )
        request = responder.next().properties
        equal(request.UserProperty, user_properties)
        equal(request.ContentType, "text/plain")
        responder.publish(request.ResponseTopic, b"pong", 1, CorrelationData=request.CorrelationData)
        reply = requester.next()
        equal((reply.payload, reply.properties.CorrelationData), (b"pong", b"\x00\xff"))
        requester.disconnect()
        responder.disconnect()


@claim("a second connection with the client id ends the first")
def taken_over():
    first = Client("same")
    first.client.reconnect_delay_set(3600, 3600)
    second = Client("same")
    # Why, this client shows only when the DISCONNECT has a property too.
    wait(first.gone)
    second.disconnect()


failed = False
for text, scenario in claims:
    try:
        scenario()
        print(json.dumps({"claim": text}), flush=True)
    except Exception:
        failed = True
        print(json.dumps({"claim": text, "error": traceback.format_exc()}), flush=True)
sys.exit(1 if failed else 0)
