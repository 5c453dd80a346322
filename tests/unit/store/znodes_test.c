/* Znodes: what create, delete and set do to a znode and to its parent (zookeeper-quorum.md 9.3),
 * and what a new ensemble's tree looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static int32_t served_cversion(struct fixture *fixture, const char *path)
{
    struct store_znode znode = look(fixture, path);
    return 2 * znode.stat.cversion - znode.children_count;
}

/* ---- A new tree ---- */

static void a_new_tree_has_the_znodes_of_zookeeper(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);

    struct store_znode root = look(&fixture, "/");
    assert_int_equal(root.children_count, 1);
    assert_int_equal(root.stat.czxid, 0);
    assert_int_equal(root.stat.pzxid, 0);
    assert_int_equal(served_cversion(&fixture, "/"), -1);
    assert_text(root.data, "");
    assert_null(root.acl.data);
    assert_int_equal(look(&fixture, "/zookeeper").children_count, 2);
    assert_int_equal(served_cversion(&fixture, "/zookeeper"), -2);
    assert_int_equal(served_cversion(&fixture, "/zookeeper/quota"), 0);
    assert_text(look(&fixture, "/zookeeper/quota").data, "");
    struct store_znode config = look(&fixture, "/zookeeper/config");
    assert_int_equal(config.stat.aversion, -1);
    assert_int_equal(config.stat.version, 0);
    assert_text(config.data, "");
    assert_int_equal(config.acl.len, 27);
    assert_int_equal(config.acl.data[7], TREE_READ);
    assert_string_equal(names_of(&fixture, "/"), "zookeeper ");
    assert_string_equal(names_of(&fixture, "/zookeeper"), "config quota ");
    fixture_close(&fixture);
}

static void a_new_tree_counts_four_znodes_and_44_bytes(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    const struct store_totals *totals = store_totals(fixture.store);
    assert_int_equal(totals->znodes, 4);
    assert_int_equal(totals->data_bytes, 44);
    assert_int_equal(totals->ephemerals, 0);
    assert_int_equal(totals->sessions, 0);
    fixture_close(&fixture);
}

static void a_new_tree_is_listed_by_creation_page_by_page(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store_children query = {.path = MK_BYTES("/zookeeper"), .by_creation = true};
    assert_string_equal(list(&fixture, &query), "config quota ");
    query.from_position = look(&fixture, "/zookeeper/config").position;
    assert_string_equal(list(&fixture, &query), "quota ");
    fixture_close(&fixture);
}

/* ---- Create ---- */

static void create_stamps_the_znode(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "hello");

    struct store_znode znode = look(&fixture, "/a");

    assert_int_equal(znode.stat.czxid, 1);
    assert_int_equal(znode.stat.mzxid, 1);
    assert_int_equal(znode.stat.pzxid, 1);
    assert_int_equal(znode.stat.ctime_ms, 1000);
    assert_int_equal(znode.stat.mtime_ms, 1000);
    assert_int_equal(znode.stat.version, 0);
    assert_int_equal(znode.stat.cversion, 0);
    assert_int_equal(znode.stat.aversion, 0);
    assert_int_equal(znode.stat.owner, 0);
    assert_text(znode.data, "hello");
    assert_int_equal(znode.data_length, 5);
    assert_null(znode.acl.data);
    fixture_close(&fixture);
}

static void create_and_delete_move_the_parent_as_zookeeper_does(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create(&fixture, "/p/a", "");
    create(&fixture, "/p/b", "");
    create(&fixture, "/p/c", "");
    assert_int_equal(served_cversion(&fixture, "/p"), 3);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 4);

    delete (&fixture, "/p/a");
    delete (&fixture, "/p/b");

    assert_int_equal(served_cversion(&fixture, "/p"), 5);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 3);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 6);
    assert_int_equal(look(&fixture, "/p").stat.mzxid, 1);
    assert_int_equal(look(&fixture, "/p").stat.version, 0);
    assert_int_equal(look(&fixture, "/p").children_count, 1);
    create(&fixture, "/p/c/d", "");
    set_data(&fixture, "/p/c", "x", 1);
    assert_int_equal(served_cversion(&fixture, "/p"), 5);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 6);
    fixture_close(&fixture);
}

