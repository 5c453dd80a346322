/* What the load generators share: the clock, the histogram of latencies, what a server used meanwhile,
 * and the line or JSON object in which all of it is reported. The program defines BENCH_NAME, a
 * string literal, before it includes this. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000u

/* The one way in which this program fails. A macro, because the format is a literal everywhere. */
#define DIE(...) (fprintf(stderr, BENCH_NAME ": " __VA_ARGS__), fputc('\n', stderr), exit(1))

static inline void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        DIE("out of memory");
    }
    return memory;
}

/* --- Servers: one, or the members of an ensemble. */

#define SERVERS_MAX 16

struct servers {
    int ports[SERVERS_MAX];
    int pids[SERVERS_MAX]; /* none: their CPU time is not asked for */
    uint32_t ports_count;
    uint32_t pids_count;
};

/* "2181" or "2181,2182,2183". The number of them; 0: it is no such list. */
static inline uint32_t servers_parse(const char *text, int max, int numbers[SERVERS_MAX])
{
    for (uint32_t count = 0; count < SERVERS_MAX;) {
        char *end;
        long number = strtol(text, &end, 10);

        if (end == text || number < 1 || number > max) {
            return 0;
        }
        numbers[count++] = (int)number;
        if (*end == '\0') {
            return count;
        }
        if (*end != ',') {
            return 0;
        }
        text = end + 1;
    }
    return 0;
}

/* Clients take the servers in turn. */
static inline int servers_port(const struct servers *servers, uint32_t client)
{
    return servers->ports[client % servers->ports_count];
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static inline void sleep_until(uint64_t ns)
{
    struct timespec then = {.tv_sec = (time_t)(ns / NS_PER_SECOND),
                            .tv_nsec = (long)(ns % NS_PER_SECOND)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR) {
    }
}

/* --- Histogram: buckets of 64 to an octave, so that a value is known to 1 part in 64. */

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
};

static inline unsigned histogram_bucket(uint64_t ns)
{
    unsigned shift;

    if (ns < 2u << HISTOGRAM_SUB_BITS) {
        return (unsigned)ns; /* Two octaves' worth of exact values. */
    }
    shift = 63u - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(ns);
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(ns >> shift);
}

static inline uint64_t histogram_bucket_middle_ns(unsigned bucket)
{
    unsigned shift = bucket >> HISTOGRAM_SUB_BITS;

    if (shift < 2) {
        return bucket;
    }
    shift -= 1;
    return ((uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift) + (1ull << shift) / 2;
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->counts[histogram_bucket(ns)]++;
    histogram->count++;
    histogram->sum_ns += ns;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
}

static inline double histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    uint64_t rank = (uint64_t)((double)histogram->count * quantile);
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > rank) {
            return (double)histogram_bucket_middle_ns(i) / 1000.0;
        }
    }
    return (double)histogram->max_ns / 1000.0;
}

/* --- Results. */

struct usage {
    double server_cpu_seconds; /* of all servers together; so is RSS */
    double load_cpu_seconds;
    uint64_t server_rss_kib;
};

/* User and system time are fields 14 and 15 of /proc/PID/stat, RSS in pages is field 24. The name,
 * field 2, may hold anything: counting starts behind its closing bracket. */
static inline void usage_read_server(struct usage *usage, int pid)
{
    char path[64];
    char line[1024];
    unsigned long user;
    unsigned long system;
    long pages;
    FILE *file;
    const char *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL ||
        (at = strrchr(line, ')')) == NULL ||
        sscanf(at + 1,
               " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu %*s %*s %*s %*s %*s %*s %*s "
               "%*s %ld",
               &user, &system, &pages) != 3) {
        DIE("cannot read %s", path);
    }
    fclose(file);
    usage->server_cpu_seconds += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    usage->server_rss_kib += (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static inline struct usage usage_read(const struct servers *servers)
{
    struct usage usage = {0};
    struct rusage own;

    for (uint32_t i = 0; i < servers->pids_count; i++) {
        usage_read_server(&usage, servers->pids[i]);
    }
    getrusage(RUSAGE_SELF, &own);
    usage.load_cpu_seconds = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                             (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    return usage;
}

/* What a measurement consisted of. */
struct load {
    const char *operation;
    uint32_t connections_count;
    uint32_t depth;
    double seconds;
    double requests; /* of an operation, where it is more than one; 0: not counted */
};

static inline void results_print(const struct load *load, const struct histogram *histogram,
                                 const struct usage *before, const struct usage *after, bool json)
{
    double millions = (double)histogram->count / 1e6;
    double server_cpu = (after->server_cpu_seconds - before->server_cpu_seconds) / millions;
    double load_cpu = (after->load_cpu_seconds - before->load_cpu_seconds) / millions;
    double per_second = (double)histogram->count / load->seconds;
    double p50 = histogram_quantile_us(histogram, 0.50);
    double p99 = histogram_quantile_us(histogram, 0.99);
    double max = (double)histogram->max_ns / 1000.0;
    double mean = (double)histogram->sum_ns / (double)histogram->count / 1000.0;

    if (json) {
        printf("{\"operation\": \"%s\", \"connections\": %u, \"depth\": %u, \"seconds\": %.3f, "
               "\"count\": %" PRIu64 ", \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
               "\"max_us\": %.1f, \"mean_us\": %.1f, \"server_cpu_s_per_million\": %.3f, "
               "\"load_cpu_s_per_million\": %.3f, \"server_rss_kib\": %" PRIu64
               ", \"requests\": %.2f}\n",
               load->operation, load->connections_count, load->depth, load->seconds,
               histogram->count, per_second, p50, p99, max, mean, server_cpu, load_cpu,
               after->server_rss_kib, load->requests);
    } else {
        printf("%s: %u connections, %u deep, %.1f s, %" PRIu64 " operations: %.0f/s  p50 %.1f us  "
               "p99 %.1f us  max %.1f us  mean %.1f us  CPU s/million: server %.2f, load %.2f  "
               "server RSS %" PRIu64 " KiB, requests %.2f\n",
               load->operation, load->connections_count, load->depth, load->seconds,
               histogram->count, per_second, p50, p99, max, mean, server_cpu, load_cpu,
               after->server_rss_kib, load->requests);
    }
}

#endif
