/* Any bytes as what the others of an ensemble say to one server, in whatever role they give it: its
 * learners' packets while it leads, its leader's while it learns, and the election's messages. The input
 * is a program, a byte a step and what the step reads behind it; its first byte says how far the server
 * has come before: the elections and greetings of an honest ensemble are made here.
 *
 * Nothing that a peer says may stop the server, but for what it says it has to stop for. Checked on the
 * way: the core's own invariants. */
#include "jute/jute.h"
#include "server/server.h"
#include "store/store.h"

#include <string.h>

#define PEERS_MAX 4
#define STEPS_MAX 300
#define OWN_ID 1
#define LEADER_ID 2
#define OBSERVER_ID 4
#define SESSION_1 ((mk_session)0x0200000000000001)
#define SESSION_2 ((mk_session)0x0300000000000001)
#define EPOCH_BEGIN(epoch) ((mk_zxid)(epoch) << 32)
#define SNAPSHOT_BYTES_MAX (1 << 20)
#define LEARN_STEPS 4

enum role { ROLE_LOOKING, ROLE_LEADING, ROLE_FOLLOWING, ROLE_OBSERVING, ROLES };

static const struct mk_bytes paths[] = {
    MK_BYTES("/"),          MK_BYTES("/a"),
    MK_BYTES("/a/b"),       MK_BYTES("/a/s-"),
    MK_BYTES(""),           MK_BYTES("a"),
    MK_BYTES("/a/../b"),    MK_BYTES("/zookeeper/quota/a"),
    MK_BYTES("//"),         MK_BYTES("/b"),
    MK_BYTES("/zookeeper"), MK_BYTES("/zookeeper/calls/lock.acquire-"),
};
static const struct mk_bytes acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone");
static const int32_t txn_types[] = {
    JUTE_CREATE,        JUTE_CREATE2,        JUTE_CREATE_CONTAINER,
    JUTE_CREATE_TTL,    JUTE_DELETE,         JUTE_SET_DATA,
    JUTE_SET_ACL,       JUTE_CREATE_SESSION, JUTE_ERROR,
    JUTE_CLOSE_SESSION, JUTE_CHECK,          JUTE_DELETE_CONTAINER,
    JUTE_RECONFIG,
};
static const int32_t request_ops[] = {
    JUTE_CREATE,   JUTE_CREATE2, JUTE_CREATE_CONTAINER, JUTE_CREATE_TTL, JUTE_DELETE,
    JUTE_SET_DATA, JUTE_SET_ACL, JUTE_CLOSE_SESSION,    JUTE_SYNC,       JUTE_CALL,
    JUTE_RECONFIG, JUTE_AUTH,    JUTE_GET_DATA,         JUTE_PING,
};

/* What put_record() calls: it waits until there is a znode, and then takes the place of it. */
static const char lock[] = "return { acquire = operation { doc = 'Wait.', run = function(call)\n"
                           "  local at = call:once('at', function() return znode.create('/l-', { "
                           "sequential = true }) end)\n"
                           "  if not znode.exists('/a') then call:wait { created = '/a' } end\n"
                           "  return at\n"
                           "end } }\n";
static const struct server_recipe recipes[] = {
    {{(const uint8_t *)"lock", 4}, {(const uint8_t *)lock, sizeof(lock) - 1}}};

struct world {
    enum role role; /* that it is given first */
    bool announces; /* all others say that they run recipes */
    struct server *server;
    struct store *store;
    struct store_base *base;
    struct server_options options;
    struct server_time now;
    struct server_peer *peers[PEERS_MAX]; /* the first is the leader, when there is one */
    struct server_conn *conn;
    struct server_batch batch;
    bool batch_out;
    bool slow; /* batches stay with the log */
    struct store_base *install_base;
    struct store_install *install;
    mk_zxid last; /* as far as an honest leader's history would go */
    int64_t epoch;
    struct mk_reader program;
};

static const struct store_options store_options = {
    .cache_bytes = 1 << 20, .overlay_bytes = 1 << 16, .overlay_bytes_max = 1 << 24};

/* ---- The disk ---- */

