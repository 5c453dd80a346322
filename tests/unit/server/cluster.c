#include "cluster.h"

#include <string.h>

#include "unit/cmocka.h"

/* ---- Members ---- */

static void settle(struct world *world)
{
    struct member *member = MK_CONTAINER(world, struct member, world);

    cluster_settle(member->cluster);
}

static void options_of(struct cluster *cluster, struct member *member)
{
    struct server_options *options = &member->world.options;
    struct server_ensemble *ensemble = &options->ensemble;

    server_options_default(options);
    options->server_id = (uint8_t)member->id;
    options->tick_ms = 1000;
    options->extended_types = true;
    options->catalogue = cluster->recipes;
    options->catalogue_count = cluster->recipes_count;
    ensemble->text = MK_BYTES("version=0");
    ensemble->init_limit = 10;
    ensemble->sync_limit = 5;
    ensemble->history_count = cluster->history_count;
    ensemble->members_count = cluster->count;
    for (size_t i = 0; i < cluster->count; i++) {
        ensemble->members[i] =
            (struct server_member){.id = (int64_t)i + 1,
                                   .observer = i >= cluster->count - cluster->observers,
                                   .weight = 1};
    }
}

void cluster_start(struct cluster *cluster, struct member *member)
{
    struct world *world = &member->world;
    struct mk_error error = {""};
    struct store_options options = {
        .cache_bytes = 1 << 20,
        .overlay_bytes = cluster->overlay_bytes > 0 ? cluster->overlay_bytes : 64 << 20,
    };
    options.overlay_bytes_max = 2 * options.overlay_bytes;
    struct mk_bytes entry;
    size_t offset = 0;

    MK_ASSERT(!member->up);
    if (cluster->reconfig) {
        world->options.ensemble.text = mk_buf_view(&member->config);
        world->options.ensemble.next_text = mk_buf_view(&member->next);
    }
    store_base_memory_ref(world->base);
    world->store = store_open(world->base, &options, &error);
    assert_non_null(world->store);
    world->server = server_new(&world->options, world->store, NULL);
    mk_zxid last = store_applied(world->store);
    while (store_log_entry_next(mk_buf_view(&world->log), &offset, &entry)) {
        mk_zxid zxid = (mk_zxid)mk_load_u64(entry.data + 12);
        if (zxid > last) {
            assert_int_equal(server_recover(world->server, zxid, entry, &error), MK_OK);
            last = zxid;
        }
    }
    member->up = true;
    world->now = cluster->now;
    server_join(world->server, member->epochs, last, cluster->now);
}

static void link_close(struct link *link, int side)
{
    struct server_peer *peer = link->peers[side];

    if (peer != NULL) {
        link->peers[side] = NULL;
        server_peer_closed(link->members[side]->world.server, peer);
    }
}

static void link_break(struct link *link)
{
    link->used = false;
    for (int side = 0; side < 2; side++) {
        link_close(link, side);
        mk_buf_free(&link->wire[side]);
    }
}

static void clients_forget(struct cluster *cluster, struct member *member)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct world *world = &cluster->members[i].world;
        for (size_t j = 0; j < world->clients_count; j++) {
            if (world->clients[j]->world == &member->world) {
                world->clients[j]->conn = NULL;
            }
        }
    }
}

static void install_drop(struct member *member)
{
    if (member->install != NULL) {
        store_install_abort(member->install);
        member->install_base->ops->close(member->install_base);
        member->install = NULL;
    }
}

void cluster_stop(struct cluster *cluster, struct member *member)
{
    MK_ASSERT(member->up);
    member->up = false;
    for (size_t i = 0; i < CLUSTER_LINKS_MAX; i++) {
        struct link *link = &cluster->links[i];
        if (link->used && (link->members[0] == member || link->members[1] == member)) {
            link_break(link);
        }
    }
    clients_forget(cluster, member);
    install_drop(member);
    server_free(member->world.server);
    store_close(member->world.store);
    if (member->batch_out) {
        mk_buf_free(&member->batch.bytes);
        member->batch_out = false;
    }
    member->epochs_out = false;
    member->checkpoint = NULL;
}

/* ---- What a member wants ---- */

