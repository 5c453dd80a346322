/* Private to edge: what a member of an ensemble has besides what every server has. A server that is alone
 * has none of it. */
#ifndef EDGE_ENSEMBLE_H
#define EDGE_ENSEMBLE_H

#include "edge/binding.h"
#include "edge/dial.h"
#include "edge/election.h"
#include "edge/loop.h"

/* ---- quorum.c: connections between quorum ports: a leader's with its learners ---- */

struct quorum {
    struct edge *edge;
    struct binding binding;
    struct mk_link links; /* struct link */
    size_t links_count;
    struct dial *dial;                /* under way */
    const struct jute_member *leader; /* that is dialled; NULL: none */
    struct link *opening;             /* ... it has been, and TLS has not begun; NULL: none */
    uint32_t tries;                   /* of it so far */
    uv_timer_t retry;
};
enum mk_status quorum_open(struct quorum *quorum, struct edge *edge, const char *host,
                           uint32_t port, struct mk_error *error);
enum mk_status quorum_start(struct quorum *quorum, struct mk_error *error);
void quorum_take(struct quorum *quorum);  /* the core's actions: whom to dial, what to send */
void quorum_flush(struct quorum *quorum); /* ... only what to send */
void quorum_close(struct quorum *quorum); /* the core is not told */

/* ---- ensemble.c: both ports together, and what the disk has of an ensemble ---- */

struct ensemble {
    struct edge *edge;
    struct election *election;
    struct election_member members[JUTE_MEMBERS_MAX];
    struct quorum quorum;
    bool closed;
    /* One of them at a time, on the log's thread: */
    struct server_epochs epochs; /* to be written, */
    struct server_epochs stored; /* ... and what the files hold */
    mk_zxid truncate_zxid;
    enum mk_status status;
    struct mk_error error;
    struct mk_buf message;
};

#endif
