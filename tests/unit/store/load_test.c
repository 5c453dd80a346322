/* Loads: rows that are on disk only, read on another thread while the core goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

/* Larger than the fixture's cache: whoever reads them drives out what is clean. */
#define OTHERS_COUNT 40
static char other_data[64 << 10];

struct cold {
    struct fixture fixture;
    struct mk_random random;
};

/* Every row is on disk only, until it is loaded. */
static void cold_open(struct cold *cold)
{
    mk_random_seed(&cold->random, 7);
    cold->fixture = (struct fixture){.base = store_base_memory(&cold->random, 1000)};
    fixture_open_base(&cold->fixture);
    create(&cold->fixture, "/a", "old");
    memset(other_data, 'x', sizeof(other_data) - 1);
    for (int i = 0; i < OTHERS_COUNT; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/other-%02d", i);
        create(&cold->fixture, path, other_data);
    }
    checkpoint(&cold->fixture);
    fixture_reopen(&cold->fixture);
}

static void drive_out(struct fixture *fixture)
{
    for (int i = 0; i < OTHERS_COUNT; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/other-%02d", i);
        (void)look(fixture, path);
    }
}

static enum mk_status read_at_once(struct fixture *fixture, const char *path,
                                   struct store_znode *znode)
{
    store_view_blocking(fixture->view, false);
    enum mk_status status = store_znode_read(fixture->view, mk_bytes_text(path), true, znode);
    store_view_blocking(fixture->view, true);
    return status;
}

/* Ask until a row of the znode itself is wanted and read by "the other thread", not yet handed over. */
static void load_begin(struct fixture *fixture, const char *path, struct store_load *load)
{
    struct store_znode znode;

    *load = (struct store_load){0};
    enum mk_status status = read_at_once(fixture, path, &znode);
    assert_int_equal(status, MK_WOULD_BLOCK);
    store_load_wanted(fixture->store, load);
    status = store_load(store_base_of(fixture->store), load);
    assert_int_equal(status, MK_OK);
}

static void what_a_load_has_found_is_read_without_the_disk(void **state)
{
    struct cold cold;
    struct store_load load;
    struct store_znode znode;
    cold_open(&cold);
    load_begin(&cold.fixture, "/a", &load);
    assert_true(load.found);

    store_load_done(cold.fixture.store, &load);

    assert_int_equal(read_at_once(&cold.fixture, "/a", &znode), MK_OK);
    assert_text(znode.data, "old");
    fixture_close(&cold.fixture);
}

static void a_load_that_found_nothing_says_that_there_is_nothing(void **state)
{
    struct cold cold;
    struct store_load load;
    struct store_znode znode;
    cold_open(&cold);
    load_begin(&cold.fixture, "/nothing", &load);
    assert_false(load.found);

    store_load_done(cold.fixture.store, &load);

    assert_int_equal(read_at_once(&cold.fixture, "/nothing", &znode), MK_NO_NODE);
    fixture_close(&cold.fixture);
}

static void what_was_written_meanwhile_is_newer_than_what_a_load_has_found(void **state)
{
    struct cold cold;
    struct store_load load;
    cold_open(&cold);
    load_begin(&cold.fixture, "/a", &load);

    set_data(&cold.fixture, "/a", "new", 1);
    store_load_done(cold.fixture.store, &load);

    assert_text(look(&cold.fixture, "/a").data, "new");
    fixture_close(&cold.fixture);
}

static void what_was_written_and_has_left_memory_meanwhile_is_newer_too(void **state)
{
    struct cold cold;
    struct store_load load;
    cold_open(&cold);
    load_begin(&cold.fixture, "/a", &load);

    set_data(&cold.fixture, "/a", "new", 1);
    checkpoint(&cold.fixture);
    drive_out(&cold.fixture);
    drive_out(&cold.fixture); /* the first time round it is given a second chance */
    store_load_done(cold.fixture.store, &load);

    assert_text(look(&cold.fixture, "/a").data, "new");
    fixture_close(&cold.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_load_has_found_is_read_without_the_disk),
        cmocka_unit_test(a_load_that_found_nothing_says_that_there_is_nothing),
        cmocka_unit_test(what_was_written_meanwhile_is_newer_than_what_a_load_has_found),
        cmocka_unit_test(what_was_written_and_has_left_memory_meanwhile_is_newer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