static void log_truncate(struct member *member, mk_zxid zxid)
{
    struct mk_buf *log = &member->world.log;
    struct mk_bytes entry;
    size_t end = 0;

    for (size_t offset = 0; store_log_entry_next(mk_buf_view(log), &offset, &entry); end = offset) {
        if ((mk_zxid)mk_load_u64(entry.data + 12) > zxid) {
            break;
        }
    }
    log->len = end;
    server_truncated(member->world.server);
}

static void text_set(struct mk_buf *out, struct mk_bytes text)
{
    out->len = 0;
    mk_buf_append_bytes(out, text);
}

/* As the edge does: who has never been a member goes on with what it was told at first. */
static void members_store(struct member *member, const struct server_members *members)
{
    bool joined = members->active->version == 0 ||
                  server_member(member->world.server, member->id) ||
                  memcmp(member->config.data + member->config.len - 9, "version=0", 9) != 0;

    if (joined) {
        text_set(&member->config, members->active_text);
    }
    text_set(&member->next,
             members->next != NULL && !members->next_logged ? members->next_text : MK_BYTES(""));
    server_members_stored(member->world.server);
}

/* The disk: what was begun in one step is done in a later one. */
static bool disk_step(struct member *member)
{
    struct server *server = member->world.server;
    struct server_load load;
    mk_zxid zxid;

    if (server_load_take(server, &load)) {
        assert_int_equal(store_load(store_base_of(member->world.store), &load.rows), MK_OK);
        server_load_done(server, &load);
        return true;
    }
    if (member->batch_out && !member->stuck) {
        member->batch_out = false;
        mk_buf_append_bytes(&member->world.log, mk_buf_view(&member->batch.bytes));
        server_batch_synced(server, &member->batch);
        return true;
    }
    if (!member->batch_out && server_batch_take(server, &member->batch)) {
        member->batch_out = true;
        return true;
    }
    if (member->epochs_out) {
        member->epochs_out = false;
        member->epochs = member->storing;
        server_epochs_stored(server);
        return true;
    }
    struct server_members members;
    if (server_members_take(server, &members)) {
        members_store(member, &members);
        return true;
    }
    if (server_epochs_take(server, &member->storing)) {
        member->epochs_out = true;
        return true;
    }
    if (!member->batch_out && server_truncate_take(server, &zxid)) {
        log_truncate(member, zxid);
        return true;
    }
    return false;
}

static void install_bytes(struct member *member, struct server_install *step)
{
    struct store_options options = {
        .cache_bytes = 1 << 20, .overlay_bytes = 1 << 16, .overlay_bytes_max = 128 << 20};
    struct store_install_options install = {
        .zxid = step->zxid, .bytes_max = 1 << 20, .trailer = true};
    struct mk_error error = {""};

    if (member->install == NULL) {
        member->install_base = store_base_memory(NULL, 0);
        store_base_memory_ref(member->install_base);
        member->install = store_install_begin(member->install_base, &options, &install, &error);
        assert_non_null(member->install);
    }
    enum mk_status status = store_install_bytes(member->install, step->bytes, &step->used, &error);
    step->whole = status == MK_END;
    if (step->whole) {
        server_install_complete(member->install);
    }
    step->broken = status != MK_OK && status != MK_END;
    server_install_done(member->world.server, step);
}

static void install_finish(struct member *member)
{
    struct world *world = &member->world;
    struct store_options options = {
        .cache_bytes = 1 << 20, .overlay_bytes = 64 << 20, .overlay_bytes_max = 128 << 20};
    struct mk_error error = {""};

    store_fuzzy_begin(store_install_store(member->install));
    assert_int_equal(store_install_finish(member->install, &error), MK_OK);
    member->install = NULL;
    store_close(server_store_release(world->server));
    world->base->ops->close(world->base);
    world->base = member->install_base;
    world->log.len = 0;
    store_base_memory_ref(world->base);
    world->store = store_open(world->base, &options, &error);
    assert_non_null(world->store);
    member->snapshots++;
    server_store_replaced(world->server, world->store);
}

#define LOG_PIECE_BYTES 2000 /* so that there are several */

static mk_zxid entry_zxid(struct mk_bytes entry)
{
    return (mk_zxid)mk_load_u64(entry.data + 12); /* behind session and cxid */
}

