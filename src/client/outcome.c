/* What comes of it: results to who asked, events to watches, states to the listener. Everything here
 * runs on the handle's thread, and calls what the program has handed in. */
#include "client/handle.h"

#include <string.h>

#define SCRAPS_BYTES_KEPT ((size_t)1 << 20) /* memory for larger answers is given back at once */

/* ---- Callbacks of watches ---- */

static void watches_changed(struct moonkeeper *handle)
{
    (void)pthread_mutex_lock(&handle->lock);
    handle->watches_set = handle->watches.count;
    (void)pthread_mutex_unlock(&handle->lock);
}

/* `path` is the server's. One that does not lie below the chroot is that of the configuration. */
static void watches_call(struct moonkeeper *handle, const struct client_calls *calls,
                         struct mk_bytes path, enum moonkeeper_state state, mk_zxid zxid)
{
    struct mk_buf text = {0};

    (void)client_chroot_strip(handle->chroot, &path);
    mk_buf_append_bytes(&text, path);
    mk_buf_put_u8(&text, '\0');
    for (size_t i = 0; i < calls->count; i++) {
        const struct client_call *call = &calls->list[i];
        struct moonkeeper_event event = {.type = call->type,
                                         .state = state,
                                         .path = (const char *)text.data,
                                         .zxid = zxid,
                                         .last = call->last};
        call->watcher(call->context, &event);
    }
    mk_buf_free(&text);
}

bool client_event(struct moonkeeper *handle, const struct jute_reply *reply)
{
    struct client_calls calls = {.list = NULL};
    struct mk_reader reader = mk_reader_of(reply->body);
    int32_t type = mk_read_i32(&reader);
    (void)mk_read_i32(&reader); /* the state, which is always that of a connected client */
    struct mk_bytes path = mk_read_field(&reader);

    if (reader.failed || path.len == 0 || path.data[0] != '/' ||
        memchr(path.data, '\0', path.len) != NULL || type < MOONKEEPER_EVENT_CREATED ||
        type > MOONKEEPER_EVENT_CHILDREN_CHANGED) {
        return false;
    }
    client_watches_event(&handle->watches, (enum moonkeeper_event_type)type, path, &calls);
    watches_changed(handle);
    watches_call(handle, &calls, path, handle->conn.state, reply->zxid);
    client_calls_free(&calls);
    return true;
}

static void watches_end(struct moonkeeper *handle, enum moonkeeper_state state)
{
    struct client_watches_cursor cursor = {0};
    struct client_calls calls = {.list = NULL};
    struct mk_bytes path;

    while (client_watches_next(&handle->watches, &cursor, &path, &calls)) {
        watches_call(handle, &calls, path, state, -1);
        calls.count = 0;
    }
    client_calls_free(&calls);
    client_watches_free(&handle->watches);
    watches_changed(handle);
}

/* ---- Watches that answers set and remove ---- */

static enum client_watch_kind watch_kind(const struct client_pending *pending, int error)
{
    switch (pending->asked.op) {
    case MOONKEEPER_EXISTS: return error == 0 ? CLIENT_WATCH_DATA : CLIENT_WATCH_EXIST;
    case MOONKEEPER_CHILDREN:
    case MOONKEEPER_CHILDREN2: return CLIENT_WATCH_CHILD;
    case MOONKEEPER_ADD_WATCH:
        return pending->watch_argument == MOONKEEPER_WATCH_PERSISTENT ? CLIENT_WATCH_PERSISTENT
                                                                      : CLIENT_WATCH_RECURSIVE;
    default: return CLIENT_WATCH_DATA; /* GET, GET_CONFIG */
    }
}

static void watch_set(struct moonkeeper *handle, const struct client_pending *pending, int error)
{
    bool set =
        error == 0 || (pending->asked.op == MOONKEEPER_EXISTS && error == MOONKEEPER_NO_NODE);

    if (client_sets_watch(pending) && set) {
        (void)client_watches_add(&handle->watches, watch_kind(pending, error),
                                 mk_buf_view(&pending->path), pending->watcher,
                                 pending->watcher_context);
    }
}

struct client_watch_name client_watch_name_of(const struct client_pending *pending)
{
    return (struct client_watch_name){
        .path = mk_buf_view(&pending->path),
        .type = (enum moonkeeper_watch_type)pending->watch_argument,
        .watcher = pending->watcher,
        .context = pending->watcher_context,
    };
}

/* How many. */
static size_t watches_remove(struct moonkeeper *handle, const struct client_pending *pending)
{
    struct client_watch_name name = client_watch_name_of(pending);
    struct client_calls calls = {.list = NULL};

    client_watches_remove(&handle->watches, &name, &calls);
    watches_changed(handle);
    watches_call(handle, &calls, name.path, handle->conn.state, -1);
    size_t count = calls.count;
    client_calls_free(&calls);
    return count;
}

/* ---- Results ---- */

static void scraps_reset(struct moonkeeper *handle, size_t bytes)
{
    if (bytes > SCRAPS_BYTES_KEPT) {
        mk_arena_free(&handle->scraps);
    } else {
        mk_arena_reset(&handle->scraps);
    }
}

