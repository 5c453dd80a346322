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

static enum mk_status results_read(struct prepare *prepare, mk_session session,
                                   struct mk_bytes *record)
{
    uint8_t path[RESULTS_PATH_BYTES];
    struct store_znode znode;

    prepare_results_path(path, session);
    enum mk_status status =
        store_znode_read(prepare->view, mk_bytes_of(path, sizeof(path)), true, &znode);
    *record = status == MK_OK && znode.data.data != NULL
                  ? mk_arena_copy(&prepare->scraps, znode.data)
                  : MK_BYTES_NULL;
    return status;
}

enum mk_status prepare_results_find(struct prepare *prepare, mk_session session, int64_t call_id,
                                    int64_t done_through, struct mk_bytes *body, uint32_t *count)
{
    struct mk_bytes record;
    enum mk_status status = results_read(prepare, session, &record);
    enum mk_status found = MK_NO_NODE;

    *count = 0;
    if (status != MK_OK) {
        return status;
    }
    struct mk_reader reader = mk_reader_of(record);
    while (mk_reader_left(&reader) > 0) {
        int64_t id = mk_read_i64(&reader);
        struct mk_bytes stored = mk_read_field(&reader);
        if (reader.failed) {
            break;
        }
        *count += id > done_through ? 1 : 0;
        if (id == call_id) {
            *body = stored;
            found = MK_OK;
        }
    }
    return found;
}

/* How many bytes of the record are above `done_through`, and how many of these are its end: calls mostly
 * end in the order of their ids. */
static void measure(struct mk_bytes record, int64_t done_through, size_t *total, size_t *last)
{
    struct mk_reader reader = mk_reader_of(record);

    *total = *last = 0;
    while (mk_reader_left(&reader) > 0) {
        size_t left = mk_reader_left(&reader);
        int64_t id = mk_read_i64(&reader);
        (void)mk_read_field(&reader);
        if (reader.failed) {
            *last = 0; /* what it ends with is nothing of ours */
            return;
        }
        bool kept = id > done_through;
        size_t len = left - mk_reader_left(&reader);
        *total += kept ? len : 0;
        *last = kept ? *last + len : 0;
    }
}

/* Copy what is above `done_through`, the newest that fit in `room` bytes. */
static void keep_newest(struct mk_bytes record, int64_t done_through, size_t room,
                        struct mk_buf *kept)
{
    struct mk_reader reader = mk_reader_of(record);
    size_t total, last;

    measure(record, done_through, &total, &last);
    if (total == last && total <= room) {
        mk_buf_append(kept, record.data + record.len - last, last);
        return;
    }
    while (mk_reader_left(&reader) > 0) {
        const uint8_t *at = reader.at;
        int64_t id = mk_read_i64(&reader);
        (void)mk_read_field(&reader);
        if (reader.failed) {
            return;
        }
        size_t len = (size_t)(reader.at - at);
        if (id <= done_through) {
            continue;
        }
        if (total > room) {
            total -= len; /* the oldest go first */
        } else {
            mk_buf_append(kept, at, len);
        }
    }
}

enum mk_status prepare_results_add(struct prepare *prepare, mk_session session, int64_t call_id,
                                   int64_t done_through, struct mk_bytes body,
                                   struct jute_txn *part)
{
    uint8_t path_bytes[RESULTS_PATH_BYTES];
    struct mk_buf *next = prepare_scratch(prepare);
    struct mk_bytes record;
    enum mk_status status = results_read(prepare, session, &record);

    if (status != MK_OK && status != MK_NO_NODE) {
        return status;
    }
    mk_buf_reserve(next, record.len + sizeof(call_id) + sizeof(int32_t) + body.len);
    if (record.data != NULL) {
        keep_newest(record, done_through, RESULTS_BYTES_MAX - body.len, next);
    }
    mk_buf_put_i64(next, call_id);
    mk_buf_put_field(next, body);

    prepare_results_path(path_bytes, session);
    struct mk_bytes path =
        mk_arena_copy(&prepare->scraps, mk_bytes_of(path_bytes, sizeof(path_bytes)));
    struct mk_bytes data = mk_arena_copy(&prepare->scraps, mk_buf_view(next));
    return status == MK_OK ? prepare_own_set_data(prepare, path, data, part)
                           : prepare_own_create(prepare, path, data, MK_BYTES_NULL, 0, false, part);
}