static void install_drop(struct world *world)
{
    if (world->install != NULL) {
        store_install_abort(world->install);
        world->install_base->ops->close(world->install_base);
        world->install = NULL;
    }
}

static void install_bytes(struct world *world, struct server_install *step)
{
    struct store_install_options options = {
        .zxid = step->zxid, .bytes_max = SNAPSHOT_BYTES_MAX, .trailer = true};
    struct mk_error error;

    if (world->install == NULL) {
        world->install_base = store_base_memory(NULL, 0);
        store_base_memory_ref(world->install_base);
        world->install = store_install_begin(world->install_base, &store_options, &options, &error);
        MK_ASSERT(world->install != NULL);
    }
    enum mk_status status = store_install_bytes(world->install, step->bytes, &step->used, &error);
    step->whole = status == MK_END;
    step->broken = status != MK_OK && status != MK_END;
    server_install_done(world->server, step);
}

static void install_finish(struct world *world)
{
    struct mk_error error;

    MK_ASSERT(store_install_finish(world->install, &error) == MK_OK);
    world->install = NULL;
    store_close(server_store_release(world->server));
    world->base->ops->close(world->base);
    world->base = world->install_base;
    store_base_memory_ref(world->base);
    world->store = store_open(world->base, &store_options, &error);
    MK_ASSERT(world->store != NULL);
    server_store_replaced(world->server, world->store);
}

static bool install_step(struct world *world)
{
    struct server_install step;

    if (!server_install_take(world->server, &step)) {
        return false;
    }
    switch (step.step) {
    case SERVER_INSTALL_BYTES: install_bytes(world, &step); break;
    case SERVER_INSTALL_FINISH: install_finish(world); break;
    case SERVER_INSTALL_DISCARD:
        install_drop(world);
        server_install_done(world->server, &step);
        break;
    }
    return true;
}

static bool state_step(struct world *world)
{
    struct server_load load;
    struct mk_error error;
    struct store_checkpoint *checkpoint;
    struct server_snapshot *snapshot;

    if (server_load_take(world->server, &load)) {
        MK_ASSERT(store_load(store_base_of(world->store), &load.rows) == MK_OK);
        server_load_done(world->server, &load);
        return true;
    }
    if ((checkpoint = server_checkpoint_take(world->server)) != NULL) {
        MK_ASSERT(store_checkpoint_write(checkpoint, &error) == MK_OK);
        server_checkpoint_done(world->server, checkpoint);
        return true;
    }
    if ((snapshot = server_snapshot_take(world->server)) != NULL) {
        server_snapshot_read(snapshot);
        server_snapshot_done(world->server, snapshot);
        return true;
    }
    return install_step(world);
}

static bool log_step(struct world *world)
{
    struct server_epochs epochs;
    mk_zxid zxid;

    if (world->batch_out && !world->slow) {
        world->batch_out = false;
        server_batch_synced(world->server, &world->batch);
        return true;
    }
    if (!world->batch_out && server_batch_take(world->server, &world->batch)) {
        world->batch_out = true;
        return true;
    }
    if (server_epochs_take(world->server, &epochs)) {
        server_epochs_stored(world->server);
        return true;
    }
    if (!world->batch_out && server_truncate_take(world->server, &zxid)) {
        server_truncated(world->server);
        return true;
    }
    return false;
}

/* ---- The others, as far as they listen ---- */

static void peer_close(struct world *world, size_t index)
{
    struct server_peer *peer = world->peers[index];

    if (peer != NULL) {
        world->peers[index] = NULL;
        server_peer_closed(world->server, peer);
    }
}

/* The last proposal in what a learner is sent; 0: there is none. */
static mk_zxid last_proposal(struct mk_bytes sent)
{
    struct jute_packet packet;
    mk_zxid last = 0;
    size_t used;

    while (jute_packet_read(sent, SNAPSHOT_BYTES_MAX, &packet, &used) == MK_OK) {
        last = packet.type == JUTE_PACKET_PROPOSAL ? packet.zxid : last;
        sent = mk_bytes_of(sent.data + used, sent.len - used);
    }
    return last;
}

