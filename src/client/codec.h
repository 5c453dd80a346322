/* Private to client: requests to frames, answers to results. Pure functions. */
#ifndef CLIENT_CODEC_H
#define CLIENT_CODEC_H

#include "base/base.h"
#include "client/client.h"
#include "jute/jute.h"

/* Where in a frame what stands that is known only when it is sent. */
#define CLIENT_FRAME_XID 4
#define CLIENT_FRAME_OP 8
/* A call's id and done_through stand side by side behind the operation's name, which is a field. */
#define CLIENT_FRAME_CALL_ID(operation_len) (12 + 4 + (size_t)(operation_len))

/* Append a frame without xid, call id and done_through. `bytes_max` bounds it.
 * MOONKEEPER_BAD_ARGUMENTS: nothing was appended. */
int client_request_encode(const struct moonkeeper_request *request, struct mk_bytes chroot,
                          size_t bytes_max, struct mk_buf *out);

/* The path that a request is about, as the server knows it; appended. Its path must be good. */
void client_request_path(const struct moonkeeper_request *request, struct mk_bytes chroot,
                         struct mk_buf *out);

/* What must be known of a request to read its answer. */
struct client_asked {
    enum moonkeeper_op op;
    struct mk_bytes multi; /* the operations' numbers, a byte each */
};

/* Fill `out`, which is zero, from an answer; what it points to is in `arena`. False: the answer does not
 * have the form that it must have, and of `out` only zxid is set. */
bool client_result_decode(const struct client_asked *asked, const struct jute_reply *reply,
                          struct mk_bytes chroot, struct mk_arena *arena,
                          struct moonkeeper_result *out);

/* A copy of bytes for C: a NUL follows. */
char *client_text_copy(struct mk_arena *arena, struct mk_bytes text);

#endif
