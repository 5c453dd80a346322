/* The model's quotas (section 8.3): a list, walked from its beginning for whatever is asked. The usage of
 * each is counted SIM_QUOTA_STEP znodes at a time when it is new, in the order in which the server goes:
 * a znode, its children by name, then what lies further down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model.h"

#define QUOTAS MK_BYTES("/zookeeper/quota")

static bool within(struct mk_bytes path, struct mk_bytes ancestor)
{
    return mk_bytes_equal(path, ancestor) || sim_path_below(path, ancestor);
}

/* ---- Which znodes make one ---- */

/* 'l' or 's', and *root; 0: the znode is no part of a quota. */
static int part_of(struct mk_bytes path, struct mk_bytes *root)
{
    if (!sim_path_below(path, QUOTAS)) {
        return 0;
    }
    struct mk_bytes parent = sim_path_parent(path);
    struct mk_bytes name = mk_bytes_of(path.data + parent.len + 1, path.len - parent.len - 1);
    bool limits = mk_bytes_equal(name, MK_BYTES("zookeeper_limits"));
    *root = mk_bytes_of(parent.data + QUOTAS.len, parent.len - QUOTAS.len);
    if ((!limits && !mk_bytes_equal(name, MK_BYTES("zookeeper_stats"))) || root->len == 0 ||
        mk_bytes_equal(*root, MK_BYTES("/zookeeper")) || within(*root, QUOTAS)) {
        return 0;
    }
    return limits ? 'l' : 's';
}

static struct sim_quota *quota_of(struct sim_model *model, struct mk_bytes root)
{
    for (size_t i = 0; i < model->quotas_count; i++) {
        if (mk_bytes_equal(model->quotas[i].root, root)) {
            return &model->quotas[i];
        }
    }
    return NULL;
}

static struct sim_quota *quota_add(struct sim_model *model, struct mk_bytes root)
{
    struct sim_quota *quota = quota_of(model, root);

    if (quota == NULL) {
        MK_ASSERT(model->quotas_count < SIM_QUOTAS_MAX); /* clients know fewer paths */
        quota = &model->quotas[model->quotas_count++];
        *quota = (struct sim_quota){.root = mk_arena_copy(&model->texts, root)};
    }
    return quota;
}

static void quota_tidy(struct sim_model *model, struct sim_quota *quota)
{
    if (!quota->limits && !quota->stats) {
        *quota = model->quotas[--model->quotas_count];
    }
}

/* The deepest with limits that `path` is under. */
static struct sim_quota *deepest(struct sim_model *model, struct mk_bytes path)
{
    struct sim_quota *best = NULL;

    for (size_t i = 0; i < model->quotas_count && !within(path, QUOTAS); i++) {
        struct sim_quota *quota = &model->quotas[i];
        if (quota->limits && within(path, quota->root) &&
            (best == NULL || quota->root.len > best->root.len)) {
            best = quota;
        }
    }
    return best;
}

/* ---- Usage ---- */

static struct mk_bytes part_path(struct sim_model *model, const struct sim_quota *quota,
                                 const char *name)
{
    struct mk_buf path = {0};

    mk_buf_printf(&path, "/zookeeper/quota%.*s/%s", (int)quota->root.len,
                  (const char *)quota->root.data, name);
    struct mk_bytes copy = mk_arena_copy(&model->texts, mk_buf_view(&path));
    mk_buf_free(&path);
    return copy;
}

static void show(struct sim_model *model, const struct sim_quota *quota)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "count=%lld,bytes=%lld", (long long)quota->count,
                   (long long)quota->bytes);
    sim_model_replace_data(model, part_path(model, quota, "zookeeper_stats"), mk_bytes_text(text));
}

