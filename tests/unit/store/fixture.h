/* A store over the memory base, and short ways to change it and to look at it. Each change is a
 * transaction of its own, at the next zxid and at time 1000 * zxid, in the view that the fixture
 * looks through. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/store.h"

struct fixture {
    struct store_base *base; /* kept, for stores that are opened again */
    struct store *store;
    struct store_view *view;
    mk_zxid zxid; /* of the last transaction */
};

void fixture_open(struct fixture *fixture);
void fixture_open_base(struct fixture *fixture); /* over the base that is set, and then its own */
void fixture_close(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);    /* as after a crash */
void fixture_speculate(struct fixture *fixture); /* change and look at the speculative view */

void begin(struct fixture *fixture);
void end(struct fixture *fixture);
enum mk_status try_create(struct fixture *fixture, const struct store_create *create);
void create(struct fixture *fixture, const char *path, const char *data); /* data NULL: null */
void create_ephemeral(struct fixture *fixture, const char *path, mk_session session);
enum mk_status try_delete(struct fixture *fixture, const char *path);
void delete (struct fixture *fixture, const char *path);
void set_data(struct fixture *fixture, const char *path, const char *data, int32_t version);
void set_bytes(struct fixture *fixture, const char *path, struct mk_bytes data);
void checkpoint(struct fixture *fixture);

struct store_znode look(struct fixture *fixture, const char *path); /* with data; it must exist */
bool absent(struct fixture *fixture, const char *path);
/* Names, each followed by a space. */
const char *list(struct fixture *fixture, const struct store_children *query);
const char *names_of(struct fixture *fixture, const char *path);

/* The calls of which a wait does not hold, in the order in which they are to be run, if none of them
 * changes anything; and those whose session has ended. Numbers, each followed by a space. */
const char *ready(struct fixture *fixture);
const char *gone(struct fixture *fixture);

void assert_text(struct mk_bytes bytes, const char *expected);

#endif