static void acknowledge(struct world *world, struct server_peer *peer, mk_zxid zxid)
{
    struct mk_buf out = {0};

    jute_put_packet(&out, &JUTE_PACKET(JUTE_PACKET_ACK, zxid));
    server_peer_bytes(world->server, peer, mk_buf_view(&out));
    mk_buf_free(&out);
}

static bool peers_step(struct world *world)
{
    struct server_peer *peer = server_next_dirty_peer(world->server);
    struct server_conn *conn = server_next_dirty(world->server);

    if (peer != NULL) {
        struct server_peer **place = server_peer_owner(peer);
        mk_zxid last = last_proposal(mk_buf_view(server_peer_output(peer)));
        server_peer_output(peer)->len = 0;
        if (last > 0 && place != world->peers && !world->slow) {
            acknowledge(world, peer, last);
        }
        if (server_peer_closing(peer)) {
            peer_close(world, (size_t)(place - world->peers));
        } else {
            server_peer_drained(world->server, peer);
        }
    }
    if (conn != NULL) {
        server_conn_output(conn)->len = 0;
        if (server_conn_closing(conn)) {
            world->conn = NULL;
            server_conn_closed(world->server, conn);
        } else {
            server_conn_drained(world->server, conn);
        }
    }
    return peer != NULL || conn != NULL;
}

static bool election_step(struct world *world)
{
    struct mk_buf message = {0};
    int64_t id;

    bool any = server_notification_take(world->server, &id, &message);
    mk_buf_free(&message);
    if (server_dial_take(world->server, &id)) {
        any = true;
        if (world->peers[0] != NULL) {
            server_dial_failed(world->server, id);
        } else {
            world->peers[0] = server_peer_open(world->server, id, MK_BYTES("::1"), world->peers);
        }
    }
    return any;
}

static bool failed(const struct world *world)
{
    return server_failure(world->server) != NULL;
}

static void settle(struct world *world)
{
    int rounds = 0;

    while (!failed(world) &&
           (peers_step(world) || log_step(world) || state_step(world) || election_step(world))) {
        MK_ASSERT(++rounds < 100000); /* it comes to rest */
    }
}

/* ---- What is said ---- */

static void say(struct world *world, size_t index, struct mk_bytes bytes)
{
    if (world->peers[index] != NULL && !server_peer_paused(world->peers[index])) {
        server_peer_bytes(world->server, world->peers[index], bytes);
    }
}

static void say_packet(struct world *world, size_t index, const struct jute_packet *packet)
{
    struct mk_buf out = {0};

    jute_put_packet(&out, packet);
    say(world, index, mk_buf_view(&out));
    mk_buf_free(&out);
}

static void say_plain(struct world *world, size_t index, int32_t type, mk_zxid zxid)
{
    say_packet(world, index, &JUTE_PACKET(type, zxid));
    settle(world);
}

static void vote(struct world *world, int64_t from, int32_t state, int64_t leader, mk_zxid zxid)
{
    struct jute_notification notification = {
        .state = state,
        .leader = leader,
        .zxid = zxid,
        .round = 1,
        .version = JUTE_NOTIFICATION_VERSION,
        .config = MK_BYTES("version=0"),
    };
    struct mk_buf message = {0};

    jute_put_notification(&message, &notification);
    server_notified(world->server, from, mk_buf_view(&message));
    mk_buf_free(&message);
    settle(world);
}

static void pass(struct world *world, mk_ms ms)
{
    world->now.monotonic_ms += ms;
    world->now.wall_ms += ms;
    server_tick(world->server, world->now);
    settle(world);
}

/* ---- What an honest ensemble says first ---- */

