// MQTT load generator for 3.1.1 and 5: one thread, epoll, one JSON object on stdout.
//
// Publishers keep a window of unacknowledged QoS 1 or 2 messages, or send QoS 0 as fast as the socket and --outstanding allow;
// subscribers count what arrives, check its order and take the latency from a stamp in the payload. With --pids the broker's
// CPU time and resident memory come from /proc, so that the cost per message compares brokers even on a noisy machine. The
// generator shares the machine with the broker: its own CPU time is reported, and a run in which it was busy all the time says
// how fast the generator is, not the broker.
//
// Phases: connect everybody, warm up, measure, drain. After the drain every accepted message must have arrived --deliveries
// times. Exit code 0 means that the JSON was printed, not that all went well: whoever reads it decides that.
#include "load.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS_PER_TURN 512
#define CONNECT_PATIENCE_NS (60 * SECOND_NS)
// A broker that has delivered and acknowledged nothing for this long has nothing more to say.
#define SILENCE_NS (SECOND_NS)

static const char usage[] =
    "load --port N [--name value ...]\n"
    "  --host A --version 4|5 --user U --password P --id-prefix P --pids PID,PID\n"
    "  --publishers N --subscribers N --idle N   connections of each role\n"
    "  --topic T --filter F                      %d in them becomes the number of the publisher or subscriber\n"
    "  --qos Q --subscribe-qos Q --size BYTES --window N --retain 0|1 --share GROUP\n"
    "  --user-properties N                       per message, version 5 only\n"
    "  --clean 0|1 --subscriber-clean 0|1 --expiry SECONDS\n"
    "  --warmup S --seconds S --drain S --hold S\n"
    "  --rate N                                  messages per second over all publishers; 0: as many as possible\n"
    "  --outstanding N                           publish only while fewer messages than this are undelivered\n"
    "  --deliveries N                            how many subscribers each message must reach\n"
    "  --connecting N --connect-rate N --sources N  connects at a time, per second; from this many 127.0.0.x\n";

static struct run run = {
    .options = {.host = "127.0.0.1", .port = 1883, .version = 4, .topic = "load/%d/data",
                .filter = "load/%d/#", .subscribe_qos = -1, .size = 100, .window = 20, .clean = 1, .subscriber_clean = -1,
                .expiry_seconds = 3600, .sources = 1, .connecting_max = 100, .seconds = 5, .warmup_seconds = 1,
                .drain_seconds = 10}};

static void parse_options(int count, char **words) {
    struct options *o = &run.options;
    struct option {
        const char *name;
        const char **text;
        int *integer;
        long *large;
        double *number;
    } known[] = {
        {.name = "host", .text = &o->host},
        {.name = "port", .integer = &o->port},
        {.name = "version", .integer = &o->version},
        {.name = "user", .text = &o->user},
        {.name = "password", .text = &o->password},
        {.name = "id-prefix", .text = &o->id_prefix},
        {.name = "pids", .text = &o->pids},
        {.name = "publishers", .integer = &o->publishers},
        {.name = "subscribers", .integer = &o->subscribers},
        {.name = "idle", .integer = &o->idle},
        {.name = "topic", .text = &o->topic},
        {.name = "filter", .text = &o->filter},
        {.name = "share", .text = &o->share},
        {.name = "qos", .integer = &o->qos},
        {.name = "subscribe-qos", .integer = &o->subscribe_qos},
        {.name = "size", .integer = &o->size},
        {.name = "window", .integer = &o->window},
        {.name = "retain", .integer = &o->retain},
        {.name = "user-properties", .integer = &o->user_properties},
        {.name = "clean", .integer = &o->clean},
        {.name = "subscriber-clean", .integer = &o->subscriber_clean},
        {.name = "expiry", .integer = &o->expiry_seconds},
        {.name = "warmup", .number = &o->warmup_seconds},
        {.name = "seconds", .number = &o->seconds},
        {.name = "drain", .number = &o->drain_seconds},
        {.name = "hold", .number = &o->hold_seconds},
        {.name = "rate", .number = &o->rate},
        {.name = "outstanding", .large = &o->outstanding_max},
        {.name = "deliveries", .integer = &o->deliveries},
        {.name = "connecting", .integer = &o->connecting_max},
        {.name = "connect-rate", .number = &o->connect_rate},
        {.name = "sources", .integer = &o->sources},
    };
    for (int i = 1; i < count; i += 2) {
        struct option *option = NULL;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (strncmp(words[i], "--", 2) == 0 && strcmp(words[i] + 2, known[k].name) == 0)
                option = &known[k];
        if (!option || i + 1 == count) {
            fprintf(stderr, "%s: %s\n%s", words[i], option ? "needs a value" : "unknown option", usage);
            exit(2);
        }
        if (option->text)
            *option->text = words[i + 1];
        else if (option->integer)
            *option->integer = atoi(words[i + 1]);
        else if (option->large)
            *option->large = atol(words[i + 1]);
        else
            *option->number = atof(words[i + 1]);
    }
    static char id_prefix[32];
    snprintf(id_prefix, sizeof id_prefix, "load%d", getpid());
    if (!o->id_prefix)
        o->id_prefix = id_prefix;
    o->run_mark = (uint16_t)getpid();
    if (o->subscribe_qos < 0)
        o->subscribe_qos = o->qos;
    if (o->subscriber_clean < 0)
        o->subscriber_clean = o->clean;
    bool sane = o->publishers <= 65535 && (o->version == 4 || o->version == 5) && o->qos >= 0 && o->qos <= 2 && o->size >= 16 && o->size <= 131072 &&
                o->window >= 1 && o->window <= 8192 && o->user_properties >= 0 && o->user_properties <= 16 &&
                strlen(o->topic) < 200 && strlen(o->filter) < 200 && strlen(o->id_prefix) < 64 && o->sources >= 1 &&
                o->connecting_max >= 1 && (!o->outstanding_max || o->deliveries) &&
                (!o->user || strlen(o->user) < 256) && (!o->password || strlen(o->password) < 256);
    if (!sane) {
        fprintf(stderr, "an option is out of range (version 4 or 5, qos 0-2, size 16-131072, window 1-8192, user-properties 0-16; "
                        "outstanding needs deliveries)\n%s", usage);
        exit(2);
    }
}

