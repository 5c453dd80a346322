/* The edge: where the world touches the core. Options, log lines, sockets, four-letter words, and the
 * threads that wait for the disk. Knows connections, frames and files; knows nothing of znodes.
 *
 * Called by main.c alone, in this order: options, log lines, catalogue, bind, run. One thread, the
 * caller's, runs the loop and the core in it. */
#ifndef MK_EDGE_H
#define MK_EDGE_H

#include "base/base.h"
#include "jute/jute.h"
#include "server/server.h"
#include "store/store.h"

/* What the process ends with. Documented in conf/README.md: scripts and units rely on it. */
enum edge_exit {
    EDGE_EXIT_OK = 0,      /* asked to stop, and stopped in order */
    EDGE_EXIT_FAILED = 1,  /* the disk or the system failed, while starting or later */
    EDGE_EXIT_USAGE = 2,   /* an argument or an option is not valid */
    EDGE_EXIT_DATA = 3,    /* the data directory cannot be used, or another process has it */
    EDGE_EXIT_BIND = 4,    /* the address or port cannot be listened on */
    EDGE_EXIT_CORRUPT = 5, /* what is stored is damaged */
};

/* "0.1.0", and what standard clients are told: they look for three numbers of a ZooKeeper. */
#define EDGE_VERSION "0.1.0"
#define EDGE_ZOOKEEPER_VERSION "3.9.3-moonkeeper, built on 2026-11-22 00:00 UTC"

/* ---- Options: conf/moonkeeper.cfg is their manual ---- */

enum edge_action {
    EDGE_SERVE,
    EDGE_CHECK,
    EDGE_REJOIN,
    EDGE_RESTORE,
    EDGE_SHOW_HELP,
    EDGE_SHOW_VERSION
};

/* The CPU time of the loop's thread, as it was asked for last. */
struct edge_elapsed {
    uint64_t asked_ns; /* monotonic */
    mk_ms used_ms;
};

#define EDGE_SUPER_USERS_MAX 64 /* each is looked at when a SASL user comes in */
#define EDGE_SASL_SECRET_BYTES 32

struct tls; /* edge/tls.h */

/* TLS of one kind of connections: ssl.*, or ssl.quorum.* for those between servers. */
struct edge_tls_options {
    char *key_file; /* keyStore.location, PEM; NULL: none */
    char *key_type;
    char *key_password;
    char *key_password_file; /* keyStore.passwordPath */
    char *trust_file;        /* trustStore.location, PEM; NULL: none */
    char *trust_type;
    char *protocol;
    char *protocols;           /* enabledProtocols */
    char *ciphers;             /* ciphersuites */
    char *client_auth;         /* clientAuth; NULL: need */
    bool host_verified;        /* hostnameVerification: of who is dialled */
    bool client_host_verified; /* clientHostnameVerification: of who connects */
    bool crl;                  /* the trust store has lists of what is revoked */
    bool dials;                /* not only who connects is verified */
    bool reloaded;             /* when the files change, not only when SIGHUP comes */
    mk_ms handshake_ms;        /* until it must be done */
};