static void greet(struct world *world, size_t index, int64_t id, bool observer)
{
    struct jute_learner_info info = {
        .id = id, .protocol_version = JUTE_PROTOCOL_VERSION, .announces = world->announces};
    struct mk_buf data = {0};
    struct jute_packet packet =
        JUTE_PACKET(observer ? JUTE_PACKET_OBSERVERINFO : JUTE_PACKET_FOLLOWERINFO, 0);

    peer_close(world, index);
    world->peers[index] =
        server_peer_open(world->server, -1, MK_BYTES("::1"), &world->peers[index]);
    jute_put_learner_info(&data, &info);
    packet.data = mk_buf_view(&data);
    say_packet(world, index, &packet);
    settle(world);
    mk_buf_free(&data);
    packet = JUTE_PACKET(JUTE_PACKET_ACKEPOCH, 0);
    packet.data = MK_BYTES("\0\0\0\0");
    say_packet(world, index, &packet);
    settle(world);
    say_plain(world, index, JUTE_PACKET_ACK, EPOCH_BEGIN(1));
    say_plain(world, index, JUTE_PACKET_ACK, EPOCH_BEGIN(1));
}

static void lead(struct world *world)
{
    vote(world, 2, JUTE_LOOKING, OWN_ID, 0);
    vote(world, 3, JUTE_LOOKING, OWN_ID, 0);
    pass(world, 1000);
    greet(world, 1, 2, false);
    greet(world, 2, OBSERVER_ID, true);
    if (world->announces) {
        greet(world, 3, 3, false);
    }
}

/* As far as `steps` says. */
static void learn(struct world *world, uint8_t steps)
{
    struct jute_packet info = JUTE_PACKET(JUTE_PACKET_LEADERINFO, EPOCH_BEGIN(world->epoch));

    vote(world, LEADER_ID, JUTE_LEADING, LEADER_ID, 9);
    vote(world, 3, JUTE_FOLLOWING, LEADER_ID, 9);
    pass(world, 1000);
    info.data = world->announces ? MK_BYTES("\0\1\0\0" JUTE_ANNOUNCEMENT) : MK_BYTES("\0\1\0\0");
    if (steps > 0) {
        say_packet(world, 0, &info);
        settle(world);
    }
    if (steps > 1) {
        say_plain(world, 0, JUTE_PACKET_DIFF, 0);
    }
    if (steps > 2) {
        say_plain(world, 0, JUTE_PACKET_NEWLEADER, EPOCH_BEGIN(world->epoch));
    }
    if (steps > 3) {
        say_plain(world, 0, JUTE_PACKET_UPTODATE, -1);
    }
    world->last = EPOCH_BEGIN(world->epoch);
}

/* ---- The program ---- */

static struct mk_bytes pick_path(struct world *world)
{
    uint8_t choice = mk_read_u8(&world->program);

    if (choice == 0xff) {
        struct mk_bytes path = mk_read_bytes(&world->program, mk_read_u8(&world->program) % 16);
        return path.data != NULL ? path : paths[0]; /* the program ends here */
    }
    return paths[choice % MK_COUNT(paths)];
}

static mk_zxid pick_zxid(struct world *world)
{
    uint8_t choice = mk_read_u8(&world->program);
    int few = choice >> 3 & 7;

    if (choice < 0xc0) {
        return world->last + 1;
    }
    switch (choice & 7) {
    case 0: return few;
    case 1: return world->last - few;
    case 2: return EPOCH_BEGIN(few);
    case 3: return INT64_MAX - few;
    case 4: return INT64_MIN + few;
    case 5: return -1;
    case 6: return mk_read_i64(&world->program);
    default: return EPOCH_BEGIN(world->epoch) + few;
    }
}

static mk_session pick_session(struct world *world)
{
    uint8_t choice = mk_read_u8(&world->program) & 7;

    switch (choice) {
    case 0: return 0;
    case 1: return -1;
    case 2: return SESSION_2;
    default: return SESSION_1;
    }
}

static struct jute_txn txn_read(struct world *world, mk_zxid zxid)
{
    uint8_t type = mk_read_u8(&world->program);
    uint8_t bits = mk_read_u8(&world->program);

    return (struct jute_txn){
        .client_id = pick_session(world),
        .cxid = bits & 7,
        .zxid = zxid,
        .time_ms = (bits & 0xc0) == 0xc0 ? mk_read_i64(&world->program) : world->now.wall_ms,
        .type = txn_types[type % MK_COUNT(txn_types)],
        .path = pick_path(world),
        .data = MK_BYTES("data"),
        .acl = bits & 8 ? MK_BYTES_NULL : acl,
        .ephemeral = (bits & 16) != 0,
        .parent_cversion = (int8_t)bits,
        .ttl_ms = (int8_t)bits,
        .version = (bits & 3) - 1,
        .error = -101,
        .timeout_ms = bits & 32 ? -1 : 4000,
    };
}

