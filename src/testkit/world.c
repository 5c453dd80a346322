/* A world's life:
 *
 *   boot: the store over the memory disk, the log's entries recovered, a new epoch led
 *   settle: frames out, rows loaded, batches to the log, checkpoints to the disk, until nothing moves
 *   dark: the log took as many entries as testkit_world_cut() allowed; the server is not heard any more
 *   crash: what is in the log and in the disk's checkpoints is what the next boot finds
 *
 * Whatever is asked settles at once, so an entry is durable before the next request is made. Only a cut
 * leaves entries that are proposed and lost, or logged and not acknowledged. */
#include "testkit/world.h"

#include <string.h>

#include "recipe/recipe.h"
#include "tree/tree.h"

#define MONOTONIC_START_MS 1000
#define WALL_START_MS 1700000000000
#define ENTRY_ZXID_AT 12 /* in a TxnHeader: behind the client's id and cxid */
#define STORE_BYTES (16u << 20)

/* ---- Boot ---- */

static bool recover(struct testkit_world *world, struct mk_error *error)
{
    struct mk_bytes entry;
    size_t offset = 0;

    if (world->entries.len == 0) {
        return true;
    }
    while (store_log_entry_next(mk_buf_view(&world->entries), &offset, &entry)) {
        MK_ASSERT(entry.len >= ENTRY_ZXID_AT + sizeof(mk_zxid));
        mk_zxid zxid = (mk_zxid)mk_load_u64(entry.data + ENTRY_ZXID_AT);
        world->entries_last = zxid;
        if (zxid > store_applied(world->store) &&
            server_recover(world->server, zxid, entry, error) != MK_OK) {
            return false;
        }
    }
    return true;
}

static void settle(struct testkit_world *world);

static bool boot(struct testkit_world *world, struct mk_error *error)
{
    struct store_options store_options = {
        .cache_bytes = STORE_BYTES,
        .overlay_bytes = STORE_BYTES,
        .overlay_bytes_max = 4 * STORE_BYTES,
    };
    struct server_options options;

    server_options_default(&options);
    options.tick_ms = TESTKIT_TICK_MS;
    options.session_timeout_max_ms = TESTKIT_TIMEOUT_MAX_MS;
    options.extended_types = true;
    options.catalogue = world->catalogue;
    options.catalogue_count = world->catalogue_count;
    options.super_digest = mk_buf_view(&world->super_digest);

    store_base_memory_ref(world->base);
    world->store = store_open(world->base, &store_options, error);
    if (world->store == NULL) {
        return false;
    }
    world->server = server_new(&options, world->store, &world->log);
    if (!recover(world, error)) {
        return false;
    }
    world->checked = 0;
    world->epoch++;
    enum mk_status status =
        server_lead(world->server, world->epoch, world->entries_last, world->now);
    if (status != MK_OK) {
        mk_error_set(error, "leading failed: %s", mk_status_text(status));
        return false;
    }
    settle(world);
    return true;
}

static void crash(struct testkit_world *world)
{
    for (uint32_t i = 0; i < world->clients_count; i++) {
        testkit_client_detach(world->clients[i]);
    }
    if (world->server != NULL) {
        server_free(world->server);
    }
    if (world->store != NULL) {
        store_close(world->store);
    }
    world->server = NULL;
    world->store = NULL;
    world->cut_armed = false;
    world->dark = false;
}

bool testkit_world_fail_over(struct testkit_world *world, struct mk_error *error)
{
    crash(world);
    /* Session ids begin with the time: two servers of one millisecond would give the same ones. */
    world->now.monotonic_ms++;
    world->now.wall_ms++;
    return boot(world, error);
}

/* ---- Made and gone ---- */

static void log_write(void *context, enum mk_log_level level, const char *line)
{
    struct testkit_world *world = context;

    (void)level;
    mk_buf_append(&world->lines, line, strlen(line));
    mk_buf_put_u8(&world->lines, '\n');
}

/* A recipe that does not load is refused here, with file and line, and not at its first call. */
static bool recipes_check(const struct testkit_world *world, struct mk_error *error)
{
    struct recipe_options options = {0};
    struct recipe_engine *engine = recipe_engine_new(&options);
    bool sound = true;

    for (size_t i = 0; sound && i < world->catalogue_count; i++) {
        const struct server_recipe *recipe = &world->catalogue[i];
        sound = recipe_version_load(engine, recipe->name, recipe->source, error) != NULL;
    }
    recipe_engine_free(engine);
    return sound;
}

