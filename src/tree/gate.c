/* Gates: places other than TREE_CALLS_PATH where a client makes calls, because all that it can name is
 * below its chroot. X + TREE_CALLS_PATH is one if the data of TREE_CALLS_PATH, which is whoever's may
 * write that znode, has X as one of its lines. */
#include <string.h>

#include "tree/tree.h"

struct mk_bytes tree_gate_of_calls(struct mk_bytes path)
{
    struct mk_bytes calls = MK_BYTES(TREE_CALLS_PATH);

    if (path.data == NULL || path.len <= calls.len ||
        memcmp(path.data + path.len - calls.len, calls.data, calls.len) != 0) {
        return MK_BYTES_NULL;
    }
    return mk_bytes_of(path.data, path.len - calls.len);
}

struct mk_bytes tree_gate_of_path(struct mk_bytes path)
{
    size_t len = path.data == NULL ? 0 : path.len;

    while (len > 0 && path.data[len - 1] != '/') {
        len--;
    }
    return len < 2 ? MK_BYTES_NULL : tree_gate_of_calls(mk_bytes_of(path.data, len - 1));
}

struct mk_bytes tree_gate_above(struct mk_bytes path, size_t *from)
{
    struct mk_bytes calls = MK_BYTES(TREE_CALLS_PATH);

    while (path.data != NULL && *from < path.len) {
        const uint8_t *at = memmem(path.data + *from, path.len - *from, calls.data, calls.len);
        if (at == NULL) {
            break;
        }
        size_t end = (size_t)(at - path.data) + calls.len;
        *from = end;
        if (at > path.data && (end == path.len || path.data[end] == '/')) {
            return mk_bytes_of(path.data, end - calls.len);
        }
    }
    return MK_BYTES_NULL;
}

bool tree_gate_open(struct mk_bytes list, struct mk_bytes chroot)
{
    size_t end = list.len < TREE_GATES_BYTES_MAX ? list.len : TREE_GATES_BYTES_MAX;
    size_t at = 0;

    if (list.data == NULL || chroot.data == NULL || chroot.len < 2 || chroot.data[0] != '/') {
        return false;
    }
    while (at < end) {
        const uint8_t *newline = memchr(list.data + at, '\n', end - at);
        if (newline == NULL && end < list.len) {
            return false; /* what is left of a line */
        }
        size_t len = newline == NULL ? end - at : (size_t)(newline - list.data) - at;
        if (mk_bytes_equal(mk_bytes_of(list.data + at, len), chroot)) {
            return true;
        }
        at += len + 1;
    }
    return false;
}
