/* Rows that are on disk only, and who waits for them.
 *
 *   a step answers MK_WOULD_BLOCK -> load_push: a load for what it wanted, or the one under way
 *   load_wait: whoever took the step waits for that load ... load_take: a reader thread has it ...
 *   load_done: the rows are in the cache; those who waited for it, and nobody else, go on
 *
 * Those who wait are the connections, and what the server does on its own: calls, the reaper, counting
 * for quotas, the end of expired sessions. When all the loads that there may be are under way, they
 * wait for one of them to be done, and take its place.
 *
 * A connection waits for what the request needs whose turn it is; the others are behind it. So that a
 * client that pipelines does not pay for the disk once a request, one after the other, the znodes that
 * its queued reads will want are asked for ahead (load_ahead). Nobody waits for such a load, unless the
 * read's turn comes before it is done. */
#include "server/ensemble.h"

#define LOAD_AHEAD_PATH_BYTES_MAX 1024 /* what is longer is copied only for somebody who waits */

struct load {                    /* asked for, not done yet */
    struct mk_link link;         /* in server.loads_asked or server.loads_taken */
    struct mk_link among_ranges; /* in server.loads_ranges, if it is one */
    struct mk_link waiters;      /* struct load_waiter */
    struct store_load rows;      /* once taken, the key is that of whoever has it */
    bool ahead;
};

void server_loads_init(struct server *server)
{
    struct load_waiter *own[] = {&server->calls_wait, &server->reaper.wait, &server->count_wait,
                                 &server->expired_wait};

    mk_list_init(&server->unserved);
    mk_list_init(&server->loads_asked);
    mk_list_init(&server->loads_taken);
    mk_list_init(&server->loads_ranges);
    server->loads_rows.secret = server->options.hash_secret;
    for (size_t i = 0; i < MK_COUNT(own); i++) {
        mk_list_init(&own[i]->link);
    }
}

static struct load *load_of(struct mk_link *link)
{
    return MK_CONTAINER(link, struct load, link);
}

static void load_free(struct load *load)
{
    mk_list_remove(&load->link);
    mk_free(load);
}

void server_loads_deinit(struct server *server)
{
    mk_map_bytes_free(&server->loads_rows);
    while (!mk_list_empty(&server->loads_asked)) {
        struct load *load = load_of(server->loads_asked.next);
        store_load_free(&load->rows);
        load_free(load);
    }
    while (!mk_list_empty(&server->loads_taken)) { /* their rows are with whoever has them */
        load_free(load_of(server->loads_taken.next));
    }
}

/* ---- Asked for ---- */

static struct load *load_find(struct server *server, const struct store_load *rows)
{
    struct mk_bytes key = mk_buf_view(&rows->key);

    if (!rows->range) {
        return mk_map_bytes_get(&server->loads_rows, key);
    }
    struct mk_link *link = server->loads_ranges.next;
    for (; link != &server->loads_ranges; link = link->next) {
        struct load *load = MK_CONTAINER(link, struct load, among_ranges);
        if (load->rows.backwards == rows->backwards &&
            mk_bytes_equal(mk_buf_view(&load->rows.key), key)) {
            return load;
        }
    }
    return NULL;
}

static struct load *load_new(struct server *server, const struct store_load *rows, bool ahead)
{
    struct load *load = mk_alloc_zero(1, sizeof(*load));

    load->rows = *rows;
    load->ahead = ahead;
    mk_list_init(&load->link);
    mk_list_init(&load->among_ranges);
    mk_list_init(&load->waiters);
    mk_list_append(&server->loads_asked, &load->link);
    if (rows->range) {
        mk_list_append(&server->loads_ranges, &load->among_ranges);
    } else {
        (void)mk_map_bytes_put(&server->loads_rows, mk_buf_view(&load->rows.key), load);
    }
    *(ahead ? &server->loads_ahead_count : &server->loads_count) += 1;
    server->stats.loads++;
    return load;
}

void server_load_push(struct server *server)
{
    struct store_load wanted = {0};

    store_load_wanted(server->store, &wanted);
    server->load_wanted = load_find(server, &wanted);
    if (server->load_wanted == NULL && server->loads_count < LOADS_MAX) {
        server->load_wanted = load_new(server, &wanted, false);
    } else {
        store_load_free(&wanted);
    }
}

