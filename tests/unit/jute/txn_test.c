#include "frames.h"

/* TxnHeader: session 0x100002672780000, cxid 7, zxid 0x100000005, time 0x1a2015ceda2, and a type. */
#define HEADER(type) "0100002672780000 00000007 0000000100000005 000001a2015ceda2 " type
#define DIGEST "00000002 00000000deadbeef"
#define PATH_A "00000002 2f61"

/* Each as a leader of ZooKeeper 3.9 sends it; canonical, without a digest. */
static const char *const canonical[] = {
    HEADER("00000001") PATH_A "00000002 6869" OPEN_ACL "01 00000004",
    HEADER("00000001") PATH_A "ffffffff ffffffff 00 00000004",
    HEADER("0000000f") PATH_A "00000000" OPEN_ACL "00 00000004",
    HEADER("00000013") PATH_A "00000000" OPEN_ACL "00000004",
    HEADER("00000015") PATH_A "00000000" OPEN_ACL "00000004 000000000000ea60",
    HEADER("00000002") PATH_A,
    HEADER("00000014") PATH_A,
    HEADER("00000005") PATH_A "00000002 796f 00000003",
    HEADER("00000010") PATH_A "00000004 733d613a ffffffff",
    HEADER("00000007") PATH_A OPEN_ACL "00000002",
    HEADER("fffffff6") "00002710",
    HEADER("ffffffff") "ffffff9b",
    HEADER("0000000e") "00000000",
    HEADER("0000000e") "00000003"
                       "00000001 00000013" PATH_A "00000000 ffffffff 00 00000004"
                       "0000000d 0000000a" PATH_A "00000001"
                       "ffffffff 00000004 fffffffe",
};

static struct jute_txn decoded(void **state, const char *digits)
{
    struct jute_txn txn;
    assert_int_equal(jute_txn_decode(hex(state, digits), &txn), MK_OK);
    return txn;
}

static enum mk_status status_of(void **state, const char *digits)
{
    struct jute_txn txn;
    return jute_txn_decode(hex(state, digits), &txn);
}

static void encode_whole(struct mk_buf *out, const struct jute_txn *txn)
{
    if (txn->type != JUTE_MULTI) {
        jute_txn_encode(out, txn);
        return;
    }
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    struct jute_txn_multi multi = jute_txn_multi_begin(out, txn);
    while (jute_txn_next(&cursor, &part)) {
        jute_txn_multi_put(out, &multi, &part);
    }
    jute_txn_multi_end(out, &multi);
}

/* ---- All types ---- */

static void every_transaction_is_encoded_as_it_was_decoded(void **state)
{
    for (size_t i = 0; i < MK_COUNT(canonical); i++) {
        struct jute_txn txn = decoded(state, canonical[i]);
        struct mk_buf out = {0};

        encode_whole(&out, &txn);

        assert_encoded(state, &out, canonical[i]);
    }
}

/* Where a pre-3.4 create ends: a prefix of a create that is a whole one. */
static bool is_create_v0(const struct jute_txn *txn, struct mk_bytes whole, size_t len)
{
    return txn->type == JUTE_CREATE && len == whole.len - 4;
}

