/* Listing: by name and by creation, either way, in pages; descendants; sessions and ephemerals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static void family(struct fixture *fixture)
{
    create(fixture, "/p", "");     /* zxid 1 */
    create(fixture, "/p/b", "");   /* 2 */
    create(fixture, "/p/d", "");   /* 3 */
    create(fixture, "/p/a", "");   /* 4 */
    create(fixture, "/p/a/x", ""); /* 5 */
    create(fixture, "/p/c", "");   /* 6 */
    create(fixture, "/p!", "");    /* 7: its key lies between those of /p's children and /p/a's */
    create(fixture, "/p!/y", "");  /* 8 */
}

static void children_are_listed_by_name_either_way(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    struct store_children query = {.path = MK_BYTES("/p")};
    assert_string_equal(list(&fixture, &query), "a b c d ");
    query.from = MK_BYTES("b");
    assert_string_equal(list(&fixture, &query), "c d ");
    query.from = MK_BYTES("bb");
    assert_string_equal(list(&fixture, &query), "c d ");
    query.from = MK_BYTES("");
    assert_string_equal(list(&fixture, &query), "a b c d ");
    query.backwards = true;
    assert_string_equal(list(&fixture, &query), "");
    query.from = MK_BYTES("c");
    assert_string_equal(list(&fixture, &query), "b a ");
    query.from = MK_BYTES_NULL;
    assert_string_equal(list(&fixture, &query), "d c b a ");
    fixture_close(&fixture);
}

static void children_are_listed_in_the_order_of_their_creation_either_way(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    struct store_children query = {.path = MK_BYTES("/p"), .by_creation = true};
    assert_string_equal(list(&fixture, &query), "b d a c ");
    query.from_zxid = 3;
    assert_string_equal(list(&fixture, &query), "a c ");
    query.backwards = true;
    assert_string_equal(list(&fixture, &query), "b ");
    query.from_zxid = 100;
    assert_string_equal(list(&fixture, &query), "c a d b ");
    query.from_zxid = 0;
    assert_string_equal(list(&fixture, &query), "c a d b ");
    fixture_close(&fixture);
}

static void the_roots_children_do_not_include_the_root(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    struct store_children query = {.path = MK_BYTES("/")};
    assert_string_equal(list(&fixture, &query), "p p! zookeeper ");
    query.from = MK_BYTES("");
    assert_string_equal(list(&fixture, &query), "p p! zookeeper ");
    query.from = MK_BYTES_NULL;
    query.backwards = true;
    assert_string_equal(list(&fixture, &query), "zookeeper p! p ");
    query.by_creation = true;
    assert_string_equal(list(&fixture, &query), "p! p zookeeper ");
    fixture_close(&fixture);
}

static void deleted_children_are_not_listed(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    checkpoint(&fixture);
    delete (&fixture, "/p/b");
    delete (&fixture, "/p/d");
    create(&fixture, "/p/b", "");
    struct store_children query = {.path = MK_BYTES("/p"), .by_creation = true};
    assert_string_equal(list(&fixture, &query), "a c b ");
    assert_string_equal(names_of(&fixture, "/p"), "a b c ");
    fixture_close(&fixture);
}

static bool stop_at_second(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    int *visited = context;
    assert_int_equal(czxid, *visited == 0 ? 2 : 3);
    assert_int_equal(position, 0);
    assert_int_equal(name.len, 1);
    return ++*visited < 2;
}

static void a_visitor_stops_the_listing(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    struct store_children query = {.path = MK_BYTES("/p"), .by_creation = true};
    int visited = 0;
    enum mk_status status = store_children_each(fixture.view, &query, stop_at_second, &visited);
    assert_int_equal(status, MK_OK);
    assert_int_equal(visited, 2);
    fixture_close(&fixture);
}

