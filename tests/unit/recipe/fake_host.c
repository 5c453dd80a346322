#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>

static struct world *world_of(struct recipe_host *host)
{
    return MK_CONTAINER(host, struct world, host);
}

/* ---- The tree ---- */

static bool path_is(const struct fake_znode *znode, struct mk_bytes path)
{
    return mk_bytes_equal(mk_bytes_text(znode->path), path);
}

static struct fake_znode *find(struct world *world, struct mk_bytes path)
{
    for (size_t i = 0; i < world->znodes_count; i++) {
        if (path_is(&world->znodes[i], path)) {
            return &world->znodes[i];
        }
    }
    return NULL;
}

static struct mk_bytes parent_of(struct mk_bytes path)
{
    const uint8_t *slash = memrchr(path.data, '/', path.len);
    size_t len = slash == NULL ? 0 : (size_t)(slash - path.data);
    return mk_bytes_of(path.data, len == 0 ? 1 : len);
}

static struct mk_bytes name_of(struct mk_bytes path)
{
    struct mk_bytes parent = parent_of(path);
    size_t skip = parent.len == 1 ? 1 : parent.len + 1;
    return mk_bytes_of(path.data + skip, path.len - skip);
}

static bool child_is(const struct fake_znode *znode, struct mk_bytes parent)
{
    struct mk_bytes path = mk_bytes_text(znode->path);
    return path.len > 1 && mk_bytes_equal(parent_of(path), parent);
}

static struct fake_znode *add(struct world *world, struct mk_bytes path, struct mk_bytes data)
{
    assert_true(world->znodes_count < FAKE_ZNODES_MAX);
    assert_true(path.len < sizeof(world->znodes->path));
    struct fake_znode *znode = &world->znodes[world->znodes_count++];
    *znode = (struct fake_znode){.czxid = world->zxid, .mzxid = world->zxid, .pzxid = world->zxid};
    memcpy(znode->path, path.data, path.len);
    mk_buf_append_bytes(&znode->data, data);
    struct fake_znode *parent = find(world, parent_of(path));
    if (parent != NULL && parent != znode) {
        parent->created++;
        parent->pzxid = world->zxid;
    }
    return znode;
}

static void drop(struct world *world, struct fake_znode *znode)
{
    size_t at = (size_t)(znode - world->znodes);
    struct fake_znode *parent = find(world, parent_of(mk_bytes_text(znode->path)));
    parent->pzxid = world->zxid;
    mk_buf_free(&znode->data);
    memmove(znode, znode + 1, (world->znodes_count - at - 1) * sizeof(*znode));
    world->znodes_count--;
}

static int children_count(struct world *world, struct mk_bytes path)
{
    int count = 0;
    for (size_t i = 0; i < world->znodes_count; i++) {
        count += child_is(&world->znodes[i], path);
    }
    return count;
}

/* ---- The host ---- */

static enum mk_status host_read(struct recipe_host *host, struct mk_bytes path,
                                struct recipe_znode *out)
{
    struct world *world = world_of(host);
    struct fake_znode *znode = find(world, path);
    if (world->answer != MK_OK || znode == NULL) {
        return world->answer != MK_OK ? world->answer : MK_NO_NODE;
    }
    *out = (struct recipe_znode){.czxid = znode->czxid,
                                 .mzxid = znode->mzxid,
                                 .pzxid = znode->pzxid,
                                 .version = znode->version,
                                 .cversion = znode->created,
                                 .children_count = children_count(world, path),
                                 .data_length = (int32_t)znode->data.len,
                                 .owner = znode->owner,
                                 .data = mk_buf_view(&znode->data)};
    return MK_OK;
}

static int name_compare(const void *left, const void *right)
{
    const struct fake_znode *const *a = left;
    const struct fake_znode *const *b = right;
    return strcmp((*a)->path, (*b)->path);
}