static void every_transaction_cut_short_is_malformed(void **state)
{
    for (size_t i = 0; i < MK_COUNT(canonical); i++) {
        struct mk_bytes whole = hex(state, canonical[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct jute_txn txn;
            enum mk_status status =
                jute_txn_decode(copy(state, mk_bytes_of(whole.data, len)), &txn);
            assert_int_equal(status, is_create_v0(&txn, whole, len) ? MK_OK : MK_MALFORMED);
        }
    }
}

static void a_digest_at_the_end_is_ignored(void **state)
{
    for (size_t i = 0; i < MK_COUNT(canonical); i++) {
        struct mk_buf entry = {0};
        struct jute_txn txn;
        mk_buf_append_bytes(&entry, hex(state, canonical[i]));
        mk_buf_append_bytes(&entry, hex(state, DIGEST));
        struct mk_bytes bytes = copy(state, mk_buf_view(&entry));
        mk_buf_free(&entry);

        assert_int_equal(jute_txn_decode(bytes, &txn), MK_OK);

        struct mk_buf out = {0};
        encode_whole(&out, &txn);
        assert_encoded(state, &out, canonical[i]);
    }
}

static void a_header_says_who_when_and_what(void **state)
{
    struct jute_txn txn = decoded(state, HEADER("00000002") PATH_A);

    assert_int_equal(txn.client_id, 0x100002672780000);
    assert_int_equal(txn.cxid, 7);
    assert_int_equal(txn.zxid, 0x100000005);
    assert_int_equal(txn.time_ms, 0x1a2015ceda2);
    assert_int_equal(txn.type, JUTE_DELETE);
    assert_text(txn.path, "/a");
}

static void a_type_that_is_none_is_malformed(void **state)
{
    assert_int_equal(status_of(state, HEADER("00000000") PATH_A), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("00000009") PATH_A), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("00000011") PATH_A "00000001"), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("000002bc") PATH_A), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("80000000") PATH_A), MK_MALFORMED);
}

static void a_check_is_no_transaction_of_its_own(void **state)
{
    assert_int_equal(status_of(state, HEADER("0000000d") PATH_A "00000001"), MK_MALFORMED);
}

static void a_null_path_is_malformed(void **state)
{
    assert_int_equal(status_of(state, HEADER("00000002") "ffffffff"), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("00000005") "ffffffff 00000000 00000000"),
                     MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("00000001") "ffffffff 00000000 00000000 00 00000000"),
                     MK_MALFORMED);
}

/* ---- Creates ---- */

static void a_create_has_all_that_a_znode_is_made_of(void **state)
{
    struct jute_txn txn = decoded(state, canonical[0]);

    assert_text(txn.path, "/a");
    assert_text(txn.data, "hi");
    assert_bytes(txn.acl, hex(state, OPEN_ACL));
    assert_true(txn.ephemeral);
    assert_int_equal(txn.parent_cversion, 4);
}

static void a_create_of_the_time_before_3_4_has_no_parent_cversion(void **state)
{
    struct jute_txn txn = decoded(state, HEADER("00000001") PATH_A "00000002 6869" OPEN_ACL "01");

    assert_true(txn.ephemeral);
    assert_int_equal(txn.parent_cversion, -1);
}

static void only_a_plain_create_may_lack_its_parent_cversion(void **state)
{
    assert_int_equal(status_of(state, HEADER("0000000f") PATH_A "00000000 00000000 00"),
                     MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("00000013") PATH_A "00000000 00000000"), MK_MALFORMED);
}

static void containers_and_ttl_znodes_are_never_ephemeral(void **state)
{
    struct jute_txn container =
        decoded(state, HEADER("00000013") PATH_A "00000000" OPEN_ACL "00000004");
    struct jute_txn ttl =
        decoded(state, HEADER("00000015") PATH_A "00000000" OPEN_ACL "00000004 000000000000ea60");

    assert_false(container.ephemeral);
    assert_int_equal(container.parent_cversion, 4);
    assert_false(ttl.ephemeral);
    assert_int_equal(ttl.parent_cversion, 4);
    assert_int_equal(ttl.ttl_ms, 60000);
}

/* ---- Sessions and errors ---- */

static void a_new_session_has_its_timeout(void **state)
{
    assert_int_equal(decoded(state, HEADER("fffffff6") "00002710").timeout_ms, 10000);
}

