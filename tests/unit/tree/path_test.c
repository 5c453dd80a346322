#include "tree/tree.h"
#include "unit/cmocka.h"

static void assert_valid(const char *path)
{
    if (tree_path_check(mk_bytes_text(path)) != MK_OK) {
        fail_msg("refused: %s", path);
    }
}

static void assert_invalid(const char *path)
{
    if (tree_path_check(mk_bytes_text(path)) != MK_BAD_ARGUMENTS) {
        fail_msg("accepted: %s", path);
    }
}

static void assert_bytes(struct mk_bytes bytes, const char *text)
{
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.len);
}

/* U+0080 and above, as UTF-8; surrogates too, which nobody should write. */
static struct mk_bytes character_in_path(uint32_t code, uint8_t out[8])
{
    size_t len = 0;
    out[len++] = '/';
    if (code < 0x80) {
        out[len++] = (uint8_t)code;
    } else if (code < 0x800) {
        out[len++] = (uint8_t)(0xc0 | code >> 6);
        out[len++] = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        out[len++] = (uint8_t)(0xe0 | code >> 12);
        out[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[len++] = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        out[len++] = (uint8_t)(0xf0 | code >> 18);
        out[len++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        out[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[len++] = (uint8_t)(0x80 | (code & 0x3f));
    }
    return mk_bytes_of(out, len);
}

static void a_path_is_neither_null_nor_empty(void **state)
{
    assert_int_equal(tree_path_check(MK_BYTES_NULL), MK_BAD_ARGUMENTS);
    assert_invalid("");
}

static void a_path_begins_with_a_slash(void **state)
{
    assert_invalid("a");
    assert_invalid("a/b");
    assert_invalid(".");
    assert_valid("/a");
}

static void only_the_root_ends_with_a_slash(void **state)
{
    assert_valid("/");
    assert_invalid("/a/");
    assert_invalid("/a/b/");
    assert_invalid("//");
}

static void no_component_is_empty(void **state)
{
    assert_invalid("/a//b");
    assert_invalid("//a");
}

static void no_component_is_one_dot_or_two(void **state)
{
    assert_invalid("/.");
    assert_invalid("/..");
    assert_invalid("/a/./b");
    assert_invalid("/a/../b");
    assert_invalid("/a/.");
    assert_invalid("/a/..");
}

static void dots_are_otherwise_letters(void **state)
{
    assert_valid("/...");
    assert_valid("/..a");
    assert_valid("/a..");
    assert_valid("/.hidden");
    assert_valid("/a/.b/c.d");
}

static void spaces_and_other_scripts_are_permitted(void **state)
{
    assert_valid("/a b");
    assert_valid("/\xc2\xa0");
    assert_valid("/\xe4\xb8\xad\xe6\x96\x87");
    assert_valid("/\xc3\xa9t\xc3\xa9/\xce\xb1");
}

static void a_path_holds_no_nul(void **state)
{
    assert_int_equal(tree_path_check(MK_BYTES("/a\0b")), MK_BAD_ARGUMENTS);
    assert_int_equal(tree_path_check(MK_BYTES("/\0")), MK_BAD_ARGUMENTS);
}

static bool character_forbidden(uint32_t code)
{
    return code <= 0x1f || (code >= 0x7f && code <= 0x9f) || (code >= 0xd800 && code <= 0xf8ff) ||
           code >= 0xfff0;
}

static void assert_character(uint32_t code)
{
    uint8_t path[8];
    bool refused = tree_path_check(character_in_path(code, path)) != MK_OK;
    if (refused != character_forbidden(code)) {
        fail_msg("U+%04X is %s", (unsigned)code, refused ? "refused" : "accepted");
    }
}

static void exactly_the_forbidden_characters_are_refused(void **state)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (code != '/' && code != '.') { /* Alone, these are not components. */
            assert_character(code);
        }
    }
}

static void what_is_not_utf8_is_refused(void **state)
{
    assert_invalid("/\x80"); /* a continuation without a beginning */
    assert_invalid("/\xc3"); /* cut off */
    assert_invalid("/\xc3/a");
    assert_invalid("/\xe4\xb8");
    assert_invalid("/\xe4\xb8/");
    assert_invalid("/\xe4/\xad");
    assert_invalid("/\xc0\xaf"); /* '/' the long way */
    assert_invalid("/\xc1\xbf");
    assert_invalid("/\xe0\x80\xaf");
    assert_invalid("/\xe0\x9f\xbf");
    assert_invalid("/\xed\xa0\x80\xed\xb0\x80"); /* a surrogate pair in six bytes */
    assert_invalid("/\xf0\x9f\x98\x80");         /* an emoji */
    assert_invalid("/\xf8\x88\x80\x80\x80");
    assert_invalid("/\xff");
}

static void the_parent_of_a_top_level_znode_is_the_root(void **state)
{
    assert_bytes(tree_path_parent(MK_BYTES("/a")), "/");
    assert_bytes(tree_path_parent(MK_BYTES("/a/b")), "/a");
    assert_bytes(tree_path_parent(MK_BYTES("/a/b/c")), "/a/b");
    assert_bytes(tree_path_parent(MK_BYTES("/a/")), "/a");
}

static void the_name_is_what_follows_the_last_slash(void **state)
{
    assert_bytes(tree_path_name(MK_BYTES("/a")), "a");
    assert_bytes(tree_path_name(MK_BYTES("/a/b")), "b");
    assert_bytes(tree_path_name(MK_BYTES("/a/")), "");
    assert_bytes(tree_path_name(MK_BYTES("/")), "");
}

static void within_means_the_same_or_below(void **state)
{
    assert_true(tree_path_within(MK_BYTES("/a"), MK_BYTES("/a")));
    assert_true(tree_path_within(MK_BYTES("/a/b/c"), MK_BYTES("/a")));
    assert_false(tree_path_within(MK_BYTES("/ab"), MK_BYTES("/a")));
    assert_false(tree_path_within(MK_BYTES("/a"), MK_BYTES("/a/b")));
    assert_false(tree_path_within(MK_BYTES("/b/a"), MK_BYTES("/a")));
}

static void everything_is_within_the_root(void **state)
{
    assert_true(tree_path_within(MK_BYTES("/"), MK_BYTES("/")));
    assert_true(tree_path_within(MK_BYTES("/a/b"), MK_BYTES("/")));
    assert_true(tree_path_within(MK_BYTES("/a/b"), MK_BYTES("")));
    assert_false(tree_path_within(MK_BYTES("/"), MK_BYTES("/a")));
}

static void a_sequence_suffix_has_ten_digits_until_the_counter_overflows(void **state)
{
    struct mk_buf path = {0};
    mk_buf_append_bytes(&path, MK_BYTES("/q/"));
    tree_path_sequence(&path, 7);
    assert_bytes(mk_buf_view(&path), "/q/0000000007");

    path.len = 0;
    tree_path_sequence(&path, INT32_MAX);
    assert_bytes(mk_buf_view(&path), "2147483647");

    path.len = 0;
    tree_path_sequence(&path, INT32_MIN);
    assert_bytes(mk_buf_view(&path), "-2147483648");

    path.len = 0;
    tree_path_sequence(&path, -5);
    assert_bytes(mk_buf_view(&path), "-000000005");
    mk_buf_free(&path);
}

static void a_call_record_is_named_by_its_number(void **state)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];

    tree_call_record_path(path, 0x100000002);

    assert_bytes(mk_bytes_of(path, sizeof(path)), "/zookeeper/calls/.0000000100000002");
    assert_int_equal(tree_path_check(mk_bytes_of(path, sizeof(path))), MK_OK);
    assert_int_equal(tree_call_of_path(mk_bytes_of(path, sizeof(path))), 0x100000002);
}

