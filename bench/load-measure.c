// Clock, latency histograms and what /proc knows about the broker under load.
#include "load.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static int bucket_of(uint64_t ns) {
    if (ns < 64)
        return (int)ns;
    int exponent = 63 - __builtin_clzll(ns);
    int bucket = (exponent - 5) * 64 + (int)((ns >> (exponent - 6)) & 63);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

// The middle of a bucket, so that rounding does not lean to one side.
static double bucket_middle_ns(int bucket) {
    if (bucket < 64)
        return bucket;
    int exponent = bucket / 64 + 5;
    double step = (double)(1ull << (exponent - 6));
    return (64 + bucket % 64) * step + step / 2;
}

void histogram_add(struct histogram *h, uint64_t ns) {
    h->buckets[bucket_of(ns)]++;
    h->count++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

void histogram_clear(struct histogram *h) { memset(h, 0, sizeof *h); }

double histogram_quantile_us(const struct histogram *h, double quantile) {
    uint64_t needed = (uint64_t)((double)h->count * quantile), passed = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        passed += h->buckets[i];
        if (passed > needed)
            return bucket_middle_ns(i) / 1000;
    }
    return (double)h->max_ns / 1000;
}

void histogram_print(FILE *to, const char *name, const struct histogram *h) {
    if (h->count == 0) {
        fprintf(to, "\"%s\":null", name);
        return;
    }
    fprintf(to, "\"%s\":{\"count\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}", name,
            (unsigned long long)h->count, histogram_quantile_us(h, 0.5), histogram_quantile_us(h, 0.99),
            histogram_quantile_us(h, 0.999), (double)h->max_ns / 1000);
}

// utime and stime of /proc/PID/stat cover every thread of the process, also those that have ended: a broker that writes and
// syncs on a thread pool is charged for it.
static double process_cpu_seconds(int pid) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *after_name = strrchr(text, ')'); // a process name may contain spaces and brackets
    unsigned long user = 0, kernel = 0;
    if (after_name)
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static long process_resident_kib(int pid) {
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

double broker_cpu_seconds(const char *pids) {
    double sum = 0;
    for (const char *at = pids; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        sum += process_cpu_seconds(atoi(at));
    return sum;
}

long broker_resident_kib(const char *pids) {
    long sum = 0;
    for (const char *at = pids; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        sum += process_resident_kib(atoi(at));
    return sum;
}

double own_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
