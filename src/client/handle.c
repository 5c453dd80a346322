/* Handles: opened, asked how they are, waited for, closed. */
#include "client/handle.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT 10000
#define REQUESTS_MAX_DEFAULT 65536
#define BYTES_MAX_DEFAULT ((size_t)64 * 1024 * 1024)
#define WATCHES_MAX_DEFAULT 1000000
#define ANSWER_BYTES_MAX_DEFAULT \
    ((size_t)256 * 1024 * 1024) /* a million children, with long names */

/* ---- States ---- */

bool client_state_final(enum moonkeeper_state state)
{
    return client_state_error(state) != MOONKEEPER_OK;
}

int client_state_error(enum moonkeeper_state state)
{
    switch (state) {
    case MOONKEEPER_AUTHENTICATION_FAILED: return MOONKEEPER_AUTH_FAILED;
    case MOONKEEPER_CLOSED: return MOONKEEPER_CLOSING;
    case MOONKEEPER_EXPIRED: return MOONKEEPER_SESSION_EXPIRED;
    case MOONKEEPER_CONNECTING:
    case MOONKEEPER_CONNECTED:
    case MOONKEEPER_CONNECTED_READ_ONLY: break;
    }
    return MOONKEEPER_OK;
}

static bool state_connected(enum moonkeeper_state state)
{
    return state == MOONKEEPER_CONNECTED || state == MOONKEEPER_CONNECTED_READ_ONLY;
}

void client_state_set(struct moonkeeper *handle, enum moonkeeper_state state)
{
    (void)pthread_mutex_lock(&handle->lock);
    handle->public.state = state;
    handle->public.rounds = 0;
    (void)pthread_cond_broadcast(&handle->changed);
    (void)pthread_mutex_unlock(&handle->lock);
}

void client_trouble_set(struct moonkeeper *handle, const char *format, ...)
{
    va_list arguments;

    (void)pthread_mutex_lock(&handle->lock);
    va_start(arguments, format);
    (void)vsnprintf(handle->public.trouble.text, sizeof(handle->public.trouble.text), format,
                    arguments);
    va_end(arguments);
    (void)pthread_mutex_unlock(&handle->lock);
}

bool client_in_callback(struct moonkeeper *handle)
{
    return pthread_equal(pthread_self(), handle->thread) != 0;
}

/* Its own thread looks for what is new before it waits. */
void client_wake(struct moonkeeper *handle)
{
    uint64_t one = 1;

    if (!handle->woken && !client_in_callback(handle)) {
        handle->woken = true;
        ssize_t written = write(handle->wake_fd, &one, sizeof(one));
        MK_ASSERT(written == (ssize_t)sizeof(one)); /* it never blocks at so small a number */
    }
}

/* ---- Opening ---- */

static size_t or_default(size_t value, size_t replacement)
{
    return value != 0 ? value : replacement;
}

static void options_set(struct moonkeeper *handle, const struct moonkeeper_options *options)
{
    struct moonkeeper_options *own = &handle->options;

    *own = *options;
    own->servers = NULL;
    own->session = NULL;
    own->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    own->wait_ms = options->wait_ms != 0 ? options->wait_ms : own->timeout_ms;
    own->requests_max = or_default(options->requests_max, REQUESTS_MAX_DEFAULT);
    own->bytes_max = or_default(options->bytes_max, BYTES_MAX_DEFAULT);
    own->watches_max = or_default(options->watches_max, WATCHES_MAX_DEFAULT);
    own->answer_bytes_max = or_default(options->answer_bytes_max, ANSWER_BYTES_MAX_DEFAULT);
    if (own->seed == 0 &&
        getrandom(&own->seed, sizeof(own->seed), GRND_NONBLOCK) != (ssize_t)sizeof(own->seed)) {
        own->seed = (uint64_t)client_clock_ms(); /* early at boot: good enough for a shuffle */
    }
    mk_random_seed(&handle->random, own->seed);
    if (!own->in_order) {
        client_servers_shuffle(&handle->servers, &handle->random);
    }
    handle->public.state = MOONKEEPER_CONNECTING;
    handle->public.timeout_ms = own->timeout_ms;
    handle->public.server = &handle->servers.list[0];
    if (options->session != NULL) {
        handle->public.session = *options->session;
        handle->call_id = options->session->calls;
    }
}

void client_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void handle_free(struct moonkeeper *handle)
{
    client_conn_deinit(handle);
    client_watches_free(&handle->watches);
    mk_arena_free(&handle->scraps);
    client_servers_free(&handle->servers);
    client_tls_free(handle->tls);
    (void)pthread_cond_destroy(&handle->changed);
    (void)pthread_mutex_destroy(&handle->lock);
    if (handle->wake_fd >= 0) {
        (void)close(handle->wake_fd);
    }
    mk_free(handle);
}

/* With all signals blocked, which the thread inherits: they are the program's business. The lock is
 * held until `thread` is set, because the new thread begins by taking it. */
static bool thread_start(struct moonkeeper *handle)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    (void)pthread_mutex_lock(&handle->lock);
    int error = pthread_create(&handle->thread, NULL, client_thread, handle);
    (void)pthread_mutex_unlock(&handle->lock);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