static void create_takes_the_parents_cversion_only_forwards(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    struct store_create ahead = {.path = MK_BYTES("/p/a"), .parent_cversion = 10};
    enum mk_status status = try_create(&fixture, &ahead);
    assert_int_equal(status, MK_OK);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 10);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 2);

    struct store_create behind = {.path = MK_BYTES("/p/b"), .parent_cversion = 3};
    status = try_create(&fixture, &behind);

    assert_int_equal(status, MK_OK);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 10);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 2);
    assert_int_equal(look(&fixture, "/p").children_count, 2);
    fixture_close(&fixture);
}

static void create_without_a_parent_changes_nothing(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    uint64_t before = store_hash(fixture.store);
    struct store_create orphan = {.path = MK_BYTES("/no/a"), .parent_cversion = -1};
    enum mk_status status = try_create(&fixture, &orphan);
    assert_int_equal(status, MK_NO_NODE);
    assert_true(store_hash(fixture.store) == before);
    fixture_close(&fixture);
}

static void create_of_what_exists_replaces_its_acl_and_fixes_the_parent_up(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    static const uint8_t acl[] = "\0\0\0\1\0\0\0\1\0\0\0\5world\0\0\0\6anyone";
    create(&fixture, "/p", "");
    create(&fixture, "/p/a", "old");
    struct store_create again = {.path = MK_BYTES("/p/a"),
                                 .data = MK_BYTES("new"),
                                 .acl = mk_bytes_of(acl, sizeof(acl) - 1),
                                 .parent_cversion = 7};
    enum mk_status status = try_create(&fixture, &again);
    assert_int_equal(status, MK_NODE_EXISTS);
    assert_text(look(&fixture, "/p/a").data, "old");
    assert_int_equal(look(&fixture, "/p/a").acl.len, 27);
    assert_int_equal(look(&fixture, "/p/a").stat.czxid, 2);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 7);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 3);
    assert_int_equal(look(&fixture, "/p").children_count, 1);

    again.parent_cversion = 9;
    again.keep_parent = true;
    again.acl = MK_BYTES_NULL;
    status = try_create(&fixture, &again);

    assert_int_equal(status, MK_NODE_EXISTS);
    assert_null(look(&fixture, "/p/a").acl.data);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 7);
    fixture_close(&fixture);
}

static void positions_count_the_creations_of_one_transaction(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store_znode znode;
    begin(&fixture);
    const char *paths[] = {"/c", "/a", "/b"};
    for (uint32_t i = 0; i < 3; i++) {
        struct store_create create = {.path = mk_bytes_text(paths[i]), .parent_cversion = -1};
        enum mk_status status = store_znode_create(fixture.view, &create, &znode);
        assert_int_equal(status, MK_OK);
        assert_int_equal(znode.position, i);
    }
    end(&fixture);
    fixture_close(&fixture);
}

/* ---- Delete ---- */

static void delete_of_what_is_gone_still_moves_the_parents_pzxid(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");

    enum mk_status status = try_delete(&fixture, "/p/gone");

    assert_int_equal(status, MK_NO_NODE);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 2);
    assert_int_equal(look(&fixture, "/p").stat.cversion, 0);
    status = try_delete(&fixture, "/gone/gone");
    assert_int_equal(status, MK_NO_NODE);
    fixture_close(&fixture);
}

static void delete_refuses_znodes_with_children_and_the_root(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create(&fixture, "/p/a", "");
    enum mk_status status = try_delete(&fixture, "/p");
    assert_int_equal(status, MK_NOT_EMPTY);
    status = try_delete(&fixture, "/");
    assert_int_equal(status, MK_BAD_ARGUMENTS);
    status = try_delete(&fixture, "");
    assert_int_equal(status, MK_BAD_ARGUMENTS);
    assert_int_equal(look(&fixture, "/p").stat.pzxid, 2);
    fixture_close(&fixture);
}

/* ---- Set ---- */