static void only_the_exact_path_of_a_record_names_a_call(void **state)
{
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/.00000001deadbeef")),
                     0x1deadbeef);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/.00000001DEADBEEF")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/.00000001deadbeeg")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/.00000001deadbee")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/.00000001deadbeeff")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls/x00000001deadbeef")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES("/zookeeper/calls")), 0);
    assert_int_equal(tree_call_of_path(MK_BYTES_NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_neither_null_nor_empty),
        cmocka_unit_test(a_path_begins_with_a_slash),
        cmocka_unit_test(only_the_root_ends_with_a_slash),
        cmocka_unit_test(no_component_is_empty),
        cmocka_unit_test(no_component_is_one_dot_or_two),
        cmocka_unit_test(dots_are_otherwise_letters),
        cmocka_unit_test(spaces_and_other_scripts_are_permitted),
        cmocka_unit_test(a_path_holds_no_nul),
        cmocka_unit_test(exactly_the_forbidden_characters_are_refused),
        cmocka_unit_test(what_is_not_utf8_is_refused),
        cmocka_unit_test(the_parent_of_a_top_level_znode_is_the_root),
        cmocka_unit_test(the_name_is_what_follows_the_last_slash),
        cmocka_unit_test(within_means_the_same_or_below),
        cmocka_unit_test(everything_is_within_the_root),
        cmocka_unit_test(a_sequence_suffix_has_ten_digits_until_the_counter_overflows),
        cmocka_unit_test(a_call_record_is_named_by_its_number),
        cmocka_unit_test(only_the_exact_path_of_a_record_names_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
