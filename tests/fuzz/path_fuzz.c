/* Any bytes as a path. The check is compared with a slow one that decodes characters first and
 * components second; valid paths are taken apart and put together again. */
#include "tree/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next character as Java would see it; U+FFFD for what is not UTF-8. */
static uint32_t character_next(const uint8_t *data, size_t size, size_t *at)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = data[(*at)++];
    if (lead < 0x80) {
        return lead;
    }
    size_t len = lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (len == 0) {
        return 0xfffd;
    }
    uint32_t code = lead & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (*at >= size || data[*at] >> 6 != 2) {
            return 0xfffd;
        }
        code = code << 6 | (data[(*at)++] & 0x3fu);
    }
    return code < smallest[len] ? 0xfffd : code;
}

static bool characters_permitted(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t code = character_next(data, size, &at);
        if (code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0xd800 && code <= 0xf8ff) ||
            code >= 0xfff0) {
            return false;
        }
    }
    return true;
}

static bool components_permitted(const uint8_t *data, size_t size)
{
    size_t start = 1;
    for (size_t at = 1; at <= size; at++) {
        if (at < size && data[at] != '/') {
            continue;
        }
        size_t len = at - start;
        bool dots = len <= 2;
        for (size_t i = start; i < at; i++) {
            dots = dots && data[i] == '.';
        }
        if (dots) {
            return false; /* nothing, one dot or two */
        }
        start = at + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mk_bytes path = {data, size};
    bool expected =
        size > 0 && data[0] == '/' &&
        (size == 1 || (characters_permitted(data, size) && components_permitted(data, size)));
    bool valid = tree_path_check(path) == MK_OK;
    MK_ASSERT(valid == expected);
    tree_call_of_path(path);
    if (!valid || size == 1) {
        return 0;
    }

    struct mk_bytes parent = tree_path_parent(path);
    struct mk_bytes name = tree_path_name(path);
    MK_ASSERT(tree_path_check(parent) == MK_OK);
    MK_ASSERT(name.len > 0);
    MK_ASSERT(tree_path_within(path, parent));
    MK_ASSERT(!tree_path_within(parent, path));
    MK_ASSERT(parent.len + (parent.len > 1) + name.len == size);
    return 0;
}
