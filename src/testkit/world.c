/* A world's life:
 *
 *   begin: its servers booted; of several, one elected
 *   settle: what any of them has to do, until nothing moves
 *   dark: the log took as many entries as testkit_world_cut() allowed; the server is not heard any more
 *   fail over: it crashes; alone, it boots again; of several, another leads, and it comes back
 *
 * Whatever is asked settles at once, so an entry is durable before the next request is made. Only a cut
 * leaves entries that are proposed and lost, or logged and not acknowledged. */
#include "testkit/world.h"

#include <string.h>

#include "recipe/recipe.h"
#include "tree/tree.h"

#define MONOTONIC_START_MS 1000
#define WALL_START_MS 1700000000000
/* Of several: how long an election and what follows it may take, in steps of time. */
#define ELECTION_STEP_MS 20
#define ELECTION_MS_MAX 60000

static bool begin(struct testkit_world *world, struct mk_error *error);

/* ---- Fail over ---- */

static void crash(struct testkit_member *member)
{
    struct testkit_world *world = member->world;

    for (uint32_t i = 0; i < world->clients_count; i++) {
        if (world->clients[i]->member == member) {
            testkit_client_detach(world->clients[i]);
        }
    }
    if (world->links != NULL && member->server != NULL) {
        testkit_links_down(world->links, member);
    }
    testkit_member_crash(member);
}

static bool up(struct testkit_member *member, struct mk_error *error)
{
    if (!testkit_member_boot(member, error)) {
        return false;
    }
    if (member->world->links != NULL) {
        testkit_links_up(member->world->links, member);
    }
    return true;
}

static bool fail_over(struct testkit_world *world, struct mk_error *error)
{
    struct testkit_member *dead = world->leader;

    crash(dead);
    world->cut_armed = false;
    world->dark = false;
    /* Session ids begin with the time: two servers of one millisecond would give the same ones. */
    world->now.monotonic_ms++;
    world->now.wall_ms++;
    world->leader = NULL;
    if (world->members_count > 1 && !begin(world, error)) {
        return false;
    }
    return up(dead, error) && begin(world, error);
}

