#include "client/codec.h"
#include "unit/cmocka.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX 1000

/* ---- Requests: encoded here, decoded as a server would ---- */

static struct jute_request sent(const struct moonkeeper_request *request, const char *chroot,
                                struct mk_buf *frame)
{
    struct jute_request decoded;

    frame->len = 0;
    assert_int_equal(client_request_encode(request, mk_bytes_text(chroot), BYTES_MAX, frame),
                     MOONKEEPER_OK);
    assert_int_equal(mk_load_u32(frame->data), frame->len - 4);
    assert_int_equal(jute_request_decode(mk_bytes_of(frame->data + 4, frame->len - 4), &decoded),
                     MK_OK);
    return decoded;
}

static void assert_refused(const struct moonkeeper_request *request)
{
    struct mk_buf frame = {0};

    assert_int_equal(client_request_encode(request, MK_BYTES("/app"), BYTES_MAX, &frame),
                     MOONKEEPER_BAD_ARGUMENTS);
    assert_int_equal(frame.len, 0);
}

static void each_mode_of_create_has_its_operation(void **state)
{
    static const int32_t ops[] = {JUTE_CREATE2,   JUTE_CREATE2,          JUTE_CREATE2,
                                  JUTE_CREATE2,   JUTE_CREATE_CONTAINER, JUTE_CREATE_TTL,
                                  JUTE_CREATE_TTL};
    struct mk_buf frame = {0};

    for (int mode = 0; mode < (int)MK_COUNT(ops); mode++) {
        struct moonkeeper_request request = {.op = MOONKEEPER_CREATE,
                                             .path = "/a",
                                             .mode = (enum moonkeeper_mode)mode,
                                             .ttl_ms = 500};
        struct jute_request decoded = sent(&request, "", &frame);
        assert_int_equal(decoded.op, ops[mode]);
        assert_int_equal(decoded.flags, mode);
        assert_int_equal(decoded.ttl_ms, ops[mode] == JUTE_CREATE_TTL ? 500 : 0);
    }
    mk_buf_free(&frame);
}

static void a_create_without_acls_lets_anyone_do_anything(void **state)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_CREATE, .path = "/a"};
    struct mk_buf frame = {0};
    struct jute_request decoded = sent(&request, "", &frame);

    static const uint8_t open[] = "\0\0\0\1\0\0\0\x1f\0\0\0\5world\0\0\0\6anyone";
    assert_true(mk_bytes_equal(decoded.acl, mk_bytes_of(open, sizeof(open) - 1)));
    mk_buf_free(&frame);
}

static void no_data_and_empty_data_differ(void **state)
{
    struct moonkeeper_request request = {.op = MOONKEEPER_SET, .path = "/a"};
    struct mk_buf frame = {0};

    assert_null(sent(&request, "", &frame).data.data);
    request.data = "";
    struct jute_request decoded = sent(&request, "", &frame);

    assert_non_null(decoded.data.data);
    assert_int_equal(decoded.data.len, 0);
    mk_buf_free(&frame);
}

static void the_chroot_is_put_before_each_path_but_that_of_the_configuration(void **state)
{
    struct moonkeeper_request parts[] = {{.op = MOONKEEPER_DELETE, .path = "/a"},
                                         {.op = MOONKEEPER_CHECK, .path = "/"}};
    struct moonkeeper_request multi = {
        .op = MOONKEEPER_MULTI, .requests = parts, .requests_count = 2};
    struct moonkeeper_request prefix = {.op = MOONKEEPER_GET_EPHEMERALS};
    struct moonkeeper_request config = {.op = MOONKEEPER_GET_CONFIG};
    struct moonkeeper_request call = {.op = MOONKEEPER_CALL, .operation = "lock.acquire"};
    struct mk_buf frame = {0};

    struct jute_request decoded = sent(&multi, "/app", &frame);
    struct jute_multi_cursor cursor = jute_multi_begin(&decoded);
    struct jute_request part;
    assert_true(jute_multi_next(&cursor, &part));
    assert_true(mk_bytes_equal(part.path, MK_BYTES("/app/a")));
    assert_true(jute_multi_next(&cursor, &part));
    assert_true(mk_bytes_equal(part.path, MK_BYTES("/app")));
    assert_true(mk_bytes_equal(sent(&prefix, "/app", &frame).path, MK_BYTES("/app")));
    assert_true(mk_bytes_equal(sent(&config, "/app", &frame).path, MK_BYTES("/zookeeper/config")));
    assert_true(mk_bytes_equal(sent(&call, "/app", &frame).chroot, MK_BYTES("/app")));
    mk_buf_free(&frame);
}

