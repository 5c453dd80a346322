/* An ensemble in one process: servers over memory stores, links as queues of bytes, one step at a time. */
#ifndef TEST_SERVER_CLUSTER_H
#define TEST_SERVER_CLUSTER_H

#include "world.h"

#define CLUSTER_MEMBERS_MAX 5
#define CLUSTER_LINKS_MAX 64

struct cluster;
struct link;

struct member {
    struct world world; /* its server, store and log */
    struct cluster *cluster;
    int64_t id;
    bool up;
    bool stuck;     /* its log does not sync */
    bool unwritten; /* its checkpoints do not come to their end */
    struct store_checkpoint *checkpoint;
    struct server_epochs epochs;
    struct server_batch batch;
    bool batch_out;
    struct server_epochs storing;
    struct store_base *install_base; /* a snapshot is being received */
    struct store_install *install;
    size_t snapshots;           /* that it has received */
    struct mk_buf config, next; /* the members, and those that are proposed, as its disk has them */
    bool epochs_out;
};

struct end {
    struct link *link;
    int side;
};
struct link { /* between two quorum ports */
    bool used;
    struct member *members[2];
    struct server_peer *peers[2]; /* NULL: that side has closed it */
    struct mk_buf wire[2];        /* to that side */
    struct end ends[2];
};

struct cluster {
    struct member members[CLUSTER_MEMBERS_MAX];
    size_t count;
    size_t observers; /* the last ones */
    struct link links[CLUSTER_LINKS_MAX];
    struct server_time now;
    bool cut[CLUSTER_MEMBERS_MAX][CLUSTER_MEMBERS_MAX]; /* nothing passes between these two */
    size_t chunk;                                       /* bytes that pass at once; 0: all */
    size_t turn;
    uint32_t history_count;
    uint64_t overlay_bytes; /* 0: 64 MB */
    bool reconfig;          /* members may change; ... */
    size_t members_count;   /* the first ones; the others know them, and themselves */
    const struct server_recipe *recipes;
    size_t recipes_count;
};

void cluster_init(struct cluster *cluster, size_t count, size_t observers);
/* `count` servers of which the first `members` are an ensemble, whose members may change. Those are started;
 * whoever is to join them is started later. Everybody may do everything. */
void cluster_init_changing(struct cluster *cluster, size_t members, size_t count);
/* "server.4=…:participant;…" */
void cluster_line(struct mk_buf *out, int64_t id, const char *role);
/* With a catalogue, which is borrowed. */
void cluster_init_recipes(struct cluster *cluster, size_t count, size_t observers,
                          const struct server_recipe *recipes, size_t recipes_count);
void cluster_deinit(struct cluster *cluster);
bool cluster_step(struct cluster *cluster); /* false: nothing happens unless time passes */
void cluster_settle(struct cluster *cluster);
void cluster_advance(struct cluster *cluster, mk_ms ms);
void cluster_start(struct cluster *cluster, struct member *member);
void cluster_stop(struct cluster *cluster, struct member *member); /* as if killed */
/* Cut off from all others, or joined again. */
void cluster_cut(struct cluster *cluster, struct member *member, bool cut);
/* Let time pass until there is a leader and all that are up serve. */
void cluster_await(struct cluster *cluster);
struct member *cluster_leader(struct cluster *cluster); /* NULL: nobody serves as such */
struct member *cluster_follower(struct cluster *cluster, size_t index);
const char *member_mode(struct member *member);
/* All that are up have the same tree. */
void cluster_check(struct cluster *cluster);

/* Clients, of sessions with that timeout. */
#define CLUSTER_TIMEOUT_MS 10000
void open_client(struct client *client, struct member *member); /* a new session */
void connect_to(struct client *client, struct member *member);  /* the same one, elsewhere */

#endif