struct testkit_world *testkit_world_new(const struct server_recipe *recipes, size_t count,
                                        struct mk_error *error)
{
    struct testkit_world *world = mk_alloc_zero(1, sizeof(*world));

    world->now = (struct server_time){.monotonic_ms = MONOTONIC_START_MS, .wall_ms = WALL_START_MS};
    world->log = (struct mk_log){.level = MK_LOG_INFO, .write = log_write, .context = world};
    world->base = store_base_memory(NULL, 0);
    tree_digest_id(TREE_DIGEST_SHA1, MK_BYTES(TESTKIT_SUPER), &world->super_digest);
    world->catalogue = mk_alloc_zero(count + 1, sizeof(*world->catalogue));
    world->catalogue_count = count;
    for (size_t i = 0; i < count; i++) {
        world->catalogue[i].name = mk_arena_copy(&world->texts, recipes[i].name);
        world->catalogue[i].source = mk_arena_copy(&world->texts, recipes[i].source);
    }
    if (!recipes_check(world, error) || !boot(world, error)) {
        testkit_world_free(world);
        return NULL;
    }
    return world;
}

void testkit_world_free(struct testkit_world *world)
{
    crash(world);
    for (uint32_t i = 0; i < world->clients_count; i++) {
        mk_buf_free(&world->clients[i]->input);
        mk_free(world->clients[i]);
    }
    mk_free(world->clients);
    world->base->ops->close(world->base);
    mk_buf_free(&world->entries);
    mk_buf_free(&world->lines);
    mk_buf_free(&world->super_digest);
    mk_free(world->catalogue);
    mk_arena_free(&world->texts);
    mk_free(world);
}

/* ---- Settling ---- */

static bool deliver(struct testkit_world *world)
{
    struct server_conn *conn;
    bool moved = false;

    while ((conn = server_next_dirty(world->server)) != NULL) {
        struct testkit_client *client = server_conn_owner(conn);
        struct mk_buf *output = server_conn_output(conn);
        moved = true;
        mk_buf_append_bytes(&client->input, mk_buf_view(output));
        output->len = 0;
        if (server_conn_closing(conn)) {
            testkit_client_detach(client);
        } else {
            server_conn_drained(world->server, conn);
        }
    }
    return moved;
}

static bool load(struct testkit_world *world)
{
    struct server_load wanted;
    bool moved = false;

    while (server_load_take(world->server, &wanted)) {
        enum mk_status status = store_load(store_base_of(world->store), &wanted.rows);
        MK_ASSERT(status == MK_OK); /* the disk is memory */
        server_load_done(world->server, &wanted);
        moved = true;
    }
    return moved;
}

/* The first `count` entries reach the log. */
static void log_append(struct testkit_world *world, const struct server_batch *batch,
                       uint32_t count)
{
    struct mk_bytes bytes = mk_buf_view(&batch->bytes);
    struct mk_bytes entry;
    size_t offset = 0;

    MK_ASSERT(count <= batch->count);
    for (uint32_t i = 0; i < count; i++) {
        bool more = store_log_entry_next(bytes, &offset, &entry);
        MK_ASSERT(more);
    }
    mk_buf_append(&world->entries, bytes.data, offset);
}

static bool log_batch(struct testkit_world *world)
{
    struct server_batch batch;

    if (!server_batch_take(world->server, &batch)) {
        return false;
    }
    if (world->cut_armed && batch.count > world->cut_left) {
        log_append(world, &batch, world->cut_left);
        mk_buf_free(&batch.bytes);
        world->dark = true;
        return false;
    }
    world->cut_left -= world->cut_armed ? batch.count : 0;
    log_append(world, &batch, batch.count);
    world->entries_last = batch.last;
    server_batch_synced(world->server, &batch);
    return true;
}

static bool checkpoint(struct testkit_world *world)
{
    struct store_checkpoint *wanted = server_checkpoint_take(world->server);
    struct mk_error error;

    if (wanted == NULL) {
        return false;
    }
    enum mk_status status = store_checkpoint_write(wanted, &error);
    MK_ASSERT(status == MK_OK); /* the disk is memory */
    server_checkpoint_done(world->server, wanted);
    return true;
}

/* The check reads the whole tree, and most moments of a time that passes change nothing: every entry
 * is checked, in its own settling, and what connects or pings is left to the next one. */