static void a_calls_ids_stand_where_they_are_filled_in(void **state)
{
    struct moonkeeper_request call = {.op = MOONKEEPER_CALL, .operation = "lock.acquire"};
    struct mk_buf frame = {0};
    struct jute_request decoded = sent(&call, "", &frame);

    mk_store_u64(frame.data + CLIENT_FRAME_CALL_ID(strlen("lock.acquire")), 7);
    mk_store_u64(frame.data + CLIENT_FRAME_CALL_ID(strlen("lock.acquire")) + 8, 6);
    assert_int_equal(jute_request_decode(mk_bytes_of(frame.data + 4, frame.len - 4), &decoded),
                     MK_OK);

    assert_int_equal(decoded.call_id, 7);
    assert_int_equal(decoded.done_through, 6);
    mk_buf_free(&frame);
}

static void what_can_be_no_request_is_refused(void **state)
{
    static const char data[BYTES_MAX + 1];
    struct moonkeeper_request set_acl = {.op = MOONKEEPER_SET_ACL, .path = "/a"};
    struct moonkeeper_request check = {.op = MOONKEEPER_CHECK, .path = "/a"};
    const struct moonkeeper_request wrong[] = {
        {.op = (enum moonkeeper_op)0, .path = "/a"},
        {.op = MOONKEEPER_GET},
        {.op = MOONKEEPER_GET, .path = ""},
        {.op = MOONKEEPER_GET, .path = "a"}, /* with a chroot it would be a sibling of it */
        {.op = MOONKEEPER_GET_EPHEMERALS, .path = "a"},
        {.op = MOONKEEPER_CREATE, .path = "/a", .mode = (enum moonkeeper_mode)7},
        {.op = MOONKEEPER_CREATE, .path = "/a", .acls_count = 1},
        {.op = MOONKEEPER_SET, .path = "/a", .data_bytes = 1},
        {.op = MOONKEEPER_SET, .path = "/a", .data = data, .data_bytes = sizeof(data)},
        {.op = MOONKEEPER_SET, .path = "/a", .data = data, .data_bytes = SIZE_MAX},
        {.op = MOONKEEPER_AUTH},
        {.op = MOONKEEPER_CALL},
        {.op = MOONKEEPER_CALL, .operation = "a.b", .format = (enum moonkeeper_format)2},
        {.op = MOONKEEPER_ADD_WATCH, .path = "/a"},
        {.op = MOONKEEPER_CHECK, .path = "/a"},
        {.op = MOONKEEPER_MULTI, .requests_count = 1},
        {.op = MOONKEEPER_MULTI, .requests = &set_acl, .requests_count = 1},
        {.op = MOONKEEPER_MULTI_READ, .requests = &check, .requests_count = 1},
    };

    for (size_t i = 0; i < MK_COUNT(wrong); i++) {
        assert_refused(&wrong[i]);
    }
}

/* ---- Answers ---- */

/* A copy of exactly the size, so that a sanitizer sees a read past its end. */
static bool answered(const struct client_asked *asked, const struct mk_buf *body, size_t len,
                     const char *chroot, struct mk_arena *arena, struct moonkeeper_result *out)
{
    uint8_t *copy = malloc(len + (len == 0));
    memcpy(copy, body->data, len);
    struct jute_reply reply = {.xid = 1, .zxid = 9, .body = mk_bytes_of(copy, len)};
    bool sense = client_result_decode(asked, &reply, mk_bytes_text(chroot), arena, out);
    free(copy);
    return sense;
}

static const struct jute_stat a_stat = {.czxid = 1, .version = 3, .pzxid = 8};