/* Of two paths: parents before children, and the children of one side by side. */
static int order(struct mk_bytes a, struct mk_bytes b)
{
    size_t a_slash = sim_path_parent(a).len == 1 ? 0 : sim_path_parent(a).len;
    size_t b_slash = sim_path_parent(b).len == 1 ? 0 : sim_path_parent(b).len;

    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int a_byte = i == a_slash ? 0 : a.data[i];
        int b_byte = i == b_slash ? 0 : b.data[i];
        if (a_byte != b_byte) {
            return a_byte - b_byte;
        }
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool counted(const struct sim_quota *quota, struct mk_bytes path)
{
    return !quota->counting || order(path, quota->next) < 0;
}

/* The first znode of the subtree, in that order, that is not counted. */
static const struct sim_znode *next_of(const struct sim_model *model, const struct sim_quota *quota,
                                       struct mk_bytes from)
{
    const struct sim_znode *first = NULL;

    for (size_t i = 0; i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (within(znode->path, quota->root) &&
            (from.data == NULL || order(znode->path, from) >= 0) &&
            (first == NULL || order(znode->path, first->path) < 0)) {
            first = znode;
        }
    }
    return first;
}

static void count_step(struct sim_model *model, struct sim_quota *quota)
{
    const struct sim_znode *znode = next_of(model, quota, quota->next);

    for (int i = 0; i < SIM_QUOTA_STEP && znode != NULL; i++) {
        struct mk_buf after = {0};
        quota->count++;
        quota->bytes += (int64_t)znode->data.len;
        mk_buf_append_bytes(&after, znode->path);
        mk_buf_put_u8(&after, 0); /* the first path behind it */
        znode = next_of(model, quota, mk_buf_view(&after));
        mk_buf_free(&after);
    }
    quota->counting = znode != NULL;
    quota->next = znode != NULL ? mk_arena_copy(&model->texts, znode->path) : MK_BYTES_NULL;
    show(model, quota);
}

static void recount(struct sim_model *model, struct sim_quota *quota)
{
    quota->count = 0;
    quota->bytes = 0;
    quota->next = MK_BYTES_NULL;
    count_step(model, quota);
}

bool sim_quota_count(struct sim_model *model)
{
    struct sim_quota *first = NULL;

    for (size_t i = 0; i < model->quotas_count; i++) {
        struct sim_quota *quota = &model->quotas[i];
        if (quota->counting && (first == NULL || mk_bytes_compare(quota->root, first->root) < 0)) {
            first = quota;
        }
    }
    if (first != NULL) {
        count_step(model, first);
    }
    return first != NULL;
}

/* ---- Changes of the tree ---- */

static void used(struct sim_model *model, struct mk_bytes path, int64_t count, int64_t bytes)
{
    struct sim_quota *quota = deepest(model, path);

    if (quota != NULL && quota->stats && counted(quota, path)) {
        quota->count += count;
        quota->bytes += bytes;
        show(model, quota);
    }
}

void sim_quota_created(struct sim_model *model, const struct sim_znode *znode)
{
    struct mk_bytes root;
    int part = part_of(znode->path, &root);

    if (part == 0) {
        used(model, znode->path, 1, (int64_t)znode->data.len);
        return;
    }
    struct sim_quota *quota = quota_add(model, root);
    quota->limits = quota->limits || part == 'l';
    quota->stats = quota->stats || part == 's';
    if (quota->stats) {
        recount(model, quota);
    }
}

void sim_quota_deleted(struct sim_model *model, const struct sim_znode *znode)
{
    struct mk_bytes root;
    int part = part_of(znode->path, &root);

    if (part == 0) {
        used(model, znode->path, -1, -(int64_t)znode->data.len);
        return;
    }
    struct sim_quota *quota = quota_of(model, root);
    MK_ASSERT(quota != NULL);
    if (part == 's') {
        quota->stats = false;
        quota->counting = false;
        quota->count = 0;
        quota->bytes = 0;
    } else {
        quota->limits = false;
        struct sim_quota *outer = deepest(model, sim_path_parent(root));
        if (outer != NULL && outer->stats) {
            recount(model, outer);
        }
    }
    quota_tidy(model, quota);
}

void sim_quota_set(struct sim_model *model, const struct sim_znode *before,
                   const struct sim_znode *after)
{
    if (before->data.len != after->data.len) {
        used(model, after->path, 0, (int64_t)after->data.len - (int64_t)before->data.len);
    }
}

/* ---- Limits ---- */

static int64_t limit_of(struct mk_bytes text, const char *key)
{
    size_t len = strlen(key);

    for (size_t at = 0; at + len < text.len; at++) {
        bool begins = at == 0 || text.data[at - 1] == ',' || text.data[at - 1] == ';';
        if (begins && memcmp(text.data + at, key, len) == 0 && text.data[at + len] == '=') {
            char digits[24] = "";
            size_t rest = text.len - at - len - 1;
            memcpy(digits, text.data + at + len + 1, rest < 20 ? rest : 20);
            return strtoll(digits, NULL, 10);
        }
    }
    return -1;
}

int32_t sim_quota_allows(struct sim_model *model, struct mk_bytes path, int64_t count,
                         int64_t bytes)
{
    struct sim_quota *quota = deepest(model, path);

    if (!model->enforce_quota || quota == NULL || !quota->stats) {
        return 0;
    }
    const struct sim_znode *limits =
        sim_model_find(model, part_path(model, quota, "zookeeper_limits"));
    int64_t count_hard = limit_of(limits->data, "countHardLimit");
    int64_t bytes_hard = limit_of(limits->data, "byteHardLimit");
    bool over = (count != 0 && count_hard >= 0 && quota->count + count > count_hard) ||
                (bytes != 0 && bytes_hard >= 0 && quota->bytes + bytes > bytes_hard);
    return over ? -125 : 0;
}
