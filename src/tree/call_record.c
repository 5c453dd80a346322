/* The record of a parked call, as bytes. Canonical: every record that decodes encodes to the same
 * bytes, so that servers which apply the same transaction keep the same data.
 *
 *   u8   1              layout version; any other is not ours
 *   u8   flags          bit 0 node, bit 1 outlives_session, bit 2 wakes at a time; the rest 0
 *   u8   format
 *   i64  session        i64 call_id        i32 cxid
 *   i64  deadline_ms    i64 made_ms        i64 not_before_ms      i32 wakes
 *   i64  wake_at_ms     positive; only if bit 2 says so
 *   field operation     field version      field chroot
 *   field arguments     field identities   field once          field node_path
 *   u8   waits          at most TREE_WAITS_MAX, then each: u8 kind, i64 stamp, field path
 *   u8   created        at most TREE_CREATED_MAX, then each: i64 czxid, field path
 *
 * Integers are big-endian; a field is i32 length (-1: null) and bytes. Times are log time in ms.
 * Paths are valid ones; times and wakes are not negative. Nothing follows. */
#include "tree/tree.h"

#define LAYOUT_VERSION 1

enum { FLAG_NODE = 1, FLAG_OUTLIVES_SESSION = 2, FLAG_WAKES_AT = 4, FLAGS_ALL = 7 };

static void waits_encode(struct mk_buf *out, const struct tree_call *call)
{
    MK_ASSERT(call->waits_count >= 0);
    MK_ASSERT(call->waits_count <= TREE_WAITS_MAX);
    mk_buf_put_u8(out, (uint8_t)call->waits_count);
    for (int32_t i = 0; i < call->waits_count; i++) {
        const struct tree_wait *wait = &call->waits[i];
        MK_ASSERT(wait->kind >= TREE_WAIT_CREATED && wait->kind <= TREE_WAIT_CHILDREN_ALL);
        mk_buf_put_u8(out, (uint8_t)wait->kind);
        mk_buf_put_i64(out, wait->stamp);
        mk_buf_put_field(out, wait->path);
    }
}

static void created_encode(struct mk_buf *out, const struct tree_call *call)
{
    MK_ASSERT(call->created_count >= 0);
    MK_ASSERT(call->created_count <= TREE_CREATED_MAX);
    mk_buf_put_u8(out, (uint8_t)call->created_count);
    for (int32_t i = 0; i < call->created_count; i++) {
        mk_buf_put_i64(out, call->created[i].czxid);
        mk_buf_put_field(out, call->created[i].path);
    }
}

void tree_call_encode(struct mk_buf *out, const struct tree_call *call)
{
    MK_ASSERT(call->deadline_ms >= 0 && call->made_ms >= 0 && call->not_before_ms >= 0);
    MK_ASSERT(call->wakes >= 0 && call->wake_at_ms >= 0);
    mk_buf_put_u8(out, LAYOUT_VERSION);
    mk_buf_put_u8(out, (uint8_t)((call->node ? FLAG_NODE : 0) |
                                 (call->outlives_session ? FLAG_OUTLIVES_SESSION : 0) |
                                 (call->wake_at_ms > 0 ? FLAG_WAKES_AT : 0)));
    mk_buf_put_u8(out, call->format);
    mk_buf_put_i64(out, call->session);
    mk_buf_put_i64(out, call->call_id);
    mk_buf_put_i32(out, call->cxid);
    mk_buf_put_i64(out, call->deadline_ms);
    mk_buf_put_i64(out, call->made_ms);
    mk_buf_put_i64(out, call->not_before_ms);
    mk_buf_put_i32(out, call->wakes);
    if (call->wake_at_ms > 0) {
        mk_buf_put_i64(out, call->wake_at_ms);
    }
    mk_buf_put_field(out, call->operation);
    mk_buf_put_field(out, call->version);
    mk_buf_put_field(out, call->chroot);
    mk_buf_put_field(out, call->arguments);
    mk_buf_put_field(out, call->identities);
    mk_buf_put_field(out, call->once);
    mk_buf_put_field(out, call->node_path);
    waits_encode(out, call);
    created_encode(out, call);
}