/* One answer of each form. */
static void body_make(enum moonkeeper_op op, struct mk_buf *body)
{
    switch (op) {
    case MOONKEEPER_GET_ACL:
        mk_buf_put_i32(body, 1);
        mk_buf_put_i32(body, 31);
        mk_buf_put_field(body, MK_BYTES("world"));
        mk_buf_put_field(body, MK_BYTES("anyone"));
        jute_put_stat(body, &a_stat);
        break;
    case MOONKEEPER_CREATE:
    case MOONKEEPER_GET:
        mk_buf_put_field(body, MK_BYTES("/app/a"));
        jute_put_stat(body, &a_stat);
        break;
    case MOONKEEPER_WHO_AM_I:
        mk_buf_put_i32(body, 1);
        mk_buf_put_field(body, MK_BYTES("ip"));
        mk_buf_put_field(body, MK_BYTES("127.0.0.1"));
        break;
    case MOONKEEPER_GET_EPHEMERALS:
        mk_buf_put_i32(body, 2);
        mk_buf_put_field(body, MK_BYTES("/app/a"));
        mk_buf_put_field(body, MK_BYTES("/app/b"));
        break;
    case MOONKEEPER_CALL:
        mk_buf_put_field(body, MK_BYTES("Timeout"));
        mk_buf_put_field(body, MK_BYTES("too late"));
        mk_buf_put_field(body, MK_BYTES_NULL);
        break;
    case MOONKEEPER_MULTI:
        jute_put_multi_result(body, JUTE_CREATE2);
        mk_buf_put_field(body, MK_BYTES("/app/a"));
        jute_put_stat(body, &a_stat);
        jute_put_multi_result(body, JUTE_DELETE);
        jute_put_multi_end(body);
        break;
    default: mk_buf_put_i32(body, 0); break; /* GET_ALL_CHILDREN_NUMBER, ADD_WATCH */
    }
}

static const uint8_t multi_ops[] = {MOONKEEPER_CREATE, MOONKEEPER_DELETE};

static void every_answer_that_is_cut_short_makes_no_sense(void **state)
{
    static const enum moonkeeper_op ops[] = {
        MOONKEEPER_CREATE,         MOONKEEPER_GET,
        MOONKEEPER_GET_ACL,        MOONKEEPER_WHO_AM_I,
        MOONKEEPER_GET_EPHEMERALS, MOONKEEPER_CALL,
        MOONKEEPER_CALLS,          MOONKEEPER_MULTI,
        MOONKEEPER_ADD_WATCH,      MOONKEEPER_GET_ALL_CHILDREN_NUMBER};

    for (size_t i = 0; i < MK_COUNT(ops); i++) {
        struct mk_buf body = {0};
        struct mk_arena arena = {0};
        struct moonkeeper_result result;
        struct client_asked asked = {.op = ops[i],
                                     .multi = mk_bytes_of(multi_ops, sizeof(multi_ops))};
        body_make(ops[i], &body);
        assert_true(answered(&asked, &body, body.len, "/app", &arena, &result));
        for (size_t len = 0; len < body.len; len++) {
            assert_false(answered(&asked, &body, len, "/app", &arena, &result));
            assert_int_equal(result.names_count + result.results_count, 0);
        }
        mk_arena_free(&arena);
        mk_buf_free(&body);
    }
}

static void an_answer_has_what_was_asked_for_with_paths_below_the_chroot(void **state)
{
    struct mk_arena arena = {0};
    struct moonkeeper_result result;
    struct mk_buf body = {0};

    body_make(MOONKEEPER_CREATE, &body);
    struct client_asked create = {.op = MOONKEEPER_CREATE};
    assert_true(answered(&create, &body, body.len, "/app", &arena, &result));
    assert_string_equal(result.path, "/a");
    assert_true(result.has_stat && result.stat.version == 3 && result.stat.pzxid == 8);
    assert_int_equal(result.zxid, 9);
    body.len = 0;
    body_make(MOONKEEPER_GET_EPHEMERALS, &body);
    struct client_asked ephemerals = {.op = MOONKEEPER_GET_EPHEMERALS};
    assert_true(answered(&ephemerals, &body, body.len, "/app", &arena, &result));
    assert_int_equal(result.names_count, 2);
    assert_string_equal(result.names[1], "/b");
    body.len = 0;
    body_make(MOONKEEPER_CALL, &body);
    struct client_asked call = {.op = MOONKEEPER_CALL};
    assert_true(answered(&call, &body, body.len, "/app", &arena, &result));
    assert_int_equal(result.error, MOONKEEPER_CALL_FAILED);
    assert_string_equal(result.call_error, "Timeout");
    mk_arena_free(&arena);
    mk_buf_free(&body);
}

