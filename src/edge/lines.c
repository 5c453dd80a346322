/* Log lines on standard error:
 *
 *     2026-11-22T08:01:02.345Z info  serving  address=[::]:2181 data=/var/lib/moonkeeper epoch=4
 *
 * One write() a line, so that lines of different threads do not mix. What clients can provoke is
 * bounded here, in one place, whoever writes it: each sentence has an allowance per window. */
#include "edge/edge.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS_COUNT 64 /* Sentences that share one share its allowance: harmless, and bounded. */
#define LINE_BYTES_MAX 1200

struct bucket {
    char sentence[64]; /* as far as the summary shows it */
    mk_ms window_ms;   /* when the window began */
    uint32_t written;
    uint32_t withheld;
};
struct edge_lines {
    struct mk_log log;
    int descriptor;
    pthread_mutex_t mutex;
    struct bucket buckets[BUCKETS_COUNT];
};

static const char *level_name(enum mk_log_level level)
{
    switch (level) {
    case MK_LOG_ERROR: return "error";
    case MK_LOG_WARN: return "warn ";
    case MK_LOG_INFO: return "info ";
    case MK_LOG_DEBUG: return "debug";
    }
    return "?";
}

static void line_write(const struct edge_lines *lines, enum mk_log_level level, const char *text)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);

    char line[LINE_BYTES_MAX];
    size_t length = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &parts);
    int more = snprintf(line + length, sizeof(line) - length, ".%03ldZ %s %s\n",
                        now.tv_nsec / 1000000, level_name(level), text);
    MK_ASSERT(more > 0 && (size_t)more < sizeof(line) - length);

    ssize_t written = write(lines->descriptor, line, length + (size_t)more);
    (void)written; /* Nobody is left to be told that nobody listens. */
}

/* A sentence ends where its keys begin. */
static size_t sentence_length(const char *line)
{
    const char *end = strstr(line, "  ");
    return end != NULL ? (size_t)(end - line) : strlen(line);
}

static void bucket_begin(struct edge_lines *lines, struct bucket *bucket, const char *line,
                         size_t length, mk_ms now_ms)
{
    if (bucket->withheld > 0) {
        char text[160];
        (void)snprintf(text, sizeof(text), "lines withheld  count=%u sentence=\"%s\"",
                       bucket->withheld, bucket->sentence);
        line_write(lines, MK_LOG_WARN, text);
    }
    memset(bucket, 0, sizeof(*bucket));
    bucket->window_ms = now_ms;
    (void)snprintf(bucket->sentence, sizeof(bucket->sentence), "%.*s", (int)length, line);
}

/* Whether the sentence's allowance has room for one more line. */
static bool line_allowed(struct edge_lines *lines, const char *line)
{
    size_t length = sentence_length(line);
    struct bucket *bucket =
        &lines->buckets[mk_bytes_hash(mk_bytes_of(line, length)) % BUCKETS_COUNT];
    mk_ms now_ms = edge_now().monotonic_ms;

    if (bucket->written == 0 || now_ms - bucket->window_ms >= EDGE_LINES_MS) {
        bucket_begin(lines, bucket, line, length, now_ms);
    }
    if (bucket->written >= EDGE_LINES_MAX) {
        bucket->withheld++;
        return false;
    }
    bucket->written++;
    return true;
}

static void on_line(void *context, enum mk_log_level level, const char *line)
{
    struct edge_lines *lines = context;
    bool bounded = level == MK_LOG_WARN || level == MK_LOG_INFO;

    pthread_mutex_lock(&lines->mutex);
    if (!bounded || line_allowed(lines, line)) {
        line_write(lines, level, line);
    }
    pthread_mutex_unlock(&lines->mutex);
}

struct edge_lines *edge_lines_new(enum mk_log_level level, int descriptor)
{
    struct edge_lines *lines = mk_alloc_zero(1, sizeof(*lines));
    lines->log = (struct mk_log){.level = level, .write = on_line, .context = lines};
    lines->descriptor = descriptor;
    pthread_mutex_init(&lines->mutex, NULL);
    return lines;
}

void edge_lines_free(struct edge_lines *lines)
{
    if (lines != NULL) {
        pthread_mutex_destroy(&lines->mutex);
        mk_free(lines);
    }
}

const struct mk_log *edge_lines_log(struct edge_lines *lines)
{
    return &lines->log;
}