static void set_data_takes_the_transactions_version(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "one");

    set_data(&fixture, "/a", "three", 41);

    struct store_znode znode = look(&fixture, "/a");
    assert_text(znode.data, "three");
    assert_int_equal(znode.stat.version, 41);
    assert_int_equal(znode.stat.mzxid, 2);
    assert_int_equal(znode.stat.mtime_ms, 2000);
    assert_int_equal(znode.stat.czxid, 1);
    assert_int_equal(znode.stat.pzxid, 1);
    fixture_close(&fixture);
}

static void set_acl_changes_the_acl_and_its_version_only(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "one");
    static const uint8_t acl[] = "\0\0\0\1\0\0\0\1\0\0\0\5world\0\0\0\6anyone";
    struct store_znode znode;
    begin(&fixture);
    enum mk_status status = store_znode_set_acl(fixture.view, MK_BYTES("/a"),
                                                mk_bytes_of(acl, sizeof(acl) - 1), 5, &znode);
    end(&fixture);

    assert_int_equal(status, MK_OK);
    assert_int_equal(znode.stat.aversion, 5);
    assert_int_equal(znode.acl.len, 27);
    znode = look(&fixture, "/a");
    assert_int_equal(znode.stat.aversion, 5);
    assert_int_equal(znode.stat.mzxid, 1);
    assert_text(znode.data, "one");
    assert_memory_equal(znode.acl.data, acl, 27);
    fixture_close(&fixture);
}

static void data_of_every_size_comes_back(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "one");
    static const size_t lengths[] = {0, 128, 129, 1, 1000, 100000, 129, 128, 0, 500};
    static uint8_t bytes[100000];
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < MK_COUNT(lengths); i++) {
        set_bytes(&fixture, "/a", mk_bytes_of(bytes, lengths[i]));
        struct store_znode znode = look(&fixture, "/a");
        assert_int_equal(znode.data_length, lengths[i]);
        assert_true(mk_bytes_equal(znode.data, mk_bytes_of(bytes, lengths[i])));
        assert_int_equal(store_totals(fixture.store)->data_bytes, 44 + 2 + (int64_t)lengths[i]);
        store_check(fixture.store);
        if (i % 3 == 0) {
            checkpoint(&fixture);
        }
    }
    delete (&fixture, "/a");
    create(&fixture, "/a", "");
    assert_text(look(&fixture, "/a").data, "");
    assert_int_equal(store_totals(fixture.store)->data_bytes, 46);
    fixture_close(&fixture);
}

static void null_data_is_not_empty_data(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/null", NULL);
    create(&fixture, "/empty", "");
    assert_true(look(&fixture, "/null").data_null);
    assert_null(look(&fixture, "/null").data.data);
    assert_int_equal(look(&fixture, "/null").data_length, 0);
    assert_false(look(&fixture, "/empty").data_null);
    assert_text(look(&fixture, "/empty").data, "");
    set_data(&fixture, "/empty", NULL, 1);
    assert_true(look(&fixture, "/empty").data_null);
    fixture_close(&fixture);
}

static void reading_without_data_does_not_give_data(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "small");
    struct store_znode znode;
    enum mk_status status = store_znode_read(fixture.view, MK_BYTES("/a"), false, &znode);
    assert_int_equal(status, MK_OK);
    assert_null(znode.data.data);
    assert_int_equal(znode.data_length, 5);
    fixture_close(&fixture);
}

/* ---- Any bytes for a path ---- */