static enum mk_status host_children(struct recipe_host *host, const struct recipe_siblings *query,
                                    recipe_child_visit *visit, void *context)
{
    struct world *world = world_of(host);
    static struct fake_znode *found[FAKE_ZNODES_MAX];
    int count = 0;
    if (world->answer != MK_OK || find(world, query->path) == NULL) {
        return world->answer != MK_OK ? world->answer : MK_NO_NODE;
    }
    for (size_t i = 0; i < world->znodes_count; i++) {
        if (child_is(&world->znodes[i], query->path)) {
            found[count++] = &world->znodes[i];
        }
    }
    if (!query->by_creation) {
        qsort(found, (size_t)count, sizeof(*found), name_compare);
    }
    int step = query->backwards ? -1 : 1;
    int at = query->backwards ? count - 1 : 0;
    if (query->from.data != NULL) {
        while (at >= 0 && at < count &&
               !mk_bytes_equal(name_of(mk_bytes_text(found[at]->path)), query->from)) {
            at += step;
        }
        if (at < 0 || at >= count) {
            return MK_NO_NODE;
        }
        at += step;
    }
    while (at >= 0 && at < count && visit(context, name_of(mk_bytes_text(found[at]->path)))) {
        at += step;
    }
    return MK_OK;
}

static void parents_make(struct world *world, struct mk_bytes path)
{
    struct mk_bytes parent = parent_of(path);
    if (find(world, parent) == NULL) {
        parents_make(world, parent);
        (void)add(world, parent, MK_BYTES(""));
    }
}

static enum mk_status host_create(struct recipe_host *host, const struct recipe_create *create,
                                  struct mk_buf *path)
{
    struct world *world = world_of(host);
    if (world->answer != MK_OK || create->path.len < 2 || create->path.data[0] != '/') {
        return world->answer != MK_OK ? world->answer : MK_BAD_ARGUMENTS;
    }
    if (create->parents) {
        parents_make(world, create->path);
    }
    struct fake_znode *parent = find(world, parent_of(create->path));
    if (parent == NULL) {
        return MK_NO_NODE;
    }
    mk_buf_append_bytes(path, create->path);
    if (create->sequential) {
        mk_buf_printf(path, "%010d", parent->created);
    }
    if (find(world, mk_buf_view(path)) != NULL) {
        return MK_NODE_EXISTS;
    }
    struct fake_znode *znode = add(world, mk_buf_view(path), create->data);
    znode->owner = create->ephemeral ? world->session : 0;
    world->effects++;
    return MK_OK;
}

static enum mk_status host_set(struct recipe_host *host, struct mk_bytes path, struct mk_bytes data,
                               int32_t version, int32_t *version_now)
{
    struct world *world = world_of(host);
    struct fake_znode *znode = find(world, path);
    if (world->answer != MK_OK || znode == NULL) {
        return world->answer != MK_OK ? world->answer : MK_NO_NODE;
    }
    if (version != -1 && version != znode->version) {
        return MK_BAD_VERSION;
    }
    znode->data.len = 0;
    mk_buf_append_bytes(&znode->data, data);
    znode->mzxid = world->zxid;
    *version_now = ++znode->version;
    world->effects++;
    return MK_OK;
}

static enum mk_status host_remove(struct recipe_host *host, struct mk_bytes path, int32_t version)
{
    struct world *world = world_of(host);
    struct fake_znode *znode = find(world, path);
    if (world->answer != MK_OK || znode == NULL) {
        return world->answer != MK_OK ? world->answer : MK_NO_NODE;
    }
    if (version != -1 && version != znode->version) {
        return MK_BAD_VERSION;
    }
    if (children_count(world, path) > 0) {
        return MK_NOT_EMPTY;
    }
    drop(world, znode);
    world->effects++;
    return MK_OK;
}

static enum mk_status host_session_alive(struct recipe_host *host, mk_session session, bool *alive)
{
    struct world *world = world_of(host);
    *alive = session != world->dead;
    return world->answer;
}

static const struct recipe_host_ops host_ops = {.read = host_read,
                                                .children = host_children,
                                                .create = host_create,
                                                .set = host_set,
                                                .remove = host_remove,
                                                .session_alive = host_session_alive};

