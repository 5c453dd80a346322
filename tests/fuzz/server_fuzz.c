/* Any bytes as what happens to a whole server, with the memory store below it: connections that come
 * and go, well-made, damaged and raw frames on several of them, time, a disk that is late, and power
 * cuts. The input is a program, a byte a step and what the step reads behind it.
 *
 * Checked on the way: the core's own invariants; that every request is answered once, in its turn,
 * with a body of the right shape; that zxids never go back. At the end everybody leaves: no session,
 * ephemeral, call or watch stays behind, and a restart finds the same tree. */
#include "jute/jute.h"
#include "server/server.h"
#include "sim/machine.h"
#include "tree/tree.h"

#include <string.h>

#define PEERS_MAX 4
#define PENDING_MAX 64
#define STEPS_MAX 400 /* so that one input takes milliseconds */
#define TICK_MS 2000
#define MULTI_MAX 5
#define CONN_WATCHES_MAX 12
#define CALLS_MAX 6
#define CHECK_STEPS 16 /* looking at everything takes longer than anything else */

static const char recipe[] =
    "local lock = {}\n"
    "lock.acquire = operation { doc = '', args = { path = 'path', timeout = 'duration?' },\n"
    "  run = function(call)\n"
    "    local ticket = call:once('ticket', function() return znode.create(call.args.path ..\n"
    "      '/lock-', { ephemeral = true, sequential = true, parents = true }) end)\n"
    "    if not znode.stat(ticket) then fail('Lost') end\n"
    "    local ahead = znode.sibling_before(ticket, { by = 'creation', like = { 'lock-' } })\n"
    "    if ahead then call:wait { deleted = { ahead, ticket } } end\n"
    "    return { ticket = ticket, fence = call.zxid }\n"
    "  end,\n"
    "  cancel = function(call) znode.delete(call:recall('ticket')) end }\n"
    "return lock\n";

static const struct mk_bytes paths[] = {
    MK_BYTES("/"),
    MK_BYTES("/a"),
    MK_BYTES("/a/b"),
    MK_BYTES("/a/b/c"),
    MK_BYTES("/a/b/s-"),
    MK_BYTES("/b"),
    MK_BYTES("/l"),
    MK_BYTES("/l/lock-"),
    MK_BYTES("/l/lock-0000000000"),
    MK_BYTES("/zookeeper"),
    MK_BYTES("/zookeeper/calls"),
    MK_BYTES("/zookeeper/calls/lock.acquire-"),
    MK_BYTES("/zookeeper/recipes/lock"),
    MK_BYTES("/zookeeper/quota"),
    MK_BYTES("/zookeeper/quota/a"),
    MK_BYTES("/zookeeper/quota/a/zookeeper_limits"),
    MK_BYTES("/zookeeper/quota/a/zookeeper_stats"),
    MK_BYTES("/zookeeper/config"),
    MK_BYTES("a"),
    MK_BYTES("/a/../b"),
};
static const struct mk_bytes datas[] = {
    MK_BYTES(""),
    MK_BYTES("x"),
    MK_BYTES("{\"path\":\"/l\"}"),
    MK_BYTES("{\"path\":\"/l\",\"timeout\":\"3s\"}"),
    MK_BYTES("count=2,bytes=20"),
    MK_BYTES("count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=4"),
    MK_BYTES("bob:secret"),
    MK_BYTES("super:secret"),
};
static const struct mk_bytes acls[] = {
    MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
    MK_BYTES("\0\0\0\1\0\0\0\1\0\0\0\5world\0\0\0\6anyone"),
    MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\4auth\0\0\0\0"),
    MK_BYTES("\0\0\0\1\0\0\0\34\0\0\0\2ip\0\0\0\11"
             "127.0.0.1"),
    MK_BYTES("\0\0\0\0"),
};
static const int32_t ops[] = {
    JUTE_CREATE,
    JUTE_CREATE2,
    JUTE_CREATE_CONTAINER,
    JUTE_CREATE_TTL,
    JUTE_DELETE,
    JUTE_SET_DATA,
    JUTE_SET_ACL,
    JUTE_EXISTS,
    JUTE_GET_DATA,
    JUTE_GET_ACL,
    JUTE_GET_CHILDREN,
    JUTE_GET_CHILDREN2,
    JUTE_SYNC,
    JUTE_PING,
    JUTE_CHECK_WATCHES,
    JUTE_ADD_WATCH,
    JUTE_REMOVE_WATCHES,
    JUTE_AUTH,
    JUTE_SET_WATCHES,
    JUTE_SET_WATCHES2,
    JUTE_GET_EPHEMERALS,
    JUTE_WHO_AM_I,
    JUTE_CALL,
    JUTE_CALLS,
    JUTE_GET_ALL_CHILDREN_NUMBER,
    JUTE_RECONFIG,
    JUTE_CLOSE_SESSION,
    JUTE_SASL,
    JUTE_CHECK,
    JUTE_DELETE_CONTAINER,
    99,
};

