/* The facts behind the four-letter words. Some cost system calls: they are looked up when asked for,
 * by whoever is allowed to ask. */
#include "edge/loop.h"
#include "edge/words.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Bytes in the files of the state. A directory that is not there has none. */
static uint64_t state_bytes(const char *data_dir)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/state", data_dir) >= sizeof(path)) {
        return 0;
    }
    DIR *listing = opendir(path);
    if (listing == NULL) {
        return 0;
    }
    uint64_t bytes = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        struct stat facts;
        if (fstatat(dirfd(listing), entry->d_name, &facts, 0) == 0 && S_ISREG(facts.st_mode)) {
            bytes += (uint64_t)facts.st_size;
        }
    }
    (void)closedir(listing);
    return bytes;
}

static uint64_t descriptors_count(void)
{
    struct stat facts;
    if (stat("/proc/self/fd", &facts) == 0 && facts.st_size > 0) {
        return (uint64_t)facts.st_size; /* Linux 6.2 and later */
    }
    uint64_t count = 0;
    DIR *listing = opendir("/proc/self/fd");
    if (listing != NULL) {
        while (readdir(listing) != NULL) {
            count++;
        }
        (void)closedir(listing);
    }
    return count > 3 ? count - 3 : 0; /* ".", ".." and the listing itself */
}

static uint64_t descriptors_max(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return (uint64_t)limit.rlim_cur;
}

static struct words_conn *conns_list(struct edge *edge, const struct conn *asking, size_t *count)
{
    struct words_conn *list = mk_alloc_zero(edge->conns_count + 1, sizeof(*list));
    *count = 0;
    for (struct mk_link *link = edge->conns.next; link != &edge->conns; link = link->next) {
        const struct conn *conn = MK_CONTAINER(link, struct conn, link);
        if (conn->core != NULL) {
            list[*count].asking = conn == asking;
            server_conn_stats_read(conn->core, &list[*count].stats);
            (*count)++;
        }
    }
    return list;
}

void status_word(struct edge *edge, struct conn *asking, int word, struct mk_buf *out)
{
    const struct edge_options *options = edge->options;
    const char *log_dir = options->log_dir != NULL ? options->log_dir : options->data_dir;
    char data_path[4096];
    char log_path[4096];
    struct words_conn *conns = NULL;
    struct words_facts facts = {
        .options = options,
        .data_dir = realpath(options->data_dir, data_path) != NULL ? data_path : options->data_dir,
        .log_dir = realpath(log_dir, log_path) != NULL ? log_path : log_dir,
        .port = edge->port,
        .serving = server_serving(edge->core.server),
        .uptime_ms = (uint64_t)(edge->now_ms - edge->started_ms),
        .descriptors = descriptors_count(),
        .descriptors_max = descriptors_max(),
        .data_bytes = state_bytes(options->data_dir),
        .log_bytes = store_log_bytes(edge->core.log),
    };

    server_stats_read(edge->core.server, &facts.stats);
    if (words_lists_conns(word)) {
        conns = conns_list(edge, asking, &facts.conns_count);
        facts.conns = conns;
    }
    words_answer(word, options->words, &facts, out);
    if (words_resets(word) && (options->words & UINT32_C(1) << word) != 0) {
        server_stats_reset(edge->core.server);
    }
    mk_free(conns);
}
