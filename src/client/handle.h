/* Private to client: what a handle is, and who may touch which part of it.
 *
 *   any thread      submit.c  ask.c  handle.c     under the lock
 *   its own thread  thread.c  conn.c  outcome.c   the rest, without it
 *
 * The lock is never held while a callback runs, nor while the thread waits. */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include "base/base.h"
#include "client/client.h"
#include "client/codec.h"
#include "client/servers.h"
#include "client/tls.h"
#include "client/watches.h"

#include <pthread.h>
#include <time.h>

struct addrinfo;

#define CLIENT_AUTHS_MAX 64  /* a client has one or two; each is sent with each connection */
#define CLIENT_CLOSE_MS 2000 /* how long closing waits for a server */

/* ---- Requests ---- */

/* Someone waits for a result. */
struct client_waiter {
    pthread_cond_t answered;
    bool done;
    struct moonkeeper_result result;
};

/* A request from its submission to its result. */
struct client_pending {
    struct mk_link link;
    struct client_asked asked;
    struct mk_buf frame; /* empty once sent, unless it may be sent again */
    size_t bytes;        /* of the frame, as counted against bytes_max */
    int32_t xid;
    mk_ms sent_boot_ms; /* not later than it was sent, by client_clock_boot_ms() */
    int32_t refusal;    /* not 0: this is the answer, given in its turn, without asking a server */
    moonkeeper_done *done;
    void *context;
    struct client_waiter *waiter; /* instead of `done`; under the lock: it may give up */
    /* Of those that set or remove watches: */
    struct mk_buf path; /* as the server knows it */
    moonkeeper_watcher *watcher;
    void *watcher_context;
    int watch_argument; /* the mode or the type */
    bool local;
    /* Of calls: */
    int64_t call_id;
    size_t operation_len;
    struct mk_buf multi; /* what asked.multi borrows from */
};

/* What connection and session are to others. */
struct client_public {
    enum moonkeeper_state state;
    int timeout_ms;
    struct moonkeeper_session session;
    struct mk_error trouble;
    const struct client_server *server;
    int rounds; /* over the whole list, in vain, since there was a connection */
};

/* ---- The connection: the thread's alone ---- */

enum client_phase {
    CLIENT_PAUSE,      /* until `due_ms` */
    CLIENT_CONNECTING, /* the socket's connect() goes on */
    CLIENT_HANDSHAKE,  /* ConnectRequest is sent */
    CLIENT_ATTACHED,
    CLIENT_OVER, /* expired, refused, closed: nothing is sent any more */
};

struct client_auth {
    struct mk_buf frame;
    struct client_pending *pending; /* NULL: answered, or nobody asks any more */
};

struct client_conn {
    enum client_phase phase;
    enum moonkeeper_state state; /* as in `public` */
    int fd;
    struct client_secure *secure; /* TLS over it; NULL: none */
    mk_ms due_ms;                 /* of PAUSE, CONNECTING, HANDSHAKE */
    mk_ms attached_ms;            /* when this connection was */
    mk_ms heard_ms;
    mk_ms sent_ms;
    mk_ms step_boot_ms;             /* when this step began, by client_clock_boot_ms() */
    mk_ms ping_boot_ms;             /* when the oldest unanswered ping was sent, or the handshake */
    int pings;                      /* unanswered */
    size_t server;                  /* index of the one that is tried, or used */
    size_t tried;                   /* servers of this round */
    struct addrinfo *addresses;     /* of that server */
    const struct addrinfo *address; /* the next to be tried */
    int pauses;                     /* rounds in vain, for the length of the next pause */
    bool read_write_seen;           /* the session is one that others know, too */
    struct mk_buf in;
    size_t in_used;
    struct mk_buf out;
    size_t out_sent;
    int32_t xid;
    mk_zxid zxid_seen;
    size_t chunks; /* setWatches sent and not yet answered */
    struct client_auth auths[CLIENT_AUTHS_MAX];
    size_t auths_count;
    size_t auths_answered; /* of them, on this connection */
    struct mk_link queued; /* not yet sent */
    struct mk_link sent;   /* in the order in which they will be answered */
    struct mk_link calls;  /* sent, too, but answered when they end; in the order of their ids */
    int32_t close_xid;     /* closeSession has been sent; 0: it has not */
};

