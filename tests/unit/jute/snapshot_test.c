#include "frames.h"

#define BYTES_MAX 64
#define STAT                                                                                 \
    "0000000100000002 0000000100000003 000001a2015ceda2 000001a2015ceda3 00000001 00000002 " \
    "00000003 0100002672780000 0000000100000004"
#define OPEN "ffffffffffffffff"
/* Two sessions, one ACL; the root, "/a" with data, "/a/b" with null */
#define RECORDS                                                                                 \
    "00000002 0100002672780000 00002710 0200002672780000 00000fa0 "                             \
    "00000001 0000000000000005 " OPEN_ACL "00000000 00000000 " OPEN STAT                        \
    "00000002 2f61 00000002 6869 " OPEN STAT "00000004 2f612f62 ffffffff 0000000000000005" STAT \
    "00000001 2f"
#define TRAILER "0000000a 42656e57617348657265"

/* All records of `stream`, written again; how it ends. */
static enum mk_status rewrite(struct mk_bytes stream, bool wire, struct mk_buf *out, size_t *used)
{
    struct jute_snapshot_reader reader = jute_snapshot_begin(BYTES_MAX, wire);
    struct jute_snapshot_record record;
    enum mk_status status;
    *used = 0;
    for (;;) {
        struct mk_bytes rest = mk_bytes_of(stream.data + *used, stream.len - *used);
        size_t taken;
        status = jute_snapshot_next(&reader, rest, &record, &taken);
        *used += taken;
        if (status != MK_OK) {
            return status;
        }
        switch (record.kind) {
        case JUTE_SNAPSHOT_SESSION:
            jute_put_snapshot_session(out, record.session.session, record.session.timeout_ms);
            break;
        case JUTE_SNAPSHOT_ACL: jute_put_snapshot_acl(out, record.acl_id, record.acl); break;
        case JUTE_SNAPSHOT_ZNODE: jute_put_snapshot_znode(out, &record.znode); break;
        }
    }
}

static void a_snapshot_s_records_are_written_as_they_were_read(void **state)
{
    struct mk_buf out = {0};
    size_t used;

    assert_int_equal(rewrite(hex(state, RECORDS TRAILER "00000005"), true, &out, &used), MK_END);

    assert_int_equal(used, hex(state, RECORDS TRAILER).len);
    struct mk_buf whole = {0};
    struct mk_bytes records = mk_buf_view(&out);
    jute_put_snapshot_count(&whole, 2);
    mk_buf_append_bytes(&whole, mk_bytes_of(records.data, 2 * JUTE_TOUCH_BYTES));
    jute_put_snapshot_count(&whole, 1);
    mk_buf_append_bytes(&whole, mk_bytes_of(records.data + 2 * JUTE_TOUCH_BYTES,
                                            records.len - 2 * JUTE_TOUCH_BYTES));
    jute_put_snapshot_end(&whole);
    jute_put_snapshot_trailer(&whole);
    assert_encoded(state, &whole, RECORDS TRAILER);
    mk_buf_free(&out);
}

static void a_file_s_snapshot_ends_before_its_seal(void **state)
{
    struct mk_buf out = {0};
    size_t used;

    assert_int_equal(
        rewrite(hex(state, RECORDS "0000000012345678 00000001 2f"), false, &out, &used), MK_END);

    assert_int_equal(used, hex(state, RECORDS).len);
    mk_buf_free(&out);
}

static void znodes_come_with_all_their_fields(void **state)
{
    struct mk_bytes stream = hex(state, "00000000 00000000 00000000 00000000 " OPEN STAT
                                        "00000002 2f61 00000002 6869 0000000000000005" STAT);
    struct jute_snapshot_reader reader = jute_snapshot_begin(BYTES_MAX, true);
    struct jute_snapshot_record record;
    size_t first, second;

    assert_int_equal(jute_snapshot_next(&reader, stream, &record, &first), MK_OK);
    assert_int_equal(record.kind, JUTE_SNAPSHOT_ZNODE);
    assert_text(record.znode.path, "");
    assert_int_equal(record.znode.acl, JUTE_SNAPSHOT_ACL_OPEN);
    struct mk_bytes rest = mk_bytes_of(stream.data + first, stream.len - first);
    assert_int_equal(jute_snapshot_next(&reader, rest, &record, &second), MK_OK);
    assert_text(record.znode.path, "/a");
    assert_text(record.znode.data, "hi");
    assert_int_equal(record.znode.acl, 5);
    assert_int_equal(record.znode.stat.czxid, 0x100000002);
    assert_int_equal(record.znode.stat.mzxid, 0x100000003);
    assert_int_equal(record.znode.stat.ctime_ms, 0x1a2015ceda2);
    assert_int_equal(record.znode.stat.mtime_ms, 0x1a2015ceda3);
    assert_int_equal(record.znode.stat.version, 1);
    assert_int_equal(record.znode.stat.cversion, 2);
    assert_int_equal(record.znode.stat.aversion, 3);
    assert_int_equal(record.znode.stat.owner, 0x100002672780000);
    assert_int_equal(record.znode.stat.pzxid, 0x100000004);
}

