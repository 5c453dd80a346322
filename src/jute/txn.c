/* Transactions as ZooKeeper logs and proposes them: TxnHeader, then a body by type
 * (zookeeper-quorum.md sections 9.1 and 9.2). Peers and logs of any ZooKeeper since 3.3 are read.
 *
 * A failed multi is a multi that holds ERROR parts; the same one can have different bytes on
 * different servers, because some leave the old body behind an ERROR's code. Only the code is read. */
#include "jute/jute.h"
#include "jute/vector.h"

#define PART_BYTES_MIN 8 /* i32 type, i32 length of the body */

/* ---- Decoding ---- */

/* A znode's path. No transaction is about null; who applies it need not ask again. */
static struct mk_bytes path_read(struct mk_reader *reader)
{
    struct mk_bytes path = mk_read_field(reader);
    if (path.data == NULL) {
        reader->failed = true;
    }
    return path;
}

static void create_read(struct mk_reader *reader, struct jute_txn *out)
{
    out->path = path_read(reader);
    out->data = mk_read_field(reader);
    out->acl = jute_acl_read(reader);
    if (out->type == JUTE_CREATE || out->type == JUTE_CREATE2) {
        out->ephemeral = mk_read_u8(reader) != 0;
    }
    if (out->type == JUTE_CREATE && !reader->failed && mk_reader_left(reader) == 0) {
        out->parent_cversion = -1; /* CreateTxnV0, logged before ZooKeeper 3.4 */
        return;
    }
    out->parent_cversion = mk_read_i32(reader);
    if (out->type == JUTE_CREATE_TTL) {
        out->ttl_ms = mk_read_i64(reader);
    }
}

/* The paths, or none. A leader before 3.6, or one told to, sends no body, and the digest that may
 * follow looks like the start of one. The loss is nothing: a session's ephemerals go with it, listed
 * or not. */
static void close_session_read(struct mk_reader *reader, struct jute_txn *out)
{
    struct mk_reader attempt = *reader;
    struct jute_strings paths = jute_strings_read(&attempt);
    struct jute_strings_cursor cursor = jute_strings_begin(paths);
    struct mk_bytes path;
    while (jute_strings_next(&cursor, &path)) {
        if (path.data == NULL) {
            return;
        }
    }
    out->paths = paths;
}

