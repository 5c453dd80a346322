/* The way back of request.c: frames as clients send them, for Moonkeeper's own clients and tests. */
#include "jute/frame.h"
#include "jute/jute.h"
#include "jute/vector.h"

void jute_connect_encode(struct mk_buf *out, const struct jute_connect *connect)
{
    MK_ASSERT(connect->read_only_present || !connect->read_only);
    size_t frame = out->len;
    mk_buf_put_i32(out, 0);
    mk_buf_put_i32(out, connect->protocol_version);
    mk_buf_put_i64(out, connect->last_zxid_seen);
    mk_buf_put_i32(out, connect->timeout_ms);
    mk_buf_put_i64(out, connect->session_id);
    mk_buf_put_field(out, connect->password);
    if (connect->read_only_present) {
        mk_buf_put_u8(out, connect->read_only);
    }
    frame_end(out, frame);
}

/* ---- Records ---- */

static void create_put(struct mk_buf *out, const struct jute_request *request)
{
    mk_buf_put_field(out, request->path);
    mk_buf_put_field(out, request->data);
    jute_acl_put(out, request->acl);
    mk_buf_put_i32(out, request->flags);
    if (request->op == JUTE_CREATE_TTL) {
        mk_buf_put_i64(out, request->ttl_ms);
    }
}

static void reconfig_put(struct mk_buf *out, const struct jute_request *request)
{
    mk_buf_put_field(out, request->joining);
    mk_buf_put_field(out, request->leaving);
    mk_buf_put_field(out, request->data);
    mk_buf_put_i64(out, request->relative_zxid);
}

static void auth_put(struct mk_buf *out, const struct jute_request *request)
{
    mk_buf_put_i32(out, 0); /* type */
    mk_buf_put_field(out, request->scheme);
    mk_buf_put_field(out, request->data);
}

static void set_watches_put(struct mk_buf *out, const struct jute_request *request)
{
    int lists_count = request->op == JUTE_SET_WATCHES ? 3 : 5;
    mk_buf_put_i64(out, request->relative_zxid);
    for (int i = 0; i < lists_count; i++) {
        jute_strings_put(out, request->lists[i]);
    }
}

static void call_put(struct mk_buf *out, const struct jute_request *request)
{
    MK_ASSERT(request->format <= JUTE_CALL_MSGPACK);
    MK_ASSERT(!request->dry_run || request->format == JUTE_CALL_JSON);
    MK_ASSERT(!request->dry_run || !request->linearizable);
    uint8_t linearizable = request->linearizable ? JUTE_CALL_LINEARIZABLE : 0;
    mk_buf_put_field(out, request->operation);
    mk_buf_put_i64(out, request->call_id);
    mk_buf_put_i64(out, request->done_through);
    mk_buf_put_field(out, request->chroot);
    mk_buf_put_u8(out, request->dry_run ? JUTE_CALL_DRY_RUN : request->format | linearizable);
    mk_buf_put_field(out, request->data);
}

static void record_put(struct mk_buf *out, const struct jute_request *request)
{
    switch (request->op) {
    case JUTE_EXISTS:
    case JUTE_GET_DATA:
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2:
        mk_buf_put_field(out, request->path);
        mk_buf_put_u8(out, request->watch);
        break;
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: create_put(out, request); break;
    case JUTE_SET_DATA:
        mk_buf_put_field(out, request->path);
        mk_buf_put_field(out, request->data);
        mk_buf_put_i32(out, request->version);
        break;
    case JUTE_DELETE:
    case JUTE_CHECK:
        mk_buf_put_field(out, request->path);
        mk_buf_put_i32(out, request->version);
        break;
    case JUTE_SET_ACL:
        mk_buf_put_field(out, request->path);
        jute_acl_put(out, request->acl);
        mk_buf_put_i32(out, request->version);
        break;
    case JUTE_SYNC:
    case JUTE_GET_ACL:
    case JUTE_GET_EPHEMERALS:
    case JUTE_GET_ALL_CHILDREN_NUMBER: mk_buf_put_field(out, request->path); break;
    case JUTE_CHECK_WATCHES:
    case JUTE_REMOVE_WATCHES:
    case JUTE_ADD_WATCH:
        mk_buf_put_field(out, request->path);
        mk_buf_put_i32(out, request->flags);
        break;
    case JUTE_SET_WATCHES:
    case JUTE_SET_WATCHES2: set_watches_put(out, request); break;
    case JUTE_RECONFIG: reconfig_put(out, request); break;
    case JUTE_AUTH: auth_put(out, request); break;
    case JUTE_SASL: mk_buf_put_field(out, request->data); break;
    case JUTE_CALL: call_put(out, request); break;
    case JUTE_CALLS:
        mk_buf_put_i64(out, request->call_id);
        mk_buf_put_i32(out, request->flags);
        break;
    default:
        break; /* PING, WHO_AM_I, CLOSE_SESSION; and what no server knows, to test that it says so */
    }
}

/* ---- Requests ---- */

static void multi_header_put(struct mk_buf *out, int32_t type, bool done)
{
    mk_buf_put_i32(out, type);
    mk_buf_put_u8(out, done);
    mk_buf_put_i32(out, -1); /* err */
}

void jute_request_encode(struct mk_buf *out, const struct jute_request *request)
{
    if (request->op == JUTE_MULTI || request->op == JUTE_MULTI_READ) {
        size_t multi = jute_multi_request_begin(out, request->xid, request->op);
        mk_buf_append_bytes(out, request->operations);
        jute_multi_request_end(out, multi);
        return;
    }
    size_t frame = out->len;
    mk_buf_put_i32(out, 0);
    mk_buf_put_i32(out, request->xid);
    mk_buf_put_i32(out, request->op);
    record_put(out, request);
    frame_end(out, frame);
}

size_t jute_multi_request_begin(struct mk_buf *out, int32_t xid, int32_t op)
{
    MK_ASSERT(op == JUTE_MULTI || op == JUTE_MULTI_READ);
    size_t frame = out->len;
    mk_buf_put_i32(out, 0);
    mk_buf_put_i32(out, xid);
    mk_buf_put_i32(out, op);
    return frame;
}

void jute_multi_request_put(struct mk_buf *out, const struct jute_request *operation)
{
    multi_header_put(out, operation->op, false);
    record_put(out, operation);
}

void jute_multi_request_end(struct mk_buf *out, size_t frame)
{
    multi_header_put(out, -1, true);
    frame_end(out, frame);
}
