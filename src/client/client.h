/* libmoonkeeper: a client of Moonkeeper and of ZooKeeper, installed as <moonkeeper.h>.
 *
 * A handle (struct moonkeeper) is one session with one server of a list at a time. It finds a server,
 * keeps the session alive, changes server when the connection breaks, sets watches again, and carries
 * requests and their answers. It does not retry for you: a request is sent once, and when its
 * connection breaks you are told that what became of it is not known. Only recipe calls, whose
 * repetition is safe, are asked again (see MOONKEEPER_CALL).
 *
 * Threads. Each handle has one thread of its own, which does all input and output and runs all
 * callbacks: answers, watches, states. Every function may be called from any thread, callbacks
 * included, except those marked "waits", which answer MOONKEEPER_INVALID_CALLBACK in a callback of
 * the same handle. While a callback runs nothing else happens for its handle, pings included: be
 * short, a callback of two thirds of the session timeout costs the connection. The library handles no
 * signals, blocks them all in its own threads, raises no SIGPIPE, and has no global state.
 *
 * Order. Answers come in the order of the requests, but for calls, which are answered when they end.
 * The event of a change comes before the first answer that shows it; the answer of the read that set
 * a watch comes before the events of that watch.
 *
 * Memory. What is given to a function is copied before it returns. What a callback is given is valid
 * until it returns. A result that was filled by a function that waits is the caller's:
 * moonkeeper_result_free(). Outstanding requests are bounded in number and in bytes, watches in
 * number; beyond, MOONKEEPER_TOO_MANY. A process without memory is aborted.
 *
 * When the connection breaks: requests that were submitted while it was there, sent or not, end with
 * MOONKEEPER_CONNECTION_LOSS, but for calls and authentications, which are sent again. What is
 * submitted meanwhile waits; it ends with MOONKEEPER_CONNECTION_LOSS when all servers have been tried
 * in vain. Session, ephemerals and watches live on: see MOONKEEPER_CONNECTED.
 * When the session expires, or authentication fails: everything outstanding ends with
 * MOONKEEPER_SESSION_EXPIRED or MOONKEEPER_AUTH_FAILED, each watch hears of it and ends, and the
 * handle is of no more use: close it, and open another. An expiry is learnt from a server; a handle
 * that reaches none goes on trying.
 * At the close: see moonkeeper_close().
 *
 * After fork() only the parent may use its handles; the child must not, not even to close them. Their
 * sockets are closed by exec. */
#ifndef MOONKEEPER_H
#define MOONKEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOONKEEPER_PASSWORD_BYTES 16
#define MOONKEEPER_ANY_VERSION (-1)

/* ---- Errors: ZooKeeper's codes; those below -1000 are the library's own. ---- */

enum moonkeeper_error {
    MOONKEEPER_OK = 0,
    MOONKEEPER_SYSTEM_ERROR = -1,
    MOONKEEPER_RUNTIME_INCONSISTENCY = -2, /* in a multi: an earlier operation failed */
    MOONKEEPER_CONNECTION_LOSS = -4,       /* what became of the request is not known */
    MOONKEEPER_MARSHALLING_ERROR = -5,     /* one side could not read what the other sent */
    MOONKEEPER_UNIMPLEMENTED = -6,
    MOONKEEPER_OPERATION_TIMEOUT = -7, /* not answered in time; what became of it is not known */
    MOONKEEPER_BAD_ARGUMENTS = -8,
    MOONKEEPER_INVALID_STATE = -9, /* the system refuses a thread or a descriptor */
    MOONKEEPER_NEW_CONFIG_NO_QUORUM = -13,
    MOONKEEPER_RECONFIG_IN_PROGRESS = -14,
    MOONKEEPER_NO_NODE = -101,
    MOONKEEPER_NO_AUTH = -102,
    MOONKEEPER_BAD_VERSION = -103,
    MOONKEEPER_NO_CHILDREN_FOR_EPHEMERALS = -108,
    MOONKEEPER_NODE_EXISTS = -110,
    MOONKEEPER_NOT_EMPTY = -111,
    MOONKEEPER_SESSION_EXPIRED = -112,
    MOONKEEPER_INVALID_CALLBACK = -113, /* a function that waits was called in a callback */
    MOONKEEPER_INVALID_ACL = -114,
    MOONKEEPER_AUTH_FAILED = -115,
    MOONKEEPER_CLOSING = -116, /* the handle was closed before the answer came */
    MOONKEEPER_SESSION_MOVED = -118,
    MOONKEEPER_NOT_READ_ONLY = -119,
    MOONKEEPER_EPHEMERAL_ON_LOCAL_SESSION = -120,
    MOONKEEPER_NO_WATCHER = -121,
    MOONKEEPER_RECONFIG_DISABLED = -123,
    MOONKEEPER_AUTH_REQUIRED = -124,
    MOONKEEPER_QUOTA_EXCEEDED = -125,
    MOONKEEPER_THROTTLED = -127,
    MOONKEEPER_TOO_MANY = -1001, /* a limit of this handle is reached; nothing was sent */
    MOONKEEPER_CALL_FAILED =
        -1002, /* the recipe ended with an error: see call_error, call_message */
};

