/* Quotas: which znodes say what, and how limits and usage are written. Source: Quotas, StatsTrack;
 * protocol reference, section 8.3. */
#include <string.h>

#include "tree/tree.h"

/* ---- Paths ---- */

static size_t depth_of(struct mk_bytes path)
{
    size_t depth = 0;
    for (size_t i = 0; i < path.len; i++) {
        depth += path.data[i] == '/';
    }
    return depth;
}

/* Usage is kept below TREE_QUOTA_PATH, so nothing there counts: or keeping it would change it. */
static bool root_possible(struct mk_bytes root)
{
    bool holds_quotas = root.len == 0 || tree_path_within(MK_BYTES(TREE_QUOTA_PATH), root) ||
                        tree_path_within(root, MK_BYTES(TREE_QUOTA_PATH));
    return !holds_quotas && depth_of(root) <= TREE_QUOTA_DEPTH_MAX;
}

enum tree_quota_part tree_quota_of_path(struct mk_bytes path, struct mk_bytes *root)
{
    const size_t prefix = sizeof(TREE_QUOTA_PATH) - 1;
    if (path.len <= prefix || memcmp(path.data, TREE_QUOTA_PATH "/", prefix + 1) != 0) {
        return TREE_QUOTA_NONE;
    }
    struct mk_bytes parent = tree_path_parent(path);
    struct mk_bytes name = tree_path_name(path);
    bool limits = mk_bytes_equal(name, MK_BYTES(TREE_QUOTA_LIMITS));
    if (!limits && !mk_bytes_equal(name, MK_BYTES(TREE_QUOTA_STATS))) {
        return TREE_QUOTA_NONE;
    }
    *root = mk_bytes_of(parent.data + prefix, parent.len - prefix);
    if (!root_possible(*root)) {
        return TREE_QUOTA_NONE;
    }
    return limits ? TREE_QUOTA_IS_LIMITS : TREE_QUOTA_IS_STATS;
}

/* ---- Text ---- */

static struct mk_bytes until(struct mk_bytes text, const char *separators)
{
    size_t len = 0;
    while (len < text.len && (text.data[len] == 0 || strchr(separators, text.data[len]) == NULL)) {
        len++;
    }
    return mk_bytes_of(text.data, len);
}

static struct mk_bytes behind(struct mk_bytes text, size_t len)
{
    len = len < text.len ? len : text.len;
    return mk_bytes_of(text.data + len, text.len - len);
}

/* A decimal number; -1 for none, and for what is no number. */
static int64_t number_of(struct mk_bytes text)
{
    bool minus = text.len > 0 && text.data[0] == '-';
    bool sign = minus || (text.len > 0 && text.data[0] == '+');
    int64_t number = 0;
    for (size_t i = sign ? 1 : 0; i < text.len; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number)) {
            return -1;
        }
    }
    if (text.len == (sign ? 1 : 0)) {
        return -1;
    }
    return minus ? -number : number;
}

static void pair_take(struct mk_bytes pair, struct tree_quota *out)
{
    const struct {
        struct mk_bytes name;
        int64_t *value;
    } keys[] = {
        {MK_BYTES("count"), &out->count},
        {MK_BYTES("bytes"), &out->bytes},
        {MK_BYTES("countHardLimit"), &out->count_hard},
        {MK_BYTES("byteHardLimit"), &out->bytes_hard},
    };
    struct mk_bytes key = until(pair, "=");
    /* Old readers are kept off what follows by a second '=': "bytes=-1=;...". */
    struct mk_bytes value = until(behind(pair, key.len + 1), "=");
    for (size_t i = 0; i < MK_COUNT(keys); i++) {
        if (mk_bytes_equal(key, keys[i].name)) {
            *keys[i].value = number_of(value);
        }
    }
}

void tree_quota_parse(struct mk_bytes text, struct tree_quota *out)
{
    *out = (struct tree_quota){-1, -1, -1, -1};
    while (text.len > 0) {
        struct mk_bytes pair = until(text, ",;");
        pair_take(pair, out);
        text = behind(text, pair.len + 1);
    }
}

void tree_quota_usage(struct mk_buf *out, int64_t count, int64_t bytes)
{
    mk_buf_printf(out, "count=%lld,bytes=%lld", (long long)count, (long long)bytes);
}
