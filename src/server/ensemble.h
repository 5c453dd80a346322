/* Private to server: what makes it a member of an ensemble. zab says what is to be done (role.c carries
 * it out), peers carry packets, and the two sides of forwarding have what is between a client's server
 * and the leader. A server that is alone has none of this but zab's actions. */
#ifndef MK_SERVER_ENSEMBLE_H
#define MK_SERVER_ENSEMBLE_H

#include "server/internal.h"

/* What may wait to be sent to a learner. Beyond it the learner is further behind than a snapshot is
 * away: it is dropped, and comes again. More than all the history that a learner may be sent at once. */
#define PEER_OUTPUT_BYTES_MAX (2 * HISTORY_KEPT_BYTES_MAX)
/* Requests of a learner's clients that wait for the disk. Beyond it nothing is read from the learner. */
#define PEER_REQUESTS_BYTES_MAX ((size_t)16 << 20)
/* A transaction grows beyond its request by what prepare allows; packets add little to it. */
#define PEER_DATA_BYTES_FRAMES 4
#define PEER_DATA_BYTES_MORE 65536
#define PEER_ADDRESS_BYTES 64
/* The zxid in a REQUEST, where ZooKeeper sends -1 and looks at nothing: a session that all servers know has
 * made it. If the leader does not, it has expired, and is not somebody's local session. */
#define REQUEST_ZXID_GLOBAL ((mk_zxid)-2)
/* Kept for learners that a snapshot is on its way to. */
#define HISTORY_PINNED_BYTES_MAX (4 * HISTORY_KEPT_BYTES_MAX)
/* COMMITs, 24 bytes each, for a learner that is not up to date yet. Beyond it the learner is left: it has
 * taken longer than half a million transactions to make a few durable. */
#define PEER_COMMITS_BYTES_MAX ((size_t)12 << 20)
/* A piece of a snapshot, and how much of it may wait to be sent before the next is read. */
#define SNAPSHOT_PIECE_BYTES ((size_t)1 << 20)
/* Received of a snapshot and not taken in. Beyond it nothing is read from the leader. */
#define INSTALL_INPUT_BYTES_MAX ((size_t)8 << 20)
/* What waits for the log to be idle. Beyond it nothing is read from any peer. */
#define PEER_BATCH_BYTES_MAX ((size_t)32 << 20)
/* Zxids that a learner's syncs wait for, each of 8 bytes. A learner has no more requests than its clients
 * may have outstanding; beyond this one nothing is read from it. */
#define PEER_SYNCS_BYTES_MAX ((size_t)1 << 20)
/* Connections to a leader that have not said who is there. A learner says it at once; whoever does not is
 * closed after a while, and the oldest before that, so that nobody keeps learners out by being there.
 * One machine may hold some learners, and comes back with all of them at once. */
#define STRANGERS_MAX 64
#define STRANGERS_OF_ADDRESS_MAX 16
/* A learner says who it is in 20 bytes. */
#define STRANGER_DATA_BYTES_MAX 1024

/* Answers to forwarded calls that have come ahead of their transactions. A leader sends one for each
 * request that it was sent, and none is larger than a frame: more is nothing that it owes. */
#define RESULTS_BYTES_MAX ((size_t)256 << 20)
#define RESULTS_BYTES_KEPT ((size_t)1 << 20) /* a buffer that has grown beyond it is given back */

/* Of the log for one learner, which keeps it in memory until it serves. */
#define SYNC_LOG_BYTES_MAX HISTORY_PINNED_BYTES_MAX

/* A learner that is being brought up to date with more than is in memory. The diagram is in sync.c. */
enum sync_step { SYNC_NONE, SYNC_LOG, SYNC_CHECKPOINT, SYNC_STREAM };

struct server_peer {
    void *owner;
    struct mk_link all;     /* server.peers */
    struct mk_link dirties; /* server.peers_dirty */
    bool dirty, closing, paused;
    const char *refused;         /* why it is to be left, once zab is done with what it says now */
    bool synchronised;           /* ... what zab is to be told then */
    int64_t dialled;             /* the leader, by its id; -1: it came to us */
    struct zab_learner *learner; /* of one that came to us, while zab has it */
    char address[PEER_ADDRESS_BYTES];
    struct mk_buf in; /* received and not handled: less than a packet, unless paused */
    struct mk_buf out;
    /* Of a learner: */
    struct mk_link requests; /* struct relayed: its clients' requests, in order, not prepared yet */
    size_t requests_bytes;
    struct load_waiter wait; /* of the first of them */
    struct mk_buf syncs;     /* zxids, 8 bytes each: answer a SYNC when they have committed */
    size_t syncs_done;
    enum sync_step sync_step;
    mk_zxid sync_pinned;   /* history above it is kept until the learner has it */
    bool uptodate;         /* it has been told */
    struct mk_buf commits; /* that it is told then */
    struct server_snapshot *snapshot;
};

