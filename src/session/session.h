/* Sessions: ids, passwords, timeouts, and which session is due to expire. Knows no connection and no
 * tree: the committed table of sessions is the store's, this is what the leader keeps in memory. */
#ifndef MK_SESSION_H
#define MK_SESSION_H

#include "base/base.h"

#define SESSION_PASSWORD_BYTES 16

/* The first id that a server hands out when it begins to serve behind `zxid`: it counts up from there. Each
 * session that it has made before is one of the transactions up to there, or has never been made: so
 * nobody has had such an id, whatever clocks say. */
mk_session session_id_behind(uint8_t server_id, mk_zxid zxid);
/* The same for sessions of which no transaction tells: 40 bits of a clock that does not step back, then a
 * counter from 0, as ZooKeeper's are made, but for the highest bit, which tells them from the others. */
mk_session session_id_local(uint8_t server_id, mk_ms start_ms);

/* A session's password: a pure function of its id, so that any server can check it, ZooKeeper's
 * own included. Source: zookeeper-quorum.md section 8. */
void session_password(mk_session id, uint8_t out[SESSION_PASSWORD_BYTES]);
bool session_password_check(mk_session id, struct mk_bytes password);

struct session_limits {
    mk_ms tick_ms; /* expiry is rounded up to whole ticks; > 0 */
    mk_ms timeout_min_ms;
    mk_ms timeout_max_ms;
};
/* What a client gets that asks for `timeout_ms`. */
int32_t session_timeout_negotiate(const struct session_limits *limits, int32_t timeout_ms);

/* ---- The expiry queue: sessions in buckets of whole ticks ---- */

struct session {
    mk_session id;
    int32_t timeout_ms;    /* as last negotiated */
    bool closing;          /* closeSession has been proposed: new requests get MK_SESSION_EXPIRED */
    struct mk_timer timer; /* private to the queue */
    mk_ms touched_ms;
    void *owner;    /* the connection that holds it, or NULL; the caller's */
    int64_t server; /* id of the server that its client is connected to; -1: not known */
    bool local;     /* only this server knows it; the caller's, as is: */
    bool upgrading; /* local, and its createSession is on the way */
};

struct session_table;
struct session_table *session_table_new(const struct session_limits *limits);
void session_table_free(struct session_table *table);

/* Add or find; a new one starts with its full timeout from `now_ms` (monotonic). One that is there
 * stays as it is: to change its timeout, set `timeout_ms` and touch it. */
struct session *session_add(struct session_table *table, mk_session id, int32_t timeout_ms,
                            mk_ms now_ms);
struct session *session_find(const struct session_table *table, mk_session id); /* or NULL */
void session_remove(struct session_table *table, struct session *session);
/* Heard from: not to expire before now + timeout, rounded up to the next whole tick. O(1) when the
 * bucket stays the same. Does nothing to a closing session. */
void session_touch(struct session_table *table, struct session *session, mk_ms now_ms);
/* The next session whose bucket has passed and that is not closing yet, or NULL. It is `closing`
 * from now on and not given out again: propose its closeSession. Sessions of one bucket come in the
 * order in which they entered it. */
struct session *session_expired_next(struct session_table *table, mk_ms now_ms);
/* When to ask again, monotonic; INT64_MAX if there is none. */
mk_ms session_next_due(const struct session_table *table);
size_t session_count(const struct session_table *table);
bool session_next(const struct session_table *table, size_t *cursor, struct session **session);

#endif
