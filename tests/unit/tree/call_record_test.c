#include "tree/tree.h"
#include "unit/cmocka.h"

static struct tree_call call_example(void)
{
    return (struct tree_call){
        .session = 0x10000134a100000,
        .call_id = 7,
        .cxid = 12,
        .node = true,
        .outlives_session = true,
        .format = 1,
        .deadline_ms = 1700000005000,
        .made_ms = 1700000000000,
        .wakes = 3,
        .not_before_ms = 1700000000100,
        .operation = MK_BYTES("lock.acquire"),
        .version = MK_BYTES("00ff"),
        .chroot = MK_BYTES(""),
        .arguments = MK_BYTES("{\"path\":\"/locks/a\"}"),
        .identities = MK_BYTES("\0\0\0\0"),
        .once = MK_BYTES_NULL,
        .waits_count = 2,
        .waits = {{TREE_WAIT_DELETED, 0x100000002, MK_BYTES("/locks/a/lock-0000000001")},
                  {TREE_WAIT_CREATED, 0, MK_BYTES("/locks/b")}},
        .created_count = 1,
        .created = {{MK_BYTES("/locks/a/lock-0000000002"), 0x100000003}},
    };
}

static void assert_call_equal(const struct tree_call *a, const struct tree_call *b)
{
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->call_id, b->call_id);
    assert_int_equal(a->cxid, b->cxid);
    assert_int_equal(a->node, b->node);
    assert_int_equal(a->outlives_session, b->outlives_session);
    assert_int_equal(a->format, b->format);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->made_ms, b->made_ms);
    assert_int_equal(a->wakes, b->wakes);
    assert_int_equal(a->not_before_ms, b->not_before_ms);
    assert_int_equal(a->wake_at_ms, b->wake_at_ms);
    assert_true(mk_bytes_equal(a->operation, b->operation));
    assert_true(mk_bytes_equal(a->version, b->version));
    assert_true(mk_bytes_equal(a->chroot, b->chroot));
    assert_true(mk_bytes_equal(a->arguments, b->arguments));
    assert_true(mk_bytes_equal(a->identities, b->identities));
    assert_true(mk_bytes_equal(a->once, b->once));
    assert_int_equal(a->waits_count, b->waits_count);
    for (int32_t i = 0; i < a->waits_count; i++) {
        assert_int_equal(a->waits[i].kind, b->waits[i].kind);
        assert_int_equal(a->waits[i].stamp, b->waits[i].stamp);
        assert_true(mk_bytes_equal(a->waits[i].path, b->waits[i].path));
    }
    assert_int_equal(a->created_count, b->created_count);
    for (int32_t i = 0; i < a->created_count; i++) {
        assert_int_equal(a->created[i].czxid, b->created[i].czxid);
        assert_true(mk_bytes_equal(a->created[i].path, b->created[i].path));
    }
}

static void assert_round_trip(const struct tree_call *call)
{
    struct mk_buf record = {0};
    struct tree_call decoded;
    tree_call_encode(&record, call);
    assert_int_equal(tree_call_decode(mk_buf_view(&record), &decoded), MK_OK);
    assert_call_equal(call, &decoded);
    mk_buf_free(&record);
}

static enum mk_status decode_with_byte(size_t at, uint8_t value)
{
    struct tree_call call = call_example();
    struct mk_buf record = {0};
    tree_call_encode(&record, &call);
    record.data[at] = value;
    enum mk_status status = tree_call_decode(mk_buf_view(&record), &call);
    mk_buf_free(&record);
    return status;
}

static void a_record_holds_everything_about_a_call(void **state)
{
    struct tree_call call = call_example();
    assert_round_trip(&call);
}

static void a_record_may_hold_nothing_but_the_least(void **state)
{
    struct tree_call call = {0};
    assert_round_trip(&call);
}

static void a_record_holds_as_many_waits_and_znodes_as_there_may_be(void **state)
{
    struct tree_call call = call_example();
    call.waits_count = TREE_WAITS_MAX;
    for (int32_t i = 0; i < TREE_WAITS_MAX; i++) {
        call.waits[i] = (struct tree_wait){(enum tree_wait_kind)(1 + i % 5), i, MK_BYTES("/a")};
    }
    call.created_count = TREE_CREATED_MAX;
    for (int32_t i = 0; i < TREE_CREATED_MAX; i++) {
        call.created[i].path = MK_BYTES("/b/c");
        call.created[i].czxid = i;
    }
    assert_round_trip(&call);
}

