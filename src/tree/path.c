/* Paths: which are valid, and how they nest. Byte-exact throughout: no normalisation, as in
 * ZooKeeper. Source: PathUtils.validatePath; protocol reference, section 8.1. */
#include "tree/tree.h"

#include <string.h>

static bool byte_continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length in bytes of the permitted character that begins at `at` with a byte above 0x7f, or 0.
 * Forbidden are U+0080-U+009F, U+D800-U+F8FF (so all that UTF-16 writes as a pair: four bytes here)
 * and U+FFF0-U+FFFF; and what is not UTF-8, because Java reads it as U+FFFD. */
static size_t wide_character_bytes(const uint8_t *at, size_t left)
{
    MK_ASSERT(left > 0);
    MK_ASSERT(at[0] >= 0x80);
    uint8_t lead = at[0];
    if (lead >= 0xc2 && lead <= 0xdf) {
        if (left < 2 || !byte_continues(at[1])) {
            return 0;
        }
        return lead == 0xc2 && at[1] < 0xa0 ? 0 : 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        if (left < 3 || !byte_continues(at[1]) || !byte_continues(at[2])) {
            return 0;
        }
        unsigned code = (lead & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        bool permitted = code >= 0x800 && (code < 0xd800 || code > 0xf8ff) && code < 0xfff0;
        return permitted ? 3 : 0;
    }
    return 0;
}

/* The bytes between two slashes, or behind the last one. */
static bool component_permitted(const uint8_t *at, size_t len)
{
    if (len == 0 || (len == 1 && at[0] == '.')) {
        return false;
    }
    return !(len == 2 && at[0] == '.' && at[1] == '.');
}

/* Length in bytes of the permitted character at `at`, or 0. */
static size_t character_bytes(const uint8_t *at, size_t left)
{
    if (at[0] >= 0x80) {
        return wide_character_bytes(at, left);
    }
    return at[0] >= 0x20 && at[0] != 0x7f ? 1 : 0;
}

enum mk_status tree_path_check(struct mk_bytes path)
{
    if (path.len == 0 || path.data[0] != '/') {
        return MK_BAD_ARGUMENTS;
    }
    if (path.len == 1) {
        return MK_OK;
    }

    size_t component = 1;
    for (size_t i = 1; i < path.len;) {
        uint8_t byte = path.data[i];
        if (byte > '/' && byte < 0x7f) {
            i++; /* most of most paths: nothing can be wrong */
            continue;
        }
        if (byte == '/' && !component_permitted(path.data + component, i - component)) {
            return MK_BAD_ARGUMENTS;
        }
        if (byte == '/') {
            component = i + 1;
        }
        size_t len = character_bytes(path.data + i, path.len - i);
        if (len == 0) {
            return MK_BAD_ARGUMENTS;
        }
        i += len;
    }
    bool permitted = component_permitted(path.data + component, path.len - component);
    return permitted ? MK_OK : MK_BAD_ARGUMENTS;
}

/* Index of the last '/'. */
static size_t path_last_slash(struct mk_bytes path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    MK_ASSERT(at > 0);
    return at - 1;
}

struct mk_bytes tree_path_parent(struct mk_bytes path)
{
    MK_ASSERT(path.len > 1);
    size_t slash = path_last_slash(path);
    return mk_bytes_of(path.data, slash == 0 ? 1 : slash);
}

struct mk_bytes tree_path_name(struct mk_bytes path)
{
    size_t name = path_last_slash(path) + 1;
    return mk_bytes_of(path.data + name, path.len - name);
}

bool tree_path_within(struct mk_bytes path, struct mk_bytes ancestor)
{
    if (ancestor.len == 1 && ancestor.data[0] == '/') {
        return path.len > 0 && path.data[0] == '/';
    }
    if (!mk_bytes_starts(path, ancestor)) {
        return false;
    }
    return path.len == ancestor.len || path.data[ancestor.len] == '/';
}

void tree_path_sequence(struct mk_buf *path, int32_t counter)
{
    mk_buf_printf(path, "%010d", (int)counter);
}

/* ---- Call records ---- */

#define CALL_PREFIX TREE_CALLS_PATH "/."
#define CALL_PREFIX_BYTES (sizeof(CALL_PREFIX) - 1)

void tree_call_record_path(uint8_t out[TREE_CALL_RECORD_PATH_BYTES], mk_zxid call)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, CALL_PREFIX, CALL_PREFIX_BYTES);
    for (size_t i = 0; i < 16; i++) {
        out[CALL_PREFIX_BYTES + i] = (uint8_t)digits[(uint64_t)call >> (60 - 4 * i) & 15];
    }
    MK_ASSERT(tree_call_of_path(mk_bytes_of(out, TREE_CALL_RECORD_PATH_BYTES)) == call);
}

mk_zxid tree_call_of_path(struct mk_bytes path)
{
    if (path.len != TREE_CALL_RECORD_PATH_BYTES ||
        memcmp(path.data, CALL_PREFIX, CALL_PREFIX_BYTES) != 0) {
        return 0;
    }
    uint64_t call = 0;
    for (size_t i = CALL_PREFIX_BYTES; i < path.len; i++) {
        uint8_t byte = path.data[i];
        if (byte >= '0' && byte <= '9') {
            call = call << 4 | (uint64_t)(byte - '0');
        } else if (byte >= 'a' && byte <= 'f') {
            call = call << 4 | (uint64_t)(byte - 'a' + 10);
        } else {
            return 0; /* Capitals too: each call has one path. */
        }
    }
    return (mk_zxid)call;
}