static void turn(int wait_ms) {
    static struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(run.epoll, events, EVENTS_PER_TURN, wait_ms);
    for (int i = 0; i < count; i++)
        client_event(&run, events[i].data.ptr, events[i].events);
}

// Subscribers come first and are all subscribed before the first publisher connects, so that nobody publishes to nobody.
static void connect_all(struct client *clients, int first, int count) {
    struct options *o = &run.options;
    uint64_t began = clock_ns();
    int ready_before = run.tally.ready, started = 0;
    int gone_before = run.tally.failed + run.tally.lost;
    for (;;) {
        int settled = run.tally.ready - ready_before + run.tally.failed + run.tally.lost - gone_before;
        double elapsed = (double)(clock_ns() - began) / 1e9;
        if (settled >= count || elapsed > (double)CONNECT_PATIENCE_NS / 1e9)
            return;
        while (started < count && started - settled < o->connecting_max &&
               (o->connect_rate <= 0 || started < elapsed * o->connect_rate)) {
            int serial = first + started++;
            enum role role = serial < o->subscribers ? SUBSCRIBER : serial < o->subscribers + o->idle ? IDLE : PUBLISHER;
            int index = role == SUBSCRIBER ? serial : role == IDLE ? serial - o->subscribers : serial - o->subscribers - o->idle;
            client_start(&run, &clients[serial], role, index, serial);
        }
        turn(o->connect_rate > 0 && started < count ? 1 : 100);
    }
}

static void publish_for(struct client *clients, int count, double seconds) {
    struct options *o = &run.options;
    uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);
    // Acks wake a publisher by themselves. A pace or a limit on what is undelivered does not: then everybody is asked each turn,
    // beginning with another one every time.
    bool ask = o->rate > 0 || o->outstanding_max > 0;
    int publishers_from = o->subscribers + o->idle, publishers = count - publishers_from, next = 0;
    while (clock_ns() < end) {
        if (ask && publishers > 0) {
            for (int i = 0; i < publishers; i++)
                client_publish(&run, &clients[publishers_from + (next + i) % publishers]);
            next = (next + 1) % publishers;
        }
        turn(o->rate > 0 ? 1 : 20);
    }
}

static uint64_t expected_deliveries(void) {
    const struct counters *total = &run.tally.total;
    return (run.options.qos ? total->acked : total->sent) * (uint64_t)run.options.deliveries;
}

// True when everything that is owed has come; false when the broker fell silent before, or the time was up.
static bool drain(void) {
    struct options *o = &run.options;
    struct tally *tally = &run.tally;
    uint64_t began = clock_ns(), last_news = began, last_sum = 0;
    for (;;) {
        uint64_t settled = tally->total.acked + tally->total.refused;
        if ((!o->qos || settled >= tally->total.sent) && tally->total.received >= expected_deliveries())
            return true;
        uint64_t now = clock_ns(), sum = settled + tally->total.received;
        if (sum != last_sum)
            last_news = now;
        last_sum = sum;
        if (now - last_news > SILENCE_NS || (double)(now - began) / 1e9 > o->drain_seconds)
            return false;
        turn(20);
    }
}