struct moonkeeper {
    /* Set by moonkeeper_open() and not changed. */
    struct client_servers servers;
    struct mk_bytes chroot;
    struct moonkeeper_options
        options;             /* with all defaults filled in; `servers` and `tls` are not kept */
    struct mk_random random; /* the thread's, after the opening */
    struct client_tls *tls;  /* NULL: connections are plain */
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* `public.state` or `public.rounds` */
    struct client_public public;
    struct mk_link submitted;
    size_t requests_count;
    size_t bytes_count;
    size_t watches_asked; /* by requests that are outstanding */
    size_t watches_set;   /* watches.count */
    int64_t call_id;      /* the last that was given out */
    mk_ms sure_boot_ms;   /* the server has heard of the session after this; 0: never */
    bool woken;           /* the thread knows, or will see, that there is something new */
    bool closing;
    bool detaching; /* and the session is to live */

    struct client_conn conn;
    struct client_watches watches;
    struct mk_arena scraps;
    mk_ms close_due_ms; /* 0: not closing */
};

/* ---- handle.c ---- */

void client_state_set(struct moonkeeper *handle, enum moonkeeper_state state);
void client_trouble_set(struct moonkeeper *handle, const char *format, ...) MK_PRINTF(2, 3);
bool client_state_final(enum moonkeeper_state state);
int client_state_error(enum moonkeeper_state state); /* of a final one */
bool client_in_callback(struct moonkeeper *handle);
void client_wake(struct moonkeeper *handle);           /* under the lock */
void client_condition_init(pthread_cond_t *condition); /* waits by the monotonic clock */

/* ---- submit.c ---- */

/* Under the lock from the answer on, if it is MOONKEEPER_OK. */
int client_submit_locked(struct moonkeeper *handle, const struct moonkeeper_request *request,
                         struct client_pending **out);
void client_pending_free(struct client_pending *pending);
bool client_sets_watch(const struct client_pending *pending);

/* ---- outcome.c: results, watches, states to those who wait for them ---- */

/* A reply's; the pending is gone. False: it makes no sense, and the pending is left alone. */
bool client_answer(struct moonkeeper *handle, struct client_pending *pending,
                   const struct jute_reply *reply);
/* Without a reply. The pending is gone. */
void client_refuse(struct moonkeeper *handle, struct client_pending *pending, int error);
/* A NodeXxx event. False: it is none. */
bool client_event(struct moonkeeper *handle, const struct jute_reply *reply);
/* The server has heard of the session after `boot_ms`. */
void client_sure_since(struct moonkeeper *handle, mk_ms boot_ms);
/* What a request to remove watches names. */
struct client_watch_name client_watch_name_of(const struct client_pending *pending);
/* From `submitted` to the connection's queue. */
void client_submitted_take(struct moonkeeper *handle);
/* Set the state, and tell the listener. */
void client_state_tell(struct moonkeeper *handle, enum moonkeeper_state state);
/* End everything outstanding, and all watches. */
void client_end_all(struct moonkeeper *handle, enum moonkeeper_state state);
/* What a lost connection ends: all but calls and authentications. */
void client_lose_all(struct moonkeeper *handle);

/* ---- conn.c: one connection after the other ---- */

void client_conn_init(struct moonkeeper *handle);
void client_conn_deinit(struct moonkeeper *handle);
/* Do what is due at `now_ms`; the time when it is to be called again. */
mk_ms client_conn_step(struct moonkeeper *handle, mk_ms now_ms);
/* What poll() is to wait for. */
short client_conn_events(const struct moonkeeper *handle);
void client_conn_ready(struct moonkeeper *handle, short events);

/* ---- frames.c: what goes over an attached connection ---- */

/* Begin: authentications, watches, calls that go on. */
void client_frames_begin(struct moonkeeper *handle);
/* Move requests from the queue to the output buffer, as many as it takes. */
void client_frames_fill(struct moonkeeper *handle);
void client_frames_ping(struct client_conn *conn);
void client_frames_close(struct client_conn *conn); /* closeSession */
/* One frame that came. NULL, or why the connection is to be ended; with CLIENT_OVER, for good. */
const char *client_frame_take(struct moonkeeper *handle, struct mk_bytes frame);

/* ---- socket.c ---- */

mk_ms client_clock_ms(void);      /* monotonic */
mk_ms client_clock_boot_ms(void); /* the same, but goes on while the machine is suspended */
/* By the same clock; wait_ms < 0: now. */
struct timespec client_clock_after(int wait_ms);
/* NULL: `error` says why. freeaddrinfo() */
struct addrinfo *client_socket_resolve(const struct client_server *server, struct mk_error *error);
int client_socket_connect(const struct addrinfo *address); /* begun; -1: errno */
int client_socket_error(int fd);                           /* 0, or an errno */
const char *client_socket_text(int error);                 /* of an errno; for any thread */

/* ---- thread.c ---- */

void *client_thread(void *handle);

#endif
