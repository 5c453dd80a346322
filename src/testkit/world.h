/* Private to testkit: a server, or several that are one, with its clients and its clock, driven by hand. Nothing happens
 * but what is asked for, time passes only in testkit_world_advance(), and the same steps give the same
 * world in every process. Knows nothing of Lua. */
#ifndef MK_TESTKIT_WORLD_H
#define MK_TESTKIT_WORLD_H

#include "base/base.h"
#include "jute/jute.h"
#include "server/server.h"
#include "store/store.h"
#include "testkit/links.h"
#include "testkit/member.h"

#define TESTKIT_TICK_MS 100 /* sessions expire at most that much later than their timeout */
/* Of several servers, which say something to each other twice in each, however long a time passes. */
#define TESTKIT_ENSEMBLE_TICK_MS 400
#define TESTKIT_SERVERS_MAX 5
#define TESTKIT_HISTORY_COUNT 500
#define TESTKIT_TIMEOUT_MAX_MS ((mk_ms)24 * 3600 * 1000)

struct testkit_client {
    struct testkit_world *world;
    struct testkit_member *member; /* that it is, or was last, connected to */
    uint32_t turn;                 /* chooses the next one */
    struct server_conn *conn;      /* NULL: not connected */
    mk_session session;            /* 0: has never been connected */
    uint8_t password[JUTE_PASSWORD_BYTES];
    int32_t timeout_ms;
    int32_t xid;
    mk_ms heard_ms;      /* when the server last heard from it */
    mk_zxid zxid;        /* of the last answer that was taken: what it knows is as old */
    struct mk_buf input; /* frames received and not taken yet */
};

/* Whoever authenticates so, by digest, is super. */
#define TESTKIT_SUPER "super:secret"

struct testkit_world {
    struct mk_arena texts; /* of the catalogue */
    struct server_recipe *catalogue;
    size_t catalogue_count;
    struct mk_buf super_digest;
    struct testkit_member members[TESTKIT_SERVERS_MAX];
    size_t members_count;
    struct testkit_links *links;   /* NULL: it is one server, alone */
    struct testkit_member *leader; /* the one that is alone, or leads; NULL: while there is none */
    mk_ms tick_ms;
    struct server_time now;
    struct mk_buf lines; /* what the servers and recipes logged, a line each */
    struct mk_log log;
    struct testkit_client **clients;
    uint32_t clients_count;
    size_t checked;    /* so many bytes of the logs have been followed by a check of everything */
    bool cut_armed;    /* the power goes when the leader's log ... */
    uint32_t cut_left; /* ... has taken this many entries more */
    bool leaks;        /* ... and what it could not take has reached the others: every other time */
    bool dark;         /* it has gone: nobody hears from the servers until the fail-over */
};

/* The recipes' names and sources are copied. NULL: `error` says which recipe is wrong, and where. */
struct testkit_world *testkit_world_new(const struct server_recipe *recipes, size_t count,
                                        size_t servers, struct mk_error *error);
void testkit_world_free(struct testkit_world *world);

/* Let time pass, to `ms` from now, step by step as things come due. Connected clients ping. */
void testkit_world_advance(struct testkit_world *world, mk_ms ms);

/* From now on the log takes `entries` entries; at the next one the power goes: that batch keeps what the
 * log took of it, and nothing of it is answered. */
void testkit_world_cut(struct testkit_world *world, uint32_t entries);

/* The server dies, if it has not yet, and a successor, a millisecond later, recovers from the log. Of
 * several the leader dies, another is elected, and it comes back, all in less than a second or two. All
 * connections are gone. False: `error`. */
bool testkit_world_fail_over(struct testkit_world *world, struct mk_error *error);

/* Every invariant of the servers'. */
void testkit_world_check(struct testkit_world *world);

/* ---- What an omniscient observer sees ---- */

bool testkit_world_session_alive(const struct testkit_world *world, mk_session session);
/* The call node of the session's parked call with that id, appended to `path`. False: none is parked. */
bool testkit_world_call_node(struct testkit_world *world, mk_session session, int64_t call_id,
                             struct mk_buf *path);
enum mk_status testkit_world_children(struct testkit_world *world, struct mk_bytes path,
                                      struct mk_buf *names); /* appended, each as a field */

/* ---- Clients. They speak to the server in frames, as any other does. ---- */

struct testkit_client *testkit_client_new(struct testkit_world *world); /* the world's */

enum testkit_attach { TESTKIT_ATTACHED, TESTKIT_REFUSED, TESTKIT_UNANSWERED };
/* Connect: with a new session the first time, then to the one it has. Refused: it has ended. */
enum testkit_attach testkit_client_attach(struct testkit_client *client, mk_ms timeout_ms);
void testkit_client_detach(struct testkit_client *client);

/* Send, and let everything happen that can. The xid, or 0: it is not connected. */
int32_t testkit_client_ask(struct testkit_client *client, struct jute_request *request);
/* The answer to `xid`, if it has come. It stays until taken, and valid until the next call. */
bool testkit_client_answer(struct testkit_client *client, int32_t xid, struct jute_reply *reply);
void testkit_client_take(struct testkit_client *client, int32_t xid);

#endif
