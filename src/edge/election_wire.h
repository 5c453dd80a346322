/* Private to the election's files: its connections, and who they are with. */
#ifndef EDGE_ELECTION_WIRE_H
#define EDGE_ELECTION_WIRE_H

#include "edge/binding.h"
#include "edge/election.h"
#include "edge/framing.h"
#include "edge/stream.h"

struct wire { /* one connection */
    struct election *election;
    struct election_peer *peer; /* NULL: a stranger */
    struct stream stream;
    struct mk_buf hello; /* of a stranger, as far as it has come */
    struct framing input;
    struct mk_buf output; /* empty, but while one is made */
    bool calling;         /* its end comes when the hello is sent */
    bool closed;
    mk_ms due_ms;        /* of a stranger or a caller: when its hello must have come, or gone */
    struct mk_link link; /* election->strangers, election->callers */
};
struct election_peer {
    struct election *election;
    const struct election_member *member;
    struct wire *wire; /* the one that stays; NULL: there is none */
    struct dial *dial; /* under way */
    struct wire
        *opening; /* dialled, and TLS has not begun; NULL: none. No two of the three at a time */
    struct mk_buf newest;
    bool unsent;       /* `newest` has not been written to any connection */
    mk_ms dialled_ms;  /* last time */
    mk_ms dial_due_ms; /* next time; INT64_MAX: not by itself */
    mk_ms backoff_ms;
    mk_ms since_ms;      /* connected, or not */
    mk_ms pause_ms;      /* before it is dialled again, since its connections break soon */
    uint32_t replaced;   /* connections, one after the other, while they lived */
    const char *why;     /* not connected: what failed last */
    const char *told;    /* the reason that the log has, */
    mk_ms told_again_ms; /* ... which is said again then */
};
struct election {
    struct election_options options;
    const struct election_member *self;
    struct binding binding;
    uv_timer_t timer;
    size_t handles; /* of ours that are not closed yet */
    bool closing;
    struct election_peer *peers;
    size_t peers_count;
    struct mk_link strangers; /* oldest first */
    size_t strangers_count;
    struct mk_link callers; /* oldest first; of one server no more than fit between two retries */
};

/* election.c: who there is. */
mk_ms election_now_ms(void);
void election_timer_set(struct election *election); /* something is due earlier than before */
void election_peer_opened(struct election_peer *peer, struct wire *wire); /* that was dialled */
void election_peer_unopened(struct election_peer *peer, const char *why); /* ... will never be */
struct election_peer *election_peer_find(struct election *election, int64_t id);
void election_peer_keep(struct election_peer *peer,
                        struct wire *wire);               /* it is the one that stays */
void election_peer_call_back(struct election_peer *peer); /* it asks to be dialled */
void election_peer_ended(struct election_peer *peer, const char *why); /* the one that stayed */
void election_peer_replaced(struct election_peer *peer); /* ... by another, while it lives */

/* election_wire.c: one connection, `socket` its own from now on. */
struct wire *wire_new(struct election *election, uv_tcp_t *socket, struct election_peer *peer);
void wire_close(struct wire *wire);
void wire_write(struct wire *wire); /* what is in `output` */
void wire_flush(struct wire *wire); /* the newest message, if the connection has not got it */
void wire_read(struct wire *wire);  /* from now on */
void wire_accept(uv_stream_t *listener, int status); /* for uv_listen() */
/* Closes those of a list that are overdue. */
void wires_expire(struct mk_link *wires, mk_ms now_ms);

#endif