/* The body of `type`, whichever it is but a multi. False: there is no such type. */
static bool body_read(struct mk_reader *reader, struct jute_txn *out)
{
    switch (out->type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: create_read(reader, out); return true;
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER: out->path = path_read(reader); return true;
    case JUTE_SET_DATA:
    case JUTE_RECONFIG:
        out->path = path_read(reader);
        out->data = mk_read_field(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_SET_ACL:
        out->path = path_read(reader);
        out->acl = jute_acl_read(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_CHECK:
        out->path = path_read(reader);
        out->version = mk_read_i32(reader);
        return true;
    case JUTE_ERROR: out->error = mk_read_i32(reader); return true;
    case JUTE_CREATE_SESSION: out->timeout_ms = mk_read_i32(reader); return true;
    case JUTE_CLOSE_SESSION: close_session_read(reader, out); return true;
    default: return false;
    }
}

static bool type_is_part(int32_t type)
{
    switch (type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL:
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER:
    case JUTE_SET_DATA:
    case JUTE_SET_ACL:
    case JUTE_CHECK:
    case JUTE_ERROR: return true;
    default: return false;
    }
}

/* One Txn of a multi's vector, into a `part` that has its header fields. A body that does not hold
 * fails the reader; what follows one inside its buffer is ignored. */
static void part_read(struct mk_reader *reader, struct jute_txn *part)
{
    part->type = mk_read_i32(reader);
    struct mk_reader body = mk_reader_of(mk_read_field(reader));
    if (!type_is_part(part->type) || !body_read(&body, part) || body.failed) {
        reader->failed = true;
    }
}

static void multi_read(struct mk_reader *reader, struct jute_txn *out)
{
    int32_t count = jute_count_read(reader, PART_BYTES_MIN);
    const uint8_t *start = reader->at;
    for (int32_t i = 0; i < count && !reader->failed; i++) {
        struct jute_txn part = {0};
        part_read(reader, &part);
        out->failed = out->failed || part.type == JUTE_ERROR;
    }
    if (reader->failed) {
        return;
    }
    out->operations = mk_bytes_of(start, (size_t)(reader->at - start));
    out->operations_count = count < 0 ? 0 : count;
}

enum mk_status jute_txn_decode(struct mk_bytes entry, struct jute_txn *out)
{
    struct mk_reader reader = mk_reader_of(entry);
    *out = (struct jute_txn){0};
    struct jute_txn header = {0};
    header.client_id = mk_read_i64(&reader);
    header.cxid = mk_read_i32(&reader);
    header.zxid = mk_read_i64(&reader);
    header.time_ms = mk_read_i64(&reader);
    header.type = mk_read_i32(&reader);
    if (reader.failed) {
        return MK_MALFORMED;
    }
    *out = header;

    if (out->type == JUTE_MULTI) {
        multi_read(&reader, out);
    } else if (out->type == JUTE_CHECK || !body_read(&reader, out)) {
        return MK_MALFORMED; /* CHECK exists, but only inside a multi */
    }
    return reader.failed ? MK_MALFORMED : MK_OK;
}

struct jute_txn_cursor jute_txn_begin(const struct jute_txn *multi)
{
    MK_ASSERT(multi->type == JUTE_MULTI);
    return (struct jute_txn_cursor){mk_reader_of(multi->operations), multi,
                                    multi->operations_count};
}

bool jute_txn_next(struct jute_txn_cursor *cursor, struct jute_txn *part)
{
    if (cursor->left == 0) {
        return false;
    }
    cursor->left--;
    *part = (struct jute_txn){
        .client_id = cursor->multi->client_id,
        .cxid = cursor->multi->cxid,
        .zxid = cursor->multi->zxid,
        .time_ms = cursor->multi->time_ms,
    };
    part_read(&cursor->reader, part);
    MK_ASSERT(!cursor->reader.failed); /* multi_read() has been here. */
    return true;
}

/* ---- Encoding ---- */

static void header_put(struct mk_buf *out, const struct jute_txn *txn)
{
    mk_buf_put_i64(out, txn->client_id);
    mk_buf_put_i32(out, txn->cxid);
    mk_buf_put_i64(out, txn->zxid);
    mk_buf_put_i64(out, txn->time_ms);
    mk_buf_put_i32(out, txn->type);
}

static void path_put(struct mk_buf *out, struct mk_bytes path)
{
    MK_ASSERT(path.data != NULL);
    mk_buf_put_field(out, path);
}

static void create_put(struct mk_buf *out, const struct jute_txn *txn)
{
    path_put(out, txn->path);
    mk_buf_put_field(out, txn->data);
    jute_acl_put(out, txn->acl);
    if (txn->type == JUTE_CREATE || txn->type == JUTE_CREATE2) {
        mk_buf_put_u8(out, txn->ephemeral);
    }
    mk_buf_put_i32(out, txn->parent_cversion);
    if (txn->type == JUTE_CREATE_TTL) {
        mk_buf_put_i64(out, txn->ttl_ms);
    }
}

static void body_put(struct mk_buf *out, const struct jute_txn *txn)
{
    switch (txn->type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL: create_put(out, txn); return;
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER: path_put(out, txn->path); return;
    case JUTE_SET_DATA:
    case JUTE_RECONFIG:
        path_put(out, txn->path);
        mk_buf_put_field(out, txn->data);
        mk_buf_put_i32(out, txn->version);
        return;
    case JUTE_SET_ACL:
        path_put(out, txn->path);
        jute_acl_put(out, txn->acl);
        mk_buf_put_i32(out, txn->version);
        return;
    case JUTE_CHECK:
        path_put(out, txn->path);
        mk_buf_put_i32(out, txn->version);
        return;
    case JUTE_ERROR: mk_buf_put_i32(out, txn->error); return;
    case JUTE_CREATE_SESSION: mk_buf_put_i32(out, txn->timeout_ms); return;
    case JUTE_CLOSE_SESSION: jute_strings_put(out, txn->paths); return;
    default: mk_assert_failed("a type that no transaction has", __FILE__, __LINE__);
    }
}

void jute_txn_encode(struct mk_buf *out, const struct jute_txn *txn)
{
    MK_ASSERT(txn->type != JUTE_CHECK); /* only inside a multi */
    header_put(out, txn);
    body_put(out, txn);
}

struct jute_txn_multi jute_txn_multi_begin(struct mk_buf *out, const struct jute_txn *header)
{
    MK_ASSERT(header->type == JUTE_MULTI);
    header_put(out, header);
    struct jute_txn_multi multi = {.count_at = out->len, .count = 0};
    mk_buf_put_i32(out, 0);
    return multi;
}

void jute_txn_multi_put(struct mk_buf *out, struct jute_txn_multi *multi,
                        const struct jute_txn *part)
{
    MK_ASSERT(type_is_part(part->type));
    mk_buf_put_i32(out, part->type);
    size_t length_at = out->len;
    mk_buf_put_i32(out, 0);
    body_put(out, part);

    size_t body_bytes = out->len - length_at - sizeof(int32_t);
    MK_ASSERT(body_bytes <= INT32_MAX);
    mk_store_u32(out->data + length_at, (uint32_t)body_bytes);
    multi->count++;
}

void jute_txn_multi_end(struct mk_buf *out, struct jute_txn_multi *multi)
{
    MK_ASSERT(multi->count_at + sizeof(int32_t) <= out->len);
    mk_store_u32(out->data + multi->count_at, (uint32_t)multi->count);
}
