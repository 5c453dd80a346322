/* Private to client: which watches are set, and which of them an event concerns. Keyed by the paths
 * of the server, before the chroot is taken off. No thread, no socket, no callback is called here. */
#ifndef CLIENT_WATCHES_H
#define CLIENT_WATCHES_H

#include "base/base.h"
#include "client/client.h"

/* In the order of the lists of setWatches2. What exists sets on a missing znode is kept apart, because
 * it is set again in another way: its event is the creation. */
enum client_watch_kind {
    CLIENT_WATCH_DATA,
    CLIENT_WATCH_EXIST,
    CLIENT_WATCH_CHILD,
    CLIENT_WATCH_PERSISTENT,
    CLIENT_WATCH_RECURSIVE,
    CLIENT_WATCH_KINDS,
};

struct client_watches {
    struct mk_map_bytes kinds[CLIENT_WATCH_KINDS]; /* path -> struct watched */
    size_t count;                                  /* of (kind, path, function, context) */
};

/* Zero-initialise; free() forgets all, and tells nobody. */
void client_watches_free(struct client_watches *watches);

/* False: it was set already. */
bool client_watches_add(struct client_watches *watches, enum client_watch_kind kind,
                        struct mk_bytes path, moonkeeper_watcher *watcher, void *context);

/* What is to be called, in this order. */
struct client_calls {
    struct client_call {
        moonkeeper_watcher *watcher;
        void *context;
        enum moonkeeper_event_type type;
        bool last; /* none with this function and context is left at the path */
    } * list;
    size_t count;
    size_t capacity;
};
void client_calls_free(struct client_calls *calls);

/* An event has come: each function and context that it concerns is appended once, and the standard
 * watches among them are gone. An event of another type concerns none. */
void client_watches_event(struct client_watches *watches, enum moonkeeper_event_type type,
                          struct mk_bytes path, struct client_calls *calls);

/* What removeWatches names: `watcher` NULL: all at the path. */
struct client_watch_name {
    struct mk_bytes path;
    enum moonkeeper_watch_type type;
    moonkeeper_watcher *watcher;
    void *context;
};
/* How many are set that have the name; and how many would be left of its type at its path. */
size_t client_watches_count(const struct client_watches *watches,
                            const struct client_watch_name *name, size_t *others);
void client_watches_remove(struct client_watches *watches, const struct client_watch_name *name,
                           struct client_calls *calls);

/* For the end, when each is to hear of it: what is set at one path after the other, nothing removed.
 * A path comes up once for each kind. Begin with a zero cursor; false: there are no more. */
struct client_watches_cursor {
    int kind;
    size_t slot;
};
bool client_watches_next(const struct client_watches *watches, struct client_watches_cursor *cursor,
                         struct mk_bytes *path, struct client_calls *calls);

/* ---- Setting them again ---- */

/* Append whole setWatches and setWatches2 frames for all that is set, with `xid`, each with about
 * CLIENT_CHUNK_BYTES of paths at most. Returns how many. */
#define CLIENT_CHUNK_BYTES \
    ((size_t)128 * 1024) /* as ZooKeeper's Java client: below jute.maxbuffer */
size_t client_watches_encode(const struct client_watches *watches, int32_t xid, mk_zxid zxid_seen,
                             struct mk_buf *out);

#endif
