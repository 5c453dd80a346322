/* One map from path to watches for each kind. A path's watches are a short list in the order in which
 * they were set: nearly always one. */
#include "client/watches.h"

#include "jute/jute.h"

#include <string.h>

struct watch {
    struct watch *next;
    moonkeeper_watcher *watcher;
    void *context;
};

struct watched {
    struct watch *first;
    size_t path_len;
    uint8_t path[]; /* the map's key */
};

static bool watch_is(const struct watch *watch, moonkeeper_watcher *watcher, const void *context)
{
    return watch->watcher == watcher && watch->context == context;
}

static bool kind_lasts(enum client_watch_kind kind)
{
    return kind == CLIENT_WATCH_PERSISTENT || kind == CLIENT_WATCH_RECURSIVE;
}

static void watched_free(struct watched *watched)
{
    while (watched->first != NULL) {
        struct watch *gone = watched->first;
        watched->first = gone->next;
        mk_free(gone);
    }
    mk_free(watched);
}

void client_watches_free(struct client_watches *watches)
{
    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        size_t cursor = 0;
        struct mk_bytes path;
        void *watched;
        while (mk_map_bytes_next(&watches->kinds[kind], &cursor, &path, &watched)) {
            watched_free(watched);
        }
        mk_map_bytes_free(&watches->kinds[kind]);
    }
    watches->count = 0;
}

/* ---- Setting ---- */

static struct watched *watched_new(struct mk_map_bytes *map, struct mk_bytes path)
{
    struct watched *watched = mk_alloc(sizeof(*watched) + path.len);

    watched->first = NULL;
    watched->path_len = path.len;
    if (path.len > 0) {
        memcpy(watched->path, path.data, path.len);
    }
    (void)mk_map_bytes_put(map, mk_bytes_of(watched->path, path.len), watched);
    return watched;
}

bool client_watches_add(struct client_watches *watches, enum client_watch_kind kind,
                        struct mk_bytes path, moonkeeper_watcher *watcher, void *context)
{
    MK_ASSERT(watcher != NULL);
    struct mk_map_bytes *map = &watches->kinds[kind];
    struct watched *watched = mk_map_bytes_get(map, path);
    if (watched == NULL) {
        watched = watched_new(map, path);
    }
    struct watch **at = &watched->first;
    while (*at != NULL) {
        if (watch_is(*at, watcher, context)) {
            return false;
        }
        at = &(*at)->next;
    }
    *at = mk_alloc(sizeof(**at));
    **at = (struct watch){.watcher = watcher, .context = context};
    watches->count++;
    return true;
}

/* ---- What is to be called ---- */

void client_calls_free(struct client_calls *calls)
{
    mk_free(calls->list);
    *calls = (struct client_calls){.list = NULL};
}

static void calls_add(struct client_calls *calls, const struct watch *watch,
                      enum moonkeeper_event_type type)
{
    if (calls->count == calls->capacity) {
        calls->capacity = calls->capacity == 0 ? 8 : calls->capacity * 2;
        calls->list = mk_realloc(calls->list, calls->capacity * sizeof(*calls->list));
    }
    calls->list[calls->count++] = (struct client_call){
        .watcher = watch->watcher, .context = watch->context, .type = type, .last = true};
}

static void calls_add_once(struct client_calls *calls, size_t from, const struct watch *watch,
                           enum moonkeeper_event_type type)
{
    for (size_t i = from; i < calls->count; i++) {
        if (watch_is(watch, calls->list[i].watcher, calls->list[i].context)) {
            return;
        }
    }
    calls_add(calls, watch, type);
}