const char *moonkeeper_error_name(int error); /* "NoNode"; "Unknown" */
const char *moonkeeper_error_text(int error); /* "no such znode" */

/* ---- States and events ---- */

enum moonkeeper_state { /* numbered as ZooKeeper's */
                        MOONKEEPER_CONNECTING = 0,
                        MOONKEEPER_CONNECTED = 3,
                        MOONKEEPER_AUTHENTICATION_FAILED = 4, /* final */
                        MOONKEEPER_CONNECTED_READ_ONLY =
                            5, /* to a server that has lost its ensemble; reads only */
                        MOONKEEPER_CLOSED = 7,     /* final: moonkeeper_close() */
                        MOONKEEPER_EXPIRED = -112, /* final */
};
const char *moonkeeper_state_name(enum moonkeeper_state state); /* "SyncConnected", as ZooKeeper */

enum moonkeeper_event_type {
    MOONKEEPER_EVENT_NONE = -1, /* only the state has changed */
    MOONKEEPER_EVENT_CREATED = 1,
    MOONKEEPER_EVENT_DELETED = 2,
    MOONKEEPER_EVENT_DATA_CHANGED = 3,
    MOONKEEPER_EVENT_CHILDREN_CHANGED = 4,
    MOONKEEPER_EVENT_DATA_WATCH_REMOVED = 5, /* these three: by MOONKEEPER_REMOVE_WATCHES */
    MOONKEEPER_EVENT_CHILD_WATCH_REMOVED = 6,
    MOONKEEPER_EVENT_PERSISTENT_WATCH_REMOVED = 7,
};
const char *moonkeeper_event_name(enum moonkeeper_event_type type); /* "NodeDeleted" */

struct moonkeeper_event {
    enum moonkeeper_event_type type;
    enum moonkeeper_state state;
    const char *path; /* of the znode that changed, below the chroot; EVENT_NONE: of the watch */
    int64_t zxid;     /* of the change; -1: not known */
    bool last;        /* this watch will not be heard of again: its context may be freed */
};

/* A watch. A function that is set with the same context on the same path in the same way is set once,
 * and called once for an event, however many of its watches match; a standard watch ends with its
 * first event, a persistent one when it is removed. A watch hears of no other states than the
 * final ones, with EVENT_NONE and `last`. */
typedef void moonkeeper_watcher(void *context, const struct moonkeeper_event *event);

/* The state has changed. After MOONKEEPER_CONNECTING, MOONKEEPER_CONNECTED says that the same session
 * goes on; what was missed by watches meanwhile is delivered next, if a watch still waits for it. */
struct moonkeeper;
typedef void moonkeeper_listener(void *context, struct moonkeeper *handle,
                                 enum moonkeeper_state state);

/* ---- Opening and closing ---- */

struct moonkeeper_session {
    int64_t id; /* 0: none yet */
    uint8_t password[MOONKEEPER_PASSWORD_BYTES];
    int64_t calls; /* how many recipe calls were made: their ids must not be used again */
};