struct edge_options {
    enum edge_action action;
    struct server_options server; /* the catalogue is filled in by edge_catalogue_read() */
    char *data_dir;
    char *log_dir;              /* dataLogDir; NULL: data_dir */
    char *backup_dir;           /* where SIGUSR1 puts backups; NULL: nowhere */
    char *restore_from;         /* EDGE_RESTORE: a backup */
    char *address;              /* NULL: all */
    uint32_t port;              /* 0: any that is free */
    char *secure_address;       /* secureClientPortAddress; NULL: all */
    uint32_t secure_port;       /* secureClientPort; 0: any that is free */
    int64_t listen_backlog;     /* -1: the edge's own choice */
    uint32_t address_conns_max; /* connections of one IP address; 0: no limit */
    uint32_t conns_max;         /* all connections; 0: no limit */
    bool keepalive;
    uint64_t conn_output_bytes_max;
    uint64_t cache_bytes; /* of store and RocksDB together */
    uint64_t overlay_bytes;
    uint64_t segment_bytes;
    uint64_t log_kept_bytes; /* for members that come back, whatever the checkpoint */
    bool sync;               /* forceSync */
    mk_ms sync_warning_ms;
    bool admin;          /* admin.enableServer: HTTP for operators */
    char *admin_address; /* NULL: all */
    uint32_t admin_port; /* 0: any that is free */
    char *admin_path;    /* admin.commandURL */
    mk_ms admin_idle_ms;
    char *metrics_class; /* metricsProvider.className */
    bool prometheus;     /* ... names Prometheus' */
    char *prometheus_address;
    uint32_t prometheus_port;
    char *file_text; /* of the configuration file; NULL: there is none */
    uint32_t words;  /* four-letter words that are answered: admin_words_parse() */
    char *super_digest;
    uint32_t digest_hash; /* enum tree_digest */
    bool auth_enforced;
    char *auth_schemes;    /* enforce.auth.schemes; NULL: none */
    char *sasl_users_file; /* NULL: no SASL */
    char *sasl_section;
    char *sasl_super_password; /* of the user super, whatever the file says; NULL: as it says */
    bool sasl_required;
    char *sasl_super;                                  /* superUser; NULL: none */
    char *sasl_any;                                    /* letAnySaslUserDoX; NULL: none */
    struct mk_bytes sasl_supers[EDGE_SUPER_USERS_MAX]; /* superUser.N, and superUser */
    size_t sasl_supers_count;
    struct sasl_users *sasl_users; /* as the file has them, once it has been read */
    uint8_t sasl_secret[EDGE_SASL_SECRET_BYTES];
    char *recipe_admin; /* "digest:ann:HASH,sasl:bob"; NULL: nobody but super */
    char *recipe_dir;   /* NULL: where an installation or a checkout has it */
    uint32_t log_level; /* enum mk_log_level */
    /* An ensemble. What the core is to know of it is in server.ensemble. */
    const struct jute_ensemble *ensemble; /* NULL: this server is alone */
    const struct jute_member *self;       /* of it */
    const char *ensemble_text;            /* server.ensemble.text, for whoever prints it */
    struct jute_ensemble *listed;         /* the lines server.N, whatever comes of them */
    char *dynamic_file;                   /* dynamicConfigFile; NULL: none */
    char *peer_type;
    char *member_refuses;    /* "key=value" that no member can do; NULL: none */
    bool standalone_allowed; /* standaloneEnabled */
    bool port_given;
    bool secure_given;      /* there is a port for TLS */
    bool clients_plain;     /* there is a port without */
    bool clients_either;    /* client.portUnification: that port takes TLS, too */
    int64_t handshakes_max; /* netty.server.outstandingHandshake.limit; below 1: our own choice */
    struct edge_tls_options clients_tls_options;
    struct tls *clients_tls; /* NULL: no client has it */
    char *x509_super;        /* X509AuthenticationProvider.superUser; NULL: none */
    bool peers_secure;       /* sslQuorum: other servers are dialled with TLS */
    bool peers_either;       /* portUnification: they may come with it or without */
    struct edge_tls_options peers_tls_options;
    struct tls *peers_tls; /* NULL: no server has it */
    bool listen_all;       /* quorumListenOnAllIPs */
    bool peer_keepalive;
    mk_ms peer_connect_ms; /* cnxTimeout */
    struct mk_buf ignored; /* keys that only ZooKeeper knows what to do with: "a, b" */
    struct mk_arena texts; /* owns every char * above */
    struct edge_elapsed
        elapsed; /* for server_options.elapsed_context: options outlive the server */
};
void edge_options_default(struct edge_options *options);
void edge_options_free(struct edge_options *options);
/* Apply the file that --config names, then the other arguments, and look at the whole. Anything but
 * MK_OK: `error` names the argument, or the file and line, and what would be right. */
enum mk_status edge_options_read(struct edge_options *options, int argc, char *const *argv,
                                 struct mk_error *error);
extern const char edge_help[]; /* one screen; begins with an example */

/* The recipes in the directory of the options, sorted by name, copied into `options`. Anything but
 * MK_OK: a directory that was asked for, or a recipe in it, cannot be read. A default directory that
 * is missing means no recipes. */
enum mk_status edge_catalogue_read(struct edge_options *options, struct mk_error *error);