/* In one of the kinds from `kind` on. */
static bool set_at(const struct client_watches *watches, struct mk_bytes path, int kind,
                   const struct client_call *call)
{
    for (; kind < CLIENT_WATCH_KINDS; kind++) {
        const struct watched *watched = mk_map_bytes_get(&watches->kinds[kind], path);
        for (const struct watch *at = watched != NULL ? watched->first : NULL; at != NULL;
             at = at->next) {
            if (watch_is(at, call->watcher, call->context)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- Events ---- */

/* All watches of one kind at one path; the standard ones are gone. */
static void event_at(struct client_watches *watches, enum client_watch_kind kind,
                     enum moonkeeper_event_type type, struct mk_bytes path,
                     struct client_calls *calls, size_t from)
{
    struct mk_map_bytes *map = &watches->kinds[kind];
    struct watched *watched = mk_map_bytes_get(map, path);

    if (watched == NULL) {
        return;
    }
    for (const struct watch *at = watched->first; at != NULL; at = at->next) {
        calls_add_once(calls, from, at, type);
        watches->count -= kind_lasts(kind) ? 0 : 1;
    }
    if (!kind_lasts(kind)) {
        (void)mk_map_bytes_remove(map, path);
        watched_free(watched);
    }
}

/* Recursive watches at the path and at each of its ancestors up to "/". They outlast the event, so
 * none of their calls is the last: those of ancestors are set at another path than the event's. */
static void event_recursive(struct client_watches *watches, enum moonkeeper_event_type type,
                            struct mk_bytes path, struct client_calls *calls, size_t from)
{
    struct mk_bytes at = path;

    while (watches->kinds[CLIENT_WATCH_RECURSIVE].count > 0 && at.len > 0) {
        size_t before = calls->count;
        event_at(watches, CLIENT_WATCH_RECURSIVE, type, at, calls, from);
        for (size_t i = before; i < calls->count; i++) {
            calls->list[i].last = false;
        }
        if (at.len == 1) {
            return;
        }
        while (at.data[at.len - 1] != '/') {
            at.len--;
            if (at.len == 0) {
                return; /* a path without "/": no server sends one */
            }
        }
        at.len -= at.len > 1 ? 1 : 0;
    }
}

void client_watches_event(struct client_watches *watches, enum moonkeeper_event_type type,
                          struct mk_bytes path, struct client_calls *calls)
{
    size_t from = calls->count;

    if (type < MOONKEEPER_EVENT_CREATED || type > MOONKEEPER_EVENT_CHILDREN_CHANGED) {
        return;
    }
    if (type != MOONKEEPER_EVENT_CHILDREN_CHANGED) {
        event_recursive(watches, type, path, calls, from);
        event_at(watches, CLIENT_WATCH_DATA, type, path, calls, from);
        event_at(watches, CLIENT_WATCH_EXIST, type, path, calls, from);
    }
    if (type == MOONKEEPER_EVENT_CHILDREN_CHANGED || type == MOONKEEPER_EVENT_DELETED) {
        event_at(watches, CLIENT_WATCH_CHILD, type, path, calls, from);
    }
    event_at(watches, CLIENT_WATCH_PERSISTENT, type, path, calls, from);
    for (size_t i = from; i < calls->count; i++) {
        calls->list[i].last = calls->list[i].last && !set_at(watches, path, 0, &calls->list[i]);
    }
}

/* ---- Removing ---- */

static bool type_names(enum moonkeeper_watch_type type, enum client_watch_kind kind)
{
    switch (type) {
    case MOONKEEPER_WATCH_TYPE_CHILDREN: return kind == CLIENT_WATCH_CHILD;
    case MOONKEEPER_WATCH_TYPE_DATA: return kind == CLIENT_WATCH_DATA || kind == CLIENT_WATCH_EXIST;
    case MOONKEEPER_WATCH_TYPE_ANY: return true;
    case MOONKEEPER_WATCH_TYPE_PERSISTENT: return kind == CLIENT_WATCH_PERSISTENT;
    case MOONKEEPER_WATCH_TYPE_PERSISTENT_RECURSIVE: return kind == CLIENT_WATCH_RECURSIVE;
    }
    return false;
}

static enum moonkeeper_event_type removal_type(enum client_watch_kind kind)
{
    switch (kind) {
    case CLIENT_WATCH_DATA:
    case CLIENT_WATCH_EXIST: return MOONKEEPER_EVENT_DATA_WATCH_REMOVED;
    case CLIENT_WATCH_CHILD: return MOONKEEPER_EVENT_CHILD_WATCH_REMOVED;
    case CLIENT_WATCH_PERSISTENT:
    case CLIENT_WATCH_RECURSIVE: return MOONKEEPER_EVENT_PERSISTENT_WATCH_REMOVED;
    case CLIENT_WATCH_KINDS: break;
    }
    mk_assert_failed("a kind of watch", __FILE__, __LINE__);
}

static bool name_fits(const struct client_watch_name *name, const struct watch *watch)
{
    return name->watcher == NULL || watch_is(watch, name->watcher, name->context);
}

size_t client_watches_count(const struct client_watches *watches,
                            const struct client_watch_name *name, size_t *others)
{
    size_t count = 0;

    *others = 0;
    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        const struct watched *watched = mk_map_bytes_get(&watches->kinds[kind], name->path);
        if (watched == NULL || !type_names(name->type, kind)) {
            continue;
        }
        for (const struct watch *at = watched->first; at != NULL; at = at->next) {
            *(name_fits(name, at) ? &count : others) += 1;
        }
    }
    return count;
}

static void remove_at(struct client_watches *watches, enum client_watch_kind kind,
                      const struct client_watch_name *name, struct client_calls *calls)
{
    struct watched *watched = mk_map_bytes_get(&watches->kinds[kind], name->path);

    if (watched == NULL) {
        return;
    }
    struct watch **at = &watched->first;
    while (*at != NULL) {
        struct watch *watch = *at;
        if (!name_fits(name, watch)) {
            at = &watch->next;
            continue;
        }
        calls_add(calls, watch, removal_type(kind));
        *at = watch->next;
        mk_free(watch);
        watches->count--;
    }
    if (watched->first == NULL) {
        (void)mk_map_bytes_remove(&watches->kinds[kind], name->path);
        watched_free(watched);
    }
}

/* Whether a call further down has the same function and context. */
static bool called_later(const struct client_calls *calls, size_t index)
{
    for (size_t i = index + 1; i < calls->count; i++) {
        if (calls->list[i].watcher == calls->list[index].watcher &&
            calls->list[i].context == calls->list[index].context) {
            return true;
        }
    }
    return false;
}

void client_watches_remove(struct client_watches *watches, const struct client_watch_name *name,
                           struct client_calls *calls)
{
    size_t from = calls->count;

    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        if (type_names(name->type, kind)) {
            remove_at(watches, kind, name, calls);
        }
    }
    for (size_t i = from; i < calls->count; i++) {
        calls->list[i].last =
            !called_later(calls, i) && !set_at(watches, name->path, 0, &calls->list[i]);
    }
}

bool client_watches_next(const struct client_watches *watches, struct client_watches_cursor *cursor,
                         struct mk_bytes *path, struct client_calls *calls)
{
    void *value;

    while (cursor->kind < CLIENT_WATCH_KINDS) {
        if (mk_map_bytes_next(&watches->kinds[cursor->kind], &cursor->slot, path, &value)) {
            const struct watched *watched = value;
            for (const struct watch *at = watched->first; at != NULL; at = at->next) {
                calls_add(calls, at, MOONKEEPER_EVENT_NONE);
                struct client_call *call = &calls->list[calls->count - 1];
                call->last = !set_at(watches, *path, cursor->kind + 1, call);
            }
            return true;
        }
        cursor->kind++;
        cursor->slot = 0;
    }
    return false;
}

/* ---- Setting them again ---- */

struct chunk {
    struct mk_buf paths[CLIENT_WATCH_KINDS];
    int32_t counts[CLIENT_WATCH_KINDS];
    size_t bytes;
};

/* A server that knows no persistent watches is not told of any if there are none. */
static size_t chunk_flush(struct chunk *chunk, int32_t xid, mk_zxid zxid_seen, struct mk_buf *out)
{
    bool lasting =
        chunk->counts[CLIENT_WATCH_PERSISTENT] + chunk->counts[CLIENT_WATCH_RECURSIVE] > 0;
    struct jute_request request = {.xid = xid,
                                   .op = lasting ? JUTE_SET_WATCHES2 : JUTE_SET_WATCHES,
                                   .relative_zxid = zxid_seen};

    if (chunk->bytes == 0) {
        return 0;
    }
    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        request.lists[kind] =
            (struct jute_strings){chunk->counts[kind], mk_buf_view(&chunk->paths[kind])};
    }
    jute_request_encode(out, &request);
    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        mk_buf_free(&chunk->paths[kind]);
    }
    *chunk = (struct chunk){.bytes = 0};
    return 1;
}

size_t client_watches_encode(const struct client_watches *watches, int32_t xid, mk_zxid zxid_seen,
                             struct mk_buf *out)
{
    _Static_assert((int)CLIENT_WATCH_KINDS == JUTE_LISTS_MAX, "a list for each kind");
    struct chunk chunk = {.bytes = 0};
    size_t chunks_count = 0;

    for (int kind = 0; kind < CLIENT_WATCH_KINDS; kind++) {
        size_t cursor = 0;
        struct mk_bytes path;
        void *watched;
        while (mk_map_bytes_next(&watches->kinds[kind], &cursor, &path, &watched)) {
            size_t bytes = sizeof(int32_t) + path.len;
            if (chunk.bytes + bytes > CLIENT_CHUNK_BYTES) {
                chunks_count += chunk_flush(&chunk, xid, zxid_seen, out);
            }
            mk_buf_put_field(&chunk.paths[kind], path);
            chunk.counts[kind]++;
            chunk.bytes += bytes;
        }
    }
    return chunks_count + chunk_flush(&chunk, xid, zxid_seen, out);
}