static void print_counters(const char *name, const struct counters *c) {
    printf("\"%s\":{\"sent\":%llu,\"acked\":%llu,\"refused\":%llu,\"received\":%llu}", name, (unsigned long long)c->sent,
           (unsigned long long)c->acked, (unsigned long long)c->refused, (unsigned long long)c->received);
}

static void print_text(const char *name, const char *text) {
    printf("\"%s\":\"", name);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text >= 32)
            putchar(*text);
    putchar('"');
}

int main(int count, char **words) {
    parse_options(count, words);
    struct options *o = &run.options;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int wanted = o->subscribers + o->idle + o->publishers;
    if ((rlim_t)wanted + 16 > files.rlim_max) {
        fprintf(stderr, "%d connections need more file descriptors than the hard limit of %llu allows\n", wanted,
                (unsigned long long)files.rlim_max);
        return 2;
    }
    run.epoll = epoll_create1(0);
    struct client *clients = calloc((size_t)wanted + 1, sizeof *clients);
    struct tally *tally = &run.tally;

    long resident_before = broker_resident_kib(o->pids);
    double cpu_before_connect = broker_cpu_seconds(o->pids);
    uint64_t connect_began = clock_ns();
    connect_all(clients, 0, o->subscribers);
    connect_all(clients, o->subscribers, wanted - o->subscribers);
    double connect_seconds = (double)(clock_ns() - connect_began) / 1e9;
    double connect_cpu = broker_cpu_seconds(o->pids) - cpu_before_connect;
    int open = tally->ready;
    for (uint64_t end = clock_ns() + (uint64_t)(o->hold_seconds * 1e9); clock_ns() < end;)
        turn(50);
    long resident_connected = broker_resident_kib(o->pids);

    run.publishing = true;
    run.paced_from_ns = clock_ns();
    for (int i = 0; i < wanted; i++)
        client_publish(&run, &clients[i]);
    publish_for(clients, wanted, o->publishers ? o->warmup_seconds : 0);
    memset(&tally->measured, 0, sizeof tally->measured);
    histogram_clear(&tally->ack);
    histogram_clear(&tally->end_to_end);
    double cpu = broker_cpu_seconds(o->pids), own = own_cpu_seconds();
    uint64_t began = clock_ns();
    publish_for(clients, wanted, o->publishers ? o->seconds : 0);
    double seconds = (double)(clock_ns() - began) / 1e9;
    cpu = broker_cpu_seconds(o->pids) - cpu;
    own = own_cpu_seconds() - own;
    struct counters measured = tally->measured;
    struct histogram ack = tally->ack, end_to_end = tally->end_to_end;
    run.publishing = false;
    uint64_t drain_began = clock_ns();
    bool drained = drain();
    double drain_seconds = (double)(clock_ns() - drain_began) / 1e9;

    printf("{\"connections\":{\"wanted\":%d,\"open\":%d,\"failed\":%d,\"lost\":%d,\"seconds\":%.4f,\"brokerCpuSeconds\":%.2f},",
           wanted, open, tally->failed, tally->lost, connect_seconds, connect_cpu);
    printf("\"seconds\":%.4f,", seconds);
    print_counters("measured", &measured);
    putchar(',');
    print_counters("total", &tally->total);
    printf(",\"expected\":%llu,\"outOfOrder\":%llu,\"unexpectedAcks\":%llu,\"strangers\":%llu,", (unsigned long long)expected_deliveries(),
           (unsigned long long)tally->out_of_order, (unsigned long long)tally->unexpected_acks,
           (unsigned long long)tally->strangers);
    printf("\"brokerCpuSeconds\":%.2f,\"loadCpuSeconds\":%.3f,", cpu, own);
    printf("\"residentKib\":{\"before\":%ld,\"connected\":%ld,\"after\":%ld},", resident_before, resident_connected,
           broker_resident_kib(o->pids));
    histogram_print(stdout, "ackMicroseconds", &ack);
    putchar(',');
    histogram_print(stdout, "endToEndMicroseconds", &end_to_end);
    putchar(',');
    histogram_print(stdout, "connectMicroseconds", &tally->connect);
    printf(",\"drain\":{\"seconds\":%.3f,\"complete\":%s},", drain_seconds, drained ? "true" : "false");
    print_text("firstFailure", tally->first_failure);
    printf("}\n");
    fflush(stdout);
    for (int i = 0; i < wanted; i++)
        client_disconnect(&clients[i]);
    return 0;
}