struct moonkeeper_tls {      /* files in PEM form */
    const char *trusted;     /* certificates that are trusted; NULL: those of the system */
    const char *certificate; /* the own one, and those that lead to its authority; NULL: none */
    const char *key;         /* its private key, unencrypted; NULL: in `certificate`, too */
    bool any_host;           /* the server's certificate need not be one for its host */
};
/* Whether the files can be used. If not, `why` (of `why_bytes`, or NULL) says it in words. */
bool moonkeeper_tls_check(const struct moonkeeper_tls *tls, char *why, size_t why_bytes);

struct moonkeeper_options { /* zero: the default */
    /* "host:port,host:port/chroot"; IPv6 addresses in brackets; port 2181 if left out. Names are
     * looked up anew for each attempt. With a chroot "/a/b" all paths are below it, yours and
     * those that you are given; the znode itself is not made. */
    const char *servers;
    int timeout_ms; /* of the session, 1 to 2^31 - 1; default 10,000; servers adjust it */
    int wait_ms;    /* how long functions wait for an answer; default: timeout_ms; -1: for ever */
    bool read_only; /* be content with a server in read-only mode, until it is lost */
    bool in_order;  /* try the servers in the order given, not shuffled */
    uint64_t seed;  /* of the shuffle and of pauses; default: from the system */
    size_t requests_max;     /* outstanding, default 65,536 */
    size_t bytes_max;        /* of the outstanding requests' frames, default 64 MiB */
    size_t watches_max;      /* set or asked for, default 1,000,000 */
    size_t answer_bytes_max; /* a server that sends a larger frame is left; default 256 MiB */
    const struct moonkeeper_session *session; /* attach to it rather than begin a new one */
    moonkeeper_listener *listener;            /* or NULL */
    void *listener_context;
    const struct moonkeeper_tls
        *tls; /* servers speak TLS; read by moonkeeper_open(); NULL: they do not */
};

/* Start a handle, which begins to connect; it need not be connected before it is used.
 * BAD_ARGUMENTS: moonkeeper_servers_check() or moonkeeper_tls_check() says why. INVALID_STATE: no
 * thread or descriptor. */
int moonkeeper_open(const struct moonkeeper_options *options, struct moonkeeper **handle);

/* Whether a connect string can be used. If not, `why` (of `why_bytes`, or NULL) says it in words. */
bool moonkeeper_servers_check(const char *servers, char *why, size_t why_bytes);

/* Waits until there is a session: OK. CONNECTION_LOSS: `wait_ms` are over (-1: no limit), or every
 * server has been tried `rounds` times since the last connection, or the opening (0: no limit);
 * moonkeeper_trouble() says what was met. SESSION_EXPIRED, AUTH_FAILED: in a final state. */
int moonkeeper_connect_wait(struct moonkeeper *handle, int wait_ms, int rounds);

/* End the session: what was submitted before is sent and may be answered, then the session is closed
 * with its ephemerals. Waits for that, at most two seconds; what is not answered then ends with
 * CLOSING, each watch gets its last event, the listener MOONKEEPER_CLOSED. When it returns no
 * callback runs or will run, and the handle is gone. NULL is fine.
 * INVALID_CALLBACK: called in a callback of this handle; nothing was done. */
int moonkeeper_close(struct moonkeeper *handle);

/* The same, but the session lives on at the server until it expires: whoever has what
 * moonkeeper_session() says may attach to it. */
int moonkeeper_detach(struct moonkeeper *handle);

/* ---- About a handle ---- */

enum moonkeeper_state moonkeeper_state(struct moonkeeper *handle);
int moonkeeper_timeout_ms(struct moonkeeper *handle); /* as granted; before: as asked for */
/* For so long the session lives on for certain, whatever happens: its timeout, less the time since the
 * sending of what the server has answered last; time in which the process was stopped, or the machine
 * suspended, counts. 0: it may have expired. Who holds a lock by the session stops in time by this. */
