/* Watches as section 6 has them: who must be told what, in which order; and what setWatches
 * finds. */
#include "sim/check.h"

#include <string.h>

/* ---- Events to come ---- */

void sim_events_push(struct sim_events *events, mk_zxid zxid, enum jute_event event,
                     struct mk_bytes path)
{
    if (events->first > 0 && events->first == events->count) {
        events->first = events->count = 0;
    }
    if (events->count == events->cap) {
        events->cap = events->cap * 2 + 16;
        events->list = mk_realloc(events->list, events->cap * sizeof(*events->list));
    }
    events->list[events->count++] =
        (struct sim_expected_event){.zxid = zxid, .event = event, .path = sim_copy_of(path)};
}

void sim_events_pop(struct sim_events *events)
{
    MK_ASSERT(events->first < events->count);
    sim_free_bytes(events->list[events->first++].path);
}

void sim_events_free(struct sim_events *events)
{
    while (events->first < events->count) {
        sim_events_pop(events);
    }
    mk_free(events->list);
    *events = (struct sim_events){0};
}

/* ---- Sets of watched paths ---- */

static size_t find(const struct sim_paths *paths, struct mk_bytes path)
{
    size_t i = 0;

    while (i < paths->count && !mk_bytes_equal(paths->list[i], path)) {
        i++;
    }
    return i;
}

bool sim_watch_has(const struct sim_check_conn *conn, int kind, struct mk_bytes path)
{
    return find(&conn->watches[kind], path) < conn->watches[kind].count;
}

void sim_watch_add(struct sim_check_conn *conn, int kind, struct mk_bytes path)
{
    struct sim_paths *paths = &conn->watches[kind];

    if (sim_watch_has(conn, kind, path)) {
        return;
    }
    if (paths->count == paths->cap) {
        paths->cap = paths->cap * 2 + 8;
        paths->list = mk_realloc(paths->list, paths->cap * sizeof(*paths->list));
    }
    paths->list[paths->count++] = sim_copy_of(path);
}

bool sim_watch_remove(struct sim_check_conn *conn, int kind, struct mk_bytes path)
{
    struct sim_paths *paths = &conn->watches[kind];
    size_t at = find(paths, path);

    if (at == paths->count) {
        return false;
    }
    sim_free_bytes(paths->list[at]);
    paths->list[at] = paths->list[--paths->count];
    return true;
}

void sim_watches_drop(struct sim_check_conn *conn)
{
    for (int kind = 0; kind < SIM_WATCHES; kind++) {
        struct sim_paths *paths = &conn->watches[kind];
        for (size_t i = 0; i < paths->count; i++) {
            sim_free_bytes(paths->list[i]);
        }
        mk_free(paths->list);
        *paths = (struct sim_paths){0};
    }
}

/* ---- Firing (section 6.2) ---- */

static bool data_table(struct sim_check_conn *conn, struct mk_bytes path)
{
    bool told = sim_watch_remove(conn, SIM_WATCH_DATA, path);

    told = sim_watch_has(conn, SIM_WATCH_PERSISTENT, path) || told;
    const struct sim_paths *recursive = &conn->watches[SIM_WATCH_RECURSIVE];
    for (size_t i = 0; i < recursive->count; i++) {
        told = told || mk_bytes_equal(recursive->list[i], path) ||
               sim_path_below(path, recursive->list[i]);
    }
    return told;
}

static bool child_table(struct sim_check_conn *conn, struct mk_bytes path)
{
    bool told = sim_watch_remove(conn, SIM_WATCH_CHILD, path);

    return sim_watch_has(conn, SIM_WATCH_PERSISTENT, path) || told;
}

static void tell(struct sim_check *check, struct sim_check_conn *conn, enum jute_event event,
                 const struct sim_znode *znode)
{
    const struct sim_who who = {.session = conn->session, .identities = &conn->identities};

    /* Who may not read it is not told; the watch is spent all the same (section 6.5). */
    if (sim_acl_permits(znode->acl, SIM_READ, &conn->identities) &&
        sim_model_may_see(&check->model, &who, znode) == 0) {
        sim_events_push(&conn->events, check->model.zxid, event, znode->path);
    }
}

