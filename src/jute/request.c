/* What clients send: ConnectRequest, then requests, each a header and the record of its operation.
 *
 * A decoder reads all fields and looks once, at the end, whether the bytes sufficed. A multi is
 * read to its end here, so that nobody finds out halfway through its execution that it has none. */
#include "jute/jute.h"
#include "jute/vector.h"

#define CREATE_MODE_MAX 6 /* PERSISTENT_SEQUENTIAL_WITH_TTL */

static bool bool_read(struct mk_reader *reader)
{
    return mk_read_u8(reader) != 0; /* any byte but 0 is true, as ZooKeeper reads it */
}

enum mk_status jute_connect_decode(struct mk_bytes frame, struct jute_connect *out)
{
    struct mk_reader reader = mk_reader_of(frame);
    *out = (struct jute_connect){0};
    out->protocol_version = mk_read_i32(&reader);
    out->last_zxid_seen = mk_read_i64(&reader);
    out->timeout_ms = mk_read_i32(&reader);
    out->session_id = mk_read_i64(&reader);
    out->password = mk_read_field(&reader);
    if (reader.failed) {
        return MK_MALFORMED;
    }

    out->read_only_present = mk_reader_left(&reader) > 0;
    out->read_only = out->read_only_present && bool_read(&reader);
    return MK_OK;
}

/* ---- Records ---- */

static void create_read(struct mk_reader *reader, struct jute_request *out)
{
    out->path = mk_read_field(reader);
    out->data = mk_read_field(reader);
    out->acl = jute_acl_read(reader);
    out->flags = mk_read_i32(reader);
    if (out->op == JUTE_CREATE_TTL) {
        out->ttl_ms = mk_read_i64(reader);
    }
}

static void reconfig_read(struct mk_reader *reader, struct jute_request *out)
{
    out->joining = mk_read_field(reader);
    out->leaving = mk_read_field(reader);
    out->data = mk_read_field(reader);
    out->relative_zxid = mk_read_i64(reader);
}

static void auth_read(struct mk_reader *reader, struct jute_request *out)
{
    (void)mk_read_i32(reader); /* type, always 0 and without a meaning */
    out->scheme = mk_read_field(reader);
    out->data = mk_read_field(reader);
}

static void set_watches_read(struct mk_reader *reader, struct jute_request *out)
{
    int lists_count = out->op == JUTE_SET_WATCHES ? 3 : 5;
    out->relative_zxid = mk_read_i64(reader);
    for (int i = 0; i < lists_count; i++) {
        out->lists[i] = jute_strings_read(reader);
    }
}

static void call_read(struct mk_reader *reader, struct jute_request *out)
{
    out->operation = mk_read_field(reader);
    out->call_id = mk_read_i64(reader);
    out->done_through = mk_read_i64(reader);
    out->chroot = mk_read_field(reader);
    out->format = mk_read_u8(reader);
    out->data = mk_read_field(reader);
    if (out->format == JUTE_CALL_DRY_RUN) {
        out->format = JUTE_CALL_JSON;
        out->dry_run = true;
        return;
    }
    out->linearizable = (out->format & JUTE_CALL_LINEARIZABLE) != 0;
    out->format &= (uint8_t)~JUTE_CALL_LINEARIZABLE;
    if (out->format > JUTE_CALL_MSGPACK) {
        reader->failed = true;
    }
}

static void calls_read(struct mk_reader *reader, struct jute_request *out)
{
    out->call_id = mk_read_i64(reader);
    out->flags = mk_read_i32(reader);
}