int moonkeeper_lease_ms(struct moonkeeper *handle);
void moonkeeper_session(struct moonkeeper *handle, struct moonkeeper_session *session);
/* "127.0.0.1:2181", where the handle is connected to or tries to; cut to fit, ended by NUL. */
void moonkeeper_server(struct moonkeeper *handle, char *text, size_t text_bytes);
/* Why the last connection ended or could not be made, for people; "": there was no trouble. */
void moonkeeper_trouble(struct moonkeeper *handle, char *text, size_t text_bytes);

/* ---- Requests ---- */

enum moonkeeper_op { /* numbered as the protocol's, but for the variants of create */
                     MOONKEEPER_CREATE = 1,
                     MOONKEEPER_DELETE = 2,
                     MOONKEEPER_EXISTS = 3,
                     MOONKEEPER_GET = 4,
                     MOONKEEPER_SET = 5,
                     MOONKEEPER_GET_ACL = 6,
                     MOONKEEPER_SET_ACL = 7,
                     MOONKEEPER_CHILDREN = 8,
                     MOONKEEPER_SYNC = 9, /* wait until the server has caught up with its leader */
                     MOONKEEPER_CHILDREN2 = 12,
                     MOONKEEPER_CHECK = 13, /* in a multi only: the version is `version` */
                     MOONKEEPER_MULTI = 14,
                     MOONKEEPER_RECONFIG = 16,
                     MOONKEEPER_REMOVE_WATCHES = 18,
                     MOONKEEPER_MULTI_READ = 22,
                     MOONKEEPER_AUTH = 100,
                     MOONKEEPER_GET_EPHEMERALS = 103,
                     MOONKEEPER_GET_ALL_CHILDREN_NUMBER = 104,
                     MOONKEEPER_ADD_WATCH = 106,
                     MOONKEEPER_WHO_AM_I = 107,
                     /* Call a recipe's operation, exactly once: if the connection breaks it is asked again with the
     * same id, and keeps its place in a queue. SESSION_EXPIRED: what became of it is not known. */
                     MOONKEEPER_CALL = 700,
                     MOONKEEPER_CALLS = 701, /* which calls wait, of those that one may know of */
                     MOONKEEPER_GET_CONFIG =
                         1000, /* the ensemble's configuration, whatever the chroot */
};

enum moonkeeper_mode { /* of MOONKEEPER_CREATE */
                       MOONKEEPER_PERSISTENT = 0,
                       MOONKEEPER_EPHEMERAL = 1,
                       MOONKEEPER_PERSISTENT_SEQUENTIAL = 2,
                       MOONKEEPER_EPHEMERAL_SEQUENTIAL = 3,
                       MOONKEEPER_CONTAINER = 4,
                       MOONKEEPER_PERSISTENT_TTL =
                           5, /* goes when it has had no children and no change for ttl_ms */
                       MOONKEEPER_PERSISTENT_SEQUENTIAL_TTL = 6,
};

enum moonkeeper_watch_mode { /* of MOONKEEPER_ADD_WATCH */
                             MOONKEEPER_WATCH_PERSISTENT = 0,
                             MOONKEEPER_WATCH_PERSISTENT_RECURSIVE = 1,
};

enum moonkeeper_watch_type { /* of MOONKEEPER_REMOVE_WATCHES */
                             MOONKEEPER_WATCH_TYPE_CHILDREN = 1,
                             MOONKEEPER_WATCH_TYPE_DATA = 2, /* those of exists, too */
                             MOONKEEPER_WATCH_TYPE_ANY = 3,
                             MOONKEEPER_WATCH_TYPE_PERSISTENT =
                                 4, /* these two: Moonkeeper, and ZooKeeper from 3.9 */
                             MOONKEEPER_WATCH_TYPE_PERSISTENT_RECURSIVE = 5,
};

enum moonkeeper_format { MOONKEEPER_JSON = 0, MOONKEEPER_MSGPACK = 1 };

enum { /* permissions of an ACL */
       MOONKEEPER_READ = 1,
       MOONKEEPER_WRITE = 2,
       MOONKEEPER_CREATE_CHILDREN = 4,
       MOONKEEPER_DELETE_CHILDREN = 8,
       MOONKEEPER_ADMIN = 16,
       MOONKEEPER_ALL = 31,
};