int moonkeeper_open(const struct moonkeeper_options *options, struct moonkeeper **out)
{
    struct client_servers servers;
    struct client_tls *tls = NULL;
    struct mk_error error;

    *out = NULL;
    if (options->servers == NULL || options->timeout_ms < 0 || options->wait_ms < -1 ||
        !client_servers_parse(options->servers, &servers, &error)) {
        return MOONKEEPER_BAD_ARGUMENTS;
    }
    if (options->tls != NULL) {
        tls = client_tls_new(options->tls, &error);
        if (tls == NULL) {
            client_servers_free(&servers);
            return MOONKEEPER_BAD_ARGUMENTS;
        }
    }
    struct moonkeeper *handle = mk_alloc_zero(1, sizeof(*handle));
    handle->servers = servers;
    handle->tls = tls;
    handle->chroot = mk_bytes_text(servers.chroot);
    mk_list_init(&handle->submitted);
    (void)pthread_mutex_init(&handle->lock, NULL);
    client_condition_init(&handle->changed);
    options_set(handle, options);
    client_conn_init(handle);
    handle->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (handle->wake_fd < 0 || !thread_start(handle)) {
        handle_free(handle);
        return MOONKEEPER_INVALID_STATE;
    }
    *out = handle;
    return MOONKEEPER_OK;
}

/* ---- Closing ---- */

static int end(struct moonkeeper *handle, bool detaching)
{
    if (handle == NULL) {
        return MOONKEEPER_OK;
    }
    if (client_in_callback(handle)) {
        return MOONKEEPER_INVALID_CALLBACK;
    }
    (void)pthread_mutex_lock(&handle->lock);
    handle->closing = true;
    handle->detaching = detaching;
    client_wake(handle);
    (void)pthread_mutex_unlock(&handle->lock);
    (void)pthread_join(handle->thread, NULL);
    handle_free(handle);
    return MOONKEEPER_OK;
}

int moonkeeper_close(struct moonkeeper *handle)
{
    return end(handle, false);
}

int moonkeeper_detach(struct moonkeeper *handle)
{
    return end(handle, true);
}

/* ---- Looking, and waiting for a connection ---- */

static struct client_public look(struct moonkeeper *handle)
{
    (void)pthread_mutex_lock(&handle->lock);
    struct client_public seen = handle->public;
    seen.session.calls = handle->call_id;
    (void)pthread_mutex_unlock(&handle->lock);
    return seen;
}

enum moonkeeper_state moonkeeper_state(struct moonkeeper *handle)
{
    return look(handle).state;
}

int moonkeeper_timeout_ms(struct moonkeeper *handle)
{
    return look(handle).timeout_ms;
}

int moonkeeper_lease_ms(struct moonkeeper *handle)
{
    mk_ms now_ms = client_clock_boot_ms();

    (void)pthread_mutex_lock(&handle->lock);
    mk_ms until_ms = handle->sure_boot_ms + handle->public.timeout_ms;
    bool over = handle->sure_boot_ms == 0 || client_state_final(handle->public.state);
    (void)pthread_mutex_unlock(&handle->lock);
    return over || until_ms <= now_ms ? 0 : (int)(until_ms - now_ms);
}

void moonkeeper_session(struct moonkeeper *handle, struct moonkeeper_session *session)
{
    *session = look(handle).session;
}

void moonkeeper_trouble(struct moonkeeper *handle, char *text, size_t text_bytes)
{
    struct client_public seen = look(handle);

    (void)snprintf(text, text_bytes, "%s", seen.trouble.text);
}

void moonkeeper_server(struct moonkeeper *handle, char *text, size_t text_bytes)
{
    struct mk_buf name = {0};

    client_server_text(&name, look(handle).server);
    (void)snprintf(text, text_bytes, "%.*s", (int)name.len, (const char *)name.data);
    mk_buf_free(&name);
}

bool moonkeeper_servers_check(const char *servers, char *why, size_t why_bytes)
{
    struct client_servers parsed;
    struct mk_error error = {"there is no list of servers"};

    if (servers != NULL && client_servers_parse(servers, &parsed, &error)) {
        client_servers_free(&parsed);
        return true;
    }
    if (why != NULL) {
        (void)snprintf(why, why_bytes, "%s", error.text);
    }
    return false;
}

int moonkeeper_connect_wait(struct moonkeeper *handle, int wait_ms, int rounds)
{
    struct timespec until = client_clock_after(wait_ms);
    bool late = false;

    if (client_in_callback(handle)) {
        return MOONKEEPER_INVALID_CALLBACK;
    }
    (void)pthread_mutex_lock(&handle->lock);
    const struct client_public *seen = &handle->public;
    while (!late && !state_connected(seen->state) && !client_state_final(seen->state) &&
           (rounds <= 0 || seen->rounds < rounds)) {
        int error = wait_ms < 0 ? pthread_cond_wait(&handle->changed, &handle->lock)
                                : pthread_cond_timedwait(&handle->changed, &handle->lock, &until);
        late = error == ETIMEDOUT;
    }
    enum moonkeeper_state state = seen->state;
    (void)pthread_mutex_unlock(&handle->lock);
    if (client_state_final(state)) {
        return client_state_error(state);
    }
    return state_connected(state) ? MOONKEEPER_OK : MOONKEEPER_CONNECTION_LOSS;
}
