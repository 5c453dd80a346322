/* Watches: who is to be told about which path.
 *
 * A watch is one (watcher, path, kind). It hangs on two lists and in one hash table:
 *
 *   path table ──▶ watched "/a" ─ list per kind ─▶ watch ─ watch ─ …    what a change has to visit
 *                                                    │
 *   watcher ─ watches ───────────────────────────▶ watch ─ watch ─ …    what goes with a connection
 *
 *   index: (watcher, path, kind) ──▶ watch                              is it there already?
 *
 * ZooKeeper's two tables are sets of kinds: the data table is once-data, persistent and recursive,
 * the child table is once-child and persistent. One list per kind, so that a change visits nobody
 * whom it does not concern: a thousand data watches cost a new child nothing.
 *
 * A change first collects whom to tell and forgets the one-shot watches, for all its triggers, and
 * then tells: what is added meanwhile is a new watch. Within a trigger the order is that of
 * registration at the path itself, then at each ancestor on the way up to "/".
 *
 * Memory: 72 bytes a watch and 8 to 16 for its place in the index; a watched path takes 88 bytes,
 * its own length, and 43 to 85 in the path table. malloc adds 8 to each of the two. */
#include "tree/tree.h"

#include <string.h>

enum { LIST_DATA, LIST_CHILD, LIST_PERSISTENT, LIST_RECURSIVE, LISTS }; /* kind == 1 << list */

#define DATA_TABLE (TREE_WATCH_DATA | TREE_WATCH_PERSISTENT | TREE_WATCH_RECURSIVE)
#define CHILD_TABLE (TREE_WATCH_CHILD | TREE_WATCH_PERSISTENT)
#define ONE_SHOT (TREE_WATCH_DATA | TREE_WATCH_CHILD)

enum { EVENT_CREATED = 1, EVENT_DELETED = 2, EVENT_CHANGED = 3, EVENT_CHILDREN = 4 };

#define INDEX_BUCKETS_MIN 64
/* Between changes, room for so many to be told is kept; a larger crowd gives its memory back. */
#define TOLD_KEPT_MAX 4096

struct watched {
    struct mk_link lists[LISTS];
    size_t count;      /* watches on all lists; without one the path is forgotten */
    size_t data_count; /* ... on all but LIST_CHILD */
    size_t len;
    uint8_t path[];
};

struct watch {
    struct mk_link at_path;
    struct mk_link of_watcher;
    struct watch *chain; /* next in the same bucket of the index */
    struct tree_watcher *watcher;
    struct watched *watched;
    uint64_t order; /* of registration, over all paths */
    uint8_t list;
};

struct told {
    struct tree_watcher *watcher;
    int event;
};

struct tree_watches {
    struct mk_map_bytes paths; /* path -> struct watched; the keys lie in the values */
    struct watch **buckets;
    size_t buckets_count; /* a power of two, or 0 */
    size_t watches_count;
    size_t watchers_count;
    size_t data_watches, data_watchers, data_paths; /* without LIST_CHILD */
    struct mk_summary summaries[EVENT_CHILDREN];    /* told at once, by event - 1 */
    size_t recursive_count;                         /* 0: a change need not look at ancestors */
    size_t path_bytes;
    uint64_t registered; /* watches ever added */
    uint64_t triggers;   /* stamp of the last trigger; a watcher's `told` is one of them */
    struct told *told;
    size_t told_count;
    size_t told_cap;
    bool telling;
};

/* ---- The index. Buckets follow from addresses, which differ from run to run; nothing but the time
 * of a lookup does, because the index is never walked. ---- */

static size_t index_home(const struct tree_watches *watches, const struct tree_watcher *watcher,
                         const struct watched *watched, unsigned list)
{
    uint64_t hash = (uint64_t)(uintptr_t)watcher * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash = (hash + (uint64_t)(uintptr_t)watched + list) * 0xe7037ed1a0b428dbu;
    hash ^= hash >> 32;
    return (size_t)hash & (watches->buckets_count - 1);
}