static void a_closed_session_lists_its_ephemerals(void **state)
{
    const char *digits = HEADER("fffffff5") "00000002 00000002 2f61 00000002 2f62";
    struct jute_txn txn = decoded(state, digits);
    struct jute_strings_cursor cursor = jute_strings_begin(txn.paths);
    struct mk_buf out = {0};
    struct mk_bytes path;

    assert_int_equal(txn.paths.count, 2);
    assert_true(jute_strings_next(&cursor, &path));
    assert_text(path, "/a");
    assert_true(jute_strings_next(&cursor, &path));
    assert_text(path, "/b");
    jute_txn_encode(&out, &txn);
    assert_encoded(state, &out, digits);
}

static void a_closed_session_without_a_body_lists_none(void **state)
{
    struct jute_txn txn = decoded(state, HEADER("fffffff5"));
    struct mk_buf out = {0};

    assert_int_equal(txn.paths.count, 0);
    jute_txn_encode(&out, &txn);
    assert_encoded(state, &out, HEADER("fffffff5") "00000000");
}

static void the_digest_of_an_old_leader_is_not_taken_for_ephemerals(void **state)
{
    assert_int_equal(decoded(state, HEADER("fffffff5") "00000002 12345678deadbeef").paths.count, 0);
    assert_int_equal(decoded(state, HEADER("fffffff5") "00000002 ffffffffffffffff").paths.count, 0);
    assert_int_equal(decoded(state, HEADER("fffffff5") "00000002 80000000deadbeef").paths.count, 0);
}

static void of_an_error_only_the_code_is_read(void **state)
{
    struct jute_txn txn = decoded(state, HEADER("ffffffff") "ffffff9b 00000000 ffff");

    assert_int_equal(txn.error, -101);
}

/* ---- Multis ---- */

static void the_parts_of_a_multi_come_in_order_with_its_header(void **state)
{
    struct jute_txn multi =
        decoded(state, HEADER("0000000e") "00000002"
                                          "00000005 0000000e" PATH_A "00000000 00000003"
                                          "00000014 00000006" PATH_A);
    struct jute_txn_cursor cursor = jute_txn_begin(&multi);
    struct jute_txn part;

    assert_int_equal(multi.operations_count, 2);
    assert_true(jute_txn_next(&cursor, &part));
    assert_int_equal(part.type, JUTE_SET_DATA);
    assert_text(part.path, "/a");
    assert_int_equal(part.version, 3);
    assert_int_equal(part.client_id, 0x100002672780000);
    assert_int_equal(part.cxid, 7);
    assert_int_equal(part.zxid, 0x100000005);
    assert_int_equal(part.time_ms, 0x1a2015ceda2);
    assert_true(jute_txn_next(&cursor, &part));
    assert_int_equal(part.type, JUTE_DELETE_CONTAINER);
    assert_text(part.path, "/a");
    assert_null_bytes(part.data);
    assert_false(jute_txn_next(&cursor, &part));
    assert_false(jute_txn_next(&cursor, &part));
}

static void an_error_with_the_old_body_behind_it_is_its_code(void **state)
{
    struct jute_txn multi =
        decoded(state, HEADER("0000000e") "00000002"
                                          "ffffffff 0000000e 00000000 2f61 00000000 00000003"
                                          "ffffffff 00000004 ffffff9b");
    struct jute_txn_cursor cursor = jute_txn_begin(&multi);
    struct jute_txn part;

    assert_true(jute_txn_next(&cursor, &part));
    assert_int_equal(part.type, JUTE_ERROR);
    assert_int_equal(part.error, 0);
    assert_true(jute_txn_next(&cursor, &part));
    assert_int_equal(part.error, -101);
    assert_false(jute_txn_next(&cursor, &part));
}

static void what_follows_a_body_inside_its_part_is_ignored(void **state)
{
    struct jute_txn multi =
        decoded(state, HEADER("0000000e") "00000001 00000002 00000008" PATH_A "0707");

    assert_int_equal(multi.operations_count, 1);
}

