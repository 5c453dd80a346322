/* A connection's bytes, cut into frames: an i32 length, then that many bytes.
 *
 * 1. Nothing kept, a whole frame in `unread`: seen in place. Nearly always.
 * 2. Nothing kept, the end of `unread` is the beginning of a frame: it is kept, in a buffer with
 *    room for the whole frame, so that a large one is copied once.
 * 3. Something kept: as much of `unread` is added as completes one frame. */
#include "edge/framing.h"

#include <string.h>

#define KEPT_IDLE_BYTES 4096 /* A buffer larger than this is not held on to while it is empty. */

void framing_free(struct framing *framing)
{
    mk_buf_free(&framing->kept);
    framing->kept_at = 0;
}

size_t framing_kept(const struct framing *framing)
{
    return framing->kept.len - framing->kept_at;
}

/* When all that was kept is used up, start again at the front. */
static void kept_rewind(struct framing *framing)
{
    if (framing_kept(framing) > 0 || framing->kept.cap == 0) {
        return;
    }
    framing->kept.len = 0;
    framing->kept_at = 0;
    if (framing->kept.cap > KEPT_IDLE_BYTES) {
        mk_buf_free(&framing->kept);
    }
}

static struct mk_bytes bytes_cut(struct mk_bytes *bytes, size_t count)
{
    MK_ASSERT(count <= bytes->len);
    struct mk_bytes front = {bytes->data, count};
    bytes->data += count;
    bytes->len -= count;
    return front;
}

/* Move bytes over until `wanted` are kept. False: there are not enough. */
static bool kept_fill(struct framing *framing, size_t wanted, struct mk_bytes *unread)
{
    size_t have = framing_kept(framing);
    if (have >= wanted) {
        return true;
    }

    size_t missing = wanted - have;
    if (framing->kept_at > 0) { /* Else the used front would grow for as long as frames straddle. */
        memmove(framing->kept.data, framing->kept.data + framing->kept_at, have);
        framing->kept.len = have;
        framing->kept_at = 0;
    }
    mk_buf_reserve(&framing->kept, missing);
    mk_buf_append_bytes(&framing->kept,
                        bytes_cut(unread, missing < unread->len ? missing : unread->len));
    return framing_kept(framing) == wanted;
}

static enum framing_result kept_next(struct framing *framing, uint32_t frame_bytes_max,
                                     struct mk_bytes *unread, struct mk_bytes *frame)
{
    if (!kept_fill(framing, FRAMING_LENGTH_BYTES, unread)) {
        return FRAMING_MORE;
    }
    uint32_t length = mk_load_u32(framing->kept.data + framing->kept_at);
    if (length > frame_bytes_max) { /* A negative one is larger than any maximum. */
        return FRAMING_BAD;
    }
    if (!kept_fill(framing, FRAMING_LENGTH_BYTES + (size_t)length, unread)) {
        return FRAMING_MORE;
    }
    *frame = mk_bytes_of(framing->kept.data + framing->kept_at + FRAMING_LENGTH_BYTES, length);
    framing->kept_at += FRAMING_LENGTH_BYTES + (size_t)length;
    return FRAMING_FRAME;
}

enum framing_result framing_next(struct framing *framing, uint32_t frame_bytes_max,
                                 struct mk_bytes *unread, struct mk_bytes *frame)
{
    MK_ASSERT(frame_bytes_max <= INT32_MAX);

    kept_rewind(framing);
    if (framing_kept(framing) == 0 && unread->len >= FRAMING_LENGTH_BYTES) {
        uint32_t length = mk_load_u32(unread->data);
        if (length > frame_bytes_max) {
            return FRAMING_BAD;
        }
        if (unread->len - FRAMING_LENGTH_BYTES >= length) {
            (void)bytes_cut(unread, FRAMING_LENGTH_BYTES);
            *frame = bytes_cut(unread, length);
            return FRAMING_FRAME;
        }
    }
    if (framing_kept(framing) == 0 && unread->len == 0) {
        return FRAMING_MORE;
    }
    return kept_next(framing, frame_bytes_max, unread, frame);
}

void framing_keep(struct framing *framing, struct mk_bytes unread)
{
    if (unread.len > 0) {
        mk_buf_append_bytes(&framing->kept, unread);
    }
}

bool framing_peek(const struct framing *framing, struct mk_bytes unread, uint8_t *first,
                  size_t count)
{
    size_t kept = framing_kept(framing);
    if (kept + unread.len < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        first[i] = i < kept ? framing->kept.data[framing->kept_at + i] : unread.data[i - kept];
    }
    return true;
}
