/* Exactly once: what a session's finished calls answered, kept in one znode per session until the
 * client says, with `done_through`, that it has seen them. So a call that is asked again, over a new
 * connection or at a new leader, gets the first answer.
 *
 * Record: repeated i64 call id, buffer body; call ids in the order in which the calls ended. */
#include <string.h>

#include "prepare/context.h"

#define RESULTS_BYTES_MAX (256 * 1024) /* of one session; a transaction must have room for it */

void prepare_results_path(uint8_t out[RESULTS_PATH_BYTES], mk_session session)
{
    static const char digits[] = "0123456789abcdef";
    size_t prefix = RESULTS_PATH_BYTES - 16;

    memcpy(out, TREE_CALLS_PATH "/.s", prefix);
    for (size_t i = 0; i < 16; i++) {
        out[prefix + i] = (uint8_t)digits[((uint64_t)session >> (60 - 4 * i)) & 15];
    }
}

/* ---- The record ---- */

struct entry {
    int64_t call_id;
    struct mk_bytes body;
    size_t bytes; /* of the record */
};

/* Take the first entry off. False: there is none, or it is nothing of ours. A session with many calls in flight
 * has as many entries, and each of its calls goes through them twice: so no mk_reader. */
static bool entry_take(struct mk_bytes *rest, struct entry *out)
{
    enum { HEAD_BYTES = sizeof(int64_t) + sizeof(int32_t) };

    if (rest->len < HEAD_BYTES) {
        return false;
    }
    size_t len = mk_load_u32(rest->data + sizeof(int64_t));
    if (len > rest->len - HEAD_BYTES) {
        return false;
    }
    out->call_id = (int64_t)mk_load_u64(rest->data);
    out->body = mk_bytes_of(rest->data + HEAD_BYTES, len);
    out->bytes = HEAD_BYTES + len;
    *rest = mk_bytes_of(rest->data + out->bytes, rest->len - out->bytes);
    return true;
}

/* Calls mostly end in the order of their ids: then what is kept is the record's end. */
static void look_through(struct prepare_results *results, int64_t call_id, int64_t done_through)
{
    struct mk_bytes rest = results->record;
    struct entry entry;

    while (entry_take(&rest, &entry)) {
        bool kept = entry.call_id > done_through;
        results->count += kept;
        results->kept_bytes += kept ? entry.bytes : 0;
        results->last_bytes = kept ? results->last_bytes + entry.bytes : 0;
        if (entry.call_id == call_id) {
            results->body = entry.body;
        }
    }
    if (rest.len > 0) {
        results->last_bytes = 0; /* what it ends with is nothing of ours */
    }
}

enum mk_status prepare_results_read(struct prepare *prepare, mk_session session, int64_t call_id,
                                    int64_t done_through, struct prepare_results *out)
{
    uint8_t path[RESULTS_PATH_BYTES];
    struct store_znode znode;

    *out = (struct prepare_results){.done_through = done_through};
    prepare_results_path(path, session);
    enum mk_status status =
        store_znode_read(prepare->view, mk_bytes_of(path, sizeof(path)), true, &znode);
    if (status == MK_OK) {
        out->exists = true;
        out->record = mk_arena_copy(&prepare->scraps, znode.data);
        look_through(out, call_id, done_through);
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

/* Copy what is above `done_through`, the newest that fit in `room` bytes. */
static void keep_newest(const struct prepare_results *results, size_t room, struct mk_buf *kept)
{
    struct mk_bytes rest = results->record;
    size_t total = results->kept_bytes, last = results->last_bytes;
    struct entry entry;

    if (total == last && total <= room) {
        mk_buf_append_bytes(kept, mk_bytes_of(rest.data + rest.len - last, last));
        return;
    }
    while (entry_take(&rest, &entry)) {
        if (entry.call_id <= results->done_through) {
            continue;
        }
        if (total > room) {
            total -= entry.bytes; /* the oldest go first */
        } else {
            mk_buf_append(kept, entry.body.data - (entry.bytes - entry.body.len), entry.bytes);
        }
    }
}

enum mk_status prepare_results_add(struct prepare *prepare, mk_session session,
                                   const struct prepare_results *results, int64_t call_id,
                                   struct mk_bytes body, struct jute_txn *part)
{
    uint8_t path_bytes[RESULTS_PATH_BYTES];
    struct mk_buf *next = prepare_scratch(prepare);

    mk_buf_reserve(next, results->record.len + sizeof(call_id) + sizeof(int32_t) + body.len);
    if (results->record.len > 0) {
        keep_newest(results, RESULTS_BYTES_MAX - body.len, next);
    }
    mk_buf_put_i64(next, call_id);
    mk_buf_put_field(next, body);

    prepare_results_path(path_bytes, session);
    struct mk_bytes path =
        mk_arena_copy(&prepare->scraps, mk_bytes_of(path_bytes, sizeof(path_bytes)));
    struct mk_bytes data = mk_arena_copy(&prepare->scraps, mk_buf_view(next));
    return results->exists ? prepare_own_set_data(prepare, path, data, part)
                           : prepare_own_create(prepare, path, data, MK_BYTES_NULL, 0, false, part);
}