/* The record of `op`, whichever it is but a multi. False: there is no such operation. */
static bool record_read(struct mk_reader *reader, struct jute_request *out)
{
    switch (out->op) {
    case JUTE_EXISTS:
    case JUTE_GET_DATA:
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2:
        out->path = mk_read_field(reader);
        out->watch = bool_read(reader);
        return true;
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: create_read(reader, out); return true;
    case JUTE_SET_DATA:
        out->path = mk_read_field(reader);
        out->data = mk_read_field(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_DELETE:
    case JUTE_CHECK:
        out->path = mk_read_field(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_SET_ACL:
        out->path = mk_read_field(reader);
        out->acl = jute_acl_read(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_SYNC:
    case JUTE_GET_ACL:
    case JUTE_GET_EPHEMERALS:
    case JUTE_GET_ALL_CHILDREN_NUMBER: out->path = mk_read_field(reader); return true;
    case JUTE_CHECK_WATCHES:
    case JUTE_REMOVE_WATCHES:
    case JUTE_ADD_WATCH:
        out->path = mk_read_field(reader);
        out->flags = mk_read_i32(reader);
        return true;
    case JUTE_SET_WATCHES:
    case JUTE_SET_WATCHES2: set_watches_read(reader, out); return true;
    case JUTE_RECONFIG: reconfig_read(reader, out); return true;
    case JUTE_AUTH: auth_read(reader, out); return true;
    case JUTE_SASL: out->data = mk_read_field(reader); return true;
    case JUTE_CALL: call_read(reader, out); return true;
    case JUTE_CALLS: calls_read(reader, out); return true;
    case JUTE_PING:
    case JUTE_WHO_AM_I:
    case JUTE_CLOSE_SESSION: return true; /* nothing but the header */
    default: return false;
    }
}

/* ---- Multis: MultiHeader {type, done, err} and record, again and again, then a header that is done */

enum operation_kind { OPERATION_ILLEGAL, OPERATION_WRITE, OPERATION_READ };

static enum operation_kind operation_kind(int32_t op)
{
    switch (op) {
    case JUTE_CREATE:
    case JUTE_DELETE:
    case JUTE_SET_DATA:
    case JUTE_CHECK:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: return OPERATION_WRITE;
    case JUTE_GET_DATA:
    case JUTE_GET_CHILDREN: return OPERATION_READ;
    default: return OPERATION_ILLEGAL;
    }
}

/* The next operation. False: the end header, or the reader has failed. A create's mode is judged
 * here and not in prepare, because ZooKeeper's parser does: one bad mode and the multi is malformed.
 * Only creates fill `flags`; for all others it is 0. */
static bool operation_read(struct mk_reader *reader, struct jute_request *out)
{
    *out = (struct jute_request){0};
    out->op = mk_read_i32(reader);
    bool done = bool_read(reader);
    (void)mk_read_i32(reader); /* err, which says nothing in a request */
    if (done || reader->failed) {
        return false;
    }

    bool legal = operation_kind(out->op) != OPERATION_ILLEGAL && record_read(reader, out) &&
                 out->flags >= 0 && out->flags <= CREATE_MODE_MAX;
    if (!legal) {
        reader->failed = true;
    }
    return !reader->failed;
}

static enum mk_status multi_read(struct mk_reader *reader, struct jute_request *out)
{
    MK_ASSERT(out->op == JUTE_MULTI || out->op == JUTE_MULTI_READ);
    const uint8_t *start = reader->at;
    const uint8_t *end = start;
    bool has_write = false;
    bool has_read = false;
    struct jute_request operation;
    while (operation_read(reader, &operation)) {
        bool is_write = operation_kind(operation.op) == OPERATION_WRITE;
        has_write = has_write || is_write;
        has_read = has_read || !is_write;
        end = reader->at;
    }
    if (reader->failed || (has_write && has_read)) {
        return MK_MALFORMED;
    }

    out->writes_only = out->op == JUTE_MULTI_READ && has_write;
    if (out->writes_only || (out->op == JUTE_MULTI && has_read)) {
        return MK_MALFORMED;
    }
    out->operations = mk_bytes_of(start, (size_t)(end - start));
    return MK_OK;
}

struct jute_multi_cursor jute_multi_begin(const struct jute_request *multi)
{
    MK_ASSERT(multi->op == JUTE_MULTI || multi->op == JUTE_MULTI_READ);
    return (struct jute_multi_cursor){mk_reader_of(multi->operations)};
}

bool jute_multi_next(struct jute_multi_cursor *cursor, struct jute_request *operation)
{
    if (mk_reader_left(&cursor->reader) == 0) {
        return false;
    }
    bool is_operation = operation_read(&cursor->reader, operation);
    MK_ASSERT(is_operation); /* multi_read() has been here; the end header is left out. */
    return true;
}

/* ---- Requests ---- */

enum mk_status jute_request_decode(struct mk_bytes frame, struct jute_request *out)
{
    struct mk_reader reader = mk_reader_of(frame);
    *out = (struct jute_request){0};
    int32_t xid = mk_read_i32(&reader);
    int32_t op = mk_read_i32(&reader);
    if (reader.failed) {
        return MK_MALFORMED;
    }
    out->xid = xid;
    out->op = op;

    enum mk_status status;
    if (op == JUTE_MULTI || op == JUTE_MULTI_READ) {
        status = multi_read(&reader, out);
    } else if (op == JUTE_CHECK || !record_read(&reader, out)) {
        return MK_UNIMPLEMENTED; /* CHECK exists, but only inside a multi */
    } else {
        status = reader.failed ? MK_MALFORMED : MK_OK;
    }
    out->malformed = status == MK_MALFORMED;
    return status;
}