struct pending {
    int32_t xid;
    int32_t op;
};
struct peer {
    struct server_conn *conn;
    bool established; /* the answer to its ConnectRequest has come */
    bool slow;        /* what was sent to it has not arrived yet */
    mk_session session;
    uint8_t password[JUTE_PASSWORD_BYTES];
    int32_t xid;
    mk_zxid zxid; /* the largest in a reply on this connection */
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    size_t pings;
};
struct world {
    struct sim_machine machine;
    struct server_options options;
    struct server_recipe recipe;
    struct server_time now;
    struct peer peers[PEERS_MAX];
    struct server_load load; /* with the disk */
    bool load_out;
    struct mk_reader program;
};

/* ---- What the peers hear ---- */

static void body_check(int32_t op, struct mk_bytes body)
{
    struct mk_reader reader = mk_reader_of(body);

    switch (op) {
    case JUTE_EXISTS:
    case JUTE_SET_DATA:
    case JUTE_SET_ACL: (void)jute_read_stat(&reader); break;
    case JUTE_GET_DATA:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER:
    case JUTE_CREATE_TTL:
        (void)mk_read_field(&reader);
        (void)jute_read_stat(&reader);
        break;
    case JUTE_CREATE:
    case JUTE_SYNC:
    case JUTE_SASL: (void)mk_read_field(&reader); break;
    case JUTE_GET_CHILDREN:
    case JUTE_GET_CHILDREN2:
    case JUTE_GET_EPHEMERALS:
        for (int32_t left = mk_read_i32(&reader); left > 0 && !reader.failed; left--) {
            (void)mk_read_field(&reader);
        }
        if (op == JUTE_GET_CHILDREN2) {
            (void)jute_read_stat(&reader);
        }
        break;
    case JUTE_ADD_WATCH:
    case JUTE_GET_ALL_CHILDREN_NUMBER: (void)mk_read_i32(&reader); break;
    case JUTE_DELETE:
    case JUTE_AUTH:
    case JUTE_SET_WATCHES:
    case JUTE_SET_WATCHES2:
    case JUTE_CHECK_WATCHES:
    case JUTE_REMOVE_WATCHES:
    case JUTE_CLOSE_SESSION: break;
    default: return; /* of any shape */
    }
    MK_ASSERT(!reader.failed);
    MK_ASSERT(mk_reader_left(&reader) == 0);
}

static void event_check(struct mk_bytes body)
{
    struct mk_reader reader = mk_reader_of(body);
    int32_t type = mk_read_i32(&reader);
    int32_t state = mk_read_i32(&reader);

    (void)mk_read_field(&reader);
    MK_ASSERT(type >= JUTE_EVENT_CREATED && type <= JUTE_EVENT_CHILDREN_CHANGED);
    MK_ASSERT(state == 3);
    MK_ASSERT(!reader.failed && mk_reader_left(&reader) == 0);
}

/* The request that a reply answers: the oldest, but for calls, which may wait. */
static struct pending pending_take(struct peer *peer, int32_t xid)
{
    size_t at = 0;

    while (at < peer->pending_count && peer->pending[at].xid != xid) {
        MK_ASSERT(peer->pending[at].op == JUTE_CALL);
        at++;
    }
    MK_ASSERT(at < peer->pending_count);
    struct pending found = peer->pending[at];
    memmove(&peer->pending[at], &peer->pending[at + 1],
            (peer->pending_count - at - 1) * sizeof(found));
    peer->pending_count--;
    return found;
}