static struct watch *index_find(const struct tree_watches *watches,
                                const struct tree_watcher *watcher, const struct watched *watched,
                                unsigned list)
{
    if (watches->buckets_count == 0) {
        return NULL;
    }
    struct watch *watch = watches->buckets[index_home(watches, watcher, watched, list)];
    while (watch != NULL &&
           (watch->watcher != watcher || watch->watched != watched || watch->list != list)) {
        watch = watch->chain;
    }
    return watch;
}

static void index_insert(struct tree_watches *watches, struct watch *watch)
{
    size_t home = index_home(watches, watch->watcher, watch->watched, watch->list);
    watch->chain = watches->buckets[home];
    watches->buckets[home] = watch;
}

static void index_remove(struct tree_watches *watches, struct watch *watch)
{
    size_t home = index_home(watches, watch->watcher, watch->watched, watch->list);
    struct watch **at = &watches->buckets[home];
    while (*at != watch) {
        MK_ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = watch->chain;
}

/* Room for one more, with at most one watch per bucket on average. */
static void index_reserve(struct tree_watches *watches)
{
    if (watches->watches_count < watches->buckets_count) {
        return;
    }
    struct watch **old = watches->buckets;
    size_t old_count = watches->buckets_count;
    watches->buckets_count = old_count == 0 ? INDEX_BUCKETS_MIN : old_count * 2;
    watches->buckets = mk_alloc_zero(watches->buckets_count, sizeof(struct watch *));
    for (size_t i = 0; i < old_count; i++) {
        struct watch *next;
        for (struct watch *watch = old[i]; watch != NULL; watch = next) {
            next = watch->chain;
            index_insert(watches, watch);
        }
    }
    mk_free(old);
}

/* ---- Watched paths. Any bytes may be watched: a read of a path that cannot exist leaves an exists
 * watch, which never fires. ---- */

/* Some clients write an empty path as null; here they are one. */
static struct mk_bytes path_key(struct mk_bytes path)
{
    return path.data == NULL ? MK_BYTES("") : path;
}

static struct watched *watched_find(const struct tree_watches *watches, struct mk_bytes path)
{
    return mk_map_bytes_get(&watches->paths, path_key(path));
}

static struct watched *watched_add(struct tree_watches *watches, struct mk_bytes path)
{
    struct mk_bytes key = path_key(path);
    struct watched *watched = mk_alloc(sizeof(*watched) + key.len);
    for (size_t i = 0; i < LISTS; i++) {
        mk_list_init(&watched->lists[i]);
    }
    watched->count = 0;
    watched->data_count = 0;
    watched->len = key.len;
    memcpy(watched->path, key.data, key.len);
    void *old =
        mk_map_bytes_put(&watches->paths, mk_bytes_of(watched->path, watched->len), watched);
    MK_ASSERT(old == NULL);
    watches->path_bytes += watched->len;
    return watched;
}

static void watched_forget_if_empty(struct tree_watches *watches, struct watched *watched)
{
    if (watched->count > 0) {
        return;
    }
    void *old = mk_map_bytes_remove(&watches->paths, mk_bytes_of(watched->path, watched->len));
    MK_ASSERT(old == watched);
    MK_ASSERT(watches->path_bytes >= watched->len);
    watches->path_bytes -= watched->len;
    mk_free(watched);
}

/* ---- Watches ---- */

static unsigned kind_list(enum tree_watch kind)
{
    switch (kind) {
    case TREE_WATCH_DATA: return LIST_DATA;
    case TREE_WATCH_CHILD: return LIST_CHILD;
    case TREE_WATCH_PERSISTENT: return LIST_PERSISTENT;
    case TREE_WATCH_RECURSIVE: return LIST_RECURSIVE;
    case TREE_WATCH_ANY: break; /* a mask, not a kind */
    }
    MK_ASSERT(!"one kind of watch");
    return LISTS;
}

static void watch_new(struct tree_watches *watches, struct tree_watcher *watcher,
                      struct watched *watched, unsigned list)
{
    index_reserve(watches);
    struct watch *watch = mk_alloc(sizeof(*watch));
    watch->watcher = watcher;
    watch->watched = watched;
    watch->list = (uint8_t)list;
    watch->order = watches->registered++;
    mk_list_append(&watched->lists[list], &watch->at_path);
    mk_list_append(&watcher->watches, &watch->of_watcher);
    index_insert(watches, watch);

    watched->count++;
    watcher->count++;
    watches->watches_count++;
    watches->watchers_count += watcher->count == 1;
    watches->recursive_count += list == LIST_RECURSIVE;
    if (list != LIST_CHILD) {
        watches->data_watches++;
        watches->data_watchers += watcher->data_count++ == 0;
        watches->data_paths += watched->data_count++ == 0;
    }
}

/* Leaves the path in place, even if this was its last watch. */
static void watch_free(struct tree_watches *watches, struct watch *watch)
{
    MK_ASSERT(watch->watched->count > 0);
    MK_ASSERT(watch->watcher->count > 0);
    index_remove(watches, watch);
    mk_list_remove(&watch->at_path);
    mk_list_remove(&watch->of_watcher);

    watch->watched->count--;
    watch->watcher->count--;
    watches->watches_count--;
    watches->watchers_count -= watch->watcher->count == 0;
    watches->recursive_count -= watch->list == LIST_RECURSIVE;
    if (watch->list != LIST_CHILD) {
        watches->data_watches--;
        watches->data_watchers -= --watch->watcher->data_count == 0;
        watches->data_paths -= --watch->watched->data_count == 0;
    }
    mk_free(watch);
}

struct tree_watches *tree_watches_new(uint64_t secret)
{
    struct tree_watches *watches = mk_alloc_zero(1, sizeof(*watches));
    watches->paths.secret = secret;
    return watches;
}

void tree_watches_free(struct tree_watches *watches)
{
    if (watches == NULL) {
        return;
    }
    MK_ASSERT(watches->watchers_count == 0);
    MK_ASSERT(watches->watches_count == 0);
    MK_ASSERT(watches->paths.count == 0);
    MK_ASSERT(watches->path_bytes == 0);
    mk_map_bytes_free(&watches->paths);
    mk_free(watches->buckets);
    mk_free(watches->told);
    mk_free(watches);
}

void tree_watcher_init(struct tree_watcher *watcher)
{
    *watcher = (struct tree_watcher){0};
    mk_list_init(&watcher->watches);
}

void tree_watch_add(struct tree_watches *watches, struct tree_watcher *watcher,
                    struct mk_bytes path, enum tree_watch kind)
{
    unsigned list = kind_list(kind);
    struct watched *watched = watched_find(watches, path);
    if (watched == NULL) {
        watched = watched_add(watches, path);
    }
    if (index_find(watches, watcher, watched, list) == NULL) {
        watch_new(watches, watcher, watched, list);
    }
}

bool tree_watch_remove(struct tree_watches *watches, struct tree_watcher *watcher,
                       struct mk_bytes path, unsigned kinds)
{
    struct watched *watched = watched_find(watches, path);
    if (watched == NULL) {
        return false;
    }
    bool found = false;
    for (unsigned list = 0; list < LISTS; list++) {
        struct watch *watch =
            (kinds >> list & 1) == 0 ? NULL : index_find(watches, watcher, watched, list);
        if (watch != NULL) {
            watch_free(watches, watch);
            found = true;
        }
    }
    watched_forget_if_empty(watches, watched);
    return found;
}

bool tree_watch_has(const struct tree_watches *watches, const struct tree_watcher *watcher,
                    struct mk_bytes path, unsigned kinds)
{
    const struct watched *watched = watched_find(watches, path);
    if (watched == NULL) {
        return false;
    }
    for (unsigned list = 0; list < LISTS; list++) {
        if ((kinds >> list & 1) != 0 && index_find(watches, watcher, watched, list) != NULL) {
            return true;
        }
    }
    return false;
}

void tree_watches_drop(struct tree_watches *watches, struct tree_watcher *watcher)
{
    MK_ASSERT(!watches->telling); /* who is still to be told must not go */
    while (!mk_list_empty(&watcher->watches)) {
        struct watch *watch = MK_CONTAINER(watcher->watches.next, struct watch, of_watcher);
        struct watched *watched = watch->watched;
        watch_free(watches, watch);
        watched_forget_if_empty(watches, watched);
    }
    MK_ASSERT(watcher->count == 0);
}

/* ---- Triggers ---- */

static void told_add(struct tree_watches *watches, struct tree_watcher *watcher, int event)
{
    if (watcher->told == watches->triggers) {
        return;
    }
    watcher->told = watches->triggers;
    if (watches->told_count == watches->told_cap) {
        watches->told_cap = watches->told_cap == 0 ? 64 : watches->told_cap * 2;
        watches->told = mk_realloc(watches->told, watches->told_cap * sizeof(watches->told[0]));
    }
    watches->told[watches->told_count++] = (struct told){watcher, event};
}

/* The earliest of those at `next`, which are the heads of their lists where those are exhausted. */
static struct watch *watch_earliest(struct watched *watched, struct mk_link *const next[LISTS],
                                    unsigned kinds)
{
    struct watch *earliest = NULL;
    for (unsigned list = 0; list < LISTS; list++) {
        if ((kinds >> list & 1) == 0 || next[list] == &watched->lists[list]) {
            continue;
        }
        struct watch *watch = MK_CONTAINER(next[list], struct watch, at_path);
        if (earliest == NULL || watch->order < earliest->order) {
            earliest = watch;
        }
    }
    return earliest;
}

/* Everyone with a watch of `kinds` at exactly `path`. */
static void collect(struct tree_watches *watches, struct mk_bytes path, unsigned kinds, int event)
{
    struct watched *watched = watched_find(watches, path);
    if (watched == NULL) {
        return;
    }
    struct mk_link *next[LISTS];
    for (unsigned list = 0; list < LISTS; list++) {
        next[list] = watched->lists[list].next;
    }
    struct watch *watch;
    while ((watch = watch_earliest(watched, next, kinds)) != NULL) {
        next[watch->list] = watch->at_path.next;
        told_add(watches, watch->watcher, event);
        if ((ONE_SHOT >> watch->list & 1) != 0) {
            watch_free(watches, watch);
        }
    }
    watched_forget_if_empty(watches, watched);
}

/* `before` were to be told already: so many are told at once of `event`. */
static void count_told(struct tree_watches *watches, size_t before, int event)
{
    if (watches->told_count > before) {
        mk_summary_add(&watches->summaries[event - 1], watches->told_count - before);
    }
}

static void collect_data(struct tree_watches *watches, struct mk_bytes path, int event)
{
    watches->triggers++;
    collect(watches, path, DATA_TABLE, event);
    struct mk_bytes at = path;
    while (watches->recursive_count > 0 && at.len > 1) {
        at = tree_path_parent(at);
        collect(watches, at, TREE_WATCH_RECURSIVE, event);
    }
    count_told(watches, 0, event);
}

static void collect_parent(struct tree_watches *watches, struct mk_bytes path)
{
    size_t before = watches->told_count;
    watches->triggers++;
    collect(watches, tree_path_parent(path), CHILD_TABLE, EVENT_CHILDREN);
    count_told(watches, before, EVENT_CHILDREN);
}

static void tell_collected(struct tree_watches *watches, struct mk_bytes path,
                           tree_watch_tell *tell, void *context)
{
    watches->telling = true;
    for (size_t i = 0; i < watches->told_count; i++) {
        struct told told = watches->told[i];
        bool parent = told.event == EVENT_CHILDREN;
        tell(context, told.watcher, told.event, parent ? tree_path_parent(path) : path);
    }
    watches->telling = false;

    watches->told_count = 0;
    if (watches->told_cap > TOLD_KEPT_MAX) {
        mk_free(watches->told);
        watches->told = NULL;
        watches->told_cap = 0;
    }
}

void tree_watches_created(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context)
{
    MK_ASSERT(!watches->telling);
    if (watches->watches_count == 0) {
        return;
    }
    collect_data(watches, path, EVENT_CREATED);
    collect_parent(watches, path);
    tell_collected(watches, path, tell, context);
}

void tree_watches_deleted(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context)
{
    MK_ASSERT(!watches->telling);
    if (watches->watches_count == 0) {
        return;
    }
    collect_data(watches, path, EVENT_DELETED);
    /* Under the same stamp: whom the data table has told is not told again, but a one-shot child
     * watch is used up. */
    collect(watches, path, CHILD_TABLE, EVENT_DELETED);
    collect_parent(watches, path);
    tell_collected(watches, path, tell, context);
}

void tree_watches_changed(struct tree_watches *watches, struct mk_bytes path, tree_watch_tell *tell,
                          void *context)
{
    MK_ASSERT(!watches->telling);
    if (watches->watches_count == 0) {
        return;
    }
    collect_data(watches, path, EVENT_CHANGED);
    tell_collected(watches, path, tell, context);
}

struct tree_watch_counts tree_watches_count(const struct tree_watches *watches)
{
    return (struct tree_watch_counts){
        .watchers = watches->watchers_count,
        .paths = watches->paths.count,
        .watches = watches->watches_count,
        .data_watchers = watches->data_watchers,
        .data_paths = watches->data_paths,
        .data_watches = watches->data_watches,
        .bytes = watches->watches_count * sizeof(struct watch) +
                 watches->buckets_count * sizeof(struct watch *) +
                 watches->paths.count * sizeof(struct watched) + watches->path_bytes +
                 watches->told_cap * sizeof(struct told),
    };
}

const struct mk_summary *tree_watches_told(const struct tree_watches *watches, int event)
{
    MK_ASSERT(event >= EVENT_CREATED && event <= EVENT_CHILDREN);
    return &watches->summaries[event - 1];
}

/* ---- Lists for an operator ---- */

/* Whether the same watcher has a watch on an earlier list of the path: it has been visited there. */
static bool visited_before(const struct tree_watches *watches, const struct watch *watch)
{
    for (unsigned list = 0; list < watch->list; list++) {
        if (list != LIST_CHILD &&
            index_find(watches, watch->watcher, watch->watched, list) != NULL) {
            return true;
        }
    }
    return false;
}

static bool watch_visit(const struct tree_watches *watches, const struct watch *watch,
                        tree_watch_visit *visit, void *context)
{
    if (watch->list == LIST_CHILD || visited_before(watches, watch)) {
        return true;
    }
    return visit(context, watch->watcher, mk_bytes_of(watch->watched->path, watch->watched->len));
}

bool tree_watches_of_each(const struct tree_watches *watches, const struct tree_watcher *watcher,
                          tree_watch_visit *visit, void *context)
{
    struct mk_link *link = watcher->watches.next;

    for (; watcher->data_count > 0 && link != &watcher->watches; link = link->next) {
        if (!watch_visit(watches, MK_CONTAINER(link, struct watch, of_watcher), visit, context)) {
            return false;
        }
    }
    return true;
}

bool tree_watches_each(const struct tree_watches *watches, tree_watch_visit *visit, void *context)
{
    struct mk_bytes path;
    void *found;
    size_t cursor = 0;

    while (mk_map_bytes_next(&watches->paths, &cursor, &path, &found)) {
        struct watched *watched = found;
        for (unsigned list = 0; list < LISTS; list++) {
            struct mk_link *link = watched->lists[list].next;
            for (; link != &watched->lists[list]; link = link->next) {
                struct watch *watch = MK_CONTAINER(link, struct watch, at_path);
                if (!watch_visit(watches, watch, visit, context)) {
                    return false;
                }
            }
        }
    }
    return true;
}