struct moonkeeper_acl {
    int32_t permissions;
    const char *scheme; /* "world", "auth", "digest", "ip", … */
    const char *id;     /* "anyone", "", "user:hash", … */
};

/* One request, or one operation of a multi. Zero what an operation does not use.
 *
 *   op                        uses                              the result has
 *   CREATE                    path data acls mode ttl_ms        path, stat (but not always in a multi)
 *   DELETE CHECK              path version                      –
 *   EXISTS                    path watcher                      stat; NO_NODE sets the watch, too
 *   GET                       path watcher                      data, stat
 *   SET                       path data version                 stat
 *   GET_ACL                   path                              acls, stat
 *   SET_ACL                   path acls version                 stat
 *   CHILDREN CHILDREN2        path watcher                      names; CHILDREN2: stat
 *   SYNC                      path                              path
 *   MULTI                     requests: CREATE DELETE SET CHECK results; error: of the one that failed
 *   MULTI_READ                requests: GET CHILDREN            results, each with its own error
 *   GET_EPHEMERALS            path: the prefix, or NULL         names: paths
 *   GET_ALL_CHILDREN_NUMBER   path                              number
 *   ADD_WATCH                 path watch_mode watcher           –
 *   REMOVE_WATCHES            path watch_type watcher local     –
 *   WHO_AM_I                  –                                 identities
 *   AUTH                      scheme data                       –
 *   GET_CONFIG                watcher                           data, stat
 *   RECONFIG                  joining leaving members config    data, stat
 *   CALL                      operation data format dry_run     data, or call_error and call_message
 *                             linearizable
 *   CALLS                     after limit                       data: JSON, see src/recipe/README.md
 */
struct moonkeeper_request {
    enum moonkeeper_op op;
    int32_t version;  /* as it must be; MOONKEEPER_ANY_VERSION: no matter. Zero means version 0. */
    const char *path; /* absolute; "/" with a chroot is the chroot itself */
    const void *data; /* NULL: none, which is not the same as empty */
    size_t data_bytes;

    enum moonkeeper_mode mode;
    enum moonkeeper_format format; /* CALL: of `data`, and of the result's */
    int64_t ttl_ms;
    const struct moonkeeper_acl *acls; /* CREATE with none: anyone may do anything */
    size_t acls_count;

    /* EXISTS, GET, CHILDREN…: NULL sets no watch. REMOVE_WATCHES: this function with this context,
     * or, if NULL, all at the path. NO_WATCHER: there is none here, and nothing was sent. */
    moonkeeper_watcher *watcher;
    void *watcher_context;
    enum moonkeeper_watch_mode watch_mode;
    enum moonkeeper_watch_type watch_type;

    const struct moonkeeper_request *requests; /* MULTI… */
    size_t requests_count;

    const char
        *scheme; /* AUTH; kept, and sent again after each reconnection; at most 64 a handle */

    const char *joining; /* RECONFIG: "server.3=…,…", or NULL */
    const char *leaving; /* "3,4", or NULL */
    const char *members; /* the whole list, or NULL */
    int64_t config;      /* the version of the configuration to change, or -1 */

    const char *operation; /* CALL: "lock.acquire"; `data` are its arguments, an object */
    bool dry_run;          /* CALL, in JSON: nothing happens; the result says what would have */
    /* CALL, of an operation that only reads: by the leader, and answered when a quorum has said that it
     * still leads. Else by the server that this client is connected to, which may be behind. */
    bool linearizable;

    int64_t after; /* CALLS: where the page before has ended; 0: the first */
    int32_t limit; /* CALLS: how many at most; 0: as many as a page has */

    int wait_ms; /* for functions that wait: how long; 0: the handle's; -1: for ever */
    bool local;  /* REMOVE_WATCHES: remove them here even if no server can be told */
};

struct moonkeeper_stat {
    int64_t czxid, mzxid, pzxid;
    int64_t ctime_ms, mtime_ms; /* since 1970 */
    int32_t version, cversion, aversion;
    int64_t ephemeral_owner; /* a session's id, or 0 */
    int32_t data_length, children_count;
};

