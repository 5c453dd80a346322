/* The model's tree and sessions. A change replaces a znode and notes what it was, so that a multi
 * that fails can be undone, and so that a watch is told of the znode as it was. */
#include "sim/model.h"

#include <string.h>

/* ---- Paths ---- */

bool sim_path_below(struct mk_bytes path, struct mk_bytes ancestor)
{
    if (ancestor.len == 1 && ancestor.data[0] == '/') {
        return path.len > 1;
    }
    return path.len > ancestor.len && mk_bytes_starts(path, ancestor) &&
           path.data[ancestor.len] == '/';
}

struct mk_bytes sim_path_parent(struct mk_bytes path)
{
    size_t len = path.len;

    MK_ASSERT(memchr(path.data, '/', path.len) != NULL);
    while (path.data[len - 1] != '/') {
        len--;
    }
    return mk_bytes_of(path.data, len > 1 ? len - 1 : 1);
}

bool sim_path_child_of(struct mk_bytes path, struct mk_bytes parent)
{
    return path.len > 1 && mk_bytes_equal(sim_path_parent(path), parent);
}

static bool component_valid(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] < ' ' || at[i] >= 0x7f) {
            return false;
        }
    }
    bool dots = len <= 2 && len > 0 && at[0] == '.' && at[len - 1] == '.';
    return len > 0 && !dots;
}

/* The simulator's paths are ASCII: at other characters unit tests and fuzzers look. */
bool sim_path_valid(struct mk_bytes path)
{
    if (path.data == NULL || path.len == 0 || path.data[0] != '/') {
        return false;
    }
    for (size_t at = 1; path.len > 1 && at <= path.len;) {
        const uint8_t *end = memchr(path.data + at, '/', path.len - at);
        size_t len = end == NULL ? path.len - at : (size_t)(end - path.data) - at;
        if (!component_valid(path.data + at, len)) {
            return false;
        }
        at += len + 1;
    }
    return true;
}

bool sim_path_reserved(struct mk_bytes path)
{
    return sim_path_below(path, MK_BYTES(SIM_CALLS_PATH)) ||
           sim_path_below(path, MK_BYTES(SIM_RECIPES_PATH));
}

/* ---- Znodes ---- */

/* A copy of `like` with other data or ACL. */
static struct sim_znode *znode_new(const struct sim_znode *like, struct mk_bytes path,
                                   struct mk_bytes data, struct mk_bytes acl)
{
    struct sim_znode *znode = mk_alloc(sizeof(*znode) + path.len + data.len + acl.len + 1);
    uint8_t *at = znode->bytes;

    if (like != NULL) {
        *znode = *like;
    } else {
        *znode = (struct sim_znode){0};
    }
    memcpy(at, path.data, path.len);
    znode->path = mk_bytes_of(at, path.len);
    at += path.len;
    memcpy(at, acl.data, acl.len);
    znode->acl = mk_bytes_of(at, acl.len);
    at += acl.len;
    znode->data = data;
    if (data.data != NULL) {
        memcpy(at, data.data, data.len);
        znode->data = mk_bytes_of(at, data.len);
    }
    return znode;
}

static struct sim_znode *znode_copy(const struct sim_znode *znode)
{
    return znode_new(znode, znode->path, znode->data, znode->acl);
}

