/* Containers and TTL znodes without children: in which order the reaper finds them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static void create_owned(struct fixture *fixture, const char *path, int64_t owner)
{
    struct store_create create = {
        .path = mk_bytes_text(path), .owner = owner, .parent_cversion = -1};
    enum mk_status status = try_create(fixture, &create);
    assert_int_equal(status, MK_OK);
}

/* "path order", or "" when there is none. */
static const char *first(struct fixture *fixture, enum store_reapable why)
{
    static char text[128];
    int64_t order;
    struct mk_bytes path;
    enum mk_status status = store_reapable_first(fixture->view, why, &order, &path);
    if (status == MK_END) {
        return "";
    }
    assert_int_equal(status, MK_OK);
    snprintf(text, sizeof(text), "%.*s %lld", (int)path.len, (const char *)path.data,
             (long long)order);
    return text;
}

static void a_container_is_reapable_from_the_loss_of_its_last_child(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/c", TREE_OWNER_CONTAINER);
    create(&fixture, "/c/a", "");
    create(&fixture, "/c/b", "");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");

    delete (&fixture, "/c/a");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");
    delete (&fixture, "/c/b");

    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "/c 5");
    create(&fixture, "/c/d", "");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");
    fixture_close(&fixture);
}

static void a_container_that_was_never_used_is_found_by_its_last_change(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/c", TREE_OWNER_CONTAINER);
    assert_string_equal(first(&fixture, STORE_REAPABLE_UNUSED), "/c 1000");

    set_data(&fixture, "/c", "x", 1);

    assert_string_equal(first(&fixture, STORE_REAPABLE_UNUSED), "/c 2000");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");
    fixture_close(&fixture);
}

static void a_ttl_runs_from_the_last_change_of_data_and_waits_for_children(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/t", tree_owner_ttl(500));
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/t 1500");

    set_data(&fixture, "/t", "x", 1);
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/t 2500");
    create(&fixture, "/t/child", "");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "");
    delete (&fixture, "/t/child");

    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/t 2500");
    fixture_close(&fixture);
}

static void what_is_due_first_is_found_first(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/late", tree_owner_ttl(90000));
    create_owned(&fixture, "/soon", tree_owner_ttl(300));
    create_owned(&fixture, "/z", TREE_OWNER_CONTAINER);
    create_owned(&fixture, "/a", TREE_OWNER_CONTAINER);

    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/soon 2300");
    assert_string_equal(first(&fixture, STORE_REAPABLE_UNUSED), "/z 3000");
    delete (&fixture, "/z");
    delete (&fixture, "/soon");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/late 91000");
    assert_string_equal(first(&fixture, STORE_REAPABLE_UNUSED), "/a 4000");
    assert_int_equal(store_totals(fixture.store)->reapable, 2);
    fixture_close(&fixture);
}

static void ordinary_znodes_and_ephemerals_are_never_found(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create(&fixture, "/p", "");
    create_ephemeral(&fixture, "/e", 0x0100000000000001);
    create_ephemeral(&fixture, "/other", (mk_session)0xfe00000000000001);

    assert_int_equal(store_totals(fixture.store)->reapable, 0);
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");
    assert_string_equal(first(&fixture, STORE_REAPABLE_UNUSED), "");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "");
    fixture_close(&fixture);
}

static void the_order_survives_a_checkpoint_and_a_restart(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/c", TREE_OWNER_CONTAINER);
    create(&fixture, "/c/a", "");
    create_owned(&fixture, "/t", tree_owner_ttl(500));
    checkpoint(&fixture);
    delete (&fixture, "/c/a");
    checkpoint(&fixture);

    fixture_reopen(&fixture);

    assert_int_equal(store_totals(fixture.store)->reapable, 2);
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "/c 4");
    assert_string_equal(first(&fixture, STORE_REAPABLE_EXPIRING), "/t 3500");
    fixture_close(&fixture);
}

static void the_speculative_view_sees_what_will_be_reapable(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    create_owned(&fixture, "/c", TREE_OWNER_CONTAINER);
    create(&fixture, "/c/a", "");
    struct store_view *committed = fixture.view;
    fixture_speculate(&fixture);

    delete (&fixture, "/c/a");

    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "/c 3");
    fixture.view = committed;
    assert_string_equal(first(&fixture, STORE_REAPABLE_EMPTIED), "");
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_container_is_reapable_from_the_loss_of_its_last_child),
        cmocka_unit_test(a_container_that_was_never_used_is_found_by_its_last_change),
        cmocka_unit_test(a_ttl_runs_from_the_last_change_of_data_and_waits_for_children),
        cmocka_unit_test(what_is_due_first_is_found_first),
        cmocka_unit_test(ordinary_znodes_and_ephemerals_are_never_found),
        cmocka_unit_test(the_order_survives_a_checkpoint_and_a_restart),
        cmocka_unit_test(the_speculative_view_sees_what_will_be_reapable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
