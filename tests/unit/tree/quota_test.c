/* Quotas: whose znodes say what, and how limits and usage are written (protocol reference, 8.3). */
#include <string.h>

#include "tree/tree.h"
#include "unit/cmocka.h"

/* "limits of /a", "stats of /a", or "". */
static const char *part_of(const char *path)
{
    static char text[256];
    struct mk_buf out = {0};
    struct mk_bytes root = MK_BYTES("");
    enum tree_quota_part part = tree_quota_of_path(mk_bytes_text(path), &root);
    if (part != TREE_QUOTA_NONE) {
        mk_buf_printf(&out, "%s of %.*s", part == TREE_QUOTA_IS_LIMITS ? "limits" : "stats",
                      (int)root.len, (const char *)root.data);
    }
    assert_true(out.len < sizeof(text));
    if (out.len > 0) {
        memcpy(text, out.data, out.len);
    }
    text[out.len] = 0;
    mk_buf_free(&out);
    return text;
}

static void two_znodes_make_the_quota_of_a_path(void **state)
{
    assert_string_equal(part_of("/zookeeper/quota/a/zookeeper_limits"), "limits of /a");
    assert_string_equal(part_of("/zookeeper/quota/a/b/zookeeper_stats"), "stats of /a/b");
    assert_string_equal(part_of("/zookeeper/quota/zookeeper/calls/zookeeper_stats"),
                        "stats of /zookeeper/calls");
    assert_string_equal(part_of("/zookeeper/quota/a"), "");
    assert_string_equal(part_of("/zookeeper/quota/a/zookeeper_limit"), "");
    assert_string_equal(part_of("/zookeeper/quotas/a/zookeeper_limits"), "");
    assert_string_equal(part_of("/a/zookeeper_limits"), "");
    assert_string_equal(part_of("/zookeeper/quota"), "");
    assert_string_equal(part_of("/"), "");
}

static void the_root_and_what_holds_the_quotas_have_none(void **state)
{
    assert_string_equal(part_of("/zookeeper/quota/zookeeper_limits"), "");
    assert_string_equal(part_of("/zookeeper/quota/zookeeper_stats"), "");
    assert_string_equal(part_of("/zookeeper/quota/zookeeper/zookeeper_limits"), "");
    assert_string_equal(part_of("/zookeeper/quota/zookeeper/quota/zookeeper_limits"), "");
    assert_string_equal(part_of("/zookeeper/quota/zookeeper/quota/a/zookeeper_stats"), "");
}

static void a_quota_lies_64_components_deep_at_most(void **state)
{
    char path[1024] = "/zookeeper/quota";
    for (int i = 0; i < TREE_QUOTA_DEPTH_MAX; i++) {
        strcat(path, "/d");
    }
    size_t len = strlen(path);
    strcat(path, "/zookeeper_limits");
    assert_memory_equal(part_of(path), "limits of /d/d", 14);

    strcpy(path + len, "/d/zookeeper_limits");

    assert_string_equal(part_of(path), "");
}

static void assert_limits(const char *text, int64_t count, int64_t bytes, int64_t count_hard,
                          int64_t bytes_hard)
{
    struct tree_quota quota;
    tree_quota_parse(mk_bytes_text(text), &quota);
    assert_int_equal(quota.count, count);
    assert_int_equal(quota.bytes, bytes);
    assert_int_equal(quota.count_hard, count_hard);
    assert_int_equal(quota.bytes_hard, bytes_hard);
}

static void limits_are_read_as_zookeeper_writes_them(void **state)
{
    assert_limits("count=5,bytes=100", 5, 100, -1, -1);
    assert_limits("count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=4", -1, -1, 4, 20);
    assert_limits("byteHardLimit=20,,;;count=3", 3, -1, -1, 20);
    assert_limits("count=,bytes=+7", -1, 7, -1, -1);
    assert_limits("count=0", 0, -1, -1, -1);
}

static void what_cannot_be_read_sets_no_limit(void **state)
{
    assert_limits("", -1, -1, -1, -1);
    assert_limits("count", -1, -1, -1, -1);
    assert_limits("count=five,bytes=1e3", -1, -1, -1, -1);
    assert_limits("count=99999999999999999999,bytes=-", -1, -1, -1, -1);
    assert_limits("=5;Count=5; count=5", -1, -1, -1, -1);
    struct tree_quota quota;
    tree_quota_parse(MK_BYTES_NULL, &quota);
    assert_int_equal(quota.count, -1);
    tree_quota_parse(MK_BYTES("count=1\0,bytes=2"), &quota);
    assert_int_equal(quota.count, -1);
    assert_int_equal(quota.bytes, 2);
}

static void usage_is_written_as_zookeeper_does(void **state)
{
    struct mk_buf out = {0};
    tree_quota_usage(&out, 2, 5);
    assert_int_equal(out.len, 15);
    assert_memory_equal(out.data, "count=2,bytes=5", 15);
    mk_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_znodes_make_the_quota_of_a_path),
        cmocka_unit_test(the_root_and_what_holds_the_quotas_have_none),
        cmocka_unit_test(a_quota_lies_64_components_deep_at_most),
        cmocka_unit_test(limits_are_read_as_zookeeper_writes_them),
        cmocka_unit_test(what_cannot_be_read_sets_no_limit),
        cmocka_unit_test(usage_is_written_as_zookeeper_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
