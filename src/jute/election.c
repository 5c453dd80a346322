/* What is said on the election port (zookeeper-quorum.md, section 2): who dials, once, and then
 * notifications, each in a frame that whoever has the socket cuts out. */
#include "jute/jute.h"
#include "jute/vector.h"

/* Of the first i64, where 3.4 has its id, which is never negative. */
#define HELLO_V1 INT64_C(-65536)
#define HELLO_V2 INT64_C(-65535) /* the same, and the addresses may be several */

/* How long notifications are, as releases have grown them. */
#define NOTIFICATION_BYTES_FIRST 28     /* no peerEpoch, no version */
#define NOTIFICATION_BYTES_VERSIONED 40 /* 3.4.6: says version 1, and is treated as those before */

enum mk_status jute_election_hello_read(struct mk_bytes bytes, struct jute_election_hello *out,
                                        size_t *used)
{
    struct mk_reader reader = mk_reader_of(bytes);
    *out = (struct jute_election_hello){0};
    *used = 0;
    if (mk_reader_left(&reader) < sizeof(int64_t)) {
        return MK_WOULD_BLOCK;
    }
    int64_t first = mk_read_i64(&reader);
    if (first >= 0) {
        out->id = first;
        *used = sizeof(int64_t);
        return MK_OK;
    }
    if (first != HELLO_V1 && first != HELLO_V2) {
        return MK_MALFORMED;
    }
    if (mk_reader_left(&reader) < sizeof(int64_t)) {
        return MK_WOULD_BLOCK;
    }
    out->id = mk_read_i64(&reader);
    enum mk_status status =
        jute_stream_field(&reader, JUTE_ELECTION_ADDRESSES_BYTES_MAX, &out->addresses);
    if (status != MK_OK) {
        return status;
    }
    if (out->id < 0 || out->addresses.len == 0) {
        return MK_MALFORMED;
    }
    *used = bytes.len - mk_reader_left(&reader);
    return MK_OK;
}

void jute_put_election_hello(struct mk_buf *out, const struct jute_election_hello *hello)
{
    MK_ASSERT(hello->id >= 0 && hello->addresses.len > 0);
    MK_ASSERT(hello->addresses.len <= JUTE_ELECTION_ADDRESSES_BYTES_MAX);
    mk_buf_put_i64(out, HELLO_V1);
    mk_buf_put_i64(out, hello->id);
    mk_buf_put_field(out, hello->addresses);
}

enum mk_status jute_notification_read(struct mk_bytes body, struct jute_notification *out)
{
    struct mk_reader reader = mk_reader_of(body);
    *out = (struct jute_notification){0};
    out->state = mk_read_i32(&reader);
    out->leader = mk_read_i64(&reader);
    out->zxid = mk_read_i64(&reader);
    out->round = mk_read_i64(&reader);
    out->peer_epoch = out->zxid >> 32;
    if (body.len != NOTIFICATION_BYTES_FIRST) {
        out->peer_epoch = mk_read_i64(&reader);
        out->version = mk_read_i32(&reader);
    }
    if (body.len == NOTIFICATION_BYTES_VERSIONED) {
        out->version = 0;
    }
    if (out->version >= 2) {
        out->config = mk_read_field(&reader);
        reader.failed = reader.failed || out->config.data == NULL;
    }
    bool state_known = out->state >= JUTE_LOOKING && out->state <= JUTE_OBSERVING;
    return reader.failed || !state_known ? MK_MALFORMED : MK_OK;
}

void jute_put_notification(struct mk_buf *out, const struct jute_notification *notification)
{
    struct mk_bytes config = notification->config;
    mk_buf_put_i32(out, notification->state);
    mk_buf_put_i64(out, notification->leader);
    mk_buf_put_i64(out, notification->zxid);
    mk_buf_put_i64(out, notification->round);
    mk_buf_put_i64(out, notification->peer_epoch);
    mk_buf_put_i32(out, JUTE_NOTIFICATION_VERSION);
    mk_buf_put_field(out, config.data == NULL ? MK_BYTES("") : config);
}
