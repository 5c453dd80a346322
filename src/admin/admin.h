/* What an operator asks a server: four-letter words, metrics, and the same over HTTP. Facts in, text
 * out: whoever runs the core gathers the facts, in one of its turns; nothing here touches the core.
 *
 * An answer is bounded: lists end after ADMIN_ENTRIES_MAX entries, and say how many they leave out. */
#ifndef MK_ADMIN_H
#define MK_ADMIN_H

#include "base/base.h"
#include "server/server.h"

/* Entries of one list, and bytes of paths in it: gathering so much takes the core some milliseconds,
 * writing it as text some tens. More is for a tool that reads the tree. */
#define ADMIN_ENTRIES_MAX 20000
#define ADMIN_PATH_BYTES_MAX (8 * 1024 * 1024)

/* ---- Facts ---- */

struct admin_settings {  /* what `conf` shows; texts are borrowed for as long as the process runs */
    const char *version; /* what standard clients look for three numbers in */
    const char *own_version;        /* "0.1.0" */
    const char *data_dir, *log_dir; /* absolute */
    uint32_t port;                  /* 0: none without TLS */
    uint32_t secure_port;           /* 0: none with TLS */
    int64_t listen_backlog;
    uint32_t address_conns_max;
    uint64_t cache_bytes;
    mk_ms tick_ms, session_timeout_min_ms, session_timeout_max_ms;
    uint32_t server_id;
    const char *file; /* the text of the configuration file, or "" */
    /* Of a member of an ensemble: */
    const char *ensemble; /* its configuration, as the servers tell it to each other; NULL: alone */
    uint32_t init_limit, sync_limit;
    uint32_t quorum_port, election_port;
    uint32_t voters;
    bool observer;
};

/* What is counted outside of the core. */
struct admin_counters {
    uint64_t bytes_received;
    uint64_t conns_rejected;       /* over maxClientCnxns or maxCnxns */
    uint64_t conns_dropped;        /* by the peer, without closeSession */
    uint64_t handshakes;           /* of TLS, not done now */
    uint64_t handshakes_pushed;    /* out, as there were too many */
    uint64_t handshakes_failed;    /* these included */
    struct mk_summary log_batches; /* transactions a sync */
    struct mk_summary syncs_ms;
    struct mk_summary checkpoints_ms;
    struct mk_summary outstanding; /* requests not answered at the end of a turn */
    uint64_t syncs_slow;           /* longer than fsync.warningthresholdms */
    mk_ms recovery_ms;
    mk_ms checkpoint_wall_ms; /* when the last one was written; 0: none since the start */
};

struct admin_conn {
    struct server_conn_stats stats;
    bool asking; /* the connection that the word came on */
    bool secure; /* it has TLS */
};
struct admin_session {
    mk_session id;
    mk_ms expires_in_ms;
    bool local; /* only this server knows it */
};
struct admin_path {
    mk_session session;
    struct mk_bytes path;
};
struct admin_member { /* of an ensemble */
    int64_t id;
    bool self;
    bool connected;  /* for elections; of another one */
    mk_ms for_ms;    /* it has been so, or not */
    const char *why; /* it is not; a constant, or NULL */
    bool learner;    /* it has a connection to this leader: */
    bool observer, serving;
    mk_zxid acked; /* 0: nothing of this epoch */
    uint64_t queued_bytes;
};
struct admin_operation { /* of a recipe: as server_operation_figures */
    char *name;          /* "lock.acquire" */
    uint64_t waiting, calls, failures, instructions, effects, run_ms;
    struct mk_summary latency_ms;
};
struct admin_facts {
    const struct admin_settings *settings;
    struct admin_counters counters;
    struct server_stats stats;
    bool serving;
    uint64_t members_missing; /* other servers of the ensemble that cannot be reached */
    mk_ms wall_ms, monotonic_ms;
    uint64_t uptime_ms;
    uint64_t descriptors, descriptors_max;
    uint64_t data_bytes; /* on disk */
    uint64_t log_bytes;
    uint64_t resident_bytes;
    int64_t trace_mask;
    mk_zxid checkpoint_zxid;
    /* Lists, if they were asked for: at most ADMIN_ENTRIES_MAX each; the rest is only counted. */
    struct admin_conn *conns;
    size_t conns_count;
    struct admin_session *sessions;
    size_t sessions_count;
    struct admin_path *ephemerals; /* those of one session together */
    size_t ephemerals_count;
    struct admin_path *watches; /* those of one session, or of one path, together */
    size_t watches_count;
    struct admin_operation *operations; /* by name */
    size_t operations_count;
    struct admin_member *members; /* by id */
    size_t members_count;
    bool watches_cut;      /* there are more */
    struct mk_arena arena; /* owns what the lists point to */
};
void admin_facts_free(struct admin_facts *facts);

