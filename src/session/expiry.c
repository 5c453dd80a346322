/* Which sessions are alive, and which is due to expire.
 *
 * A session that is heard from at time t expires at the first multiple of the tick after t +
 * timeout, so after more than timeout and at most timeout + tick of silence. Rounding makes buckets:
 * sessions in one expire together, in the order in which they came into it, and a session that is
 * heard from a hundred times within a tick moves once.
 * Source: ExpiryQueue; protocol reference, section 9.
 *
 *   added ─▶ waiting ─(bucket has passed)─▶ given out, closing ─(closeSession applied)─▶ removed
 *             ▲   │                          touches do nothing
 *             └───┘ touch: into the bucket of now + timeout */
#include "session/session.h"

struct session_table {
    struct session_limits limits;
    struct mk_map_u64 sessions; /* id -> struct session */
    struct mk_timers timers;    /* due: the end of the session's bucket */
};

int32_t session_timeout_negotiate(const struct session_limits *limits, int32_t timeout_ms)
{
    MK_ASSERT(limits->timeout_max_ms <= INT32_MAX);
    MK_ASSERT(limits->timeout_min_ms >= 0);
    mk_ms granted_ms = timeout_ms;
    if (granted_ms < limits->timeout_min_ms) {
        granted_ms = limits->timeout_min_ms;
    }
    if (granted_ms > limits->timeout_max_ms) {
        granted_ms = limits->timeout_max_ms;
    }
    return (int32_t)granted_ms;
}

struct session_table *session_table_new(const struct session_limits *limits)
{
    MK_ASSERT(limits->tick_ms > 0);
    struct session_table *table = mk_alloc_zero(1, sizeof(*table));
    table->limits = *limits;
    return table;
}

void session_table_free(struct session_table *table)
{
    if (table == NULL) {
        return;
    }
    mk_timers_free(&table->timers); /* First: it looks at the sessions. */
    size_t cursor = 0;
    uint64_t id;
    void *session;
    while (mk_map_u64_next(&table->sessions, &cursor, &id, &session)) {
        mk_free(session);
    }
    mk_map_u64_free(&table->sessions);
    mk_free(table);
}

/* The end of the bucket of a session that was heard from now. A replicated timeout may be anything,
 * since another server chose it. */
static mk_ms bucket_of(const struct session_table *table, const struct session *session,
                       mk_ms now_ms)
{
    mk_ms tick_ms = table->limits.tick_ms;
    mk_ms timeout_ms = session->timeout_ms < 0 ? 0 : session->timeout_ms;
    mk_ms bucket_ms = ((now_ms + timeout_ms) / tick_ms + 1) * tick_ms;
    MK_ASSERT(bucket_ms > now_ms + timeout_ms);
    return bucket_ms;
}

struct session *session_add(struct session_table *table, mk_session id, int32_t timeout_ms,
                            mk_ms now_ms)
{
    struct session *session = session_find(table, id);
    if (session != NULL) {
        return session;
    }
    session = mk_alloc_zero(1, sizeof(*session));
    session->id = id;
    session->timeout_ms = timeout_ms;
    session->server = -1;
    void *old = mk_map_u64_put(&table->sessions, (uint64_t)id, session);
    MK_ASSERT(old == NULL);
    session_touch(table, session, now_ms);
    return session;
}

struct session *session_find(const struct session_table *table, mk_session id)
{
    return mk_map_u64_get(&table->sessions, (uint64_t)id);
}

void session_remove(struct session_table *table, struct session *session)
{
    mk_timers_cancel(&table->timers, &session->timer);
    void *old = mk_map_u64_remove(&table->sessions, (uint64_t)session->id);
    MK_ASSERT(old == session);
    mk_free(session);
}

void session_touch(struct session_table *table, struct session *session, mk_ms now_ms)
{
    if (session->closing) {
        return; /* Its end is on the way through the ensemble: too late. */
    }
    session->touched_ms = now_ms;
    mk_ms bucket_ms = bucket_of(table, session, now_ms);
    if (session->timer.index == 0 || session->timer.due != bucket_ms) {
        mk_timers_set(&table->timers, &session->timer, bucket_ms);
    }
}

struct session *session_expired_next(struct session_table *table, mk_ms now_ms)
{
    struct mk_timer *first;
    while ((first = mk_timers_first(&table->timers)) != NULL && first->due <= now_ms) {
        struct session *session = MK_CONTAINER(first, struct session, timer);
        mk_timers_cancel(&table->timers, first);
        if (!session->closing) {
            session->closing = true;
            return session;
        }
    }
    return NULL;
}

mk_ms session_next_due(const struct session_table *table)
{
    const struct mk_timer *first = mk_timers_first(&table->timers);
    return first == NULL ? INT64_MAX : first->due;
}

size_t session_count(const struct session_table *table)
{
    return table->sessions.count;
}

bool session_next(const struct session_table *table, size_t *cursor, struct session **session)
{
    uint64_t id;
    void *found;
    if (!mk_map_u64_next(&table->sessions, cursor, &id, &found)) {
        return false;
    }
    *session = found;
    MK_ASSERT((*session)->id == (mk_session)id);
    return true;
}