static void put_multi(struct world *world, struct mk_buf *out, mk_zxid zxid)
{
    struct jute_txn header = txn_read(world, zxid);
    header.type = JUTE_MULTI;
    struct jute_txn_multi multi = jute_txn_multi_begin(out, &header);

    for (int left = mk_read_u8(&world->program) % 4; left > 0; left--) {
        struct jute_txn part = txn_read(world, zxid);
        bool alone = part.type == JUTE_CREATE_SESSION || part.type == JUTE_CLOSE_SESSION ||
                     part.type == JUTE_RECONFIG;
        if (!alone) {
            jute_txn_multi_put(out, &multi, &part);
        }
    }
    jute_txn_multi_end(out, &multi);
}

/* A well-made transaction, or a damaged one. */
static void say_txn(struct world *world)
{
    uint8_t bits = mk_read_u8(&world->program);
    mk_zxid zxid = pick_zxid(world);
    struct mk_buf data = {0};
    bool inform = (world->role == ROLE_OBSERVING) != ((bits & 0xd) == 0xd);
    struct jute_packet packet =
        JUTE_PACKET(inform ? JUTE_PACKET_INFORM : JUTE_PACKET_PROPOSAL, zxid);

    if ((bits & 0x30) == 0x30) {
        put_multi(world, &data, zxid);
    } else {
        struct jute_txn txn = txn_read(world, zxid);
        txn.type = txn.type == JUTE_CHECK ? JUTE_SET_DATA : txn.type; /* in a multi only */
        jute_txn_encode(&data, &txn);
    }
    if ((bits & 0xcc) == 0xc0) {
        data.data[mk_read_u8(&world->program) % data.len] ^= mk_read_u8(&world->program);
    }
    packet.data = mk_buf_view(&data);
    say_packet(world, 0, &packet);
    mk_buf_free(&data);
    if (zxid == world->last + 1) {
        world->last = zxid;
    }
    if (!inform && bits & 2) {
        say_packet(world, 0, &JUTE_PACKET(JUTE_PACKET_COMMIT, zxid));
    }
}

static void put_record(struct world *world, struct mk_buf *out)
{
    uint8_t bits = mk_read_u8(&world->program);
    struct jute_request request = {
        .op = request_ops[mk_read_u8(&world->program) % MK_COUNT(request_ops)],
        .xid = bits & 7,
        .path = pick_path(world),
        .data = MK_BYTES("{}"),
        .acl = acl,
        .flags = bits >> 5,
        .version = (bits >> 3 & 3) - 1,
        .ttl_ms = bits,
        .scheme = MK_BYTES("digest"),
        .operation = MK_BYTES("lock.acquire"),
        .call_id = bits & 7,
        .chroot = MK_BYTES_NULL,
    };
    size_t at = out->len;

    jute_request_encode(out, &request);
    memmove(out->data + at, out->data + at + 4, out->len - at - 4); /* without the frame's length */
    out->len -= 4;
}