struct moonkeeper_identity {
    const char *scheme;
    const char *id; /* without secrets */
};

struct moonkeeper_result {
    int error;        /* enum moonkeeper_error, or another code of the server's */
    int64_t zxid;     /* the server's when it answered; of a write: the write's */
    const char *path; /* below the chroot, as all paths */
    const void *data; /* NULL: none. A NUL byte follows, which is not counted. */
    size_t data_bytes;
    bool has_stat;
    struct moonkeeper_stat stat;
    const char *const *names; /* in no particular order */
    size_t names_count;
    const struct moonkeeper_acl *acls;
    size_t acls_count;
    const struct moonkeeper_identity *identities;
    size_t identities_count;
    int32_t number;
    const struct moonkeeper_result *results; /* one for each request; empty if none was answered */
    size_t results_count;
    const char *call_error; /* "Timeout"; set with CALL_FAILED */
    const char *call_message;
    void *memory; /* private: what the pointers above point into */
};

/* Free what a result holds, and zero it. One that is zero already is fine. */
void moonkeeper_result_free(struct moonkeeper_result *result);

/* ---- Asynchronously ---- */

typedef void moonkeeper_done(void *context, const struct moonkeeper_result *result);

/* Send a request, and have `done` called once with its result, or at the latest by the end of
 * moonkeeper_close(). Not called if the answer of this function is not OK:
 * BAD_ARGUMENTS: it could not be a request; TOO_MANY: try again when others have been answered;
 * SESSION_EXPIRED, AUTH_FAILED, CLOSING: in a final state. */
int moonkeeper_submit(struct moonkeeper *handle, const struct moonkeeper_request *request,
                      moonkeeper_done *done, void *context);

/* ---- Synchronously: these wait. ---- */

/* Submit, and wait for the result, which is filled in any case (with OK, NULL will do). Answers
 * result->error. OPERATION_TIMEOUT: the wait is over; the request may yet be carried out, and if it is
 * one that sets a watch, the watch may yet be set. */
int moonkeeper_ask(struct moonkeeper *handle, const struct moonkeeper_request *request,
                   struct moonkeeper_result *result);

/* The common ones in a line. `result` and `stat` may be NULL. */
int moonkeeper_create(struct moonkeeper *handle, const char *path, const void *data,
                      size_t data_bytes, enum moonkeeper_mode mode,
                      struct moonkeeper_result *result);
int moonkeeper_delete(struct moonkeeper *handle, const char *path, int32_t version);
int moonkeeper_exists(struct moonkeeper *handle, const char *path, struct moonkeeper_stat *stat);
int moonkeeper_get(struct moonkeeper *handle, const char *path, struct moonkeeper_result *result);
int moonkeeper_set(struct moonkeeper *handle, const char *path, const void *data, size_t data_bytes,
                   int32_t version, struct moonkeeper_stat *stat);
int moonkeeper_children(struct moonkeeper *handle, const char *path,
                        struct moonkeeper_result *result);
int moonkeeper_sync(struct moonkeeper *handle, const char *path);
int moonkeeper_multi(struct moonkeeper *handle, const struct moonkeeper_request *requests,
                     size_t requests_count, struct moonkeeper_result *result);
int moonkeeper_auth(struct moonkeeper *handle, const char *scheme, const void *data,
                    size_t data_bytes);
/* JSON in `arguments` (NULL: none) and in the result's data. Waits for as long as the call does, but
 * not longer than `wait_ms` (0: the handle's; -1: for ever). */
int moonkeeper_call(struct moonkeeper *handle, const char *operation, const char *arguments,
                    int wait_ms, struct moonkeeper_result *result);

/* A four-letter word ("ruok"), to the first server of the list that accepts a connection, without any
 * handle. Waits at most `wait_ms` (-1: for ever). The answer is in result->data.
 * CONNECTION_LOSS: no server can be reached; OPERATION_TIMEOUT: it did not answer to the end;
 * result->call_message says why. */
int moonkeeper_word(const char *servers, const char *word, int wait_ms,
                    struct moonkeeper_result *result);

#ifdef __cplusplus
}
#endif

#endif