enum admin_list {
    ADMIN_CONNS = 1,
    ADMIN_SESSIONS = 2,
    ADMIN_EPHEMERALS = 4,
    ADMIN_WATCHES_BY_SESSION = 8,
    ADMIN_WATCHES_BY_PATH = 16,
    ADMIN_OPERATIONS = 32,
    ADMIN_MEMBERS = 64,
};
enum admin_effect { /* what a question changes, besides being answered */
                    ADMIN_NONE,
                    ADMIN_RESET_SERVER, /* srst */
                    ADMIN_RESET_CONNS,  /* crst */
                    ADMIN_SET_TRACE,    /* stmk: a number that has no effect */
};
struct admin_needs {
    unsigned lists; /* of enum admin_list */
    enum admin_effect effect;
    int64_t trace_mask;
};

/* ---- Four-letter words ---- */

#define ADMIN_WORD_BYTES 4
#define ADMIN_WORD_NONE (-1)
#define ADMIN_WORDS_DEFAULT "srvr,isro,memb"
#define ADMIN_TRACE_MASK_DEFAULT 306

/* Index in the table of words, which is also the bit in a set of them; or ADMIN_WORD_NONE. */
int admin_word_find(const uint8_t name[ADMIN_WORD_BYTES]);
/* The set that "ruok, stat" or "*" names. MK_BAD_ARGUMENTS: there is a name that is no word. */
enum mk_status admin_words_parse(struct mk_bytes list, uint32_t *words);
/* Bytes that must follow the word; they are its argument. */
size_t admin_word_argument_bytes(int word);
/* What its answer needs; nothing if it is not in the set `allowed`. `argument` as above. */
struct admin_needs admin_word_needs(int word, uint32_t allowed, const uint8_t *argument);
/* The whole answer; the connection is closed behind it. */
void admin_word_answer(int word, uint32_t allowed, const struct admin_facts *facts,
                       struct mk_buf *out);

/* ---- HTTP: a thread of its own, for the commands, or for Prometheus ---- */

/* Fill in what `needs` names; admin_facts_free() frees it. Called on the HTTP's thread, may wait. False:
 * not now, the server is stopping or too busy. */
typedef bool admin_ask(void *context, const struct admin_needs *needs, struct admin_facts *facts);
struct admin_http_options {
    const char *address;       /* one to listen on, or a name; texts are the caller's and stay */
    uint32_t port;             /* 0: any that is free */
    const char *commands_path; /* "/commands"; NULL: none */
    bool metrics;              /* /metrics */
    mk_ms idle_ms;             /* until a connection that does nothing is closed */
    admin_ask *ask;
    void *context;
};
struct admin_http;
/* NULL: the address cannot be listened on. */
struct admin_http *admin_http_start(const struct admin_http_options *options,
                                    struct mk_error *error);
uint32_t admin_http_port(const struct admin_http *http);
/* Waits for the answer under way: `ask` must return soon. */
void admin_http_stop(struct admin_http *http);

#endif
