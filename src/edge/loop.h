/* Private to edge: what its files share about the loop and its connections. */
#ifndef EDGE_LOOP_H
#define EDGE_LOOP_H

#include "admin/admin.h"
#include "edge/binding.h"
#include "edge/edge.h"
#include "edge/election.h"
#include "edge/framing.h"
#include "edge/log_thread.h"
#include "edge/stream.h"

#include <uv.h>

enum edge_phase {
    EDGE_STARTING, /* not serving yet: nobody is accepted */
    EDGE_SERVING,
    EDGE_DRAINING,      /* asked to stop: what was received is answered */
    EDGE_CHECKPOINTING, /* ... and what is only in the log is written */
    EDGE_STOPPED,
};

struct edge {
    const struct edge_options *options;
    const struct mk_log *log;
    struct edge_core core;
    enum edge_phase phase;
    enum edge_exit exit;

    uv_loop_t loop;
    struct binding listener;        /* for clients; without a port if none is served without TLS */
    struct binding secure_listener; /* ... with TLS, likewise */
    struct streams streams;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while `resuming` holds anything, so that polling does not wait */
    uv_timer_t timer;
    mk_ms timer_due_ms;
    uv_signal_t signals[4];

    bool turn_open;
    struct server_time now; /* of this turn, for the core: stands still from DRAINING on */
    mk_ms now_ms;           /* of this turn, monotonic */
    mk_ms lost_ms;          /* the core's time is that far behind `now_ms` */
    mk_ms started_ms;
    const struct conn *alone; /* who sent the last bytes, only compared with */
    mk_ms alone_since_ms;     /* ... and since when nobody else has sent any */
    uint32_t small_batches;   /* so many of the last ones were small, one behind the other */
    uint64_t reads;           /* as server_reads() has it, ... */
    mk_ms read_ms;            /* ... and when it last changed */
    mk_ms phase_due_ms;       /* when DRAINING and CHECKPOINTING end at the latest */

    struct mk_link conns;
    size_t conns_count;
    struct mk_map_bytes addresses; /* IP address -> struct address_count */
    struct mk_link resuming;       /* may read on; have bytes that were kept while they might not */
    struct mk_link flushing;       /* the last output is being written; first due first */
    struct mk_link lingering;      /* all is sent; until the peer closes too; first due first */
    struct admin_settings settings;
    struct admin_counters counters;
    int64_t trace_mask;
    struct questions *questions;
    struct admin_http *http[2]; /* the AdminServer, Prometheus' exporter; NULL: not wanted */
    struct mk_arena texts;      /* owns what `settings` points to */

    struct log_thread *log_thread;
    struct disk *disk;
    struct snapshots *snapshots;
    struct certificates *certificates; /* NULL: there is no TLS */
    struct ensemble *ensemble;         /* NULL: alone */
};

enum conn_state {
    CONN_NEW,       /* its first four bytes have not come: a word, or the length of a frame */
    CONN_OPEN,      /* frames */
    CONN_FLUSHING,  /* the last bytes are being written; nothing is read */
    CONN_LINGERING, /* we have ended; what still comes in is thrown away */
    CONN_CLOSED,    /* waits for libuv to let go */
};
struct conn {
    struct stream stream;
    struct edge *edge;
    struct server_conn *core; /* NULL from LINGERING on */
    enum conn_state state;
    bool backlog; /* frames may be kept that the core did not want yet */
    bool peer_ended;
    struct framing input;
    mk_ms linger_due_ms;
    struct mk_link link; /* edge->conns */
    struct mk_link list; /* resuming, flushing or lingering */
    struct address_count *address;
};

/* loop.c: the turn. Every callback that brings the core an event calls turn_begin() first. */
void turn_begin(struct edge *edge);
void conn_heard(struct conn *conn); /* it has sent something */
void resume_soon(struct edge *edge);

/* listener.c */
struct address_count {
    uint32_t conns;
    uint32_t len;
    char text[64];
};
enum mk_status listener_listen(struct edge *edge, struct mk_error *error);
void listener_close(struct edge *edge);
void address_release(struct edge *edge, struct address_count *address);

/* conn.c */
enum conn_entry { CONN_PLAIN, CONN_SECURE, CONN_EITHER };
void conn_start(struct edge *edge, uv_tcp_t *socket, enum conn_entry entry,
                struct address_count *address, uint16_t port);
void conn_flush(struct conn *conn);          /* the core has something to do for it */
void conn_resume(struct conn *conn);         /* go on with what was kept */
void conn_reading_update(struct conn *conn); /* what may be read has changed */
void conn_close(struct conn *conn);
size_t conn_output_bytes(const struct conn *conn);

/* ensemble.c: nothing of it does anything in a server that is alone. */
enum mk_status ensemble_open(struct edge *edge, struct mk_error *error); /* binds its ports */
enum mk_status ensemble_start(struct edge *edge, struct mk_error *error);
void ensemble_take(struct edge *edge);  /* the core's actions; once a turn, before the batch */
void ensemble_flush(struct edge *edge); /* ... what the batch has led to */
void ensemble_close(struct edge *edge); /* the core is not told */
void ensemble_free(struct edge *edge);  /* when the loop has run since */
/* Of the n-th other server; false behind the last. */
bool ensemble_peer(const struct edge *edge, size_t index, struct election_peer_state *out);

/* questions.c: what the HTTP threads ask, answered in a turn. */
struct questions *questions_new(struct edge *edge);
bool questions_ask(void *context, const struct admin_needs *needs, struct admin_facts *facts);
void questions_close(struct questions *questions); /* from now on nobody is answered */
void questions_free(struct questions *questions);  /* nobody may be asking */

/* certificates.c: what TLS has from files, read again when they change. Nothing without TLS. */
void certificates_open(struct edge *edge);
void certificates_reload(struct edge *edge);
void certificates_free(struct edge *edge); /* when the loop has run since its handles were closed */

/* operators.c */
enum mk_status operators_open(struct edge *edge, struct mk_error *error);
void operators_close(struct edge *edge);

/* status.c */
void status_settings_read(struct edge *edge); /* once, before anything is asked */
/* What `needs` names, and its effect. admin_facts_free() when done. `asking` may be NULL. */
void status_gather(struct edge *edge, const struct conn *asking, const struct admin_needs *needs,
                   struct admin_facts *facts);
void status_word(struct edge *edge, const struct conn *asking, int word, const uint8_t *argument,
                 struct mk_buf *out);

/* disk.c: what waits for the disk besides the log. */
struct disk *disk_new(struct edge *edge);
void disk_free(struct disk *disk);
void disk_take(struct disk *disk); /* the core's loads and checkpoint; once a turn */
void disk_logged(struct disk *disk, size_t bytes);
void disk_backup(struct disk *disk); /* write one soon; says in the log what came of it */
bool disk_idle(const struct disk *disk);
/* No further chore begins; then they may again, with another state and an empty log. */
void disk_hold(struct disk *disk);
void disk_release(struct disk *disk);

/* snapshots.c: from and to other servers. */
struct snapshots *snapshots_new(struct edge *edge);
void snapshots_free(struct snapshots *snapshots);
void snapshots_take(struct snapshots *snapshots); /* once a turn, before the disk's */
bool snapshots_idle(const struct snapshots *snapshots);

#endif
