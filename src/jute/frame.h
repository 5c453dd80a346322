/* Private to jute: a frame is an i32 length and that many bytes. It is begun with room for the length
 * and ended when what follows is known. */
#ifndef JUTE_FRAME_H
#define JUTE_FRAME_H

#include "base/base.h"

#define FRAME_LENGTH_BYTES 4

/* Fill in the length of the frame that begins at offset `frame` and ends where `out` does. */
static inline void frame_end(struct mk_buf *out, size_t frame)
{
    MK_ASSERT(out->len >= frame + FRAME_LENGTH_BYTES);
    size_t payload_bytes = out->len - frame - FRAME_LENGTH_BYTES;
    MK_ASSERT(payload_bytes <= INT32_MAX);
    mk_store_u32(out->data + frame, (uint32_t)payload_bytes);
}

#endif
