/* Rows that are on disk only, and who waits for them.
 *
 *   a step answers MK_WOULD_BLOCK -> load_push: a load for what it wanted, or the one under way
 *   load_wait: whoever took the step waits for that load ... load_take: a reader thread has it ...
 *   load_done: the rows are in the cache; those who waited for it, and nobody else, go on
 *
 * Those who wait are the connections, and what the server does on its own: calls, the reaper, counting
 * for quotas, the end of expired sessions. When all the loads that there may be are under way, they
 * wait for one of them to be done, and take its place. */
#include "server/internal.h"

void server_loads_init(struct server *server)
{
    struct load_waiter *own[] = {&server->calls_wait, &server->reaper.wait, &server->count_wait,
                                 &server->expired_wait};

    mk_list_init(&server->unserved);
    for (size_t i = 0; i < LOADS_MAX; i++) {
        mk_list_init(&server->loads[i].waiters);
    }
    for (size_t i = 0; i < MK_COUNT(own); i++) {
        mk_list_init(&own[i]->link);
    }
}

void server_loads_deinit(struct server *server)
{
    for (size_t i = 0; i < LOADS_MAX; i++) {
        if (!server->loads[i].taken) {
            store_load_free(&server->loads[i].rows);
        }
    }
}

/* ---- Asked for ---- */

static bool same_rows(const struct store_load *one, const struct store_load *other)
{
    return one->range == other->range && one->backwards == other->backwards &&
           mk_bytes_equal(mk_buf_view(&one->key), mk_buf_view(&other->key));
}

void server_load_push(struct server *server)
{
    struct load *spare = NULL;
    struct store_load wanted = {0};

    store_load_wanted(server->store, &wanted);
    server->load_wanted = NULL;
    for (size_t i = 0; i < LOADS_MAX && server->load_wanted == NULL; i++) {
        struct load *load = &server->loads[i];
        if (load->id == 0) {
            spare = load;
        } else if (same_rows(&load->rows, &wanted)) {
            server->load_wanted = load;
        }
    }
    if (server->load_wanted != NULL || spare == NULL) {
        store_load_free(&wanted);
        return;
    }
    spare->id = ++server->loads_made;
    spare->taken = false;
    spare->rows = wanted;
    server->load_wanted = spare;
    server->loads_count++;
    server->stats.loads++;
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

bool server_load_take(struct server *server, struct server_load *load)
{
    for (size_t i = 0; i < LOADS_MAX; i++) {
        struct load *wanted = &server->loads[i];
        if (wanted->id != 0 && !wanted->taken) {
            wanted->taken = true;
            load->id = wanted->id;
            load->rows = wanted->rows; /* both see the key; the copy owns it */
            return true;
        }
    }
    return false;
}

/* ---- Done ---- */

static void resume(struct server *server, struct load_waiter *waiter)
{
    mk_list_remove(&waiter->link);
    waiter->blocked = false;
    if (waiter->conn != NULL) {
        server_requests_drain(server, waiter->conn);
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

void server_load_done(struct server *server, struct server_load *load)
{
    struct load *done = server->loads;
    while (done->id != load->id) {
        done++;
        MK_ASSERT(done < server->loads + LOADS_MAX);
    }
    done->id = 0;
    done->rows = (struct store_load){0};
    server->loads_count--;
    store_load_done(server->store, &load->rows);
    server_waiters_resume(server, &done->waiters);
    while (!mk_list_empty(&server->unserved) && server->loads_count < LOADS_MAX) {
        resume(server, MK_CONTAINER(server->unserved.next, struct load_waiter, link));
    }
}

void server_loads_check(const struct server *server)
{
    size_t under_way = 0;

    for (size_t i = 0; i < LOADS_MAX; i++) {
        under_way += server->loads[i].id != 0;
        MK_ASSERT(server->loads[i].id != 0 || mk_list_empty(&server->loads[i].waiters));
    }
    MK_ASSERT(under_way == server->loads_count);
    MK_ASSERT(mk_list_empty(&server->unserved) || server->loads_count == LOADS_MAX);
}