static void descendants_of_all_depths_are_counted(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    family(&fixture);
    create(&fixture, "/p/a/x/z", "");
    static const struct {
        const char *path;
        int64_t count;
    } expected[] = {{"/p", 6}, {"/p/a", 2}, {"/p/a/x", 1}, {"/p/b", 0}, {"/p!", 1}, {"/", 12}};
    for (size_t i = 0; i < MK_COUNT(expected); i++) {
        int64_t count = -1;
        enum mk_status status =
            store_descendants_count(fixture.view, mk_bytes_text(expected[i].path), &count);
        assert_int_equal(status, MK_OK);
        assert_int_equal(count, expected[i].count);
    }
    fixture_close(&fixture);
}

/* ---- Sessions ---- */

struct ids {
    mk_session ids[8];
    int32_t timeouts_ms[8];
    int count;
};

static bool take_session(void *context, mk_session id, int32_t timeout_ms)
{
    struct ids *ids = context;
    ids->ids[ids->count] = id;
    ids->timeouts_ms[ids->count++] = timeout_ms;
    return true;
}

static void put_session(struct fixture *fixture, mk_session id, int32_t timeout_ms)
{
    enum mk_status status = store_session_put(fixture->view, id, timeout_ms);
    assert_int_equal(status, MK_OK);
}

static void sessions_come_change_and_go(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    begin(&fixture);
    put_session(&fixture, 0x100000000000001, 4000);
    put_session(&fixture, -5, 10000);
    put_session(&fixture, -5, 20000);
    put_session(&fixture, 7, 5000);
    enum mk_status removed = store_session_remove(fixture.view, 7);
    assert_int_equal(removed, MK_OK);
    removed = store_session_remove(fixture.view, 8);
    assert_int_equal(removed, MK_OK);
    end(&fixture);

    struct ids ids = {.count = 0};
    enum mk_status status = store_sessions_each(fixture.view, take_session, &ids);
    assert_int_equal(status, MK_OK);
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.ids[0], 0x100000000000001);
    assert_int_equal(ids.timeouts_ms[0], 4000);
    assert_int_equal(ids.ids[1], -5);
    assert_int_equal(ids.timeouts_ms[1], 20000);
    assert_int_equal(store_totals(fixture.store)->sessions, 2);
    int32_t timeout_ms = 0;
    status = store_session_read(fixture.view, -5, &timeout_ms);
    assert_int_equal(status, MK_OK);
    assert_int_equal(timeout_ms, 20000);
    status = store_session_read(fixture.view, 7, &timeout_ms);
    assert_int_equal(status, MK_NO_NODE);
    fixture_close(&fixture);
}

struct paths {
    char text[256];
    size_t len;
    int left;
};

static bool take_path(void *context, struct mk_bytes path)
{
    struct paths *paths = context;
    paths->len += (size_t)snprintf(paths->text + paths->len, sizeof(paths->text) - paths->len,
                                   "%.*s ", (int)path.len, (const char *)path.data);
    return --paths->left > 0;
}

static const char *ephemerals(struct fixture *fixture, mk_session id, struct mk_bytes from,
                              int most)
{
    static struct paths paths;
    paths = (struct paths){.left = most};
    enum mk_status status = store_ephemerals_each(fixture->view, id, from, take_path, &paths);
    assert_int_equal(status, MK_OK);
    return paths.text;
}

static void ephemerals_are_listed_by_session_page_by_page(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create_ephemeral(&fixture, "/p/b", 5);
    create_ephemeral(&fixture, "/a", 5);
    create_ephemeral(&fixture, "/p/c", 6);
    create_ephemeral(&fixture, "/p/a", 5);

    assert_string_equal(ephemerals(&fixture, 5, MK_BYTES_NULL, 9), "/a /p/a /p/b ");
    assert_string_equal(ephemerals(&fixture, 5, MK_BYTES_NULL, 1), "/a ");
    assert_string_equal(ephemerals(&fixture, 5, MK_BYTES("/a"), 1), "/p/a ");
    assert_string_equal(ephemerals(&fixture, 6, MK_BYTES_NULL, 9), "/p/c ");
    assert_string_equal(ephemerals(&fixture, 7, MK_BYTES_NULL, 9), "");
    assert_int_equal(store_totals(fixture.store)->ephemerals, 4);
    delete (&fixture, "/p/a");
    assert_string_equal(ephemerals(&fixture, 5, MK_BYTES_NULL, 9), "/a /p/b ");
    assert_int_equal(store_totals(fixture.store)->ephemerals, 3);
    fixture_close(&fixture);
}

