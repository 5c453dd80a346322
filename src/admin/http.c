/* HTTP for operators, on a thread of its own: the AdminServer's commands, or Prometheus' metrics.
 *
 *   request ─▶ what it needs ─▶ ask(): whoever runs the core fills in the facts ─▶ text or JSON ─▶ reply
 *
 * One thread, HTTP_CONNS_MAX connections, requests one after the other: what is asked here may never
 * crowd out clients. Nothing is read but the first line and the headers; a body is thrown away. */
#include "admin/admin.h"
#include "admin/commands.h"
#include "admin/prometheus.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define HTTP_CONNS_MAX 64
#define HTTP_REQUEST_BYTES_MAX (16 * 1024) /* first line and headers */

struct admin_http {
    struct admin_http_options options;
    struct MHD_Daemon *daemon;
};

struct reply {
    unsigned status;
    const char *type;
    struct mk_buf body;
};

/* ---- What is asked ---- */

static void reply_text(struct reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->type = "text/plain; charset=utf-8";
    mk_buf_printf(&reply->body, "%s\n", text);
}

static bool facts_ask(const struct admin_http *http, const struct admin_needs *needs,
                      struct admin_facts *facts, struct reply *reply)
{
    if (http->options.ask(http->options.context, needs, facts)) {
        return true;
    }
    reply_text(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping, or too busy");
    return false;
}

static void command_unknown(const char *name, struct reply *reply)
{
    char error[128];

    (void)snprintf(error, sizeof(error), "Unknown command: %.80s", name);
    command_refuse(name, error, &reply->body);
}

static void command_reply(const struct admin_http *http, struct MHD_Connection *connection,
                          const char *name, struct reply *reply)
{
    const struct command *command = command_find(name);
    const char *mask = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "traceMask");
    struct admin_facts facts;

    reply->status = MHD_HTTP_OK;
    reply->type = "application/json";
    if (command == NULL) {
        command_unknown(name, reply);
        return;
    }
    struct admin_needs needs = command_needs(command, mask != NULL ? strtoll(mask, NULL, 10) : 0);
    if (needs.effect == ADMIN_SET_TRACE && mask == NULL) {
        command_refuse("set_trace_mask", "setTraceMask requires long traceMask argument",
                       &reply->body);
    } else if (facts_ask(http, &needs, &facts, reply)) {
        command_answer(command, &facts, &reply->body);
        admin_facts_free(&facts);
    }
}

static void metrics_reply(const struct admin_http *http, struct reply *reply)
{
    struct admin_needs needs = {.lists = ADMIN_OPERATIONS};
    struct admin_facts facts;

    if (facts_ask(http, &needs, &facts, reply)) {
        reply->status = MHD_HTTP_OK;
        reply->type = PROMETHEUS_CONTENT_TYPE;
        prometheus_append(&facts, &reply->body);
        admin_facts_free(&facts);
    }
}

static void path_reply(const struct admin_http *http, struct MHD_Connection *connection,
                       const char *path, struct reply *reply)
{
    const char *commands = http->options.commands_path;
    size_t length = commands != NULL ? strlen(commands) : 0;
    bool below = commands != NULL && strncmp(path, commands, length) == 0;

    if (below && (path[length] == '\0' || strcmp(path + length, "/") == 0)) {
        reply->status = MHD_HTTP_OK;
        reply->type = "text/html; charset=utf-8";
        commands_page(commands, &reply->body);
    } else if (below && path[length] == '/') {
        command_reply(http, connection, path + length + 1, reply);
    } else if (http->options.metrics && strcmp(path, "/metrics") == 0) {
        metrics_reply(http, reply);
    } else {
        reply_text(reply, MHD_HTTP_NOT_FOUND, "there is nothing here");
    }
}

/* ---- The daemon ---- */

static enum MHD_Result reply_send(struct MHD_Connection *connection, struct reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_NO;

    if (response != NULL) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        result = MHD_queue_response(connection, reply->status, response);
        MHD_destroy_response(response);
    }
    mk_buf_free(&reply->body);
    return result;
}

/* Called for the headers, for each part of a body, and when all is there. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *body, size_t *body_bytes, void **request)
{
    struct reply reply = {0};
    (void)version;
    (void)body;

    if (*request == NULL) {
        *request = context; /* the headers have been seen */
        return MHD_YES;
    }
    if (*body_bytes > 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        path_reply(context, connection, path, &reply);
    } else {
        reply_text(&reply, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD are all there is");
    }
    return reply_send(connection, &reply);
}

/* Threads inherit what is blocked: a signal is for the loop's thread, which is not made for finding its
 * counters changed by another one. */
static void signals_block(sigset_t *before)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, before);
}

static struct MHD_Daemon *daemon_start(struct admin_http *http, const struct addrinfo *address)
{
    unsigned seconds = (unsigned)((http->options.idle_ms + 999) / 1000);
    unsigned flags =
        MHD_USE_INTERNAL_POLLING_THREAD | (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);

    sigset_t signals;

    signals_block(&signals);
    struct MHD_Daemon *started = MHD_start_daemon(
        flags, (uint16_t)http->options.port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR,
        address->ai_addr, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_REQUEST_BYTES_MAX, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    (void)pthread_sigmask(SIG_SETMASK, &signals, NULL);
    return started;
}

struct admin_http *admin_http_start(const struct admin_http_options *options,
                                    struct mk_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    struct admin_http *http = mk_alloc_zero(1, sizeof(*http));
    char port[16];

    http->options = *options;
    (void)snprintf(port, sizeof(port), "%u", options->port);
    int failed = getaddrinfo(options->address, port, &hints, &address);
    if (failed == 0) {
        http->daemon = daemon_start(http, address);
        freeaddrinfo(address);
    }
    if (http->daemon == NULL) {
        mk_error_set(error, "cannot listen for HTTP on %s, port %u: %s", options->address,
                     options->port,
                     failed != 0 ? gai_strerror(failed)
                                 : "is it one of this machine's addresses, and the port free?");
        mk_free(http);
        return NULL;
    }
    return http;
}

uint32_t admin_http_port(const struct admin_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info != NULL ? info->port : http->options.port;
}

void admin_http_stop(struct admin_http *http)
{
    if (http != NULL) {
        MHD_stop_daemon(http->daemon);
        mk_free(http);
    }
}