static void reply_check(struct world *world, struct peer *peer, struct mk_bytes frame)
{
    struct jute_reply reply;

    MK_ASSERT(jute_reply_decode(frame, &reply) == MK_OK);
    MK_ASSERT(reply.zxid <= store_applied(world->machine.store));
    if (reply.xid == JUTE_XID_NOTIFICATION) {
        event_check(reply.body);
        return;
    }
    if (reply.zxid > 0 && reply.xid != JUTE_XID_PING) {
        MK_ASSERT(reply.zxid >= peer->zxid);
        peer->zxid = reply.zxid;
    }
    if (reply.xid == JUTE_XID_PING) {
        MK_ASSERT(peer->pings > 0);
        peer->pings--;
        return;
    }
    struct pending request = pending_take(peer, reply.xid);
    if (reply.error == 0) {
        body_check(request.op, reply.body);
    } else {
        MK_ASSERT(reply.body.len == 0 || request.op == JUTE_MULTI_READ || request.op == JUTE_CALL);
    }
}

static void connected(struct peer *peer, struct mk_bytes frame)
{
    struct mk_reader reader = mk_reader_of(frame);
    int32_t version = mk_read_i32(&reader);
    int32_t timeout_ms = mk_read_i32(&reader);
    mk_session session = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);

    MK_ASSERT(version == 0 && !reader.failed && password.len == JUTE_PASSWORD_BYTES);
    MK_ASSERT(mk_reader_left(&reader) <= 1);
    MK_ASSERT((timeout_ms > 0) == (session != 0));
    peer->established = true;
    if (session != 0) {
        peer->session = session;
        memcpy(peer->password, password.data, password.len);
    }
}

static void hear(struct world *world, struct peer *peer, struct mk_bytes output)
{
    struct mk_reader reader = mk_reader_of(output);

    while (mk_reader_left(&reader) > 0) {
        struct mk_bytes frame = mk_read_field(&reader);
        MK_ASSERT(!reader.failed && frame.data != NULL);
        if (peer->established) {
            reply_check(world, peer, frame);
        } else {
            connected(peer, frame);
        }
    }
}

static void gone(struct world *world, struct peer *peer)
{
    if (peer->conn != NULL) {
        server_conn_closed(world->machine.server, peer->conn);
        peer->conn = NULL;
    }
}

/* Every connection that has something to do: its output, or its end. */
static void deliver(struct world *world)
{
    struct server *server = world->machine.server;
    struct server_conn *conn;

    while ((conn = server_next_dirty(server)) != NULL) {
        struct peer *peer = server_conn_owner(conn);
        struct mk_buf *output = server_conn_output(conn);
        hear(world, peer, mk_buf_view(output));
        output->len = 0;
        if (server_conn_closing(conn)) {
            gone(world, peer);
        } else if (!peer->slow) {
            server_conn_drained(server, conn);
        }
    }
}

/* ---- What the disk does ---- */

static void disk_load(struct world *world)
{
    if (!world->load_out) {
        world->load_out = server_load_take(world->machine.server, &world->load);
        return;
    }
    MK_ASSERT(sim_machine_load(&world->machine, &world->load) == MK_OK);
    server_load_done(world->machine.server, &world->load);
    world->load_out = false;
}

static void disk_checkpoint(struct world *world)
{
    struct mk_error error;

    if (sim_machine_checkpoint_take(&world->machine)) {
        return;
    }
    if (world->machine.checkpoint != NULL) {
        MK_ASSERT(sim_machine_checkpoint_write(&world->machine, &error));
        sim_machine_checkpoint_done(&world->machine);
    }
}

static void disk_batch(struct world *world)
{
    if (world->machine.batch_out) {
        sim_machine_batch_sync(&world->machine, false);
    } else {
        (void)sim_machine_batch_take(&world->machine);
    }
}

static bool disk_busy(const struct world *world)
{
    return world->load_out || world->machine.batch_out || world->machine.checkpoint != NULL;
}

/* Let everything happen that can without time passing. */
static void settle(struct world *world)
{
    bool idle = false;

    for (int round = 0; !idle; round++) {
        MK_ASSERT(round < 10000); /* it comes to rest */
        deliver(world);
        disk_load(world);
        disk_checkpoint(world);
        disk_batch(world);
        idle = !disk_busy(world) && server_idle(world->machine.server);
    }
    deliver(world);
}