void server_load_ahead(struct server *server, const struct jute_request *request)
{
    struct store_load wanted = {0};
    bool of_one_znode = request->op == JUTE_GET_DATA || request->op == JUTE_EXISTS;

    if (!of_one_znode || server->loads_ahead_count == LOADS_AHEAD_MAX ||
        request->path.len > LOAD_AHEAD_PATH_BYTES_MAX ||
        !store_znode_load_wanted(server->store, request->path, &wanted)) {
        return;
    }
    if (load_find(server, &wanted) == NULL) {
        (void)load_new(server, &wanted, true);
    } else {
        store_load_free(&wanted);
    }
}

void server_load_wait(struct server *server, struct load_waiter *waiter)
{
    waiter->in_vain++;
    if (!waiter->blocked) {
        waiter->blocked = true;
        mk_list_append(server->load_wanted != NULL        ? &server->load_wanted->waiters
                       : server->loads_count == LOADS_MAX ? &server->unserved
                                                          : &server->full,
                       &waiter->link);
    }
}

bool server_load_take(struct server *server, struct server_load *taken)
{
    if (mk_list_empty(&server->loads_asked)) {
        return false;
    }
    struct load *load = load_of(server->loads_asked.next);

    mk_list_remove(&load->link);
    mk_list_append(&server->loads_taken, &load->link);
    taken->load = load;
    taken->rows = load->rows; /* both see the key; the copy owns it */
    return true;
}

void server_load_put_back(struct server *server, struct server_load *taken)
{
    struct load *load = taken->load;

    load->rows = taken->rows;
    mk_list_remove(&load->link);
    mk_list_append(&server->loads_asked, &load->link);
    *taken = (struct server_load){0};
}

/* ---- Done ---- */

static void resume(struct server *server, struct load_waiter *waiter)
{
    mk_list_remove(&waiter->link);
    waiter->blocked = false;
    if (waiter->conn != NULL) {
        server_requests_drain(server, waiter->conn);
    } else if (waiter->peer != NULL) {
        server_relay_resume(server, waiter->peer);
    } else if (waiter == &server->expired_wait) {
        server_expire_sessions(server);
    } /* else: its turn comes before the next batch is taken */
}

void server_waiters_resume(struct server *server, struct mk_link *waiters)
{
    struct mk_link due; /* who has to wait again comes to `waiters` again */

    mk_list_init(&due);
    while (!mk_list_empty(waiters)) {
        struct mk_link *first = waiters->next;
        mk_list_remove(first);
        mk_list_append(&due, first);
    }
    while (!mk_list_empty(&due)) {
        resume(server, MK_CONTAINER(due.next, struct load_waiter, link));
    }
}

/* Nobody can come to wait for it any more. */
static void load_forget(struct server *server, struct load *load)
{
    size_t *count = load->ahead ? &server->loads_ahead_count : &server->loads_count;

    MK_ASSERT(*count > 0);
    *count -= 1;
    if (!load->rows.range) {
        (void)mk_map_bytes_remove(&server->loads_rows, mk_buf_view(&load->rows.key));
    }
    mk_list_remove(&load->among_ranges);
    server->load_wanted = NULL;
}

void server_load_done(struct server *server, struct server_load *taken)
{
    struct load *load = taken->load;

    load_forget(server, load);
    store_load_done(server->store, &taken->rows);
    *taken = (struct server_load){0};
    server_waiters_resume(server, &load->waiters);
    MK_ASSERT(mk_list_empty(&load->waiters));
    load_free(load);
    while (!mk_list_empty(&server->unserved) && server->loads_count < LOADS_MAX) {
        resume(server, MK_CONTAINER(server->unserved.next, struct load_waiter, link));
    }
}

static size_t loads_in(const struct mk_link *list, bool ahead)
{
    size_t count = 0;

    for (struct mk_link *link = list->next; link != list; link = link->next) {
        count += load_of(link)->ahead == ahead;
    }
    return count;
}

void server_loads_check(const struct server *server)
{
    const struct mk_link *asked = &server->loads_asked;
    const struct mk_link *taken = &server->loads_taken;

    MK_ASSERT(loads_in(asked, false) + loads_in(taken, false) == server->loads_count);
    MK_ASSERT(loads_in(asked, true) + loads_in(taken, true) == server->loads_ahead_count);
    MK_ASSERT(server->loads_count <= LOADS_MAX && server->loads_ahead_count <= LOADS_AHEAD_MAX);
    MK_ASSERT(server->loads_rows.count <= server->loads_count + server->loads_ahead_count);
    MK_ASSERT(mk_list_empty(&server->unserved) || server->loads_count == LOADS_MAX);
}
