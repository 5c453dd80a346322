/* Any bytes as what a connection sends, arriving in pieces of any size: the frames are those that a
 * parser finds which has all bytes at once. Input: the largest frame, three sizes of pieces, bytes. */
#include "edge/framing.h"

#include <string.h>

#define SIZES 3
#define MORE SIZE_MAX
#define BAD (SIZE_MAX - 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The length of the frame at the front of `bytes`; or MORE, or BAD. */
static size_t frame_at(struct mk_bytes bytes, uint32_t frame_bytes_max)
{
    if (bytes.len < FRAMING_LENGTH_BYTES) {
        return MORE;
    }
    int32_t length = (int32_t)mk_load_u32(bytes.data);
    if (length < 0 || (uint32_t)length > frame_bytes_max) {
        return BAD;
    }
    return bytes.len - FRAMING_LENGTH_BYTES < (size_t)length ? MORE : (size_t)length;
}

struct feed {
    struct framing framing;
    struct mk_bytes expected; /* all that no frame has been made of yet, whether fed or not */
    uint32_t frame_bytes_max;
};

/* Take all frames that `piece` completes. False: nothing sensible can follow. */
static bool feed(struct feed *feed, struct mk_bytes piece)
{
    for (;;) {
        uint8_t word[FRAMING_LENGTH_BYTES];
        struct mk_bytes frame;
        if (framing_peek(&feed->framing, piece, word, sizeof(word))) {
            MK_ASSERT(memcmp(word, feed->expected.data, sizeof(word)) == 0);
        }
        size_t seen = framing_kept(&feed->framing) + piece.len;
        MK_ASSERT(seen <= feed->expected.len);
        size_t length =
            frame_at((struct mk_bytes){feed->expected.data, seen}, feed->frame_bytes_max);
        switch (framing_next(&feed->framing, feed->frame_bytes_max, &piece, &frame)) {
        case FRAMING_BAD: MK_ASSERT(length == BAD); return false;
        case FRAMING_MORE:
            MK_ASSERT(length == MORE);
            MK_ASSERT(piece.len == 0 && framing_kept(&feed->framing) == seen);
            return true;
        case FRAMING_FRAME:
            MK_ASSERT(length == frame.len);
            feed->expected.data += FRAMING_LENGTH_BYTES;
            MK_ASSERT(length == 0 || memcmp(frame.data, feed->expected.data, length) == 0);
            feed->expected.data += length;
            feed->expected.len -= FRAMING_LENGTH_BYTES + length;
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + SIZES) {
        return 0;
    }
    struct mk_bytes rest = {data + 1 + SIZES, size - 1 - SIZES};
    struct feed state = {.expected = rest, .frame_bytes_max = data[0] * 8};

    for (size_t i = 0; rest.len > 0; i++) {
        uint8_t choice = data[1 + i % SIZES];
        size_t len = 1 + choice / 2;
        len = len < rest.len ? len : rest.len;
        struct mk_bytes piece = {rest.data, len};
        rest.data += len;
        rest.len -= len;
        if (choice & 1) {
            framing_keep(&state.framing, piece); /* the core does not want it yet */
            piece.len = 0;
        }
        if (!feed(&state, piece)) {
            break;
        }
    }
    framing_free(&state.framing);
    return 0;
}