static void containers_and_ttl_znodes_are_nobodys_ephemerals(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_ephemeral(&fixture, "/container", TREE_OWNER_CONTAINER);
    create_ephemeral(&fixture, "/ttl", tree_owner_ttl(1000));
    assert_int_equal(store_totals(fixture.store)->ephemerals, 0);
    assert_int_equal(look(&fixture, "/ttl").stat.owner, tree_owner_ttl(1000));
    fixture_close(&fixture);
}

static bool take_first(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    char *path = context;
    (void)czxid;
    (void)position;
    snprintf(path, 32, "/q/%.*s", (int)name.len, (const char *)name.data);
    return false;
}

/* Quadratic work would show: 40,000 times the first of 40,000, all in front of it deleted. */
static void the_first_of_many_is_found_however_many_were_before_it(void **state)
{
    enum { CHILDREN = 40000 };
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/q", "");
    char path[32];
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(path, sizeof(path), "/q/item-%06d", i);
        create(&fixture, path, "");
    }
    checkpoint(&fixture);
    struct store_children query = {.path = MK_BYTES("/q"), .by_creation = true};
    for (int i = 0; i < CHILDREN; i++) {
        char first[32];
        enum mk_status status = store_children_each(fixture.view, &query, take_first, first);
        assert_int_equal(status, MK_OK);
        snprintf(path, sizeof(path), "/q/item-%06d", i);
        assert_string_equal(first, path);
        delete (&fixture, first);
    }
    assert_string_equal(names_of(&fixture, "/q"), "");
    fixture_close(&fixture);
}

static void what_was_taken_from_the_front_and_not_committed_may_come_back(void **state)
{
    struct fixture fixture;
    char path[64];
    (void)state;

    fixture_open(&fixture);
    create(&fixture, "/q", "");
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof(path), "/q/item-%02d", i);
        create(&fixture, path, "");
    }
    fixture_speculate(&fixture);
    struct store_children first_by_name = {.path = MK_BYTES("/q")};
    for (int i = 0; i < 28; i++) {
        snprintf(path, sizeof(path), "/q/item-%02d", i);
        delete (&fixture, path);
    }
    assert_string_equal(list(&fixture, &first_by_name), "item-28 item-29 ");
    assert_string_equal(list(&fixture, &first_by_name), "item-28 item-29 ");

    create(&fixture, "/q/item-05", "");
    assert_string_equal(list(&fixture, &first_by_name), "item-05 item-28 item-29 ");

    begin(&fixture);
    assert_int_equal(store_znode_delete(fixture.view, MK_BYTES("/q/item-05")), MK_OK);
    assert_string_equal(list(&fixture, &first_by_name), "item-28 item-29 ");
    store_abort(fixture.view);
    assert_string_equal(list(&fixture, &first_by_name), "item-05 item-28 item-29 ");
    store_check(fixture.store);

    store_speculative_reset(fixture.store);
    assert_int_equal(strlen(list(&fixture, &first_by_name)), 30 * strlen("item-00 "));
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_are_listed_by_name_either_way),
        cmocka_unit_test(children_are_listed_in_the_order_of_their_creation_either_way),
        cmocka_unit_test(the_roots_children_do_not_include_the_root),
        cmocka_unit_test(deleted_children_are_not_listed),
        cmocka_unit_test(a_visitor_stops_the_listing),
        cmocka_unit_test(descendants_of_all_depths_are_counted),
        cmocka_unit_test(sessions_come_change_and_go),
        cmocka_unit_test(ephemerals_are_listed_by_session_page_by_page),
        cmocka_unit_test(containers_and_ttl_znodes_are_nobodys_ephemerals),
        cmocka_unit_test(the_first_of_many_is_found_however_many_were_before_it),
        cmocka_unit_test(what_was_taken_from_the_front_and_not_committed_may_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