static void a_path_that_is_not_below_the_chroot_makes_no_sense(void **state)
{
    struct client_asked asked = {.op = MOONKEEPER_CREATE};
    struct mk_arena arena = {0};
    struct moonkeeper_result result;
    struct mk_buf body = {0};

    body_make(MOONKEEPER_CREATE, &body);

    assert_false(answered(&asked, &body, body.len, "/other", &arena, &result));
    mk_arena_free(&arena);
    mk_buf_free(&body);
}

static void a_failed_multi_says_which_operation_it_was(void **state)
{
    struct client_asked asked = {.op = MOONKEEPER_MULTI,
                                 .multi = mk_bytes_of(multi_ops, sizeof(multi_ops))};
    struct mk_arena arena = {0};
    struct moonkeeper_result result;
    struct mk_buf body = {0};
    jute_put_multi_error(&body, 0);
    jute_put_multi_error(&body, MOONKEEPER_NO_NODE);
    jute_put_multi_end(&body);

    assert_true(answered(&asked, &body, body.len, "", &arena, &result));

    assert_int_equal(result.error, MOONKEEPER_NO_NODE);
    assert_int_equal(result.results_count, 2);
    assert_int_equal(result.results[0].error, 0);
    assert_int_equal(result.results[1].error, MOONKEEPER_NO_NODE);
    mk_arena_free(&arena);
    mk_buf_free(&body);
}

/* More results than operations, fewer, or another's result: a server that answers something else. */
static void a_multi_has_a_result_of_the_right_kind_for_each_operation(void **state)
{
    struct client_asked asked = {.op = MOONKEEPER_MULTI,
                                 .multi = mk_bytes_of(multi_ops, sizeof(multi_ops))};

    for (int deletes = 0; deletes < 4; deletes++) {
        struct mk_arena arena = {0};
        struct moonkeeper_result result;
        struct mk_buf body = {0};
        for (int i = 0; i < deletes; i++) {
            jute_put_multi_result(&body, JUTE_DELETE);
        }
        jute_put_multi_end(&body);
        assert_false(answered(&asked, &body, body.len, "", &arena, &result));
        mk_arena_free(&arena);
        mk_buf_free(&body);
    }
}

static void a_count_that_the_answer_could_not_hold_is_not_believed(void **state)
{
    struct client_asked asked = {.op = MOONKEEPER_CHILDREN};
    struct mk_arena arena = {0};
    struct moonkeeper_result result;
    struct mk_buf body = {0};
    mk_buf_put_i32(&body, INT32_MAX);

    assert_false(answered(&asked, &body, body.len, "", &arena, &result));
    assert_int_equal(result.names_count, 0);
    mk_arena_free(&arena);
    mk_buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mode_of_create_has_its_operation),
        cmocka_unit_test(a_create_without_acls_lets_anyone_do_anything),
        cmocka_unit_test(no_data_and_empty_data_differ),
        cmocka_unit_test(the_chroot_is_put_before_each_path_but_that_of_the_configuration),
        cmocka_unit_test(a_calls_ids_stand_where_they_are_filled_in),
        cmocka_unit_test(what_can_be_no_request_is_refused),
        cmocka_unit_test(every_answer_that_is_cut_short_makes_no_sense),
        cmocka_unit_test(an_answer_has_what_was_asked_for_with_paths_below_the_chroot),
        cmocka_unit_test(a_path_that_is_not_below_the_chroot_makes_no_sense),
        cmocka_unit_test(a_failed_multi_says_which_operation_it_was),
        cmocka_unit_test(a_multi_has_a_result_of_the_right_kind_for_each_operation),
        cmocka_unit_test(a_count_that_the_answer_could_not_hold_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
