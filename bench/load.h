// What the four parts of the load generator share: load.c (options, phases, report), load-client.c (one MQTT connection),
// load-packet.c (its bytes), load-measure.c (clock, histograms, what /proc says about the broker).
#ifndef TRIBUTARY_LOAD_H
#define TRIBUTARY_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SECOND_NS 1000000000ull

// ---- load-measure.c ----

// Logarithmic buckets with 64 steps per power of two, so a reported quantile is at most 1.6 % away from the truth.
#define HISTOGRAM_BUCKETS (64 * 40)
struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

uint64_t clock_ns(void);
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_clear(struct histogram *h);
double histogram_quantile_us(const struct histogram *h, double quantile);
void histogram_print(FILE *to, const char *name, const struct histogram *h);

// `pids` is a comma-separated list: some brokers are more than one process. All threads of each process count.
double broker_cpu_seconds(const char *pids);
long broker_resident_kib(const char *pids);
double own_cpu_seconds(void);

// ---- options and state ----

struct options {
    const char *host, *pids, *user, *password, *id_prefix, *topic, *filter, *share;
    int port, version, publishers, subscribers, idle, qos, subscribe_qos, size, window, user_properties;
    int clean, subscriber_clean, expiry_seconds, retain, sources, connecting_max, deliveries;
    double seconds, warmup_seconds, hold_seconds, drain_seconds, rate, connect_rate;
    long outstanding_max;
    uint16_t run_mark; // tells our messages from those of another run
};

enum role { PUBLISHER, SUBSCRIBER, IDLE };
enum state { UNUSED, CONNECTING, CONNECTED, READY, GONE };

struct window_slot {
    uint64_t sent_ns;
    uint16_t packet_id; // 0: free; the standard keeps 0 out of use [MQTT-2.2.1-3]
};

struct client {
    int fd;
    enum role role;
    enum state state;
    int index; // within its role
    bool write_wanted;
    uint64_t started_ns;
    unsigned char *out; // bytes the socket did not take yet
    size_t out_length, out_capacity;
    unsigned char *partial; // the beginning of a packet whose end has not arrived
    size_t partial_length;
    // Publishers: a finished PUBLISH in which packet identifier, stamp and sequence number are patched for every message.
    unsigned char *template;
    size_t template_length, id_offset, payload_offset;
    struct window_slot *slots;
    int slot_count, window, inflight;
    uint32_t last_packet_id, packet_id_max;
    uint32_t sequence;
    uint32_t *seen; // subscribers: the last sequence number of each publisher
};

struct counters {
    uint64_t sent, acked, refused, received;
};

// Everything the connections report to. `measured` is cleared when the warm-up ends, `total` never.
struct tally {
    struct counters measured, total;
    uint64_t out_of_order, unexpected_acks, strangers;
    int connected, ready, failed, lost;
    char first_failure[200];
    struct histogram ack, end_to_end, connect;
};

struct run {
    struct options options;
    struct tally tally;
    int epoll;
    bool publishing;
    uint64_t paced_from_ns; // with --rate: when message 0 was due
    uint64_t paced_count;
};

// ---- load-packet.c ----

// Room for a CONNECT or SUBSCRIBE; PUBLISH packets live in their publisher's template.
#define PACKET_BYTES_MAX 2048

size_t packet_connect(const struct options *options, const struct client *client, unsigned char *to);
size_t packet_subscribe(const struct options *options, const struct client *client, unsigned char *to);
void packet_template(const struct options *options, struct client *client);
// Returns how many bytes the integer took, 0 when its end has not arrived.
size_t packet_variable_integer(const unsigned char *at, size_t available, size_t *value);
int packet_receive_maximum(const unsigned char *at, size_t length);

// ---- load-client.c: the life of a connection ----

void client_start(struct run *run, struct client *client, enum role role, int index, int serial);
void client_event(struct run *run, struct client *client, uint32_t events);
void client_publish(struct run *run, struct client *client);
void client_disconnect(struct client *client);

#endif
