/* Private to edge: what a connection has sent, cut into frames. No sockets: bytes in, frames out.
 *
 * Bytes are read into one big buffer that all connections share, and frames that are whole are seen
 * where they lie. Only what is left at the end, a frame that has begun or whole ones that the core
 * does not want yet, is copied into the connection's own buffer. */
#ifndef EDGE_FRAMING_H
#define EDGE_FRAMING_H

#include "base/base.h"

#define FRAMING_LENGTH_BYTES 4

struct framing {
    struct mk_buf kept; /* from `kept_at` on: bytes that no frame has been made of yet */
    size_t kept_at;
};
enum framing_result {
    FRAMING_FRAME, /* a frame, without its length; valid until the next call */
    FRAMING_MORE,  /* all of `unread` is used up, what is left of it is kept */
    FRAMING_BAD,   /* a length below 0 or above the maximum: nothing sensible can follow */
};
void framing_free(struct framing *framing);

/* The next frame of what is kept, followed by `*unread`, of which what is used is cut off. */
enum framing_result framing_next(struct framing *framing, uint32_t frame_bytes_max,
                                 struct mk_bytes *unread, struct mk_bytes *frame);
/* Keep all of `unread` for later: frames may be in it. */
void framing_keep(struct framing *framing, struct mk_bytes unread);
/* The very first `count` bytes of a connection, without using them up. False: not there yet. */
bool framing_peek(const struct framing *framing, struct mk_bytes unread, uint8_t *first,
                  size_t count);
size_t framing_kept(const struct framing *framing); /* bytes */

#endif