/* Where in the log the next piece begins: the reader's own. */
static void log_piece_open(const struct world *world, struct server_log_piece *piece)
{
    struct mk_bytes log = mk_buf_view(&world->log);
    struct mk_bytes entry;
    size_t offset = 0;

    piece->status = MK_NO_NODE;
    while (store_log_entry_next(log, &offset, &entry)) {
        if (entry_zxid(entry) == piece->after && log.len - offset <= piece->bytes_max) {
            piece->status = MK_OK;
            piece->reader = mk_alloc_zero(1, sizeof(size_t));
            piece->reader_close = mk_free;
            *(size_t *)piece->reader = offset;
            return;
        }
    }
}

static void log_piece_read(const struct world *world, struct server_log_piece *piece)
{
    struct mk_bytes entry;
    size_t *offset = piece->reader;

    while (piece->out->len < LOG_PIECE_BYTES) {
        if (!store_log_entry_next(mk_buf_view(&world->log), offset, &entry) ||
            entry_zxid(entry) > piece->through) {
            piece->status = MK_END;
            return;
        }
        size_t at = store_log_entry_begin(piece->out);
        mk_buf_append_bytes(piece->out, entry);
        store_log_entry_end(piece->out, at);
    }
}

static void log_piece(const struct world *world, struct server_log_piece *piece)
{
    piece->status = MK_OK;
    if (piece->reader == NULL) {
        log_piece_open(world, piece);
    }
    if (piece->status == MK_OK) {
        log_piece_read(world, piece);
    }
}

static bool snapshot_step(struct member *member)
{
    struct server *server = member->world.server;
    struct server_snapshot *snapshot = server_snapshot_take(server);
    struct server_install step;

    if (snapshot != NULL) {
        if (server_snapshot_log(snapshot) != NULL) {
            log_piece(&member->world, server_snapshot_log(snapshot));
        } else {
            server_snapshot_read(snapshot);
        }
        server_snapshot_done(server, snapshot);
        return true;
    }
    if (!server_install_take(server, &step)) {
        return false;
    }
    switch (step.step) {
    case SERVER_INSTALL_BYTES: install_bytes(member, &step); break;
    case SERVER_INSTALL_FINISH: install_finish(member); break;
    case SERVER_INSTALL_DISCARD:
        install_drop(member);
        server_install_done(server, &step);
        break;
    }
    return true;
}

static bool checkpoint_step(struct member *member)
{
    struct mk_error error = {""};
    struct store_checkpoint *checkpoint = member->checkpoint;

    if (checkpoint == NULL) {
        checkpoint = server_checkpoint_take(member->world.server);
    }
    member->checkpoint = checkpoint;
    if (checkpoint == NULL || member->unwritten) {
        return false;
    }
    member->checkpoint = NULL;
    assert_int_equal(store_checkpoint_write(checkpoint, &error), MK_OK);
    server_checkpoint_done(member->world.server, checkpoint);
    return true;
}

static bool passes(struct cluster *cluster, int64_t from, int64_t to)
{
    return cluster->members[to - 1].up && !cluster->cut[from - 1][to - 1];
}

static bool election_step(struct cluster *cluster, struct member *member)
{
    struct mk_buf message = {0};
    int64_t to;

    bool any = server_notification_take(member->world.server, &to, &message);
    if (any && passes(cluster, member->id, to)) {
        server_notified(cluster->members[to - 1].world.server, member->id, mk_buf_view(&message));
    }
    mk_buf_free(&message);
    return any;
}

static struct link *link_new(struct cluster *cluster, struct member *from, struct member *to)
{
    for (size_t i = 0; i < CLUSTER_LINKS_MAX; i++) {
        struct link *link = &cluster->links[i];
        if (!link->used) {
            *link =
                (struct link){.used = true, .members = {from, to}, .ends = {{link, 0}, {link, 1}}};
            return link;
        }
    }
    fail_msg("too many links");
    return NULL;
}

static bool dial_step(struct cluster *cluster, struct member *member)
{
    int64_t to;

    if (!server_dial_take(member->world.server, &to)) {
        return false;
    }
    if (!passes(cluster, member->id, to)) {
        server_dial_failed(member->world.server, to);
        return true;
    }
    struct link *link = link_new(cluster, member, &cluster->members[to - 1]);
    link->peers[1] =
        server_peer_open(link->members[1]->world.server, -1, MK_BYTES("127.0.0.1"), &link->ends[1]);
    link->peers[0] =
        server_peer_open(member->world.server, to, MK_BYTES("127.0.0.1"), &link->ends[0]);
    return true;
}