bool testkit_world_fail_over(struct testkit_world *world, struct mk_error *error)
{
    return fail_over(world, error);
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

static bool boot_all(struct testkit_world *world, struct mk_error *error)
{
    for (size_t i = 0; i < world->members_count; i++) {
        if (!up(&world->members[i], error)) {
            return false;
        }
    }
    return begin(world, error);
}

struct testkit_world *testkit_world_new(const struct server_recipe *recipes, size_t count,
                                        size_t servers, struct mk_error *error)
{
    struct testkit_world *world = mk_alloc_zero(1, sizeof(*world));

    MK_ASSERT(servers >= 1 && servers <= TESTKIT_SERVERS_MAX);
    world->members_count = servers;
    world->tick_ms = servers > 1 ? TESTKIT_ENSEMBLE_TICK_MS : TESTKIT_TICK_MS;
    for (size_t i = 0; i < servers; i++) {
        testkit_member_init(&world->members[i], world, (int64_t)i + 1);
    }
    if (servers > 1) {
        world->links = testkit_links_new(world->members, servers);
    }

    world->now = (struct server_time){.monotonic_ms = MONOTONIC_START_MS, .wall_ms = WALL_START_MS};
    world->log = (struct mk_log){.level = MK_LOG_INFO, .write = log_write, .context = world};
    tree_digest_id(TREE_DIGEST_SHA1, MK_BYTES(TESTKIT_SUPER), &world->super_digest);
    world->catalogue = mk_alloc_zero(count + 1, sizeof(*world->catalogue));
    world->catalogue_count = count;
    for (size_t i = 0; i < count; i++) {
        world->catalogue[i].name = mk_arena_copy(&world->texts, recipes[i].name);
        world->catalogue[i].source = mk_arena_copy(&world->texts, recipes[i].source);
    }
    if (!recipes_check(world, error) || !boot_all(world, error)) {
        testkit_world_free(world);
        return NULL;
    }
    return world;
}

void testkit_world_free(struct testkit_world *world)
{
    for (size_t i = 0; i < world->members_count; i++) {
        crash(&world->members[i]);
    }
    for (size_t i = 0; i < world->members_count; i++) {
        testkit_member_deinit(&world->members[i]);
    }
    testkit_links_free(world->links);
    for (uint32_t i = 0; i < world->clients_count; i++) {
        mk_buf_free(&world->clients[i]->input);
        mk_free(world->clients[i]);
    }
    mk_free(world->clients);
    mk_buf_free(&world->lines);
    mk_buf_free(&world->super_digest);
    mk_free(world->catalogue);
    mk_arena_free(&world->texts);
    mk_free(world);
}

/* ---- Settling ---- */

/* What any two servers have applied of one history is the same. */
static void members_compare(const struct testkit_world *world)
{
    const struct testkit_member *leader = world->leader;

    for (size_t i = 0; leader != NULL && i < world->members_count; i++) {
        const struct testkit_member *member = &world->members[i];
        bool same = member->server != NULL && member != leader && server_serving(member->server) &&
                    store_applied(member->store) == store_applied(leader->store);
        MK_ASSERT(!same || store_hash(member->store) == store_hash(leader->store));
    }
}

/* The check reads the whole tree, and most moments of a time that passes change nothing: every entry
 * is checked, in its own settling, and what connects or pings is left to the next one. */
static void check_if_changed(struct testkit_world *world)
{
    size_t entries = 0;

    for (size_t i = 0; i < world->members_count; i++) {
        MK_ASSERT(world->members[i].server == NULL ||
                  server_failure(world->members[i].server) == NULL);
        entries += world->members[i].entries.len;
    }
    if (world->checked != entries) {
        testkit_world_check(world);
        world->checked = entries;
    }
}

void testkit_world_check(struct testkit_world *world)
{
    for (size_t i = 0; i < world->members_count; i++) {
        if (world->members[i].server != NULL) {
            server_check(world->members[i].server);
        }
    }
    members_compare(world);
}

/* Let everything happen that can without time passing. */
static void settle(struct testkit_world *world)
{
    bool moved = true;

    while (moved && !world->dark) {
        moved = false;
        for (size_t i = 0; i < world->members_count && !world->dark; i++) {
            if (world->members[i].server != NULL) {
                moved = testkit_member_step(&world->members[i]) || moved;
            }
        }
        if (world->links != NULL && !world->dark) {
            moved = testkit_links_step(world->links) || moved;
        }
    }
    if (!world->dark) {
        check_if_changed(world);
    }
}

void testkit_world_cut(struct testkit_world *world, uint32_t entries)
{
    MK_ASSERT(!world->cut_armed);
    world->cut_armed = true;
    world->cut_left = entries;
    world->leaks = !world->leaks;
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
    mk_ms next_ms = INT64_MAX;

    for (size_t i = 0; i < world->members_count; i++) {
        const struct server *server = world->members[i].server;
        mk_ms due_ms = server != NULL ? server_next_tick(server) : INT64_MAX;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
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
    for (size_t i = 0; i < world->members_count; i++) {
        if (world->members[i].server != NULL) {
            server_tick(world->members[i].server, world->now);
        }
    }
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

/* ---- Elections ---- */

static struct testkit_member *leader_of(struct testkit_world *world)
{
    struct server_stats stats;

    for (size_t i = 0; i < world->members_count; i++) {
        struct testkit_member *member = &world->members[i];
        if (member->server == NULL || !server_serving(member->server)) {
            continue;
        }
        server_stats_read(member->server, &stats);
        if (strcmp(stats.mode, "leader") == 0 || strcmp(stats.mode, "standalone") == 0) {
            return member;
        }
    }
    return NULL;
}

static bool all_serve(const struct testkit_world *world)
{
    for (size_t i = 0; i < world->members_count; i++) {
        const struct server *server = world->members[i].server;
        if (server != NULL && !server_serving(server)) {
            return false;
        }
    }
    return true;
}

/* Until one leads, and all that are up serve. */
static bool begin(struct testkit_world *world, struct mk_error *error)
{
    mk_ms until_ms = world->now.monotonic_ms + ELECTION_MS_MAX;

    settle(world);
    while (world->now.monotonic_ms < until_ms) {
        world->leader = leader_of(world);
        if (world->leader != NULL && all_serve(world)) {
            settle(world);
            return true;
        }
        step_to(world, world->now.monotonic_ms + ELECTION_STEP_MS);
    }
    mk_error_set(error, "no server has come to lead");
    return false;
}

/* ---- Observing ---- */

bool testkit_world_session_alive(const struct testkit_world *world, mk_session session)
{
    int32_t timeout_ms;

    return store_session_read(store_committed(world->leader->store), session, &timeout_ms) == MK_OK;
}

static bool add_number(void *context, mk_zxid call)
{
    mk_buf_put_i64(context, call);
    return true;
}

bool testkit_world_call_node(struct testkit_world *world, mk_session session, int64_t call_id,
                             struct mk_buf *path)
{
    struct store_view *view = store_committed(world->leader->store);
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
    struct store_view *view = store_committed(world->leader->store);
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
    client->turn = world->clients_count;
    world->clients =
        mk_realloc(world->clients, (world->clients_count + 1) * sizeof(struct testkit_client *));
    world->clients[world->clients_count++] = client;
    return client;
}

void testkit_client_detach(struct testkit_client *client)
{
    if (client->conn != NULL) {
        server_conn_closed(client->member->server, client->conn);
        client->conn = NULL;
    }
}

/* Hand over the frame in `out`, behind its length. */
static void frame_send(struct testkit_client *client, struct mk_buf *out)
{
    struct testkit_world *world = client->world;

    MK_ASSERT(out->len > 4);
    if (!world->dark) {
        server_conn_frame(client->member->server, client->conn,
                          mk_bytes_of(out->data + 4, out->len - 4));
        client->heard_ms = world->now.monotonic_ms;
    }
    mk_buf_free(out);
    settle(world);
}

/* Each time another, and not all clients the same one. */
static struct testkit_member *member_choose(struct testkit_client *client)
{
    struct testkit_world *world = client->world;
    struct testkit_member *member;

    do {
        member = &world->members[client->turn++ % world->members_count];
    } while (member->server == NULL);
    return member;
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
    client->member = member_choose(client);
    client->conn = server_conn_open(client->member->server, MK_BYTES("127.0.0.1"), 1, client);
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