static void a_record_that_is_cut_off_anywhere_is_malformed(void **state)
{
    struct tree_call call = call_example();
    struct mk_buf record = {0};
    tree_call_encode(&record, &call);

    for (size_t len = 0; len < record.len; len++) {
        uint8_t *exact = mk_alloc(len); /* so that a read beyond it is seen */
        memcpy(exact, record.data, len);
        struct tree_call decoded;
        assert_int_equal(tree_call_decode(mk_bytes_of(exact, len), &decoded), MK_MALFORMED);
        assert_int_equal(decoded.waits_count, 0);
        mk_free(exact);
    }
    struct tree_call decoded;
    assert_int_equal(tree_call_decode(MK_BYTES_NULL, &decoded), MK_MALFORMED);
    mk_buf_free(&record);
}

static void nothing_may_follow_a_record(void **state)
{
    struct tree_call call = call_example();
    struct mk_buf record = {0};
    tree_call_encode(&record, &call);
    mk_buf_put_u8(&record, 0);

    assert_int_equal(tree_call_decode(mk_buf_view(&record), &call), MK_MALFORMED);
    mk_buf_free(&record);
}

static void a_record_of_another_layout_is_refused(void **state)
{
    assert_int_equal(decode_with_byte(0, 1), MK_OK);
    assert_int_equal(decode_with_byte(0, 0), MK_MALFORMED);
    assert_int_equal(decode_with_byte(0, 2), MK_MALFORMED);
}

static void unknown_flags_are_refused(void **state)
{
    assert_int_equal(decode_with_byte(1, 0), MK_OK);
    assert_int_equal(decode_with_byte(1, 8), MK_MALFORMED);
    assert_int_equal(decode_with_byte(1, 0x80), MK_MALFORMED);
}

static void negative_times_and_counts_are_refused(void **state)
{
    assert_int_equal(decode_with_byte(23, 0x80), MK_MALFORMED); /* deadline_ms */
    assert_int_equal(decode_with_byte(31, 0x80), MK_MALFORMED); /* made_ms */
    assert_int_equal(decode_with_byte(39, 0x80), MK_MALFORMED); /* not_before_ms */
    assert_int_equal(decode_with_byte(47, 0x80), MK_MALFORMED); /* wakes */
}

/* A call with nothing in it ends with the counts of waits and of znodes, two bytes. */
static enum mk_status decode_with_tail(struct mk_bytes tail)
{
    struct tree_call call = {0};
    struct mk_buf record = {0};
    tree_call_encode(&record, &call);
    record.len -= 2;
    mk_buf_append_bytes(&record, tail);
    enum mk_status status = tree_call_decode(mk_buf_view(&record), &call);
    mk_buf_free(&record);
    return status;
}

#define STAMP "\0\0\0\0\0\0\0\1"

static void a_time_to_wake_at_is_there_if_there_is_one(void **state)
{
    struct tree_call call = call_example();
    struct mk_buf without = {0};
    struct mk_buf with = {0};
    tree_call_encode(&without, &call);
    call.wake_at_ms = 1700000002000;
    tree_call_encode(&with, &call);
    assert_int_equal(with.len, without.len + 8);
    assert_round_trip(&call);

    mk_store_u64(with.data + 51, 0); /* present, and yet no time */
    assert_int_equal(tree_call_decode(mk_buf_view(&with), &call), MK_MALFORMED);
    mk_store_u64(with.data + 51, (uint64_t)-1);
    assert_int_equal(tree_call_decode(mk_buf_view(&with), &call), MK_MALFORMED);
    mk_buf_free(&without);
    mk_buf_free(&with);
}

static void a_call_is_due_at_its_deadline_or_when_it_wants_to_wake(void **state)
{
    struct tree_call call = {0};
    assert_int_equal(tree_call_due_ms(&call), 0);
    call.not_before_ms = 500;
    assert_int_equal(tree_call_due_ms(&call), 0);
    call.deadline_ms = 1000;
    assert_int_equal(tree_call_due_ms(&call), 1000);
    call.wake_at_ms = 700;
    assert_int_equal(tree_call_due_ms(&call), 700);
    call.wake_at_ms = 300; /* slowed */
    assert_int_equal(tree_call_due_ms(&call), 500);
    call.not_before_ms = 2000;
    assert_int_equal(tree_call_due_ms(&call), 1000);
    call.deadline_ms = 0;
    assert_int_equal(tree_call_due_ms(&call), 2000);
}

