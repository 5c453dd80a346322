/* What a durable write costs on this disk: the floor under the latency of a single set.
 *
 * Writes 4 KiB and calls fdatasync, again and again, in turn
 *   1. into a file that was written full of zeros and synced beforehand, as Moonkeeper's log
 *      segments are: the sync has no file size and no block map to write;
 *   2. into a file that grows with each write: the sync commits the file system's journal as well.
 * They take turns, a slice each, so that a disk that slows down meanwhile slows both.
 *
 * Usage: bench_sync --dir DIR [--count N] [--json]. The folder must be on the disk in question: on
 * a tmpfs a sync costs nothing and means nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define SLICE_COUNT 100  /* Writes into one file before it is the other's turn. */
#define COUNT_MAX 100000 /* 400 MB prewritten; more says nothing new. */

struct series {
    int fd;
    size_t count;
    uint64_t *durations_ns;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_sync: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void series_open(struct series *series, const char *dir, size_t count_max)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/bench_sync.XXXXXX", dir);
    series->fd = mkstemp(path);
    if (series->fd < 0) {
        die(path);
    }
    unlink(path); /* The space returns however this program ends. */
    series->count = 0;
    series->durations_ns = calloc(count_max, sizeof(uint64_t));
    if (series->durations_ns == NULL) {
        die("memory");
    }
}

static void series_prewrite(struct series *series, size_t count)
{
    static const uint8_t zeros[1 << 20];
    size_t left = count * BLOCK_BYTES;

    while (left > 0) {
        ssize_t written = write(series->fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros));

        if (written <= 0) {
            die("prewrite");
        }
        left -= (size_t)written;
    }
    if (fsync(series->fd) != 0) {
        die("fsync");
    }
}

static void series_measure(struct series *series, size_t count)
{
    uint8_t block[BLOCK_BYTES];

    for (size_t i = 0; i < count; i++) {
        off_t offset = (off_t)(series->count * BLOCK_BYTES);
        uint64_t start_ns = now_ns();

        memset(block, (int)(series->count & 0xff) | 1, sizeof(block));
        if (pwrite(series->fd, block, sizeof(block), offset) != BLOCK_BYTES) {
            die("pwrite");
        }
        if (fdatasync(series->fd) != 0) {
            die("fdatasync");
        }
        series->durations_ns[series->count++] = now_ns() - start_ns;
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static double series_quantile_us(const struct series *series, double quantile)
{
    return (double)series->durations_ns[(size_t)((double)(series->count - 1) * quantile)] / 1000.0;
}

static void series_print(const struct series *series, const char *name, bool json)
{
    qsort(series->durations_ns, series->count, sizeof(uint64_t), compare);
    double p50 = series_quantile_us(series, 0.50);
    double p99 = series_quantile_us(series, 0.99);
    double max = series_quantile_us(series, 1.0);
    if (json) {
        printf("\"%s\": {\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}", name, p50, p99,
               max);
    } else {
        printf("%-10s p50 %7.1f us  p99 %7.1f us  max %7.1f us\n", name, p50, p99, max);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct series prewritten;
    struct series growing;
    const char *dir = NULL;
    long count = 2000;
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd': dir = optarg; break;
        case 'n': count = atol(optarg); break;
        case 'j': json = true; break;
        default:
            dir = NULL;
            optind = argc;
            break;
        }
    }
    if (dir == NULL || count < 1 || count > COUNT_MAX) {
        fprintf(stderr, "usage: bench_sync --dir DIR [--count 1..%d] [--json]\n", COUNT_MAX);
        return 2;
    }

    series_open(&prewritten, dir, (size_t)count);
    series_open(&growing, dir, (size_t)count);
    series_prewrite(&prewritten, (size_t)count);
    for (long done = 0; done < count; done += SLICE_COUNT) {
        size_t slice = (size_t)(count - done < SLICE_COUNT ? count - done : SLICE_COUNT);

        series_measure(&prewritten, slice);
        series_measure(&growing, slice);
    }

    fputs(json ? "{" : "", stdout);
    series_print(&prewritten, "prewritten", json);
    fputs(json ? ", " : "", stdout);
    series_print(&growing, "growing", json);
    fputs(json ? "}\n" : "", stdout);
    close(prewritten.fd);
    close(growing.fd);
    free(prewritten.durations_ns);
    free(growing.durations_ns);
    return 0;
}