static void check_if_changed(struct testkit_world *world)
{
    if (world->checked != world->entries.len) {
        server_check(world->server);
        world->checked = world->entries.len;
    }
}

/* Let everything happen that can without time passing. */
static void settle(struct testkit_world *world)
{
    bool moved = true;

    while (moved && !world->dark) {
        moved = deliver(world);
        moved = load(world) || moved;
        moved = log_batch(world) || moved;
        moved = (!world->dark && checkpoint(world)) || moved;
    }
    if (!world->dark) {
        MK_ASSERT(server_failure(world->server) == NULL);
        check_if_changed(world);
    }
}

void testkit_world_cut(struct testkit_world *world, uint32_t entries)
{
    MK_ASSERT(!world->cut_armed);
    world->cut_armed = true;
    world->cut_left = entries;
}

/* ---- Time ---- */

static mk_ms ping_due(const struct testkit_client *client)
{
    return client->conn != NULL ? client->heard_ms + client->timeout_ms / 3 : INT64_MAX;
}

static void ping(struct testkit_client *client)
{
    struct jute_request request = {.op = JUTE_PING, .xid = JUTE_XID_PING};

    struct jute_reply reply;

    (void)testkit_client_ask(client, &request);
    if (testkit_client_answer(client, JUTE_XID_PING, &reply)) {
        testkit_client_take(client, JUTE_XID_PING);
    }
}