static void say_request(struct world *world, size_t index)
{
    static const struct mk_bytes identities[] = {
        MK_BYTES("\0\0\0\5super\0\0\0\0"),
        MK_BYTES("\0\0\0\2ip\0\0\0\3::1"),
        MK_BYTES("\377\377\377\377\377\377\377\377"),
    };
    uint8_t bits = mk_read_u8(&world->program);
    struct mk_buf data = {0};
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_REQUEST, -1);

    mk_buf_put_i64(&data, pick_session(world));
    size_t at = data.len;
    if (bits & 1) {
        mk_buf_put_i32(&data, 0);
        mk_buf_put_i32(&data, JUTE_CREATE_SESSION);
        mk_buf_put_i32(&data, (int32_t)pick_zxid(world));
    } else {
        put_record(world, &data);
    }
    /* Forwarded: session, cxid, op, and the record as a buffer. */
    struct jute_forwarded forwarded = {.session = (mk_session)mk_load_u64(data.data),
                                       .payload = mk_bytes_of(data.data + at, data.len - at)};
    struct mk_buf body = {0};
    jute_put_forwarded(&body, &forwarded);
    if ((bits & 0xc4) == 0xc0) {
        body.data[mk_read_u8(&world->program) % body.len] ^= mk_read_u8(&world->program);
    }
    packet.data = mk_buf_view(&body);
    packet.authinfo_count = 1;
    packet.authinfo = identities[(bits >> 1) % MK_COUNT(identities)];
    say_packet(world, index, &packet);
    mk_buf_free(&data);
    mk_buf_free(&body);
}

/* Of a call that somebody has made, or of none. */
static void say_result(struct world *world)
{
    uint8_t bits = mk_read_u8(&world->program);
    mk_zxid zxid = pick_zxid(world);
    struct jute_result result = {
        .session = pick_session(world),
        .cxid = bits & 7,
        .parked = bits & 8 ? (mk_zxid)(bits >> 4) : 0,
        .body = mk_read_bytes(&world->program, mk_read_u8(&world->program) % 16),
    };
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_RESULT, zxid);
    struct mk_buf data = {0};

    jute_put_result(&data, &result);
    packet.data = mk_buf_view(&data);
    say_packet(world, 0, &packet);
    mk_buf_free(&data);
}

static void say_any(struct world *world, size_t index)
{
    struct jute_packet packet = JUTE_PACKET(mk_read_u8(&world->program) % 22, pick_zxid(world));
    uint8_t len = mk_read_u8(&world->program);

    packet.data = len == 0xff ? MK_BYTES_NULL : mk_read_bytes(&world->program, len % 64);
    say_packet(world, index, &packet);
}

/* A snapshot of nothing, of little, or of what follows in the program. */
static void say_snapshot(struct world *world)
{
    uint8_t bits = mk_read_u8(&world->program);
    mk_zxid zxid = pick_zxid(world);
    struct mk_buf out = {0};

    jute_put_packet(&out, &JUTE_PACKET(JUTE_PACKET_SNAP, zxid));
    if (bits & 1) {
        jute_put_snapshot_count(&out, 1);
        jute_put_snapshot_session(&out, pick_session(world), (int8_t)bits);
        jute_put_snapshot_count(&out, 1);
        jute_put_snapshot_acl(&out, 1, acl);
        for (int left = bits >> 1 & 3; left >= 0; left--) {
            struct mk_bytes path = pick_path(world);
            bool root = left == (bits >> 1 & 3) || mk_bytes_equal(path, MK_BYTES("/"));
            struct jute_snapshot_znode znode = {.path = root ? MK_BYTES("") : path, .acl = 1};
            jute_put_snapshot_znode(&out, &znode);
        }
        jute_put_snapshot_end(&out);
        jute_put_snapshot_trailer(&out);
    }
    struct mk_bytes more = mk_read_bytes(&world->program, bits >> 3);
    mk_buf_append_bytes(&out, more);
    say(world, 0, mk_buf_view(&out));
    mk_buf_free(&out);
    world->last = zxid >= 0 && zxid < EPOCH_BEGIN(16) ? zxid : world->last;
}

static void say_raw(struct world *world, size_t index)
{
    say(world, index, mk_read_bytes(&world->program, mk_read_u8(&world->program)));
}

static void say_vote(struct world *world)
{
    uint8_t bits = mk_read_u8(&world->program);

    vote(world, bits & 7, bits >> 3 & 3, bits >> 5, pick_zxid(world));
    server_notified(world->server, bits & 7,
                    mk_read_bytes(&world->program, mk_read_u8(&world->program) % 64));
}