static void a_null_vector_of_parts_is_a_multi_of_nothing(void **state)
{
    struct jute_txn multi = decoded(state, HEADER("0000000e") "ffffffff");
    struct jute_txn_cursor cursor = jute_txn_begin(&multi);
    struct jute_txn part;

    assert_false(jute_txn_next(&cursor, &part));
}

#define MULTI_OF_ONE(part) HEADER("0000000e") "00000001" part

static void a_part_that_no_multi_may_hold_is_malformed(void **state)
{
    static const char *const multis[] = {
        MULTI_OF_ONE("0000000e 00000004 00000000"),                   /* a multi */
        MULTI_OF_ONE("fffffff6 00000004 00002710"),                   /* createSession */
        MULTI_OF_ONE("fffffff5 00000004 00000000"),                   /* closeSession */
        MULTI_OF_ONE("00000010 0000000e" PATH_A "00000000 ffffffff"), /* reconfig */
        MULTI_OF_ONE("00000003 00000007" PATH_A "00"),                /* exists */
    };
    for (size_t i = 0; i < MK_COUNT(multis); i++) {
        assert_int_equal(status_of(state, multis[i]), MK_MALFORMED);
    }
}

static void a_part_whose_body_is_too_short_is_malformed(void **state)
{
    static const char *const multis[] = {
        MULTI_OF_ONE("00000002 00000005 00000002 2f 61"),
        MULTI_OF_ONE("ffffffff 00000003 ffffff 9b"),
        MULTI_OF_ONE("00000002 ffffffff"),
        MULTI_OF_ONE("00000002 fffffffe" PATH_A),
    };
    for (size_t i = 0; i < MK_COUNT(multis); i++) {
        assert_int_equal(status_of(state, multis[i]), MK_MALFORMED);
    }
}

static void a_count_of_parts_that_the_bytes_cannot_hold_is_malformed(void **state)
{
    assert_int_equal(status_of(state, HEADER("0000000e") "fffffffe"), MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("0000000e") "7fffffff 00000002 00000006" PATH_A),
                     MK_MALFORMED);
    assert_int_equal(status_of(state, HEADER("0000000e") "00000002 00000002 00000006" PATH_A),
                     MK_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transaction_is_encoded_as_it_was_decoded),
        cmocka_unit_test(every_transaction_cut_short_is_malformed),
        cmocka_unit_test(a_digest_at_the_end_is_ignored),
        cmocka_unit_test(a_header_says_who_when_and_what),
        cmocka_unit_test(a_type_that_is_none_is_malformed),
        cmocka_unit_test(a_check_is_no_transaction_of_its_own),
        cmocka_unit_test(a_null_path_is_malformed),
        cmocka_unit_test(a_create_has_all_that_a_znode_is_made_of),
        cmocka_unit_test(a_create_of_the_time_before_3_4_has_no_parent_cversion),
        cmocka_unit_test(only_a_plain_create_may_lack_its_parent_cversion),
        cmocka_unit_test(containers_and_ttl_znodes_are_never_ephemeral),
        cmocka_unit_test(a_new_session_has_its_timeout),
        cmocka_unit_test(a_closed_session_lists_its_ephemerals),
        cmocka_unit_test(a_closed_session_without_a_body_lists_none),
        cmocka_unit_test(the_digest_of_an_old_leader_is_not_taken_for_ephemerals),
        cmocka_unit_test(of_an_error_only_the_code_is_read),
        cmocka_unit_test(the_parts_of_a_multi_come_in_order_with_its_header),
        cmocka_unit_test(an_error_with_the_old_body_behind_it_is_its_code),
        cmocka_unit_test(what_follows_a_body_inside_its_part_is_ignored),
        cmocka_unit_test(a_null_vector_of_parts_is_a_multi_of_nothing),
        cmocka_unit_test(a_part_that_no_multi_may_hold_is_malformed),
        cmocka_unit_test(a_part_whose_body_is_too_short_is_malformed),
        cmocka_unit_test(a_count_of_parts_that_the_bytes_cannot_hold_is_malformed),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