/* The users of SASL, from the file of the options, if there is one, and a secret to make nonces of. Like
 * everything in a file of options, they are as they were at the start. Anything but MK_OK: the file
 * cannot be read, or is not such a file. */
enum mk_status edge_sasl_users_read(struct edge_options *options, struct mk_error *error);

/* TLS, from the files of the options, if any of them wants it. As above. */
enum mk_status edge_tls_read(struct edge_options *options, struct mk_error *error);

/* ---- Log lines on standard error: time, level, what mk_log() was given ---- */

/* Of one sentence (what comes before two spaces) at most EDGE_LINES_MAX lines in EDGE_LINES_MS are
 * written, then one that says how many were not; errors and debug lines always. Any thread. */
#define EDGE_LINES_MAX 20
#define EDGE_LINES_MS 10000
struct edge_lines;
struct edge_lines *edge_lines_new(enum mk_log_level level, int descriptor);
void edge_lines_free(struct edge_lines *lines);
const struct mk_log *edge_lines_log(struct edge_lines *lines);

/* ---- The loop ---- */

struct edge;
/* Neither options nor log may change or go before the edge does. */
struct edge *edge_new(const struct edge_options *options, const struct mk_log *log);
void edge_free(struct edge *edge);
/* Reserve the address, so that a port in use is known before anything else is touched. Connections
 * are accepted only from edge_run() on. MK_IN_USE, or MK_IO. */
enum mk_status edge_bind(struct edge *edge, struct mk_error *error);

/* Monotonic milliseconds, and wall time: what server_tick() wants, also before the loop runs. */
struct server_time edge_now(void);
mk_ms edge_elapsed_ms(void *context); /* for server_options.elapsed_ms; a struct edge_elapsed */

/* What the loop drives. All stay the caller's. */
struct edge_core {
    struct server *server;
    struct store *store;
    struct store_log *log;
    const char *log_path; /* its directory, in which the epochs are */
    /* For who takes in a leader's snapshot: where the state is, how it is opened, and where its owner
     * keeps the store, which is exchanged for another one. */
    const char *state_path;
    const struct store_options *store_options;
    const struct store_disk_options *disk_options;
    struct store **store_owner;
    struct server_epochs epochs; /* as they are there */
    mk_ms recovery_ms;           /* how long it took to come so far */
};
/* The name of a file in the data directory: what came of the last backup. */
#define EDGE_BACKUP_ANSWER "backup.last"
/* Whether some of what was here may be lost, until a leader has brought this server up to date: then it is
 * to be started with -1 for its last zxid. A file says so, beside the state. */
#define EDGE_AMNESIAC "amnesiac"
bool edge_amnesiac(const char *data_dir);
enum mk_status edge_amnesiac_mark(const char *data_dir, struct mk_error *error); /* durably */
bool edge_amnesiac_end(const char *data_dir); /* false: it stays */
/* Both directories locked, and no server in them: mark it, then put state and log aside (what `*aside` names,
 * in both). Promises stay. Nothing is deleted; after a failure it can be asked again. */
#define EDGE_ASIDE_BYTES 32
/* A server out of a backup, where there is none: both directories locked. First the files, under the mark of
 * one that has forgotten; then, with state and log opened, what makes of it a member that may vote. A crash in
 * between leaves one that must not. `*committed` goes from the one to the other. */
enum mk_status edge_restore_files(const struct edge_options *options, const char *state_path,
                                  const char *log_path, mk_zxid *committed, struct mk_error *error);
enum mk_status edge_restore_promises(const struct edge_core *core, const char *log_path,
                                     mk_zxid committed, struct mk_error *error);
enum mk_status edge_rejoin(const char *data_dir, const char *log_home, char aside[EDGE_ASIDE_BYTES],
                           struct mk_error *error);
/* Serve until SIGTERM or SIGINT; then answer what is outstanding and checkpoint, both for a bounded
 * time, and return EDGE_EXIT_OK. When the disk fails the process ends here and now, with a line that
 * says why, so that nothing is acknowledged that may not be kept. */
enum edge_exit edge_run(struct edge *edge, const struct edge_core *core);

#endif