enum install_state { INSTALL_NONE, INSTALL_STREAMING, INSTALL_FINISHING, INSTALL_DISCARDING };
struct install {
    enum install_state state;
    bool out; /* a step is with the edge */
    mk_zxid zxid;
    bool forgets;
    struct mk_buf bytes; /* what the edge has, or has seen without using it */
};

/* A message of the election that waits to be taken; a newer one takes its place. */
struct note {
    bool pending;
    struct mk_buf message;
};

/* Who the members are, with their addresses: reconfig.c. */
struct members {
    struct jute_ensemble active, next; /* no next one: it has no members */
    struct mk_buf active_text, next_text;
    int64_t stored; /* the version of the active one that is durable */
    bool changed;   /* ... since the edge has taken them */
    bool out;       /* the edge is making them durable */
    int64_t out_version, out_next;
    bool next_seen;            /* at the start: options.ensemble.next_text has been told to zab */
    struct jute_ensemble read; /* scratch: what somebody says, */
    struct mk_buf read_text;   /* ... and as zab is told of it */
    struct zab_config read_config;
};

struct ensemble {
    struct members *members; /* NULL: this server is alone */
    struct mk_link peers, dirty;
    struct server_peer *leader;        /* the connection to it, or NULL */
    struct note notes[ZAB_ID_MAX + 1]; /* by id */
    size_t notes_pending;
    bool dial_wanted;
    bool dialling; /* the edge tries, or has opened a peer that zab has been told of */
    int64_t dial_id;
    struct server_epochs epochs;
    bool epochs_wanted, epochs_out;
    mk_zxid truncate_zxid;
    bool truncate_wanted, truncate_out;
    bool serve_wanted; /* established: clients come when this is applied */
    mk_zxid serve_zxid;
    uint32_t answers; /* to zab, that wait until it has said all */
    enum mk_status serve_status;
    struct install install;
    const struct jute_packet *packet;  /* being handled */
    struct mk_bytes packet_txn;        /* the transaction in it */
    mk_ms packet_time_ms;              /* of the transaction in it */
    mk_zxid appended;                  /* the last of the own log, durable or not */
    mk_zxid told;                      /* leader: what learners have been told to be committed */
    struct mk_buf wire, wire_inform;   /* scratch: packets that several learners get */
    struct tree_identities identities; /* scratch: of whoever a request is forwarded for */
    struct mk_link syncs;              /* struct request: forwarded syncs, in order */
    struct mk_buf results;             /* learner: i64 zxid, a RESULT's data as a field; in order */
    size_t results_done;               /* ... these bytes of them are for what has been applied */
    mk_zxid results_last;              /* ... the zxid of the last */
    bool review_wanted;                /* leader: whether recipes run is to be looked at again */
    struct mk_buf touches;             /* of connections that have gone since the leader was told */
    struct mk_map_u64 connecting;      /* session -> the connection that is to have it */
};

/* ---- role.c ---- */

void server_ensemble_init(struct server *server);
void server_ensemble_deinit(struct server *server);
void server_actions_run(struct server *server);
void server_roles_read(const struct server *server, struct server_stats *out);
/* The log is to be cut, or is being: nothing may be appended meanwhile. */
bool server_log_changes(const struct server *server);
void server_logged(struct server *server, mk_zxid zxid);
void server_batch_taken(struct server *server, const struct server_batch *batch);

/* ---- announced.c: whether recipes run ---- */

/* A server has come or gone, or this one begins to serve, or to wait for a leader. */
void server_recipes_review(struct server *server);
/* `txn` has been applied: it may say who has announced them. */
void server_recipes_applied(struct server *server, const struct jute_txn *txn);
/* ---- reconfig.c ---- */

/* False: there are none, or the options do not say their addresses. */
bool server_members_init(struct server *server, struct zab_config *config);
void server_members_deinit(struct server *server);
/* What a text, or a transaction, says that they become; valid until the next one. NULL: nothing else. */
const struct zab_config *server_members_noted(struct server *server, struct mk_bytes text);
const struct zab_config *server_members_in(struct server *server, const struct jute_txn *txn);
/* For prepare. */
enum mk_status server_members_plan(void *context, const struct jute_request *request,
                                   struct mk_buf *text);
