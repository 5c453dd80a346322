/* The files that TLS has its certificates from. They are read at the start, again when SIGHUP comes, and,
 * if the options say so, when one of them changes. Connections from then on use what is in them; those there
 * are go on. What cannot be used changes nothing, and is an error to be seen to. */
#include "edge/loop.h"

#include <inttypes.h>
#include <time.h>

#define LOOK_MS \
    1000 /* A certificate is never that urgent; on a thread, as a file may be slow to ask. */
#define EXPIRES_SOON_S (14 * 86400)
#define WATCHES_MAX 4

struct certificates {
    struct edge *edge;
    uv_fs_poll_t watches[WATCHES_MAX];
    size_t watches_count;
};

static void kind_tell(struct edge *edge, const struct tls *tls, const char *who, const char *what)
{
    int64_t left_s = tls_expires(tls) - edge_now().wall_ms / 1000;

    mk_log(edge->log, left_s < EXPIRES_SOON_S ? MK_LOG_WARN : MK_LOG_INFO,
           "%s the certificate for %s%s  file=%s expires_in_days=%" PRId64, what, who,
           left_s < 0                ? ", and it has expired"
           : left_s < EXPIRES_SOON_S ? ", and it expires soon"
                                     : "",
           tls_options(tls)->key_file, left_s / 86400);
}

static void kind_reload(struct edge *edge, struct tls *tls, const char *who)
{
    struct mk_error error = {""};

    if (tls == NULL) {
        return;
    }
    if (tls_reload(tls, &error) == MK_OK) {
        kind_tell(edge, tls, who, "read again:");
        return;
    }
    mk_log(edge->log, MK_LOG_ERROR,
           "the certificate for %s cannot be read again, and the old one stays in use: %s", who,
           error.text);
}

void certificates_reload(struct edge *edge)
{
    kind_reload(edge, edge->options->clients_tls, "clients");
    kind_reload(edge, edge->options->peers_tls, "other servers");
}

static void on_change(uv_fs_poll_t *watch, int status, const uv_stat_t *before,
                      const uv_stat_t *now)
{
    struct certificates *certificates = watch->data;
    (void)before, (void)now;

    if (status == 0) { /* else it has gone, and the next one is on its way */
        certificates_reload(certificates->edge);
    }
}

static void file_watch(struct certificates *certificates, const char *file)
{
    if (file == NULL) {
        return;
    }
    MK_ASSERT(certificates->watches_count < WATCHES_MAX);
    uv_fs_poll_t *watch = &certificates->watches[certificates->watches_count++];
    watch->data = certificates;
    uv_fs_poll_init(&certificates->edge->loop, watch);
    uv_fs_poll_start(watch, on_change, file, LOOK_MS);
}

static void kind_open(struct certificates *certificates, const struct tls *tls, const char *who)
{
    if (tls == NULL) {
        return;
    }
    kind_tell(certificates->edge, tls, who, "TLS:");
    if (tls_options(tls)->reloaded) {
        file_watch(certificates, tls_options(tls)->key_file);
        file_watch(certificates, tls_options(tls)->trust_file);
    }
}

void certificates_open(struct edge *edge)
{
    const struct edge_options *options = edge->options;

    if (options->clients_tls == NULL && options->peers_tls == NULL) {
        return;
    }
    edge->certificates = mk_alloc_zero(1, sizeof(*edge->certificates));
    edge->certificates->edge = edge;
    kind_open(edge->certificates, options->clients_tls, "clients");
    kind_open(edge->certificates, options->peers_tls, "other servers");
}

void certificates_free(struct edge *edge)
{
    mk_free(edge->certificates);
    edge->certificates = NULL;
}