static void fire(struct sim_check *check, struct sim_check_conn *conn,
                 const struct sim_change *change)
{
    struct mk_bytes path = change->znode->path;
    bool told = data_table(conn, path);

    if (told) {
        tell(check, conn, change->event, change->znode);
    }
    if (change->event == JUTE_EVENT_DELETED && child_table(conn, path) && !told) {
        tell(check, conn, change->event, change->znode);
    }
    if (change->parent != NULL && child_table(conn, change->parent->path)) {
        tell(check, conn, JUTE_EVENT_CHILDREN_CHANGED, change->parent);
    }
}

void sim_watches_fire(struct sim_check *check)
{
    size_t count = check->model.changes_count * check->conns_count;

    for (size_t i = 0; i < count; i++) { /* change by change, and each to all */
        struct sim_check_conn *conn = check->conns[i % check->conns_count];
        if (conn->state == SIM_CONN_ATTACHED) {
            fire(check, conn, &check->model.changes[i / check->conns_count]);
        }
    }
}

/* ---- setWatches (section 6.6) ---- */

static int missed(const struct sim_model *model, const struct sim_who *who, int list,
                  struct mk_bytes path, mk_zxid since)
{
    const struct sim_znode *znode = sim_model_find(model, path);

    if (znode != NULL && sim_model_may_see(model, who, znode) != 0) {
        znode = NULL;
    }

    switch (list) {
    case 0:
        return znode == NULL          ? JUTE_EVENT_DELETED
               : znode->mzxid > since ? JUTE_EVENT_DATA_CHANGED
                                      : 0;
    case 1: return znode != NULL ? JUTE_EVENT_CREATED : 0;
    case 2:
        return znode == NULL          ? JUTE_EVENT_DELETED
               : znode->pzxid > since ? JUTE_EVENT_CHILDREN_CHANGED
                                      : 0;
    default: return 0;
    }
}

static void expect_found(struct sim_check *check, struct sim_check_conn *conn, int event,
                         struct mk_bytes path)
{
    struct sim_events *found = &conn->found;
    const struct sim_expected_event *head = &found->list[found->first];

    if (found->first == found->count || (int)head->event != event ||
        !mk_bytes_equal(head->path, path)) {
        sim_check_fail(check, "setWatches of session 0x%llx did not tell event %d of %.*s next",
                       (unsigned long long)conn->session, event, (int)path.len,
                       (const char *)path.data);
        return;
    }
    sim_events_pop(found);
}

static void set_or_expect(struct sim_check *check, struct sim_check_conn *conn, int list,
                          struct mk_bytes path, mk_zxid since)
{
    static const int kinds[JUTE_LISTS_MAX] = {SIM_WATCH_DATA, SIM_WATCH_DATA, SIM_WATCH_CHILD,
                                              SIM_WATCH_PERSISTENT, SIM_WATCH_RECURSIVE};
    const struct sim_who who = {.session = conn->session, .identities = &conn->identities};
    int event = missed(&check->model, &who, list, path, since);

    if (event != 0) {
        expect_found(check, conn, event, path);
    } else {
        sim_watch_add(conn, kinds[list], path);
    }
}

void sim_watches_set(struct sim_check *check, struct sim_check_conn *conn,
                     const struct jute_request *request)
{
    for (int list = 0; list < JUTE_LISTS_MAX; list++) {
        struct jute_strings_cursor cursor = jute_strings_begin(request->lists[list]);
        struct mk_bytes path;
        while (jute_strings_next(&cursor, &path)) {
            set_or_expect(check, conn, list, path, request->relative_zxid);
        }
    }
    if (conn->found.first < conn->found.count) {
        const struct sim_expected_event *extra = &conn->found.list[conn->found.first];
        sim_check_fail(check,
                       "setWatches of session 0x%llx told event %d of %.*s, and it is not so",
                       (unsigned long long)conn->session, (int)extra->event, (int)extra->path.len,
                       (const char *)extra->path.data);
    }
}