/* However a stream is cut, its reader asks for more, and then reads the same. */
static void a_snapshot_may_come_in_pieces_of_any_size(void **state)
{
    struct mk_bytes whole = hex(state, RECORDS TRAILER);
    for (size_t piece = 1; piece < whole.len; piece++) {
        struct jute_snapshot_reader reader = jute_snapshot_begin(BYTES_MAX, true);
        struct jute_snapshot_record record;
        size_t from = 0, to = 0, records = 0;
        enum mk_status status = MK_WOULD_BLOCK;
        while (status != MK_END) {
            struct mk_bytes part = copy(state, mk_bytes_of(whole.data + from, to - from));
            size_t used;
            status = jute_snapshot_next(&reader, part, &record, &used);
            assert_true(status == MK_OK || status == MK_WOULD_BLOCK || status == MK_END);
            records += status == MK_OK;
            from += used;
            if (status == MK_WOULD_BLOCK) {
                assert_int_equal(used, 0);
                assert_true(to < whole.len);
                to = to + piece < whole.len ? to + piece : whole.len;
            }
        }
        assert_int_equal(from, whole.len);
        assert_int_equal(records, 6);
    }
}

static void what_is_no_snapshot_is_refused_as_soon_as_it_shows(void **state)
{
    const char *const bad[] = {
        "ffffffff",                                    /* sessions: null */
        "00000000 ffffffff",                           /* ACLs: null */
        "00000000 00000001 0000000000000000",          /* an ACL's id */
        "00000000 00000001 ffffffffffffffff",          /* the id of the open one */
        "00000000 00000001 0000000000000001 ffffffff", /* a null ACL */
        "00000000 00000001 0000000000000001 00000001 0000001f 00000041", /* a long scheme */
        "00000000 00000000 ffffffff",                                    /* a null path */
        "00000000 00000000 00000002 2f61",                               /* no root */
        "00000000 00000000 00000001 2f",                                 /* nothing at all */
        "00000000 00000000 00000041",                                    /* a long path */
        "00000000 00000000 00000000 00000041",                           /* long data */
        "00000000 00000000 00000000 fffffffe",
        "00000000 00000000 00000000 ffffffff " OPEN STAT "00000000",    /* two roots */
        "00000000 00000000 00000000 ffffffff " OPEN STAT "00000001 61", /* no path */
        "00000000 00000000 00000000 ffffffff " OPEN STAT
        "00000001 2f 0000000a 42656e57617348657264",
        "00000000 00000000 00000000 ffffffff " OPEN STAT "00000001 2f 0000000b",
    };
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        struct mk_buf out = {0};
        size_t used;
        assert_int_equal(rewrite(hex(state, bad[i]), true, &out, &used), MK_MALFORMED);
        mk_buf_free(&out);
    }
}

static void nothing_follows_the_end(void **state)
{
    struct mk_bytes stream =
        hex(state, "00000000 00000000 00000000 ffffffff " OPEN STAT "00000001 2f");
    struct jute_snapshot_reader reader = jute_snapshot_begin(BYTES_MAX, false);
    struct jute_snapshot_record record;
    size_t used;

    assert_int_equal(jute_snapshot_next(&reader, stream, &record, &used), MK_OK);
    assert_int_equal(jute_snapshot_next(&reader, mk_bytes_of(stream.data + used, stream.len - used),
                                        &record, &used),
                     MK_END);
    assert_int_equal(jute_snapshot_next(&reader, stream, &record, &used), MK_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_s_records_are_written_as_they_were_read),
        cmocka_unit_test(a_file_s_snapshot_ends_before_its_seal),
        cmocka_unit_test(znodes_come_with_all_their_fields),
        cmocka_unit_test(a_snapshot_may_come_in_pieces_of_any_size),
        cmocka_unit_test(what_is_no_snapshot_is_refused_as_soon_as_it_shows),
        cmocka_unit_test(nothing_follows_the_end),
    };
    return cmocka_run_group_tests(tests, frames_setup, frames_teardown);
}