static bool waits_decode(struct mk_reader *reader, struct tree_call *out)
{
    out->waits_count = mk_read_u8(reader);
    if (out->waits_count > TREE_WAITS_MAX) {
        return false;
    }
    for (int32_t i = 0; i < out->waits_count; i++) {
        struct tree_wait *wait = &out->waits[i];
        uint8_t kind = mk_read_u8(reader);
        wait->stamp = mk_read_i64(reader);
        wait->path = mk_read_field(reader);
        if (kind < TREE_WAIT_CREATED || kind > TREE_WAIT_CHILDREN_ALL ||
            tree_path_check(wait->path) != MK_OK) {
            return false;
        }
        wait->kind = (enum tree_wait_kind)kind;
    }
    return true;
}

static bool created_decode(struct mk_reader *reader, struct tree_call *out)
{
    out->created_count = mk_read_u8(reader);
    if (out->created_count > TREE_CREATED_MAX) {
        return false;
    }
    for (int32_t i = 0; i < out->created_count; i++) {
        out->created[i].czxid = mk_read_i64(reader);
        out->created[i].path = mk_read_field(reader);
        if (tree_path_check(out->created[i].path) != MK_OK) {
            return false;
        }
    }
    return true;
}

/* The version has been read. */
static bool record_decode(struct mk_reader *reader, struct tree_call *out)
{
    uint8_t flags = mk_read_u8(reader);
    out->node = (flags & FLAG_NODE) != 0;
    out->outlives_session = (flags & FLAG_OUTLIVES_SESSION) != 0;
    out->format = mk_read_u8(reader);
    out->session = mk_read_i64(reader);
    out->call_id = mk_read_i64(reader);
    out->cxid = mk_read_i32(reader);
    out->deadline_ms = mk_read_i64(reader);
    out->made_ms = mk_read_i64(reader);
    out->not_before_ms = mk_read_i64(reader);
    out->wakes = mk_read_i32(reader);
    bool timed = (flags & FLAG_WAKES_AT) != 0;
    out->wake_at_ms = timed ? mk_read_i64(reader) : 0;
    out->operation = mk_read_field(reader);
    out->version = mk_read_field(reader);
    out->chroot = mk_read_field(reader);
    out->arguments = mk_read_field(reader);
    out->identities = mk_read_field(reader);
    out->once = mk_read_field(reader);
    out->node_path = mk_read_field(reader);
    if ((flags & ~FLAGS_ALL) != 0 || out->deadline_ms < 0 || out->made_ms < 0 ||
        out->not_before_ms < 0 || out->wakes < 0 || (timed && out->wake_at_ms <= 0)) {
        return false;
    }
    return waits_decode(reader, out) && created_decode(reader, out);
}

enum mk_status tree_call_decode(struct mk_bytes record, struct tree_call *out)
{
    *out = (struct tree_call){0};
    struct mk_reader reader = mk_reader_of(record);
    bool good = mk_read_u8(&reader) == LAYOUT_VERSION && record_decode(&reader, out);
    if (!good || reader.failed || mk_reader_left(&reader) != 0) {
        *out = (struct tree_call){0}; /* Whoever forgets to look finds a call that does nothing. */
        return MK_MALFORMED;
    }
    return MK_OK;
}

mk_ms tree_call_due_ms(const struct tree_call *call)
{
    mk_ms due_ms = call->deadline_ms;
    if (call->wake_at_ms > 0) {
        mk_ms wake_ms =
            call->wake_at_ms > call->not_before_ms ? call->wake_at_ms : call->not_before_ms;
        due_ms = due_ms == 0 || wake_ms < due_ms ? wake_ms : due_ms;
    }
    return due_ms;
}