/* ---- What the peers do ---- */

static struct mk_bytes pick(struct mk_reader *program, const struct mk_bytes *from, size_t count)
{
    uint8_t choice = mk_read_u8(program);

    if (choice < 0xf8) {
        return from[choice % count];
    }
    return choice == 0xff ? MK_BYTES_NULL : mk_read_bytes(program, mk_read_u8(program) % 40);
}

/* Its strings may lie in the program, or nowhere that goes away. */
static struct jute_request request_read(struct mk_reader *program, int32_t op, struct mk_buf *lists)
{
    uint8_t bits = mk_read_u8(program);
    struct jute_request request = {
        .op = op,
        .path = pick(program, paths, MK_COUNT(paths)),
        .data = pick(program, datas, MK_COUNT(datas)),
        .acl = acls[(bits >> 5) % MK_COUNT(acls)],
        .flags = op == JUTE_CREATE_TTL ? 5 + (bits & 1) : bits & 7,
        .version = (bits >> 3 & 3) - 1,
        .ttl_ms = 1 + (bits >> 3) * 1000,
        .watch = (bits & 16) != 0,
        .scheme = (bits & 3) == 3 ? MK_BYTES("ip") : MK_BYTES("digest"),
        .relative_zxid = bits & 64 ? (int64_t)1 << 32 : INT64_MAX,
        .operation = MK_BYTES("lock.acquire"),
        .call_id = bits & 7,
        .done_through = bits >> 6,
        .chroot = MK_BYTES_NULL,
        .format = JUTE_CALL_JSON,
        .dry_run = (bits & 24) == 24,
    };
    for (size_t i = 0; i < JUTE_LISTS_MAX && (op == JUTE_SET_WATCHES || op == JUTE_SET_WATCHES2);
         i++) {
        size_t at = lists->len;
        mk_buf_put_field(lists, paths[(bits + i) % MK_COUNT(paths)]);
        request.lists[i] = (struct jute_strings){.count = 1};
        request.lists[i].bytes = mk_bytes_of(lists->data + at, lists->len - at);
    }
    return request;
}

static void multi_build(struct mk_reader *program, int32_t op, struct mk_buf *out)
{
    static const int32_t writes[] = {JUTE_CREATE,  JUTE_CREATE2, JUTE_CREATE_CONTAINER,
                                     JUTE_DELETE,  JUTE_CHECK,   JUTE_CREATE_TTL,
                                     JUTE_SET_DATA};
    size_t multi = jute_multi_request_begin(out, 0, op);

    for (int left = mk_read_u8(program) % MULTI_MAX; left > 0; left--) {
        uint8_t choice = mk_read_u8(program);
        int32_t one = op == JUTE_MULTI_READ ? (choice & 1 ? JUTE_GET_DATA : JUTE_GET_CHILDREN)
                                            : writes[choice % MK_COUNT(writes)];
        struct jute_request request = request_read(program, one, NULL);
        jute_multi_request_put(out, &request);
    }
    jute_multi_request_end(out, multi);
}

/* Send a payload as the peer's next request. What is no header at all ends the connection. */
static void frame_send(struct world *world, struct peer *peer, uint8_t *payload, size_t len)
{
    struct server *server = world->machine.server;

    if (peer->conn == NULL || server_conn_paused(peer->conn) ||
        peer->pending_count == PENDING_MAX) {
        return;
    }
    if (len >= 8) {
        mk_store_u32(payload, (uint32_t)++peer->xid);
        int32_t op = (int32_t)mk_load_u32(payload + 4);
        if (op == JUTE_PING) {
            peer->pings++;
        } else {
            peer->pending[peer->pending_count++] = (struct pending){peer->xid, op};
        }
    }
    server_conn_frame(server, peer->conn, mk_bytes_of(payload, len));
}

