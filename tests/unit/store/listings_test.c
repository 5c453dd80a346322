/* Kept lists of children: what may be served from them, and what they may cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "store/listings.h"

/* ---- The table of lists by itself ---- */

#define ROOM ((uint64_t)4096)

static bool kept(struct listings *listings, const char *parent, const char *expected)
{
    struct mk_bytes names;
    if (!listings_find(listings, mk_bytes_text(parent), &names)) {
        return false;
    }
    assert_text(names, expected);
    return true;
}

static void keep(struct listings *listings, const char *parent, const char *names)
{
    listings_keep(listings, mk_bytes_text(parent), mk_bytes_text(names));
}

static void a_list_is_found_by_its_parent_until_it_is_forgotten(void **state)
{
    struct listings listings;
    listings_init(&listings, ROOM);
    keep(&listings, "/a", "one");
    keep(&listings, "/b", "two");

    assert_true(kept(&listings, "/a", "one"));
    listings_forget(&listings, MK_BYTES("/a"));
    assert_false(kept(&listings, "/a", ""));
    assert_true(kept(&listings, "/b", "two"));
    listings_free(&listings);
}

static void a_newer_list_replaces_the_older_one(void **state)
{
    struct listings listings;
    listings_init(&listings, ROOM);
    keep(&listings, "/a", "one");
    uint64_t bytes = listings.bytes;
    keep(&listings, "/a", "two");

    assert_true(kept(&listings, "/a", "two"));
    assert_int_equal(listings.bytes, bytes);
    listings_free(&listings);
}

static void the_root_has_one_list_however_it_is_written(void **state)
{
    struct listings listings;
    listings_init(&listings, ROOM);
    keep(&listings, "/", "zookeeper");

    assert_true(kept(&listings, "", "zookeeper"));
    listings_forget(&listings, MK_BYTES(""));
    assert_false(kept(&listings, "/", ""));
    listings_free(&listings);
}

static void without_room_the_list_asked_for_longest_ago_goes(void **state)
{
    char names[801];
    struct listings listings;
    memset(names, 'n', sizeof(names) - 1);
    names[sizeof(names) - 1] = '\0';
    listings_init(&listings, ROOM);
    keep(&listings, "/a", names);
    keep(&listings, "/b", names);
    keep(&listings, "/c", names);
    keep(&listings, "/d", names);
    assert_true(kept(&listings, "/a", names));

    keep(&listings, "/e", names);

    assert_false(kept(&listings, "/b", ""));
    assert_true(kept(&listings, "/a", names));
    assert_true(kept(&listings, "/e", names));
    assert_true(listings.bytes <= ROOM);
    listings_free(&listings);
}

static void a_list_that_would_drive_out_most_others_is_not_kept(void **state)
{
    char names[ROOM / LISTING_SHARE + 1];
    struct listings listings;
    memset(names, 'n', sizeof(names) - 1);
    names[sizeof(names) - 1] = '\0';
    listings_init(&listings, ROOM);

    keep(&listings, "/a", names);

    assert_false(kept(&listings, "/a", ""));
    assert_int_equal(listings.bytes, 0);
    listings_free(&listings);
}

static void there_are_never_more_lists_than_the_maximum(void **state)
{
    struct listings listings;
    listings_init(&listings, UINT64_MAX);
    for (int i = 0; i <= LISTINGS_MAX; i++) {
        char parent[16];
        (void)snprintf(parent, sizeof(parent), "/%d", i);
        keep(&listings, parent, "n");
    }

    assert_int_equal(listings.paths.count, LISTINGS_MAX);
    assert_false(kept(&listings, "/0", ""));
    assert_true(kept(&listings, "/1", "n"));
    listings_free(&listings);
}

/* ---- In the store ---- */

static bool store_has(struct fixture *fixture, const char *parent)
{
    struct mk_bytes names;
    return store_listing_find(fixture->store, mk_bytes_text(parent), &names);
}

/* As a server does that has just listed them. */
static void keep_names(struct fixture *fixture, const char *parent, const char *name)
{
    struct mk_buf names = {0};
    mk_buf_put_field(&names, mk_bytes_text(name));
    store_listing_keep(fixture->store, mk_bytes_text(parent), mk_buf_view(&names));
    mk_buf_free(&names);
}

static void a_list_is_forgotten_when_a_child_comes_or_goes(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create(&fixture, "/p/a", "");
    keep_names(&fixture, "/p", "a");
    store_check(fixture.store);

    create(&fixture, "/p/a/grandchild", "");
    set_data(&fixture, "/p/a", "new", 1);
    assert_true(store_has(&fixture, "/p"));

    create(&fixture, "/p/b", "");
    assert_false(store_has(&fixture, "/p"));

    delete (&fixture, "/p/b");
    keep_names(&fixture, "/p", "a");
    delete (&fixture, "/p/a/grandchild");
    assert_true(store_has(&fixture, "/p"));
    delete (&fixture, "/p/a");
    assert_false(store_has(&fixture, "/p"));
    fixture_close(&fixture);
}

static void a_list_is_not_forgotten_for_what_has_not_committed(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create(&fixture, "/p/a", "");
    keep_names(&fixture, "/p", "a");

    fixture_speculate(&fixture);
    create(&fixture, "/p/b", "");

    assert_true(store_has(&fixture, "/p"));
    fixture_close(&fixture);
}

static void that_there_are_no_children_is_not_kept(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");

    store_listing_keep(fixture.store, MK_BYTES("/p"), MK_BYTES(""));

    assert_false(store_has(&fixture, "/p"));
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_found_by_its_parent_until_it_is_forgotten),
        cmocka_unit_test(a_newer_list_replaces_the_older_one),
        cmocka_unit_test(the_root_has_one_list_however_it_is_written),
        cmocka_unit_test(without_room_the_list_asked_for_longest_ago_goes),
        cmocka_unit_test(a_list_that_would_drive_out_most_others_is_not_kept),
        cmocka_unit_test(there_are_never_more_lists_than_the_maximum),
        cmocka_unit_test(a_list_is_forgotten_when_a_child_comes_or_goes),
        cmocka_unit_test(a_list_is_not_forgotten_for_what_has_not_committed),
        cmocka_unit_test(that_there_are_no_children_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