/* The last thing that happens to a request. `bytes`: the size of its answer. */
static void deliver(struct moonkeeper *handle, struct client_pending *pending,
                    struct moonkeeper_result *result, size_t bytes)
{
    (void)pthread_mutex_lock(&handle->lock);
    handle->requests_count--;
    handle->bytes_count -= pending->bytes;
    handle->watches_asked -= client_sets_watch(pending) ? 1 : 0;
    handle->watches_set = handle->watches.count;
    struct client_waiter *waiter = pending->waiter;
    if (waiter != NULL) {
        result->memory = handle->scraps.blocks;
        handle->scraps.blocks = NULL;
        waiter->result = *result;
        waiter->done = true;
        (void)pthread_cond_signal(&waiter->answered);
    }
    (void)pthread_mutex_unlock(&handle->lock);
    if (pending->done != NULL) {
        pending->done(pending->context, result);
    }
    scraps_reset(handle, bytes);
    client_pending_free(pending);
}

bool client_answer(struct moonkeeper *handle, struct client_pending *pending,
                   const struct jute_reply *reply)
{
    struct moonkeeper_result result;
    bool sense =
        client_result_decode(&pending->asked, reply, handle->chroot, &handle->scraps, &result);

    if (!sense) {
        scraps_reset(handle, reply->body.len);
        return false;
    }
    watch_set(handle, pending, result.error);
    if (pending->asked.op == MOONKEEPER_REMOVE_WATCHES && result.error == 0) {
        (void)watches_remove(handle, pending);
    }
    deliver(handle, pending, &result, reply->body.len);
    return true;
}

void client_refuse(struct moonkeeper *handle, struct client_pending *pending, int error)
{
    struct moonkeeper_result result = {.error = error, .zxid = -1};

    if (pending->asked.op == MOONKEEPER_REMOVE_WATCHES && pending->local &&
        error == MOONKEEPER_CONNECTION_LOSS) {
        result.error = watches_remove(handle, pending) > 0 ? MOONKEEPER_OK : MOONKEEPER_NO_WATCHER;
    }
    deliver(handle, pending, &result, 0);
}

/* ---- Everything at once ---- */

static void list_move(struct mk_link *from, struct mk_link *to)
{
    while (!mk_list_empty(from)) {
        struct mk_link *link = from->next;
        mk_list_remove(link);
        mk_list_append(to, link);
    }
}

/* With `error`, or what has been decided already. */
static void list_refuse(struct moonkeeper *handle, struct mk_link *list, int error)
{
    while (!mk_list_empty(list)) {
        struct client_pending *pending = MK_CONTAINER(list->next, struct client_pending, link);
        mk_list_remove(&pending->link);
        client_refuse(handle, pending, pending->refusal != 0 ? pending->refusal : error);
    }
}

void client_submitted_take(struct moonkeeper *handle)
{
    (void)pthread_mutex_lock(&handle->lock);
    list_move(&handle->submitted, &handle->conn.queued);
    (void)pthread_mutex_unlock(&handle->lock);
}

void client_state_tell(struct moonkeeper *handle, enum moonkeeper_state state)
{
    client_state_set(handle, state);
    if (handle->options.listener != NULL) {
        handle->options.listener(handle->options.listener_context, handle, state);
    }
}

void client_sure_since(struct moonkeeper *handle, mk_ms boot_ms)
{
    (void)pthread_mutex_lock(&handle->lock);
    if (boot_ms > handle->sure_boot_ms) {
        handle->sure_boot_ms = boot_ms;
    }
    (void)pthread_mutex_unlock(&handle->lock);
}

void client_lose_all(struct moonkeeper *handle)
{
    struct mk_link lost;
    struct mk_link *next;

    mk_list_init(&lost);
    client_submitted_take(handle);
    list_move(&handle->conn.sent, &lost);
    for (struct mk_link *at = handle->conn.queued.next; at != &handle->conn.queued; at = next) {
        const struct client_pending *pending = MK_CONTAINER(at, struct client_pending, link);
        next = at->next;
        if (pending->asked.op != MOONKEEPER_CALL && pending->asked.op != MOONKEEPER_AUTH) {
            mk_list_remove(at);
            mk_list_append(&lost, at);
        }
    }
    list_refuse(handle, &lost, MOONKEEPER_CONNECTION_LOSS);
}

void client_end_all(struct moonkeeper *handle, enum moonkeeper_state state)
{
    int error = client_state_error(state);
    struct client_conn *conn = &handle->conn;

    MK_ASSERT(error != MOONKEEPER_OK);
    client_state_set(handle, state); /* from here on nothing more is submitted */
    client_submitted_take(handle);
    list_refuse(handle, &conn->sent, error);
    for (size_t i = 0; i < conn->auths_count; i++) {
        struct client_pending *pending = conn->auths[i].pending;
        conn->auths[i].pending = NULL;
        if (pending != NULL) {
            client_refuse(handle, pending, error);
        }
    }
    list_refuse(handle, &conn->calls, error);
    list_refuse(handle, &conn->queued, error);
    watches_end(handle, state);
    client_state_tell(handle, state);
}