static void peer_ask(struct world *world, struct peer *peer, bool damaged)
{
    struct mk_buf out = {0};
    struct mk_buf lists = {0};
    uint8_t choice = mk_read_u8(&world->program);

    mk_buf_reserve(&lists, 4096); /* so that it never moves */
    if (choice >= 0xe0) {
        multi_build(&world->program, choice & 1 ? JUTE_MULTI : JUTE_MULTI_READ, &out);
    } else {
        int32_t op = ops[choice % MK_COUNT(ops)];
        struct jute_request request = request_read(&world->program, op, &lists);
        bool known = op != JUTE_CHECK && op != JUTE_DELETE_CONTAINER && op != 99;
        if (known) {
            jute_request_encode(&out, &request);
        } else {
            mk_buf_put_i64(&out, 0);
            mk_buf_put_i32(&out, op);
        }
    }
    size_t len = out.len - 4;
    if (damaged) {
        uint8_t how = mk_read_u8(&world->program);
        size_t at = mk_read_u8(&world->program) % len;
        if (how & 1) {
            len = at;
        } else {
            out.data[4 + at] ^= how;
        }
    }
    frame_send(world, peer, out.data + 4, len);
    mk_buf_free(&out);
    mk_buf_free(&lists);
}

static void peer_raw(struct world *world, struct peer *peer)
{
    uint8_t payload[256];
    struct mk_bytes bytes =
        mk_read_bytes(&world->program, mk_read_u8(&world->program) % sizeof(payload));

    if (bytes.len > 0) {
        memcpy(payload, bytes.data, bytes.len);
    }
    frame_send(world, peer, payload, bytes.len);
}

/* A new connection, in the old one's place. */
static void peer_open(struct world *world, struct peer *peer)
{
    gone(world, peer);
    peer->established = false;
    peer->slow = false;
    peer->pending_count = 0;
    peer->pings = 0;
    peer->zxid = 0;
    peer->conn = server_conn_open(world->machine.server, MK_BYTES("127.0.0.1"), 1, peer);
}

static void peer_connect(struct world *world, struct peer *peer, const struct peer *whose)
{
    uint8_t bits = mk_read_u8(&world->program);
    struct jute_connect connect = {
        .timeout_ms = bits * 200,
        .session_id = bits & 1 ? whose->session : 0,
        .password = mk_bytes_of(whose->password, sizeof(whose->password)),
        .last_zxid_seen = (bits & 0xf0) == 0xf0 ? INT64_MAX : 0,
        .read_only_present = (bits & 2) != 0,
    };
    struct mk_buf out = {0};

    jute_connect_encode(&out, &connect);
    if ((bits & 0x1c) == 0x1c) {
        out.data[4 + 28] ^= 1; /* not the session's password */
    }
    peer_open(world, peer);
    server_conn_frame(world->machine.server, peer->conn, mk_bytes_of(out.data + 4, out.len - 4));
    mk_buf_free(&out);
}

static void peer_garbage(struct world *world, struct peer *peer)
{
    peer_open(world, peer);
    struct mk_bytes bytes = mk_read_bytes(&world->program, mk_read_u8(&world->program) % 64);
    server_conn_frame(world->machine.server, peer->conn, bytes);
}

/* ---- What happens to the machine ---- */

static void pass(struct world *world, mk_ms ms)
{
    world->now.monotonic_ms += ms;
    world->now.wall_ms += ms;
    server_tick(world->machine.server, world->now);
}

static void power_off(struct world *world, uint32_t entries_kept, unsigned checkpoints_lost)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        gone(world, &world->peers[i]);
    }
    if (world->load_out) {
        store_load_free(&world->load.rows);
        world->load_out = false;
    }
    uint32_t count = world->machine.batch_out ? world->machine.batch.count : 0;
    sim_machine_crash(&world->machine, count == 0 ? 0 : entries_kept % (count + 1),
                      checkpoints_lost);
}

static void power_on(struct world *world)
{
    struct mk_error error;

    MK_ASSERT(sim_machine_boot(&world->machine, world->now, &error));
}

/* ---- The program ---- */

