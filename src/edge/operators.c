/* The doors for operators: the AdminServer and Prometheus' exporter, each an HTTP thread of its own that
 * asks the loop. Opened before anything is served, so that a port in use is known at once: monitoring
 * that is silently missing is noticed when it is needed. */
#include "edge/loop.h"

#include <string.h>

static struct admin_http *door_open(struct edge *edge, const struct admin_http_options *options,
                                    const char *advice, struct mk_error *error)
{
    struct mk_error reason = {""};
    struct admin_http *http = admin_http_start(options, &reason);

    if (http == NULL) {
        mk_error_set(error, "%.300s %s", reason.text, advice);
        return NULL;
    }
    mk_log(edge->log, MK_LOG_INFO, "operators are answered over HTTP  address=%s port=%u path=%s",
           options->address, admin_http_port(http),
           options->commands_path != NULL ? options->commands_path : "/metrics");
    return http;
}

enum mk_status operators_open(struct edge *edge, struct mk_error *error)
{
    const struct edge_options *options = edge->options;

    if (options->admin) {
        struct admin_http_options admin = {
            .address = options->admin_address,
            .port = options->admin_port,
            .commands_path = options->admin_path,
            .idle_ms = options->admin_idle_ms,
            .ask = questions_ask,
            .context = edge->questions,
        };
        edge->http[0] = door_open(edge, &admin,
                                  "Set admin.serverPort to another, or remove "
                                  "admin.enableServer=true",
                                  error);
        if (edge->http[0] == NULL) {
            return MK_IN_USE;
        }
    }
    if (options->prometheus) {
        struct admin_http_options prometheus = {
            .address = options->prometheus_address,
            .port = options->prometheus_port,
            .metrics = true,
            .idle_ms = options->admin_idle_ms,
            .ask = questions_ask,
            .context = edge->questions,
        };
        edge->http[1] =
            door_open(edge, &prometheus, "Set metricsProvider.httpPort to another", error);
        if (edge->http[1] == NULL) {
            return MK_IN_USE;
        }
    }
    return MK_OK;
}

void operators_close(struct edge *edge)
{
    if (edge->questions == NULL) {
        return;
    }
    questions_close(edge->questions);
    for (size_t i = 0; i < MK_COUNT(edge->http); i++) {
        admin_http_stop(edge->http[i]);
        edge->http[i] = NULL;
    }
    questions_free(edge->questions);
    edge->questions = NULL;
}