/* ---- Life ---- */

static mk_ms clock_ask(void *context)
{
    struct world *world = context;
    world->elapsed_ms += world->elapsed_step_ms;
    return world->elapsed_ms;
}

static void log_write(void *context, enum mk_log_level level, const char *line)
{
    struct world *world = context;
    mk_buf_printf(&world->log_text, "%d %s\n", (int)level, line);
}

void world_engine_renew(struct world *world)
{
    recipe_engine_free(world->engine);
    world->engine = recipe_engine_new(&world->options);
    world->version = NULL;
}

void world_open(struct world *world)
{
    *world = (struct world){.host.ops = &host_ops, .zxid = 0x100000001, .session = ANN};
    world->znodes = mk_alloc(FAKE_ZNODES_MAX * sizeof(*world->znodes));
    world->may_park = true;
    world->log = (struct mk_log){.level = MK_LOG_DEBUG, .write = log_write, .context = world};
    world->options.log = &world->log;
    world->options.elapsed_ms = clock_ask;
    world->options.elapsed_context = world;
    world_engine_renew(world);
    (void)add(world, MK_BYTES("/"), MK_BYTES(""));
}

void world_close(struct world *world)
{
    recipe_engine_free(world->engine);
    recipe_run_deinit(&world->run);
    mk_buf_free(&world->once);
    mk_buf_free(&world->log_text);
    for (size_t i = 0; i < world->znodes_count; i++) {
        mk_buf_free(&world->znodes[i].data);
    }
    mk_free(world->znodes);
}

/* ---- Loading ---- */

void world_load(struct world *world, const char *name, const char *source)
{
    struct mk_error error = {.text = ""};
    world->version =
        recipe_version_load(world->engine, mk_bytes_text(name), mk_bytes_text(source), &error);
    if (world->version == NULL) {
        fail_msg("%s", error.text);
    }
}

void world_load_file(struct world *world, const char *path)
{
    char source[16384];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s does not open: run from the source directory, or set SOURCE_DIR", path);
        return;
    }
    size_t len = fread(source, 1, sizeof(source) - 1, file);
    (void)fclose(file);
    source[len] = '\0';
    world_load(world, "lock", source);
}

const char *world_load_error(struct world *world, const char *source)
{
    static struct mk_error error;
    assert_null(
        recipe_version_load(world->engine, MK_BYTES("lock"), mk_bytes_text(source), &error));
    return error.text;
}

/* ---- Running ---- */

struct snapshot {
    struct fake_znode *znodes;
    size_t znodes_count;
};

static struct snapshot snapshot_take(struct world *world)
{
    struct snapshot snapshot = {.znodes_count = world->znodes_count};
    snapshot.znodes = mk_alloc(world->znodes_count * sizeof(*world->znodes));
    for (size_t i = 0; i < world->znodes_count; i++) {
        snapshot.znodes[i] = world->znodes[i];
        snapshot.znodes[i].data = (struct mk_buf){.data = NULL};
        mk_buf_append_bytes(&snapshot.znodes[i].data, mk_buf_view(&world->znodes[i].data));
    }
    return snapshot;
}

/* Of the tree as it was and the tree as it is, one stays. */
static void snapshot_settle(struct world *world, struct snapshot *snapshot, bool restore)
{
    struct fake_znode *dead = restore ? world->znodes : snapshot->znodes;
    size_t dead_count = restore ? world->znodes_count : snapshot->znodes_count;
    for (size_t i = 0; i < dead_count; i++) {
        mk_buf_free(&dead[i].data);
    }
    if (restore) {
        memcpy(world->znodes, snapshot->znodes, snapshot->znodes_count * sizeof(*world->znodes));
        world->znodes_count = snapshot->znodes_count;
    }
    mk_free(snapshot->znodes);
}

