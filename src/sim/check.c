/* The checker's life, sessions, and how a failure is said. */
#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sim_check_init(struct sim_check *check, const struct server_options *options)
{
    *check = (struct sim_check){.options = options};
    sim_model_init(&check->model, options->extended_types, options->enforce_quota);
    check->model.session_ephemerals_max = options->session_ephemerals_max;
    mk_list_init(&check->writes);
}

void sim_check_deinit(struct sim_check *check)
{
    while (check->conns_count > 0) {
        sim_check_conn_free(check, check->conns[0]);
    }
    while (!mk_list_empty(&check->writes)) {
        struct sim_op *op = MK_CONTAINER(check->writes.next, struct sim_op, in_check);
        mk_list_remove(&op->in_check);
        sim_op_unref(op);
    }
    sim_calls_deinit(check);
    sim_locks_deinit(check);
    mk_free(check->tallies);
    mk_free(check->conns);
    mk_free(check->connecting);
    mk_free(check->connecting_timeouts);
    mk_buf_free(&check->body);
    mk_buf_free(&check->txn);
    sim_model_deinit(&check->model);
}

void sim_check_fail(struct sim_check *check, const char *format, ...)
{
    va_list args;

    if (!sim_check_ok(check)) {
        return; /* what follows from the first one helps nobody */
    }
    va_start(args, format);
    (void)vsnprintf(check->failure.text, sizeof(check->failure.text), format, args);
    va_end(args);
}

/* ---- Sessions: nobody expires early ---- */

void sim_check_touch(struct sim_check *check, mk_session id)
{
    struct sim_life *life = sim_life_of(check, id);
    if (life != NULL) {
        life->heard_ms = check->now_ms;
        return;
    }
    struct sim_session *session = sim_model_session(&check->model, id);

    if (session != NULL) {
        session->heard_ms = check->now_ms;
    }
}

void sim_check_tick(struct sim_check *check, mk_ms now_ms)
{
    check->now_ms = now_ms;
    sim_lives_tick(check);
    for (size_t i = 0; i < check->model.sessions_count; i++) {
        struct sim_session *session = check->model.sessions[i];
        if (now_ms - session->heard_ms >= session->timeout_now_ms) {
            session->expirable = true;
        }
    }
    for (size_t i = 0; i < check->conns_count; i++) {
        struct sim_check_conn *conn = check->conns[i];
        if (conn->state == SIM_CONN_FRESH &&
            now_ms - conn->opened_ms >= check->options->sessionless_timeout_ms) {
            conn->may_close = true;
        }
    }
}

/* Whoever is told that a session has ended may rely on it: it is gone, or its end is on the way.
 * Only a crash may bring it back. */
void sim_check_ended(struct sim_check *check, mk_session id)
{
    struct sim_session *session = sim_model_session(&check->model, id);

    if (session != NULL && !session->close_claimed && check->agreement == NULL) {
        session->close_claimed = true;
        session->claimed_at = check->model.zxid;
    }
}

/* ---- Crash and boot ---- */

/* Requests that have not committed by now never will: their connections are gone with the
 * server. In an ensemble others may have them. */
void sim_check_crash(struct sim_check *check)
{
    check->stats.crashes++;
    if (check->agreement != NULL) {
        return;
    }
    while (!mk_list_empty(&check->writes)) {
        struct sim_op *op = MK_CONTAINER(check->writes.next, struct sim_op, in_check);
        mk_list_remove(&op->in_check);
        sim_op_unref(op);
    }
    check->connecting_count = 0;
}

void sim_check_boot(struct sim_check *check)
{
    for (size_t i = 0; i < check->model.sessions_count; i++) {
        struct sim_session *session = check->model.sessions[i];
        session->timeout_now_ms = session->timeout_ms;
        session->heard_ms = check->now_ms;
        session->expirable = false;
        session->close_claimed = false;
    }
}

/* ---- Memory ---- */

struct mk_bytes sim_copy_of(struct mk_bytes bytes)
{
    uint8_t *copy = mk_alloc(bytes.len + 1);

    memcpy(copy, bytes.data, bytes.len);
    return mk_bytes_of(copy, bytes.len);
}

void sim_free_bytes(struct mk_bytes bytes)
{
    mk_free((void *)(uintptr_t)bytes.data);
}

void *sim_grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return array;
    }
    *cap = *cap * 2 + 16;
    return mk_realloc(array, *cap * size);
}

void sim_set_bytes(struct mk_bytes *to, struct mk_bytes from)
{
    sim_free_bytes(*to);
    *to = from.data == NULL ? from : sim_copy_of(from);
}
