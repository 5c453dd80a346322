/* Packets of the quorum port and what they carry (zookeeper-quorum.md, section 4). They come as a
 * stream without lengths, so reading one has three ends: it is whole, it cannot be one, or its end has
 * not arrived. */
#include "jute/jute.h"
#include "jute/vector.h"

#define PACKET_DATA_AT 12 /* behind i32 type and i64 zxid */
#define ID_BYTES_MIN 8    /* two lengths */

/* ---- A stream's fields ---- */

enum mk_status jute_stream_field(struct mk_reader *reader, size_t bytes_max, struct mk_bytes *field)
{
    MK_ASSERT(!reader->failed);
    if (mk_reader_left(reader) < sizeof(int32_t)) {
        return MK_WOULD_BLOCK;
    }
    struct mk_reader ahead = *reader;
    int32_t length = mk_read_i32(&ahead);
    if (length < -1 || (length > 0 && (size_t)length > bytes_max)) {
        return MK_MALFORMED;
    }
    if (length > 0 && (size_t)length > mk_reader_left(&ahead)) {
        return MK_WOULD_BLOCK;
    }
    *field = mk_read_field(reader);
    MK_ASSERT(!reader->failed);
    return MK_OK;
}

/* ---- Packets ---- */

static enum mk_status ids_read(struct mk_reader *reader, size_t bytes_max, struct jute_packet *out)
{
    if (mk_reader_left(reader) < sizeof(int32_t)) {
        return MK_WOULD_BLOCK;
    }
    int32_t count = mk_read_i32(reader);
    if (count < -1 || (count > 0 && (size_t)count > bytes_max / ID_BYTES_MIN)) {
        return MK_MALFORMED;
    }
    out->authinfo_count = count;
    const uint8_t *start = reader->at;
    for (int64_t i = 0; i < 2 * (int64_t)count; i++) {
        size_t taken = (size_t)(reader->at - start);
        size_t need =
            (size_t)(2 * (int64_t)count - i) * sizeof(int32_t); /* what is left, at least */
        if (taken + need > bytes_max) {
            return MK_MALFORMED;
        }
        struct mk_bytes field;
        enum mk_status status = jute_stream_field(reader, bytes_max - taken - need, &field);
        if (status != MK_OK) {
            return status;
        }
    }
    if (count >= 0) {
        out->authinfo = mk_bytes_of(start, (size_t)(reader->at - start));
    }
    return MK_OK;
}

enum mk_status jute_packet_read(struct mk_bytes bytes, size_t data_max, struct jute_packet *out,
                                size_t *used)
{
    struct mk_reader reader = mk_reader_of(bytes);
    *out = JUTE_PACKET(0, 0);
    *used = 0;
    if (bytes.len < PACKET_DATA_AT) {
        return MK_WOULD_BLOCK;
    }
    out->type = mk_read_i32(&reader);
    out->zxid = mk_read_i64(&reader);
    enum mk_status status = jute_stream_field(&reader, data_max, &out->data);
    if (status == MK_OK) {
        status = ids_read(&reader, data_max, out);
    }
    if (status == MK_OK) {
        *used = bytes.len - mk_reader_left(&reader);
    }
    return status;
}

void jute_put_packet(struct mk_buf *out, const struct jute_packet *packet)
{
    MK_ASSERT(packet->authinfo_count >= -1);
    MK_ASSERT(packet->authinfo_count > 0 || packet->authinfo.len == 0);
    mk_buf_put_i32(out, packet->type);
    mk_buf_put_i64(out, packet->zxid);
    mk_buf_put_field(out, packet->data);
    mk_buf_put_i32(out, packet->authinfo_count);
    mk_buf_append_bytes(out, packet->authinfo);
}

size_t jute_packet_begin(struct mk_buf *out, int32_t type, mk_zxid zxid)
{
    size_t packet = out->len;
    mk_buf_put_i32(out, type);
    mk_buf_put_i64(out, zxid);
    mk_buf_put_i32(out, 0);
    return packet;
}

void jute_packet_end(struct mk_buf *out, size_t packet)
{
    size_t data = packet + PACKET_DATA_AT + sizeof(int32_t);
    MK_ASSERT(out->len >= data && out->len - data <= INT32_MAX);
    mk_store_u32(out->data + packet + PACKET_DATA_AT, (uint32_t)(out->len - data));
    mk_buf_put_i32(out, -1);
}

struct jute_ids_cursor jute_ids_begin(const struct jute_packet *packet)
{
    return (struct jute_ids_cursor){mk_reader_of(packet->authinfo), packet->authinfo_count};
}

bool jute_ids_next(struct jute_ids_cursor *cursor, struct jute_id *id)
{
    if (cursor->left <= 0) {
        return false;
    }
    cursor->left--;
    id->scheme = mk_read_field(&cursor->reader);
    id->id = mk_read_field(&cursor->reader);
    MK_ASSERT(!cursor->reader.failed); /* ids_read() has been here. */
    return true;
}

/* ---- LearnerInfo, LEADERINFO ---- */