static bool peers_step(struct member *member)
{
    struct server_peer *peer = server_next_dirty_peer(member->world.server);

    if (peer == NULL) {
        return false;
    }
    struct end *end = server_peer_owner(peer);
    struct mk_buf *output = server_peer_output(peer);
    mk_buf_append_bytes(&end->link->wire[1 - end->side], mk_buf_view(output));
    output->len = 0;
    if (server_peer_closing(peer)) {
        link_close(end->link, end->side);
    } else {
        server_peer_drained(member->world.server, peer);
    }
    return true;
}

static bool member_step(struct cluster *cluster, struct member *member)
{
    return member->up && (world_deliver(&member->world) || peers_step(member) ||
                          disk_step(member) || checkpoint_step(member) || snapshot_step(member) ||
                          election_step(cluster, member) || dial_step(cluster, member));
}

/* ---- Links ---- */

static bool wire_step(struct cluster *cluster, struct link *link, int side)
{
    struct mk_buf *wire = &link->wire[side];
    size_t len = cluster->chunk > 0 && cluster->chunk < wire->len ? cluster->chunk : wire->len;
    struct server_peer *peer = link->peers[side];

    if (len == 0 || peer == NULL || server_peer_paused(peer) ||
        cluster->cut[link->members[1 - side]->id - 1][link->members[side]->id - 1]) {
        return false;
    }
    struct mk_buf bytes = {0};
    mk_buf_append(&bytes, wire->data, len);
    memmove(wire->data, wire->data + len, wire->len - len);
    wire->len -= len;
    server_peer_bytes(link->members[side]->world.server, peer, mk_buf_view(&bytes));
    mk_buf_free(&bytes);
    return true;
}

static bool link_step(struct cluster *cluster, struct link *link)
{
    if (!link->used) {
        return false;
    }
    for (int side = 0; side < 2; side++) {
        if (wire_step(cluster, link, side)) {
            return true;
        }
    }
    /* One side has closed, and the other has read all that it was sent before. */
    if (link->peers[0] == NULL || link->peers[1] == NULL) {
        link_break(link);
        return true;
    }
    return false;
}

bool cluster_step(struct cluster *cluster)
{
    size_t places = cluster->count + CLUSTER_LINKS_MAX;

    for (size_t i = 0; i < places; i++) {
        size_t place = (cluster->turn + i) % places;
        bool done = place < cluster->count
                        ? member_step(cluster, &cluster->members[place])
                        : link_step(cluster, &cluster->links[place - cluster->count]);
        if (done) {
            cluster->turn = place + 1;
            return true;
        }
    }
    return false;
}

void cluster_settle(struct cluster *cluster)
{
    while (cluster_step(cluster)) {
    }
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        if (member->up) {
            assert_null(server_failure(member->world.server));
            server_check(member->world.server);
        }
    }
}

void cluster_advance(struct cluster *cluster, mk_ms ms)
{
    mk_ms until_ms = cluster->now.monotonic_ms + ms;

    cluster_settle(cluster);
    while (cluster->now.monotonic_ms < until_ms) {
        cluster->now.monotonic_ms += 50;
        cluster->now.wall_ms += 50;
        for (size_t i = 0; i < cluster->count; i++) {
            struct member *member = &cluster->members[i];
            member->world.now = cluster->now;
            if (member->up) {
                server_tick(member->world.server, cluster->now);
            }
        }
        cluster_settle(cluster);
    }
}

/* ---- The whole ---- */

/* Nobody is started yet. */
static void begin(struct cluster *cluster, size_t count, size_t observers,
                  const struct server_recipe *recipes, size_t recipes_count)
{
    memset(cluster, 0, sizeof(*cluster));
    cluster->recipes = recipes;
    cluster->recipes_count = recipes_count;
    cluster->count = count;
    cluster->observers = observers;
    cluster->history_count = 500;
    cluster->now = (struct server_time){.monotonic_ms = 1000, .wall_ms = 1700000000000};
    for (size_t i = 0; i < count; i++) {
        struct member *member = &cluster->members[i];
        member->cluster = cluster;
        member->id = (int64_t)i + 1;
        member->world.settle = settle;
        member->world.base = store_base_memory(NULL, 0);
        options_of(cluster, member);
    }
}