static void run(struct world *world, const char *operation, const char *arguments, bool cancel)
{
    struct snapshot snapshot = snapshot_take(world);
    recipe_run_deinit(&world->run);
    world->zxid++;
    world->run = (struct recipe_run){
        .version = world->version,
        .operation = recipe_operation_find(world->version, mk_bytes_text(operation)),
        .cancel = cancel,
        .may_park = world->may_park,
        .arguments = mk_bytes_text(arguments),
        .once = mk_buf_view(&world->once),
        .zxid = world->zxid,
        .now_ms = world->now_ms,
        .session = world->session,
        .host = &world->host};
    assert_non_null(world->run.operation);
    recipe_run(world->engine, &world->run);
    bool kept = world->run.end == RECIPE_RETURNED || world->run.end == RECIPE_PARKED;
    snapshot_settle(world, &snapshot, !kept);
    if (world->run.end != RECIPE_UNANSWERED) {
        world->once.len = 0;
        mk_buf_append_bytes(&world->once, mk_buf_view(&world->run.once_out));
    }
    world->run.once = MK_BYTES_NULL;
}

void world_run(struct world *world, const char *operation, const char *arguments)
{
    world->once.len = 0;
    run(world, operation, arguments, false);
}

void world_rerun(struct world *world, const char *operation, const char *arguments)
{
    run(world, operation, arguments, false);
}

void world_cancel(struct world *world, const char *operation, const char *arguments)
{
    run(world, operation, arguments, true);
}

void world_eval(struct world *world, const char *body)
{
    struct mk_buf source = {.data = NULL};
    mk_buf_printf(&source,
                  "return { test = operation { doc = 'a test', run = function(call) %s end } }",
                  body);
    mk_buf_put_u8(&source, 0);
    world_load(world, "eval", (const char *)source.data);
    world_run(world, "test", "");
    mk_buf_free(&source);
}

/* ---- What became of it ---- */

static const char *text_of(struct mk_buf *buf)
{
    mk_buf_put_u8(buf, 0);
    buf->len--;
    return (const char *)buf->data;
}

const char *world_result(struct world *world)
{
    if (world->run.end == RECIPE_FAILED) {
        fail_msg("%s: %s", world->run.error_name, text_of(&world->run.message));
    }
    assert_int_equal(world->run.end, RECIPE_RETURNED);
    return text_of(&world->run.result);
}

const char *world_message(struct world *world)
{
    if (world->run.end == RECIPE_RETURNED) {
        fail_msg("returned %s", text_of(&world->run.result));
    }
    assert_int_equal(world->run.end, RECIPE_FAILED);
    return text_of(&world->run.message);
}

void world_returned(struct world *world, const char *json)
{
    assert_string_equal(world_result(world), json);
}

void world_failed(struct world *world, const char *name, const char *part_of_message)
{
    const char *message = world_message(world);
    if (strcmp(world->run.error_name, name) != 0 || strstr(message, part_of_message) == NULL) {
        fail_msg("%s: %s, but %s: %s was expected", world->run.error_name, message, name,
                 part_of_message);
    }
}

const char *world_waits(struct world *world)
{
    static char text[1024];
    static const char *const kinds[] = {"?", "created", "deleted", "changed", "children", "all"};
    int len = 0;
    if (world->run.end == RECIPE_FAILED) {
        fail_msg("%s: %s", world->run.error_name, text_of(&world->run.message));
    }
    assert_int_equal(world->run.end, RECIPE_PARKED);
    text[0] = '\0';
    for (int i = 0; i < world->run.waits_count; i++) {
        struct recipe_wait *wait = &world->run.waits[i];
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s %.*s", i == 0 ? "" : ", ",
                        kinds[wait->kind], (int)wait->path_len,
                        (const char *)world->run.wait_paths.data + wait->path_at);
    }
    return text;
}

struct fake_znode *world_znode(struct world *world, const char *path)
{
    return find(world, mk_bytes_text(path));
}

void world_create(struct world *world, const char *path, const char *data)
{
    world->zxid++;
    parents_make(world, mk_bytes_text(path));
    (void)add(world, mk_bytes_text(path), mk_bytes_text(data));
}

void world_delete(struct world *world, const char *path)
{
    world->zxid++;
    drop(world, world_znode(world, path));
}
