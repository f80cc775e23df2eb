// One MQTT connection of the load generator: connects, subscribes, keeps its window of unacknowledged messages full, answers
// and counts what arrives. Reads at most one buffer per wake-up, so that a connection with much to say cannot starve the others.
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define READ_BYTES (256 * 1024)
// Publishing stops while this much waits in our own buffer: beyond it, latency would measure the generator's queue.
#define UNSENT_BYTES_MAX (64 * 1024)
// A QoS 0 publisher has no window; it sends this many messages and lets the others have their turn.
#define QOS0_BURST 64

static void watch(struct run *run, struct client *client, bool write_wanted) {
    if (client->write_wanted == write_wanted)
        return;
    client->write_wanted = write_wanted;
    struct epoll_event event = {.events = EPOLLIN | (write_wanted ? EPOLLOUT : 0), .data.ptr = client};
    epoll_ctl(run->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void fail(struct run *run, struct client *client, const char *why, int detail) {
    if (client->state == GONE)
        return;
    struct tally *tally = &run->tally;
    if (!tally->first_failure[0]) {
        static const char *roles[] = {"publisher", "subscriber", "idle client"};
        snprintf(tally->first_failure, sizeof tally->first_failure, "%s %d: %s (%d)", roles[client->role], client->index, why,
                 detail);
    }
    if (client->state == READY)
        tally->lost++;
    else
        tally->failed++;
    client->state = GONE;
    close(client->fd);
}

// ---- bytes out ----

static void append(struct client *client, const void *bytes, size_t length) {
    if (client->out_length + length > client->out_capacity) {
        size_t capacity = client->out_capacity ? client->out_capacity : 256;
        while (capacity < client->out_length + length)
            capacity *= 2;
        client->out = realloc(client->out, capacity);
        client->out_capacity = capacity;
    }
    memcpy(client->out + client->out_length, bytes, length);
    client->out_length += length;
}

static void flush(struct run *run, struct client *client) {
    size_t sent = 0;
    while (sent < client->out_length) {
        ssize_t n = send(client->fd, client->out + sent, client->out_length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            fail(run, client, "send failed", errno);
            return;
        }
        sent += (size_t)n;
    }
    if (sent && sent < client->out_length)
        memmove(client->out, client->out + sent, client->out_length - sent);
    client->out_length -= sent;
    watch(run, client, client->out_length > 0);
}

// ---- publishing ----

static void open_window(const struct options *options, struct client *client) {
    // Twice the window, as a power of two, and identifiers up to a multiple of it: after the wrap the next slot is the next slot.
    client->slot_count = 2;
    while (client->slot_count < options->window * 2)
        client->slot_count *= 2;
    client->slots = calloc((size_t)client->slot_count, sizeof *client->slots);
    client->packet_id_max = 65535u / (uint32_t)client->slot_count * (uint32_t)client->slot_count;
}

static struct window_slot *take_slot(struct client *client) {
    struct window_slot *slot;
    do { // an identifier still in flight is skipped [MQTT-2.2.1-4]
        client->last_packet_id = client->last_packet_id % client->packet_id_max + 1;
        slot = &client->slots[client->last_packet_id % (uint32_t)client->slot_count];
    } while (slot->packet_id);
    slot->packet_id = (uint16_t)client->last_packet_id;
    return slot;
}

static bool may_publish(struct run *run, struct client *client, uint64_t now) {
    const struct options *options = &run->options;
    const struct counters *total = &run->tally.total;
    if (options->qos && client->inflight >= client->window)
        return false;
    if (client->out_length > UNSENT_BYTES_MAX)
        return false;
    if (options->outstanding_max &&
        (int64_t)(total->sent * (uint64_t)options->deliveries - total->received) >= options->outstanding_max * options->deliveries)
        return false;
    if (options->rate > 0 && (double)run->paced_count >= (double)(now - run->paced_from_ns) / 1e9 * options->rate)
        return false;
    return true;
}

void client_publish(struct run *run, struct client *client) {
    const struct options *options = &run->options;
    if (client->role != PUBLISHER || client->state != READY || !run->publishing)
        return;
    uint64_t now = clock_ns();
    int burst = options->qos ? client->window : QOS0_BURST;
    for (; burst > 0 && may_publish(run, client, now); burst--) {
        // A paced message carries the moment it was due. Stamping the moment it left would hide every stall of the broker
        // that also held up the generator.
        uint64_t stamp = now;
        if (options->rate > 0)
            stamp = run->paced_from_ns + (uint64_t)((double)run->paced_count++ / options->rate * 1e9);
        if (options->qos) {
            struct window_slot *slot = take_slot(client);
            slot->sent_ns = stamp;
            client->template[client->id_offset] = (unsigned char)(slot->packet_id >> 8);
            client->template[client->id_offset + 1] = (unsigned char)slot->packet_id;
            client->inflight++;
        }
        client->sequence++;
        memcpy(client->template + client->payload_offset, &stamp, 8);
        memcpy(client->template + client->payload_offset + 12, &client->sequence, 4);
        append(client, client->template, client->template_length);
        run->tally.measured.sent++;
        run->tally.total.sent++;
    }
    flush(run, client);
    // Without a window nothing comes back that would wake this publisher: ask for the socket's next readiness instead.
    if (client->state == READY && !options->qos && !options->rate && may_publish(run, client, now))
        watch(run, client, true);
}

// ---- bytes in ----

static void on_connack(struct run *run, struct client *client, const unsigned char *body, size_t length) {
    if (length < 2 || body[1] != 0) {
        fail(run, client, "CONNACK refused", length < 2 ? -1 : body[1]);
        return;
    }
    histogram_add(&run->tally.connect, clock_ns() - client->started_ns);
    run->tally.connected++;
    client->state = CONNECTED;
    if (client->role == SUBSCRIBER) {
        unsigned char subscribe[PACKET_BYTES_MAX];
        append(client, subscribe, packet_subscribe(&run->options, client, subscribe));
        return;
    }
    if (client->role == PUBLISHER) {
        int allowed = run->options.version == 5 ? packet_receive_maximum(body + 2, length - 2) : 65535;
        client->window = allowed < run->options.window ? allowed : run->options.window;
        packet_template(&run->options, client);
        open_window(&run->options, client);
    }
    client->state = READY;
    run->tally.ready++;
}

static void on_suback(struct run *run, struct client *client, const unsigned char *body, size_t length) {
    if (length < 3 || body[length - 1] & 0x80) {
        fail(run, client, "SUBACK refused", length ? body[length - 1] : -1);
        return;
    }
    client->state = READY;
    run->tally.ready++;
}

// PUBACK, PUBCOMP, or a PUBREC that refuses: the exchange is over and its slot free.
static void on_settled(struct run *run, struct client *client, const unsigned char *body, size_t length, uint64_t now) {
    uint16_t packet_id = (uint16_t)(body[0] << 8 | body[1]);
    struct window_slot *slot = &client->slots[packet_id % client->slot_count];
    if (slot->packet_id != packet_id) {
        run->tally.unexpected_acks++;
        return;
    }
    bool refused = length > 2 && body[2] >= 0x80;
    slot->packet_id = 0;
    client->inflight--;
    if (refused) {
        run->tally.measured.refused++;
        run->tally.total.refused++;
        return;
    }
    run->tally.measured.acked++;
    run->tally.total.acked++;
    histogram_add(&run->tally.ack, now > slot->sent_ns ? now - slot->sent_ns : 0);
}

static void on_publish(struct run *run, struct client *client, const unsigned char *packet, size_t header, size_t length,
                       uint64_t now) {
    const unsigned char *at = packet + header, *end = at + length;
    int qos = packet[0] >> 1 & 3;
    at += 2 + (at[0] << 8 | at[1]);
    if (qos) {
        unsigned char reply[4] = {qos == 1 ? 0x40 : 0x50, 2, at[0], at[1]};
        append(client, reply, 4);
        at += 2;
    }
    if (run->options.version == 5) {
        size_t properties;
        at += packet_variable_integer(at, (size_t)(end - at), &properties);
        at += properties;
    }
    if (end - at < 16) {
        run->tally.strangers++;
        return;
    }
    uint64_t stamp;
    uint16_t origin[2];
    uint32_t sequence;
    memcpy(&stamp, at, 8);
    memcpy(origin, at + 8, 4);
    memcpy(&sequence, at + 12, 4);
    uint16_t publisher = origin[0];
    if (origin[1] != run->options.run_mark || publisher >= run->options.publishers) {
        run->tally.strangers++; // a message of an earlier run that was still queued in the broker
        return;
    }
    run->tally.measured.received++;
    run->tally.total.received++;
    histogram_add(&run->tally.end_to_end, now > stamp ? now - stamp : 0);
    // Order per publisher must hold [MQTT-4.6.0-5]; a repeated message counts as out of order too. A gap shows up as missing.
    if (sequence <= client->seen[publisher])
        run->tally.out_of_order++;
    else
        client->seen[publisher] = sequence;
}

static void on_packet(struct run *run, struct client *client, const unsigned char *packet, size_t header, size_t length,
                      uint64_t now) {
    const unsigned char *body = packet + header;
    switch (packet[0] >> 4) {
    case 2:
        on_connack(run, client, body, length);
        break;
    case 3:
        on_publish(run, client, packet, header, length, now);
        break;
    case 4:
    case 7:
        on_settled(run, client, body, length, now);
        break;
    case 5:
        if (length > 2 && body[2] >= 0x80)
            on_settled(run, client, body, length, now);
        else
            append(client, (unsigned char[]){0x62, 2, body[0], body[1]}, 4);
        break;
    case 6:
        append(client, (unsigned char[]){0x70, 2, body[0], body[1]}, 4);
        break;
    case 9:
        on_suback(run, client, body, length);
        break;
    case 14:
        fail(run, client, "DISCONNECT from the broker", length ? body[0] : 0);
        break;
    default:
        fail(run, client, "unexpected packet", packet[0]);
    }
}

static void on_readable(struct run *run, struct client *client) {
    static unsigned char buffer[READ_BYTES * 2];
    size_t have = client->partial_length;
    if (have)
        memcpy(buffer, client->partial, have);
    ssize_t n = recv(client->fd, buffer + have, sizeof buffer - have, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        fail(run, client, n ? "receive failed" : "closed by the broker", n ? errno : 0);
        return;
    }
    have += (size_t)n;
    uint64_t now = clock_ns();
    size_t at = 0;
    while (have - at >= 2) {
        size_t length, digits = packet_variable_integer(buffer + at + 1, have - at - 1, &length);
        if (!digits || have - at < 1 + digits + length)
            break;
        on_packet(run, client, buffer + at, 1 + digits, length, now);
        if (client->state == GONE)
            return;
        at += 1 + digits + length;
    }
    client->partial_length = have - at;
    if (have > at) {
        client->partial = realloc(client->partial, have - at);
        memcpy(client->partial, buffer + at, have - at);
    }
    if (client->role == PUBLISHER && client->state == READY && run->publishing)
        client_publish(run, client);
    else if (client->out_length)
        flush(run, client);
}

// ---- life of a connection ----

void client_start(struct run *run, struct client *client, enum role role, int index, int serial) {
    const struct options *options = &run->options;
    client->role = role;
    client->index = index;
    client->state = CONNECTING;
    client->started_ns = clock_ns();
    if (role == SUBSCRIBER)
        client->seen = calloc((size_t)options->publishers + 1, sizeof *client->seen);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0) {
        fail(run, client, "no socket", errno);
        return;
    }
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options->sources > 1) {
        // One source address reaches a broker over some 28,000 ports; every further 127.0.0.x adds as many.
        struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001u + (unsigned)(serial % options->sources))};
        setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0) {
            fail(run, client, "source address not usable", errno);
            return;
        }
    }
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->host, &target.sin_addr);
    if (connect(client->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
        fail(run, client, "connect failed", errno);
        return;
    }
    unsigned char packet[PACKET_BYTES_MAX];
    append(client, packet, packet_connect(options, client, packet));
    client->write_wanted = true;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
    epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event);
}

void client_event(struct run *run, struct client *client, uint32_t events) {
    if (client->state == GONE)
        return;
    if (events & EPOLLERR && client->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        fail(run, client, "connect failed", error);
        return;
    }
    if (events & EPOLLOUT) {
        flush(run, client);
        client_publish(run, client);
    }
    if (client->state != GONE && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(run, client);
}

void client_disconnect(struct client *client) {
    if (client->state == UNUSED || client->state == GONE)
        return;
    unsigned char disconnect[2] = {0xe0, 0};
    if (client->state != CONNECTING && client->out_length == 0 && send(client->fd, disconnect, 2, MSG_NOSIGNAL) < 2)
        fprintf(stderr, "DISCONNECT not sent: %s\n", strerror(errno));
    close(client->fd);
    client->state = GONE;
}