/* The transaction of a RECONFIG request has been proposed: the entry that begins there. */
void server_members_proposed(struct server *server, struct mk_bytes entries, size_t from);
void server_members_recover(struct server *server,
                            const struct jute_txn *txn); /* found in the log */
void server_members_recovered(struct server *server);
void server_members_changed(struct server *server); /* ZAB_MEMBERS */
/* What is above is not applied yet: the members that it begins with are not durable. */
mk_zxid server_members_gate(const struct server *server);
enum mk_status server_members_show(struct server *server); /* in /zookeeper/config */

/* ---- peers.c ---- */

void server_peer_mark_dirty(struct server *server, struct server_peer *peer);
void server_peer_send(struct server *server, struct server_peer *peer,
                      const struct jute_packet *packet);
void server_peer_write(struct server *server, struct server_peer *peer, struct mk_bytes packets);
void server_peer_written(struct server *server, struct server_peer *peer); /* into its `out` */
/* Nothing more is to be said to it, nor heard from it; zab knows. `why` NULL: nothing to be told. */
void server_peer_end(struct server *server, struct server_peer *peer, const char *why);
/* It has said or done what may not be: it is left, and zab told, before the next action is asked for. */
void server_peer_refuse(struct server *server, struct server_peer *peer, const char *why);
void server_peers_pause(struct server *server); /* those that have to wait, or no longer have to */
void server_leader_resume(struct server *server); /* what it sent can be appended again */
void server_peers_free(struct server *server);

/* ---- sync.c: what learners lack ---- */

void server_sync_begin(struct server *server, struct server_peer *peer, mk_zxid peer_last);
void server_sync_end(struct server_peer *peer);
/* History above this one is waited for. INT64_MAX: by nobody. */
mk_zxid server_history_pinned(const struct server *server);

/* The learner has read what it was sent: a snapshot's next piece may come. */
void server_sync_drained(struct server *server, struct server_peer *peer);
void server_sync_checkpointed(struct server *server);
void server_sync_bound(struct server *server); /* leave those for whom too much has to be kept */

/* ---- install.c: a snapshot from the leader ---- */

bool server_installs(const struct server *server);
void server_install_begin(struct server *server, const struct zab_action *action);
void server_install_abandon(struct server *server);
/* Everything has come: nothing may be begun that uses the old store. */
bool server_install_finishes(const struct server *server);

/* ---- forward.c: a learner's side ---- */

void server_forward(struct server *server, struct server_conn *conn,
                    const struct jute_request *decoded, struct request *request);
void server_forward_session(struct server *server, struct server_conn *conn, mk_session id,
                            int32_t timeout_ms);
void server_forward_revalidate(struct server *server, struct server_conn *conn, mk_session id,
                               int32_t timeout_ms);
void server_forward_conn_closed(struct server *server, struct server_conn *conn);
/* The request that `txn`, which is about to be applied, is the answer to, or NULL. `told`: by a RESULT. */
struct request *server_forward_match(struct server *server, const struct jute_txn *txn, bool told);
/* `result`: what the leader has answered, or NULL: what the transaction says, `error` or `body`. */
void server_forward_complete(struct server *server, struct request *request,
                             const struct jute_result *result, mk_zxid zxid, int32_t error,
                             struct mk_bytes body);
/* What the leader has answered ahead of `txn`, which is about to be applied; borrowed until the next
 * packet. False: nothing. */
bool server_forward_result(struct server *server, const struct jute_txn *txn,
                           struct jute_result *result);
/* `txn` has been applied: who waits for a call that it ends is answered. */
void server_forward_calls_ended(struct server *server, const struct jute_txn *txn);
void server_forward_applied(struct server *server, const struct jute_txn *txn);
void server_forward_reply(struct server *server, const struct jute_packet *packet);
/* The sessions that have been heard of since the last time. */
void server_forward_heard_last(struct server *server, struct server_conn *conn);
void server_forward_touches(struct server *server, struct mk_buf *out);
void server_forward_reset(struct server *server);

/* ---- relay.c: the leader's side ---- */

void server_relay(struct server *server, struct server_peer *peer,
                  const struct jute_packet *packet);
void server_relay_resume(struct server *server, struct server_peer *peer);
void server_relay_resume_all(struct server *server); /* this server begins to serve */
void server_relay_committed(struct server *server);
void server_relay_drop(struct server_peer *peer);

#endif