void cluster_init(struct cluster *cluster, size_t count, size_t observers)
{
    cluster_init_recipes(cluster, count, observers, NULL, 0);
}

void cluster_init_recipes(struct cluster *cluster, size_t count, size_t observers,
                          const struct server_recipe *recipes, size_t recipes_count)
{
    begin(cluster, count, observers, recipes, recipes_count);
    for (size_t i = 0; i < count; i++) {
        cluster_start(cluster, &cluster->members[i]);
    }
}

void cluster_line(struct mk_buf *out, int64_t id, const char *role)
{
    int number = (int)id;

    mk_buf_printf(out, "server.%d=h%d:2888:3888:%s;h%d:2181", number, number, role, number);
}

static void config_init(struct cluster *cluster, struct member *member)
{
    for (int64_t id = 1; id <= (int64_t)cluster->count; id++) {
        if (id <= (int64_t)cluster->members_count || id == member->id) {
            cluster_line(&member->config, id, "participant");
            mk_buf_put_u8(&member->config, '\n');
        }
    }
    mk_buf_printf(&member->config, "version=0");
}

void cluster_init_changing(struct cluster *cluster, size_t members, size_t count)
{
    begin(cluster, count, 0, NULL, 0);
    cluster->reconfig = true;
    cluster->members_count = members;
    for (size_t i = 0; i < count; i++) {
        struct member *member = &cluster->members[i];
        config_init(cluster, member);
        member->world.options.reconfig = true;
        member->world.options.acl.skip = true;
        if (i < members) {
            cluster_start(cluster, member);
        }
    }
}

void cluster_deinit(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        if (member->up) {
            cluster_stop(cluster, member);
        }
        member->world.base->ops->close(member->world.base);
        mk_buf_free(&member->world.log);
        mk_buf_free(&member->config);
        mk_buf_free(&member->next);
    }
}

void cluster_cut(struct cluster *cluster, struct member *member, bool cut)
{
    for (size_t i = 0; i < cluster->count; i++) {
        cluster->cut[member->id - 1][i] = cut;
        cluster->cut[i][member->id - 1] = cut;
    }
}

const char *member_mode(struct member *member)
{
    struct server_stats stats;

    server_stats_read(member->world.server, &stats);
    return stats.mode;
}

struct member *cluster_leader(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        if (member->up && server_serving(member->world.server) &&
            strcmp(member_mode(member), "leader") == 0) {
            return member;
        }
    }
    return NULL;
}

struct member *cluster_follower(struct cluster *cluster, size_t index)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        if (member->up && strcmp(member_mode(member), "follower") == 0 && index-- == 0) {
            return member;
        }
    }
    fail_msg("there is no such follower");
    return NULL;
}

static bool all_serve(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        const struct member *member = &cluster->members[i];
        if (member->up && !server_serving(member->world.server)) {
            return false;
        }
    }
    return cluster_leader(cluster) != NULL;
}

void cluster_await(struct cluster *cluster)
{
    for (int i = 0; i < 2000; i++) {
        cluster_settle(cluster);
        if (all_serve(cluster)) {
            return;
        }
        cluster_advance(cluster, 50);
    }
    fail_msg("no leader has come to be served by all");
}

void cluster_check(struct cluster *cluster)
{
    struct member *leader = cluster_leader(cluster);

    assert_non_null(leader);
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        if (member->up) {
            assert_int_equal(store_applied(member->world.store),
                             store_applied(leader->world.store));
            assert_int_equal(store_hash(member->world.store), store_hash(leader->world.store));
        }
    }
}

/* ---- Clients ---- */

void connect_to(struct client *client, struct member *member)
{
    client->world = &member->world;
    client_connect(client, CLUSTER_TIMEOUT_MS);
}

void open_client(struct client *client, struct member *member)
{
    client_init(client, &member->world);
    client_connect(client, CLUSTER_TIMEOUT_MS);
    assert_true(client->session != 0);
}