static void waits_are_checked(void **state)
{
    assert_int_equal(decode_with_tail(MK_BYTES("\1\5" STAMP "\0\0\0\2/a\0")), MK_OK);
    assert_int_equal(decode_with_tail(MK_BYTES("\1\6" STAMP "\0\0\0\2/a\0")), MK_MALFORMED);
    assert_int_equal(decode_with_tail(MK_BYTES("\1\0" STAMP "\0\0\0\2/a\0")), MK_MALFORMED);
    assert_int_equal(decode_with_tail(MK_BYTES("\1\5" STAMP "\0\0\0\2/.\0")), MK_MALFORMED);
    assert_int_equal(decode_with_tail(MK_BYTES("\1\5" STAMP "\xff\xff\xff\xff\0")), MK_MALFORMED);
    assert_int_equal(decode_with_tail(MK_BYTES("\1\5" STAMP "\xff\xff\xff\xfe\0")), MK_MALFORMED);
}

static void created_znodes_are_checked(void **state)
{
    assert_int_equal(decode_with_tail(MK_BYTES("\0\1" STAMP "\0\0\0\2/a")), MK_OK);
    assert_int_equal(decode_with_tail(MK_BYTES("\0\1" STAMP "\0\0\0\2a/")), MK_MALFORMED);
    assert_int_equal(decode_with_tail(MK_BYTES("\0\1" STAMP "\0\0\0\3/a")), MK_MALFORMED);
}

static void too_many_waits_or_znodes_are_refused(void **state)
{
    struct mk_buf tail = {0};
    mk_buf_put_u8(&tail, TREE_WAITS_MAX + 1);
    for (int i = 0; i < TREE_WAITS_MAX + 1; i++) {
        mk_buf_append_bytes(&tail, MK_BYTES("\5" STAMP "\0\0\0\2/a"));
    }
    mk_buf_put_u8(&tail, 0);
    assert_int_equal(decode_with_tail(mk_buf_view(&tail)), MK_MALFORMED);

    tail.len = 0;
    mk_buf_put_u8(&tail, 0);
    mk_buf_put_u8(&tail, TREE_CREATED_MAX + 1);
    for (int i = 0; i < TREE_CREATED_MAX + 1; i++) {
        mk_buf_append_bytes(&tail, MK_BYTES(STAMP "\0\0\0\2/a"));
    }
    assert_int_equal(decode_with_tail(mk_buf_view(&tail)), MK_MALFORMED);
    mk_buf_free(&tail);
}

static void a_record_with_any_damaged_byte_is_refused_or_canonical(void **state)
{
    struct tree_call call = call_example();
    struct mk_buf record = {0};
    tree_call_encode(&record, &call);
    struct mk_buf again = {0};

    for (size_t bit = 0; bit < record.len * 8; bit++) {
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct tree_call decoded;
        if (tree_call_decode(mk_buf_view(&record), &decoded) == MK_OK) {
            again.len = 0;
            tree_call_encode(&again, &decoded);
            assert_int_equal(again.len, record.len);
            assert_memory_equal(again.data, record.data, record.len);
        }
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    mk_buf_free(&record);
    mk_buf_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_holds_everything_about_a_call),
        cmocka_unit_test(a_record_may_hold_nothing_but_the_least),
        cmocka_unit_test(a_record_holds_as_many_waits_and_znodes_as_there_may_be),
        cmocka_unit_test(a_record_that_is_cut_off_anywhere_is_malformed),
        cmocka_unit_test(nothing_may_follow_a_record),
        cmocka_unit_test(a_record_of_another_layout_is_refused),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(negative_times_and_counts_are_refused),
        cmocka_unit_test(a_time_to_wake_at_is_there_if_there_is_one),
        cmocka_unit_test(a_call_is_due_at_its_deadline_or_when_it_wants_to_wake),
        cmocka_unit_test(waits_are_checked),
        cmocka_unit_test(created_znodes_are_checked),
        cmocka_unit_test(too_many_waits_or_znodes_are_refused),
        cmocka_unit_test(a_record_with_any_damaged_byte_is_refused_or_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