static void step(struct world *world, bool check)
{
    uint8_t what = mk_read_u8(&world->program);
    struct peer *peer = &world->peers[what % PEERS_MAX];

    switch (what / PEERS_MAX % 32) {
    case 0: peer_connect(world, peer, peer); break;
    case 1:
        peer_connect(world, peer, &world->peers[mk_read_u8(&world->program) % PEERS_MAX]);
        break;
    case 2: peer_garbage(world, peer); break;
    case 3: gone(world, peer); break;
    case 4: peer_raw(world, peer); break;
    case 5: peer->slow = !peer->slow; break;
    case 6: pass(world, mk_read_u8(&world->program) * 100); break;
    case 7: server_checkpoint_request(world->machine.server); break;
    case 8: disk_checkpoint(world); break;
    case 9: disk_load(world); break;
    case 10:
    case 11: disk_batch(world); break;
    case 12:
        power_off(world, mk_read_u8(&world->program), what % (SIM_CHECKPOINTS_LOST_MAX + 1));
        power_on(world);
        break;
    case 13:
    case 14: settle(world); break;
    case 15:
    case 16: peer_ask(world, peer, true); break;
    default: peer_ask(world, peer, false); break;
    }
    deliver(world);
    MK_ASSERT(server_failure(world->machine.server) == NULL);
    if (check) {
        server_check(world->machine.server);
    }
}

static void begin(struct world *world)
{
    uint8_t bits = mk_read_u8(&world->program);

    server_options_default(&world->options);
    world->options.tick_ms = TICK_MS;
    world->options.extended_types = true;
    world->options.recipes = (bits & 1) != 0;
    world->options.conn_watches_max = CONN_WATCHES_MAX;
    world->options.calls_max = CALLS_MAX;
    world->options.session_calls_max = CALLS_MAX / 2;
    world->options.wakes_per_step = 2;
    world->options.outstanding_max = bits & 2 ? 4 : 1000;
    world->options.conn_outstanding_max = bits & 4 ? 2 : 1000;
    world->options.log_bytes_checkpoint = bits & 8 ? 1000 : 1 << 20;
    world->options.reap_interval_ms = bits & 128 ? 500 : 60000;
    world->recipe.name = MK_BYTES("lock");
    world->recipe.source = mk_bytes_of(recipe, sizeof(recipe) - 1);
    world->options.catalogue = &world->recipe;
    world->options.catalogue_count = 1;
    world->now = (struct server_time){.monotonic_ms = 1000, .wall_ms = 1700000000000};
    struct sim_machine_options machine = {
        .server = &world->options,
        .seed = bits,
        .stall_per_mille = bits & 16 ? 300 : 0,
        .cache_bytes = bits & 32 ? 1 << 12 : 1 << 20,
        .overlay_bytes = bits & 64 ? 1 << 14 : 1 << 20,
    };
    sim_machine_init(&world->machine, &machine);
    power_on(world);
}

/* Everybody leaves, and time passes until the server has forgotten them. */
static void finish(struct world *world)
{
    struct server_stats stats;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        gone(world, &world->peers[i]);
    }
    for (mk_ms ms = 0; ms < 25 * TICK_MS; ms += TICK_MS) {
        pass(world, TICK_MS);
        settle(world);
    }
    server_stats_read(world->machine.server, &stats);
    MK_ASSERT(stats.sessions == 0 && stats.connections == 0 && stats.outstanding == 0);
    MK_ASSERT(stats.totals.ephemerals == 0 && stats.totals.sessions == 0);
    MK_ASSERT(stats.totals.calls == 0 && stats.totals.awaited == 0 && stats.totals.ready == 0);
    MK_ASSERT(stats.watches == 0 && stats.watchers == 0 && stats.watched_paths == 0);

    uint64_t hash = store_hash(world->machine.store);
    power_off(world, 0, 0);
    power_on(world);
    MK_ASSERT(store_hash(world->machine.store) == hash);
    server_check(world->machine.server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));

    world->program = mk_reader_of((struct mk_bytes){data, size});
    begin(world);
    for (int i = 0; i < STEPS_MAX && mk_reader_left(&world->program) > 0; i++) {
        step(world, i % CHECK_STEPS == 0);
    }
    settle(world);
    server_check(world->machine.server);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = &world->peers[i];
        for (size_t at = 0; peer->conn != NULL && at < peer->pending_count; at++) {
            MK_ASSERT(peer->pending[at].op == JUTE_CALL || peer->slow || !peer->established);
        }
    }
    finish(world);
    sim_machine_deinit(&world->machine);
    mk_free(world);
    return 0;
}
