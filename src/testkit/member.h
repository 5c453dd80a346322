/* Private to testkit: one server of a world, with its store, its log and its disk. */
#ifndef MK_TESTKIT_MEMBER_H
#define MK_TESTKIT_MEMBER_H

#include "base/base.h"
#include "server/server.h"
#include "store/store.h"

struct testkit_world;

struct testkit_member {
    struct testkit_world *world;
    int64_t id; /* 1 and up */
    /* Survives a crash. */
    struct store_base *base;
    struct mk_buf entries; /* the log: what is durable */
    mk_zxid entries_last;
    struct server_epochs epochs;
    /* Does not. */
    struct store *store;
    struct server *server;           /* NULL: it is down */
    struct store_base *install_base; /* of a snapshot that is being received */
    struct store_install *install;   /* ... or NULL */
};

void testkit_member_init(struct testkit_member *member, struct testkit_world *world, int64_t id);
void testkit_member_deinit(struct testkit_member *member); /* it is down */
/* Recover, then lead; or, if there are others, join them. False: `error`. */
bool testkit_member_boot(struct testkit_member *member, struct mk_error *error);
void testkit_member_crash(struct testkit_member *member); /* if it is up */
/* What it does on its own: answers to clients, rows, log, checkpoints, snapshots. False: nothing. */
bool testkit_member_step(struct testkit_member *member);

#endif