static bool announcement_read(struct mk_reader *reader)
{
    struct mk_bytes announcement = MK_BYTES(JUTE_ANNOUNCEMENT);

    return mk_reader_left(reader) >= announcement.len &&
           mk_bytes_equal(mk_read_bytes(reader, announcement.len), announcement);
}

static void put_announcement(struct mk_buf *out, bool announces)
{
    if (announces) {
        mk_buf_append_bytes(out, MK_BYTES(JUTE_ANNOUNCEMENT));
    }
}

enum mk_status jute_learner_info_read(struct mk_bytes data, struct jute_learner_info *out)
{
    struct mk_reader reader = mk_reader_of(data);
    *out = (struct jute_learner_info){.id = mk_read_i64(&reader)};
    if (reader.failed) {
        return MK_MALFORMED;
    }
    if (mk_reader_left(&reader) >= sizeof(int32_t)) {
        out->protocol_version = mk_read_i32(&reader);
    }
    if (mk_reader_left(&reader) >= sizeof(int64_t)) {
        out->config_version = mk_read_i64(&reader);
        out->announces = announcement_read(&reader);
    }
    return MK_OK;
}

void jute_put_learner_info(struct mk_buf *out, const struct jute_learner_info *info)
{
    mk_buf_put_i64(out, info->id);
    mk_buf_put_i32(out, info->protocol_version);
    mk_buf_put_i64(out, info->config_version);
    put_announcement(out, info->announces);
}

enum mk_status jute_leader_info_read(struct mk_bytes data, struct jute_leader_info *out)
{
    struct mk_reader reader = mk_reader_of(data);
    *out = (struct jute_leader_info){.protocol_version = mk_read_i32(&reader)};
    if (reader.failed) {
        return MK_MALFORMED;
    }
    out->announces = announcement_read(&reader);
    return MK_OK;
}

void jute_put_leader_info(struct mk_buf *out, const struct jute_leader_info *info)
{
    mk_buf_put_i32(out, info->protocol_version);
    put_announcement(out, info->announces);
}

/* ---- Sessions ---- */

enum mk_status jute_touch_next(struct mk_reader *reader, struct jute_touch *out)
{
    if (!reader->failed && mk_reader_left(reader) == 0) {
        return MK_END;
    }
    out->session = mk_read_i64(reader);
    out->timeout_ms = mk_read_i32(reader);
    return reader->failed ? MK_MALFORMED : MK_OK;
}

enum mk_status jute_touch_read(struct mk_bytes data, struct jute_touch *out)
{
    struct mk_reader reader = mk_reader_of(data);
    return jute_touch_next(&reader, out) == MK_OK ? MK_OK : MK_MALFORMED;
}

void jute_put_touch(struct mk_buf *out, struct jute_touch touch)
{
    mk_buf_put_i64(out, touch.session);
    mk_buf_put_i32(out, touch.timeout_ms);
}

enum mk_status jute_validity_read(struct mk_bytes data, struct jute_validity *out)
{
    struct mk_reader reader = mk_reader_of(data);
    out->session = mk_read_i64(&reader);
    out->valid = mk_read_u8(&reader) != 0;
    return reader.failed ? MK_MALFORMED : MK_OK;
}

void jute_put_validity(struct mk_buf *out, struct jute_validity validity)
{
    mk_buf_put_i64(out, validity.session);
    mk_buf_put_u8(out, validity.valid);
}

/* ---- Forwarded requests ---- */

enum mk_status jute_forwarded_read(struct mk_bytes data, struct jute_forwarded *out)
{
    struct mk_reader reader = mk_reader_of(data);
    *out = (struct jute_forwarded){.session = mk_read_i64(&reader)};
    const uint8_t *payload = reader.at;
    out->cxid = mk_read_i32(&reader);
    out->op = mk_read_i32(&reader);
    if (reader.failed) {
        return MK_MALFORMED;
    }
    out->payload = mk_bytes_of(payload, (size_t)(reader.end - payload));
    out->record = mk_bytes_of(reader.at, mk_reader_left(&reader));
    return MK_OK;
}

void jute_put_forwarded(struct mk_buf *out, const struct jute_forwarded *request)
{
    MK_ASSERT(request->payload.len >= 2 * sizeof(int32_t)); /* cxid and op */
    mk_buf_put_i64(out, request->session);
    mk_buf_append_bytes(out, request->payload);
}

/* ---- Results ---- */

enum mk_status jute_result_read(struct mk_bytes data, struct jute_result *out)
{
    struct mk_reader reader = mk_reader_of(data);
    *out = (struct jute_result){.session = mk_read_i64(&reader)};
    out->cxid = mk_read_i32(&reader);
    out->parked = mk_read_i64(&reader);
    out->body = mk_read_bytes(&reader, mk_reader_left(&reader));
    return reader.failed || out->session == 0 || out->parked < 0 ? MK_MALFORMED : MK_OK;
}

void jute_put_result(struct mk_buf *out, const struct jute_result *result)
{
    mk_buf_put_i64(out, result->session);
    mk_buf_put_i32(out, result->cxid);
    mk_buf_put_i64(out, result->parked);
    mk_buf_append_bytes(out, result->body);
}