/* The next moment at which something is due, no later than `until_ms`. */
static mk_ms next_moment(const struct testkit_world *world, mk_ms until_ms)
{
    mk_ms next_ms = server_next_tick(world->server);

    for (uint32_t i = 0; i < world->clients_count; i++) {
        mk_ms due_ms = ping_due(world->clients[i]);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    next_ms = next_ms < until_ms ? next_ms : until_ms;
    return next_ms > world->now.monotonic_ms ? next_ms : world->now.monotonic_ms + 1;
}

static void step_to(struct testkit_world *world, mk_ms moment_ms)
{
    world->now.wall_ms += moment_ms - world->now.monotonic_ms;
    world->now.monotonic_ms = moment_ms;
    server_tick(world->server, world->now);
    for (uint32_t i = 0; i < world->clients_count; i++) {
        if (ping_due(world->clients[i]) <= moment_ms) {
            ping(world->clients[i]);
        }
    }
    settle(world);
}

void testkit_world_advance(struct testkit_world *world, mk_ms ms)
{
    mk_ms until_ms = world->now.monotonic_ms + ms;

    while (!world->dark && world->now.monotonic_ms < until_ms) {
        step_to(world, next_moment(world, until_ms));
    }
}

/* ---- Observing ---- */

bool testkit_world_session_alive(const struct testkit_world *world, mk_session session)
{
    int32_t timeout_ms;

    return store_session_read(store_committed(world->store), session, &timeout_ms) == MK_OK;
}

static bool add_number(void *context, mk_zxid call)
{
    mk_buf_put_i64(context, call);
    return true;
}

bool testkit_world_call_node(struct testkit_world *world, mk_session session, int64_t call_id,
                             struct mk_buf *path)
{
    struct store_view *view = store_committed(world->store);
    struct mk_buf numbers = {0};
    bool found = false;

    enum mk_status status = store_session_calls_each(view, session, add_number, &numbers);
    for (size_t at = 0; status == MK_OK && !found && at < numbers.len; at += sizeof(mk_zxid)) {
        uint8_t record[TREE_CALL_RECORD_PATH_BYTES];
        struct store_znode znode;
        struct tree_call call;
        tree_call_record_path(record, (mk_zxid)mk_load_u64(numbers.data + at));
        status = store_znode_read(view, mk_bytes_of(record, sizeof(record)), true, &znode);
        found = status == MK_OK && tree_call_decode(znode.data, &call) == MK_OK &&
                call.call_id == call_id && call.node_path.data != NULL;
        if (found) {
            mk_buf_append_bytes(path, call.node_path);
        }
    }
    mk_buf_free(&numbers);
    return found;
}

static bool add_name(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    (void)czxid;
    (void)position;
    mk_buf_put_field(context, name);
    return true;
}

enum mk_status testkit_world_children(struct testkit_world *world, struct mk_bytes path,
                                      struct mk_buf *names)
{
    struct store_view *view = store_committed(world->store);
    struct store_children query = {.path = path};
    struct store_znode znode;
    enum mk_status status = store_znode_read(view, path, false, &znode);

    return status == MK_OK ? store_children_each(view, &query, add_name, names) : status;
}

/* ---- Clients ---- */

struct testkit_client *testkit_client_new(struct testkit_world *world)
{
    struct testkit_client *client = mk_alloc_zero(1, sizeof(*client));

    client->world = world;
    world->clients =
        mk_realloc(world->clients, (world->clients_count + 1) * sizeof(struct testkit_client *));
    world->clients[world->clients_count++] = client;
    return client;
}

void testkit_client_detach(struct testkit_client *client)
{
    if (client->conn != NULL) {
        server_conn_closed(client->world->server, client->conn);
        client->conn = NULL;
    }
}

/* Hand over the frame in `out`, behind its length. */
static void frame_send(struct testkit_client *client, struct mk_buf *out)
{
    struct testkit_world *world = client->world;

    MK_ASSERT(out->len > 4);
    if (!world->dark) {
        server_conn_frame(world->server, client->conn, mk_bytes_of(out->data + 4, out->len - 4));
        client->heard_ms = world->now.monotonic_ms;
    }
    mk_buf_free(out);
    settle(world);
}

enum testkit_attach testkit_client_attach(struct testkit_client *client, mk_ms timeout_ms)
{
    struct testkit_world *world = client->world;
    struct mk_buf out = {0};
    struct jute_connect connect = {
        .timeout_ms = (int32_t)timeout_ms,
        .session_id = client->session,
        .password = mk_bytes_of(client->password, sizeof(client->password)),
        .read_only_present = true,
    };

    MK_ASSERT(timeout_ms > 0 && timeout_ms <= TESTKIT_TIMEOUT_MAX_MS);
    if (world->dark) {
        return TESTKIT_UNANSWERED;
    }
    testkit_client_detach(client);
    client->input.len = 0;
    client->conn = server_conn_open(world->server, MK_BYTES("127.0.0.1"), 1, client);
    jute_connect_encode(&out, &connect);
    frame_send(client, &out);
    if (client->input.len == 0) {
        return TESTKIT_UNANSWERED;
    }
    struct mk_reader reader = mk_reader_of(mk_buf_view(&client->input));
    (void)mk_read_u32(&reader); /* the frame's length */
    (void)mk_read_i32(&reader); /* the protocol's version */
    client->timeout_ms = mk_read_i32(&reader);
    mk_session session = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    MK_ASSERT(!reader.failed && password.len == sizeof(client->password));
    client->input.len = 0;
    if (session == 0) {
        return TESTKIT_REFUSED;
    }
    client->session = session;
    memcpy(client->password, password.data, password.len);
    return TESTKIT_ATTACHED;
}

int32_t testkit_client_ask(struct testkit_client *client, struct jute_request *request)
{
    struct mk_buf out = {0};

    if (client->conn == NULL) {
        return 0;
    }
    if (request->xid == 0) {
        request->xid = ++client->xid;
    }
    jute_request_encode(&out, request);
    frame_send(client, &out);
    return request->xid;
}

/* Where in the input the frame lies that answers `xid`, and how long it is; or SIZE_MAX. */
static size_t find_answer(const struct testkit_client *client, int32_t xid,
                          struct jute_reply *reply, size_t *len)
{
    for (size_t at = 0; at < client->input.len; at += *len) {
        *len = 4 + (size_t)mk_load_u32(client->input.data + at);
        MK_ASSERT(*len > 4 && *len <= client->input.len - at);
        enum mk_status status =
            jute_reply_decode(mk_bytes_of(client->input.data + at + 4, *len - 4), reply);
        MK_ASSERT(status == MK_OK);
        if (reply->xid == xid) {
            return at;
        }
    }
    return SIZE_MAX;
}

bool testkit_client_answer(struct testkit_client *client, int32_t xid, struct jute_reply *reply)
{
    size_t len;

    return find_answer(client, xid, reply, &len) != SIZE_MAX;
}

void testkit_client_take(struct testkit_client *client, int32_t xid)
{
    struct jute_reply reply;
    size_t len;
    size_t at = find_answer(client, xid, &reply, &len);

    MK_ASSERT(at != SIZE_MAX);
    if (xid != JUTE_XID_NOTIFICATION && reply.zxid > client->zxid) {
        client->zxid = reply.zxid;
    }
    memmove(client->input.data + at, client->input.data + at + len, client->input.len - at - len);
    client->input.len -= len;
}