/* A client of this server: one that writes, whatever becomes of it. */
static void client_step(struct world *world)
{
    struct mk_buf out = {0};

    if (world->conn == NULL) {
        uint8_t bits = mk_read_u8(&world->program);
        struct jute_connect connect = {.timeout_ms = 4000,
                                       .session_id = bits & 1 ? SESSION_1 : 0,
                                       .password = MK_BYTES("0123456789abcdef")};
        world->conn = server_conn_open(world->server, MK_BYTES("::1"), 1, world);
        jute_connect_encode(&out, &connect);
        server_conn_frame(world->server, world->conn, mk_bytes_of(out.data + 4, out.len - 4));
    } else if (!server_conn_paused(world->conn)) {
        put_record(world, &out);
        server_conn_frame(world->server, world->conn, mk_buf_view(&out));
    }
    mk_buf_free(&out);
}

static void again(struct world *world, size_t index)
{
    if (world->role == ROLE_LEADING) {
        greet(world, 1 + index % 3, 2 + (int64_t)index, index == 2);
    } else {
        learn(world, LEARN_STEPS);
    }
}

static void step(struct world *world)
{
    uint8_t what = mk_read_u8(&world->program);
    size_t index = what % PEERS_MAX;

    switch (what / PEERS_MAX % 16) {
    case 0: peer_close(world, index); break;
    case 1: pass(world, mk_read_u8(&world->program) * 50); break;
    case 2: world->slow = !world->slow; break;
    case 3: say_vote(world); break;
    case 4: say_raw(world, index); break;
    case 5: say_snapshot(world); break;
    case 6: again(world, index); break;
    case 7:
    case 8: client_step(world); break;
    case 9:
    case 10: say_any(world, index); break;
    case 11:
    case 12: say_request(world, index); break;
    case 13: say_result(world); break;
    default: say_txn(world); break;
    }
    if (what & 0x80) {
        settle(world);
    }
    server_check(world->server);
}

static void begin(struct world *world)
{
    struct server_ensemble *ensemble = &world->options.ensemble;
    struct mk_error error;

    server_options_default(&world->options);
    world->options.server_id = OWN_ID;
    world->options.tick_ms = 1000;
    world->options.extended_types = true;
    world->options.log_bytes_checkpoint = 2000;
    world->options.catalogue = recipes;
    world->options.catalogue_count = MK_COUNT(recipes);
    ensemble->text = MK_BYTES("version=0");
    ensemble->init_limit = 10;
    ensemble->sync_limit = 5;
    ensemble->history_count = 20;
    ensemble->members_count = 4;
    for (size_t i = 0; i < 4; i++) {
        int64_t id = (int64_t)i + 1;
        bool observer = world->role == ROLE_OBSERVING ? id == OWN_ID : id == OBSERVER_ID;
        ensemble->members[i] = (struct server_member){.id = id, .observer = observer, .weight = 1};
    }
    world->base = store_base_memory(NULL, 0);
    store_base_memory_ref(world->base);
    world->store = store_open(world->base, &store_options, &error);
    MK_ASSERT(world->store != NULL);
    world->server = server_new(&world->options, world->store, NULL);
    world->now = (struct server_time){.monotonic_ms = 1000, .wall_ms = 1700000000000};
    world->epoch = 1;
    server_join(world->server, (struct server_epochs){0}, 0, world->now);
    settle(world);
}

static void end(struct world *world)
{
    install_drop(world);
    if (world->conn != NULL) {
        server_conn_closed(world->server, world->conn);
    }
    server_free(world->server);
    store_close(world->store);
    world->base->ops->close(world->base);
    if (world->batch_out) {
        mk_buf_free(&world->batch.bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));

    world->program = mk_reader_of((struct mk_bytes){data, size});
    uint8_t first = mk_read_u8(&world->program);
    world->role = first % ROLES;
    world->announces = (first & 0x80) != 0;
    begin(world);
    switch (world->role) {
    case ROLE_LEADING: lead(world); break;
    case ROLE_FOLLOWING:
    case ROLE_OBSERVING: learn(world, first / ROLES % (LEARN_STEPS + 1)); break;
    default: break;
    }
    for (int i = 0; i < STEPS_MAX && mk_reader_left(&world->program) > 0 && !failed(world); i++) {
        step(world);
    }
    end(world);
    mk_free(world);
    return 0;
}