static void odd_paths_are_no_znodes(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    create(&fixture, "/a/b", "");
    struct mk_bytes odd[] = {MK_BYTES("a"),         MK_BYTES("//"),
                             MK_BYTES("//a"),       MK_BYTES("/a/"),
                             MK_BYTES("/a//b"),     MK_BYTES("\0"),
                             MK_BYTES("/\0"),       MK_BYTES("/a\0b"),
                             MK_BYTES("/a/b\0"),    MK_BYTES("\0a"),
                             MK_BYTES("a/b"),       MK_BYTES("/\xff\xff"),
                             MK_BYTES("zookeeper"), MK_BYTES("/zookeeper\0config")};
    for (size_t i = 0; i < MK_COUNT(odd); i++) {
        struct store_znode znode;
        struct store_children query = {.path = odd[i]};
        struct store_create child = {.path = odd[i], .parent_cversion = -1};
        int64_t count;
        enum mk_status status = store_znode_read(fixture.view, odd[i], true, &znode);
        assert_int_equal(status, MK_NO_NODE);
        status = store_children_each(fixture.view, &query, NULL, NULL);
        assert_int_equal(status, MK_NO_NODE);
        status = store_descendants_count(fixture.view, odd[i], &count);
        assert_int_equal(status, MK_NO_NODE);
        begin(&fixture);
        status = store_znode_delete(fixture.view, odd[i]);
        assert_int_equal(status, MK_NO_NODE);
        status = store_znode_set_data(fixture.view, odd[i], MK_BYTES("x"), 1, &znode);
        assert_int_equal(status, MK_NO_NODE);
        status = store_znode_set_acl(fixture.view, odd[i], MK_BYTES_NULL, 1, &znode);
        assert_int_equal(status, MK_NO_NODE);
        if (odd[i].data[odd[i].len - 1] != 0xff) {
            status = store_znode_create(fixture.view, &child, &znode);
            assert_int_equal(status, MK_NO_NODE);
        }
        end(&fixture);
    }
    fixture_close(&fixture);
}

static void the_empty_path_is_the_root(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/a", "");
    struct store_znode znode;
    enum mk_status status = store_znode_read(fixture.view, MK_BYTES_NULL, true, &znode);
    assert_int_equal(status, MK_OK);
    assert_int_equal(znode.children_count, 2);
    assert_string_equal(names_of(&fixture, ""), "a zookeeper ");
    int64_t count;
    status = store_descendants_count(fixture.view, MK_BYTES(""), &count);
    assert_int_equal(status, MK_OK);
    assert_int_equal(count, 4);
    struct store_create root = {.path = MK_BYTES("/"), .parent_cversion = -1};
    status = try_create(&fixture, &root);
    assert_int_equal(status, MK_NODE_EXISTS);
    set_data(&fixture, "", "of the root", 1);
    assert_text(look(&fixture, "/").data, "of the root");
    fixture_close(&fixture);
}

static void large_data_of_the_root_is_one_row_under_both_its_names(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    static uint8_t bytes[1000];
    set_bytes(&fixture, "", mk_bytes_of(bytes, sizeof(bytes)));
    assert_int_equal(look(&fixture, "/").data.len, 1000);
    set_bytes(&fixture, "/", mk_bytes_of(bytes, 900));
    assert_int_equal(look(&fixture, "").data.len, 900);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_tree_has_the_znodes_of_zookeeper),
        cmocka_unit_test(a_new_tree_counts_four_znodes_and_44_bytes),
        cmocka_unit_test(a_new_tree_is_listed_by_creation_page_by_page),
        cmocka_unit_test(create_stamps_the_znode),
        cmocka_unit_test(create_and_delete_move_the_parent_as_zookeeper_does),
        cmocka_unit_test(create_takes_the_parents_cversion_only_forwards),
        cmocka_unit_test(create_without_a_parent_changes_nothing),
        cmocka_unit_test(create_of_what_exists_replaces_its_acl_and_fixes_the_parent_up),
        cmocka_unit_test(positions_count_the_creations_of_one_transaction),
        cmocka_unit_test(delete_of_what_is_gone_still_moves_the_parents_pzxid),
        cmocka_unit_test(delete_refuses_znodes_with_children_and_the_root),
        cmocka_unit_test(set_data_takes_the_transactions_version),
        cmocka_unit_test(set_acl_changes_the_acl_and_its_version_only),
        cmocka_unit_test(data_of_every_size_comes_back),
        cmocka_unit_test(null_data_is_not_empty_data),
        cmocka_unit_test(reading_without_data_does_not_give_data),
        cmocka_unit_test(odd_paths_are_no_znodes),
        cmocka_unit_test(the_empty_path_is_the_root),
        cmocka_unit_test(large_data_of_the_root_is_one_row_under_both_its_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
