/* What servers send: ConnectResponse, replies, notifications; and how clients and tests read them.
 * Every fixed run of fields grows the buffer once and is stored in place. */
#include "jute/frame.h"
#include "jute/jute.h"

#include <string.h>

#define REPLY_HEADER_BYTES 16  /* xid, zxid, err */
#define CONNECT_REPLY_BYTES 36 /* protocolVersion, timeOut, sessionId, passwd; without readOnly */
#define MULTI_HEADER_BYTES 9   /* type, done, err */
#define STATE_SYNC_CONNECTED 3 /* the only KeeperState that servers put into a WatcherEvent */

void jute_connect_reply(struct mk_buf *out, int32_t timeout_ms, int64_t session_id,
                        const uint8_t *password, enum jute_read_only read_only)
{
    size_t payload_bytes = CONNECT_REPLY_BYTES + (read_only != JUTE_READ_ONLY_ABSENT);
    uint8_t *at = mk_buf_grow(out, FRAME_LENGTH_BYTES + payload_bytes);
    memset(at, 0, FRAME_LENGTH_BYTES + payload_bytes); /* also protocolVersion: 0 */
    mk_store_u32(at, (uint32_t)payload_bytes);
    mk_store_u32(at + 8, (uint32_t)timeout_ms);
    mk_store_u64(at + 12, (uint64_t)session_id);
    mk_store_u32(at + 20, JUTE_PASSWORD_BYTES);
    if (password != NULL) {
        memcpy(at + 24, password, JUTE_PASSWORD_BYTES);
    }
    if (read_only != JUTE_READ_ONLY_ABSENT) {
        at[24 + JUTE_PASSWORD_BYTES] = read_only == JUTE_READ_ONLY_TRUE;
    }
}

size_t jute_reply_begin(struct mk_buf *out, int32_t xid, mk_zxid zxid, int32_t error)
{
    size_t frame = out->len;
    uint8_t *at = mk_buf_grow(out, FRAME_LENGTH_BYTES + REPLY_HEADER_BYTES);
    mk_store_u32(at, REPLY_HEADER_BYTES); /* right already if no body follows */
    mk_store_u32(at + 4, (uint32_t)xid);
    mk_store_u64(at + 8, (uint64_t)zxid);
    mk_store_u32(at + 16, (uint32_t)error);
    return frame;
}

void jute_reply_end(struct mk_buf *out, size_t frame)
{
    MK_ASSERT(out->len >= frame + FRAME_LENGTH_BYTES + REPLY_HEADER_BYTES);
    frame_end(out, frame);
}

void jute_put_stat(struct mk_buf *out, const struct jute_stat *stat)
{
    uint8_t *at = mk_buf_grow(out, JUTE_STAT_BYTES);
    mk_store_u64(at, (uint64_t)stat->czxid);
    mk_store_u64(at + 8, (uint64_t)stat->mzxid);
    mk_store_u64(at + 16, (uint64_t)stat->ctime_ms);
    mk_store_u64(at + 24, (uint64_t)stat->mtime_ms);
    mk_store_u32(at + 32, (uint32_t)stat->version);
    mk_store_u32(at + 36, (uint32_t)stat->cversion);
    mk_store_u32(at + 40, (uint32_t)stat->aversion);
    mk_store_u64(at + 44, (uint64_t)stat->ephemeral_owner);
    mk_store_u32(at + 52, (uint32_t)stat->data_length);
    mk_store_u32(at + 56, (uint32_t)stat->children_count);
    mk_store_u64(at + 60, (uint64_t)stat->pzxid);
}

/* ---- Results of a multi ---- */

static void multi_header_put(struct mk_buf *out, int32_t type, bool done, int32_t error)
{
    uint8_t *at = mk_buf_grow(out, MULTI_HEADER_BYTES);
    mk_store_u32(at, (uint32_t)type);
    at[4] = done;
    mk_store_u32(at + 5, (uint32_t)error);
}

void jute_put_multi_result(struct mk_buf *out, int32_t type)
{
    MK_ASSERT(type > 0);
    multi_header_put(out, type, false, 0);
}

void jute_put_multi_error(struct mk_buf *out, int32_t error)
{
    multi_header_put(out, -1, false, error);
    mk_buf_put_i32(out, error);
}

void jute_put_multi_end(struct mk_buf *out)
{
    multi_header_put(out, -1, true, -1);
}

/* ---- Notifications ---- */

void jute_notification(struct mk_buf *out, mk_zxid zxid, enum jute_event event,
                       struct mk_bytes path)
{
    MK_ASSERT(event >= JUTE_EVENT_CREATED && event <= JUTE_EVENT_CHILDREN_CHANGED);
    size_t frame = jute_reply_begin(out, JUTE_XID_NOTIFICATION, zxid, 0);
    mk_buf_put_i32(out, (int32_t)event);
    mk_buf_put_i32(out, STATE_SYNC_CONNECTED);
    mk_buf_put_field(out, path);
    jute_reply_end(out, frame);
}

/* ---- Decoding ---- */

enum mk_status jute_reply_decode(struct mk_bytes frame, struct jute_reply *out)
{
    struct mk_reader reader = mk_reader_of(frame);
    *out = (struct jute_reply){0};
    out->xid = mk_read_i32(&reader);
    out->zxid = mk_read_i64(&reader);
    out->error = mk_read_i32(&reader);
    out->body = mk_read_bytes(&reader, mk_reader_left(&reader));
    return reader.failed ? MK_MALFORMED : MK_OK;
}

struct jute_stat jute_read_stat(struct mk_reader *reader)
{
    struct jute_stat stat = {0};
    stat.czxid = mk_read_i64(reader);
    stat.mzxid = mk_read_i64(reader);
    stat.ctime_ms = mk_read_i64(reader);
    stat.mtime_ms = mk_read_i64(reader);
    stat.version = mk_read_i32(reader);
    stat.cversion = mk_read_i32(reader);
    stat.aversion = mk_read_i32(reader);
    stat.ephemeral_owner = mk_read_i64(reader);
    stat.data_length = mk_read_i32(reader);
    stat.children_count = mk_read_i32(reader);
    stat.pzxid = mk_read_i64(reader);
    return stat;
}
