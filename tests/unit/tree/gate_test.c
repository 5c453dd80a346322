/* Which paths can be gates, and which are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tree/tree.h"

static void assert_gate(const char *path, const char *expected)
{
    struct mk_bytes gate = tree_gate_of_path(mk_bytes_text(path));
    assert_int_equal(gate.data == NULL, expected == NULL);
    if (expected != NULL) {
        assert_true(mk_bytes_equal(gate, mk_bytes_text(expected)));
    }
}

static void a_gate_is_where_a_chroot_would_have_the_calls(void **state)
{
    (void)state;
    assert_gate("/app/zookeeper/calls/lock.acquire-", "/app");
    assert_gate("/a/b/zookeeper/calls/x-", "/a/b");
    assert_gate("/zookeeper/calls/x-", NULL);
    assert_gate("/app/zookeeper/calls", NULL);
    assert_gate("/app/zookeeper/calls/", "/app"); /* a sequence number may follow */
    assert_gate("/app/zookeeper/calls/x/y", NULL);
    assert_gate("/appzookeeper/calls/x", NULL);
    assert_gate("/", NULL);
    assert_gate("", NULL);
    assert_null(tree_gate_of_path(MK_BYTES_NULL).data);
}

static void every_gate_above_a_path_is_found(void **state)
{
    (void)state;
    struct mk_bytes path = MK_BYTES("/a/zookeeper/calls/b/zookeeper/callsign/zookeeper/calls");
    size_t from = 0;

    struct mk_bytes first = tree_gate_above(path, &from);
    struct mk_bytes second = tree_gate_above(path, &from);
    struct mk_bytes third = tree_gate_above(path, &from);

    assert_true(mk_bytes_equal(first, MK_BYTES("/a")));
    assert_true(mk_bytes_equal(second, MK_BYTES("/a/zookeeper/calls/b/zookeeper/callsign")));
    assert_null(third.data);
    from = 0;
    assert_null(tree_gate_above(MK_BYTES("/zookeeper/calls/x"), &from).data);
}

static void a_gate_is_open_if_it_is_a_line_of_the_list(void **state)
{
    (void)state;
    struct mk_bytes list = MK_BYTES("/app\n/a/b\n\n/last");
    assert_true(tree_gate_open(list, MK_BYTES("/app")));
    assert_true(tree_gate_open(list, MK_BYTES("/a/b")));
    assert_true(tree_gate_open(list, MK_BYTES("/last")));
    assert_false(tree_gate_open(list, MK_BYTES("/a")));
    assert_false(tree_gate_open(list, MK_BYTES("/app/")));
    assert_false(tree_gate_open(list, MK_BYTES("/ap")));
    assert_false(tree_gate_open(list, MK_BYTES("/app\n/a/b")));
    assert_false(tree_gate_open(list, MK_BYTES("")));
    assert_false(tree_gate_open(MK_BYTES(""), MK_BYTES("/app")));
    assert_false(tree_gate_open(MK_BYTES_NULL, MK_BYTES("/app")));
    assert_false(tree_gate_open(list, MK_BYTES_NULL));
}

static void what_is_beyond_the_end_of_a_list_opens_nothing(void **state)
{
    (void)state;
    struct mk_buf list = {0};
    while (list.len < TREE_GATES_BYTES_MAX - 4) {
        mk_buf_put_u8(&list, '\n');
    }
    mk_buf_append_bytes(&list, MK_BYTES("/app/inner\n/other"));

    assert_false(tree_gate_open(mk_buf_view(&list), MK_BYTES("/app")));
    assert_false(tree_gate_open(mk_buf_view(&list), MK_BYTES("/app/inner")));
    assert_false(tree_gate_open(mk_buf_view(&list), MK_BYTES("/other")));
    mk_buf_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_is_where_a_chroot_would_have_the_calls),
        cmocka_unit_test(every_gate_above_a_path_is_found),
        cmocka_unit_test(a_gate_is_open_if_it_is_a_line_of_the_list),
        cmocka_unit_test(what_is_beyond_the_end_of_a_list_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