size_t sim_model_rank(const struct sim_model *model, struct mk_bytes path)
{
    size_t low = 0;
    size_t high = model->znodes_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mk_bytes_compare(model->znodes[middle]->path, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct sim_znode *find(const struct sim_model *model, struct mk_bytes path)
{
    size_t at = sim_model_rank(model, path);

    if (at < model->znodes_count && mk_bytes_equal(model->znodes[at]->path, path)) {
        return model->znodes[at];
    }
    return NULL;
}

const struct sim_znode *sim_model_find(const struct sim_model *model, struct mk_bytes path)
{
    return path.data == NULL ? NULL : find(model, path);
}

/* ---- The one place where the array changes ---- */

static void array_insert(struct sim_model *model, struct sim_znode *znode)
{
    size_t at = sim_model_rank(model, znode->path);

    if (model->znodes_count == model->znodes_cap) {
        model->znodes_cap = model->znodes_cap * 2 + 64;
        model->znodes = mk_realloc(model->znodes, model->znodes_cap * sizeof(*model->znodes));
    }
    memmove(model->znodes + at + 1, model->znodes + at,
            (model->znodes_count - at) * sizeof(*model->znodes));
    model->znodes[at] = znode;
    model->znodes_count++;
}

static void array_remove(struct sim_model *model, const struct sim_znode *znode)
{
    size_t at = sim_model_rank(model, znode->path);

    MK_ASSERT(at < model->znodes_count && model->znodes[at] == znode);
    model->znodes_count--;
    memmove(model->znodes + at, model->znodes + at + 1,
            (model->znodes_count - at) * sizeof(*model->znodes));
}

static void array_change(struct sim_model *model, struct sim_znode *before, struct sim_znode *after)
{
    if (before == NULL) {
        array_insert(model, after);
    } else if (after == NULL) {
        array_remove(model, before);
    } else {
        model->znodes[sim_model_rank(model, after->path)] = after;
    }
}

static void change(struct sim_model *model, struct sim_znode *before, struct sim_znode *after)
{
    array_change(model, before, after);
    if (model->undo_count == model->undo_cap) {
        model->undo_cap = model->undo_cap * 2 + 16;
        model->undo = mk_realloc(model->undo, model->undo_cap * sizeof(*model->undo));
    }
    model->undo[model->undo_count++] = (struct sim_undo){.before = before, .after = after};
}

static void settle(struct sim_model *model)
{
    for (size_t i = 0; i < model->undo_count; i++) {
        mk_free(model->undo[i].before);
    }
    model->undo_count = 0;
    model->changes_count = 0;
}

void sim_model_begin(struct sim_model *model, mk_zxid zxid, mk_ms time_ms)
{
    MK_ASSERT(zxid > model->zxid);

    settle(model);
    memcpy(model->quotas_before, model->quotas, sizeof(model->quotas));
    model->quotas_before_count = model->quotas_count;
    model->zxid = zxid;
    model->time_ms = time_ms;
}

void sim_model_abort(struct sim_model *model)
{
    while (model->undo_count > 0) {
        struct sim_undo *undo = &model->undo[--model->undo_count];
        array_change(model, undo->after, undo->before);
        mk_free(undo->after);
    }
    memcpy(model->quotas, model->quotas_before, sizeof(model->quotas));
    model->quotas_count = model->quotas_before_count;
    model->changes_count = 0;
}

static void note(struct sim_model *model, enum jute_event event, const struct sim_znode *znode,
                 const struct sim_znode *parent)
{
    if (model->changes_count == model->changes_cap) {
        model->changes_cap = model->changes_cap * 2 + 16;
        model->changes = mk_realloc(model->changes, model->changes_cap * sizeof(*model->changes));
    }
    model->changes[model->changes_count++] =
        (struct sim_change){.event = event, .znode = znode, .parent = parent};
}

/* ---- Changes (section 5.2) ---- */

const struct sim_znode *sim_model_create(struct sim_model *model, struct mk_bytes path,
                                         struct mk_bytes data, struct mk_bytes acl, int64_t owner)
{
    struct sim_znode *parent_before = find(model, sim_path_parent(path));
    struct sim_znode *znode = znode_new(NULL, path, data, acl);

    MK_ASSERT(parent_before != NULL);
    MK_ASSERT(find(model, path) == NULL);
    struct sim_znode *parent = znode_copy(parent_before);
    parent->created = (int32_t)((uint32_t)parent->created + 1u);
    parent->children++;
    parent->pzxid = model->zxid;
    parent->ptime_ms = model->time_ms;
    znode->czxid = znode->mzxid = znode->pzxid = model->zxid;
    znode->ctime_ms = znode->mtime_ms = model->time_ms;
    znode->owner = owner;
    znode->born = ++model->born;
    change(model, parent_before, parent);
    change(model, NULL, znode);
    note(model, JUTE_EVENT_CREATED, znode, parent);
    sim_quota_created(model, znode);
    return znode;
}

void sim_model_delete(struct sim_model *model, struct mk_bytes path)
{
    struct sim_znode *znode = find(model, path);
    struct sim_znode *parent_before = find(model, sim_path_parent(path));

    MK_ASSERT(znode != NULL && znode->children == 0);
    MK_ASSERT(parent_before != NULL && parent_before->children > 0);
    struct sim_znode *parent = znode_copy(parent_before);
    parent->children--;
    parent->pzxid = model->zxid;
    parent->ptime_ms = model->time_ms;
    change(model, parent_before, parent);
    change(model, znode, NULL);
    note(model, JUTE_EVENT_DELETED, znode, parent);
    sim_quota_deleted(model, znode);
}

const struct sim_znode *sim_model_set_data(struct sim_model *model, struct mk_bytes path,
                                           struct mk_bytes data)
{
    struct sim_znode *before = find(model, path);

    MK_ASSERT(before != NULL);
    struct sim_znode *znode = znode_new(before, before->path, data, before->acl);
    znode->version = (int32_t)((uint32_t)before->version + 1u);
    znode->mzxid = model->zxid;
    znode->mtime_ms = model->time_ms;
    change(model, before, znode);
    note(model, JUTE_EVENT_DATA_CHANGED, znode, NULL);
    sim_quota_set(model, before, znode);
    return znode;
}

void sim_model_replace_data(struct sim_model *model, struct mk_bytes path, struct mk_bytes data)
{
    struct sim_znode *before = find(model, path);

    MK_ASSERT(before != NULL);
    change(model, before, znode_new(before, before->path, data, before->acl));
}

const struct sim_znode *sim_model_set_acl(struct sim_model *model, struct mk_bytes path,
                                          struct mk_bytes acl)
{
    struct sim_znode *before = find(model, path);

    MK_ASSERT(before != NULL);
    struct sim_znode *znode = znode_new(before, before->path, before->data, acl);
    int32_t next = (int32_t)((uint32_t)before->aversion + 1u);
    znode->aversion = next == -1 ? 0 : next;
    change(model, before, znode);
    return znode;
}

/* ---- Sessions ---- */

struct sim_session *sim_model_session(const struct sim_model *model, mk_session id)
{
    for (size_t i = 0; i < model->sessions_count; i++) {
        if (model->sessions[i]->id == id) {
            return model->sessions[i];
        }
    }
    return NULL;
}

bool sim_model_session_known(const struct sim_model *model, mk_session id)
{
    return mk_map_u64_get(&model->ids, (uint64_t)id) != NULL;
}

struct sim_session *sim_model_session_add(struct sim_model *model, mk_session id,
                                          int32_t timeout_ms)
{
    struct sim_session *session = mk_alloc_zero(1, sizeof(*session));

    MK_ASSERT(sim_model_session(model, id) == NULL);
    (void)mk_map_u64_put(&model->ids, (uint64_t)id, model);
    session->id = id;
    session->timeout_ms = session->timeout_now_ms = timeout_ms;
    if (model->sessions_count == model->sessions_cap) {
        model->sessions_cap = model->sessions_cap * 2 + 16;
        model->sessions =
            mk_realloc(model->sessions, model->sessions_cap * sizeof(*model->sessions));
    }
    model->sessions[model->sessions_count++] = session;
    return session;
}

void sim_model_session_remove(struct sim_model *model, mk_session id)
{
    for (size_t i = 0; i < model->sessions_count; i++) {
        if (model->sessions[i]->id == id) {
            mk_free(model->sessions[i]);
            model->sessions_count--;
            memmove(model->sessions + i, model->sessions + i + 1,
                    (model->sessions_count - i) * sizeof(*model->sessions));
            return;
        }
    }
    MK_ASSERT(!"a session is removed that there is not");
}

mk_session sim_owner_session(const struct sim_model *model, int64_t owner)
{
    if (owner == INT64_MIN || (model->extended_types && (uint64_t)owner >> 56 == 0xff)) {
        return 0;
    }
    return owner;
}

bool sim_model_reapable(const struct sim_model *model, const struct sim_znode *znode,
                        mk_ms unused_ms, mk_ms *due_ms)
{
    bool container = znode->owner == INT64_MIN;
    mk_ms ttl_ms = znode->owner & 0xffffffffff;

    if (znode->children > 0 || znode->owner >= 0 ||
        (!container && sim_owner_session(model, znode->owner) != 0)) {
        return false;
    }
    if (container && znode->created != 0) {
        *due_ms = znode->ptime_ms;
        return true;
    }
    *due_ms = znode->mtime_ms + (container ? unused_ms : ttl_ms) + 1;
    return !container || unused_ms > 0;
}

void sim_put_stat(const struct sim_model *model, const struct sim_znode *znode, struct mk_buf *out)
{
    mk_buf_put_i64(out, znode->czxid);
    mk_buf_put_i64(out, znode->mzxid);
    mk_buf_put_i64(out, znode->ctime_ms);
    mk_buf_put_i64(out, znode->mtime_ms);
    mk_buf_put_i32(out, znode->version);
    mk_buf_put_i32(out, (int32_t)(2u * (uint32_t)znode->created - (uint32_t)znode->children));
    mk_buf_put_i32(out, znode->aversion);
    mk_buf_put_i64(out, sim_owner_session(model, znode->owner));
    mk_buf_put_i32(out, (int32_t)znode->data.len);
    mk_buf_put_i32(out, znode->children);
    mk_buf_put_i64(out, znode->pzxid);
}

/* ---- The initial tree (section 5.2) ---- */

static void plant(struct sim_model *model, const char *path, int32_t children, int32_t aversion,
                  struct mk_bytes acl)
{
    struct sim_znode *znode = znode_new(NULL, mk_bytes_text(path), MK_BYTES(""), acl);

    znode->children = children;
    znode->aversion = aversion;
    array_insert(model, znode);
}

void sim_model_init(struct sim_model *model, bool extended_types, bool enforce_quota)
{
    struct mk_bytes open = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone");
    struct mk_bytes read = MK_BYTES("\0\0\0\1\0\0\0\1\0\0\0\5world\0\0\0\6anyone");

    *model = (struct sim_model){.extended_types = extended_types, .enforce_quota = enforce_quota};
    plant(model, "/", 1, 0, open);
    plant(model, "/zookeeper", 2, 0, open);
    plant(model, "/zookeeper/config", 0, -1, read);
    plant(model, "/zookeeper/quota", 0, 0, open);
}

void sim_model_deinit(struct sim_model *model)
{
    settle(model);
    for (size_t i = 0; i < model->znodes_count; i++) {
        mk_free(model->znodes[i]);
    }
    for (size_t i = 0; i < model->sessions_count; i++) {
        mk_free(model->sessions[i]);
    }
    mk_map_u64_free(&model->ids);
    mk_arena_free(&model->texts);
    mk_free(model->znodes);
    mk_free(model->sessions);
    mk_free(model->undo);
    mk_free(model->changes);
}
