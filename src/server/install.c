/* A snapshot from the leader, which takes the place of this server's state and log.
 *
 *   ZAB_INSTALL --> streaming -- whole --> finishing -- store replaced --> zab_installed: behind it
 *                       |  no snapshot, or the leader has gone
 *                       '-----------------> discarding ------------------> zab_installed: as it was
 *
 * One step at a time is with the edge, which works beside the old state; what arrives meanwhile waits in
 * the peer's buffer, and reading pauses. The old store is let go of when nothing uses it: no batch, no
 * load, no checkpoint. Once all has come, the snapshot is installed whether or not the leader is there. */
#include <string.h>

#include "server/ensemble.h"

bool server_installs(const struct server *server)
{
    return server->ensemble->install.state != INSTALL_NONE;
}

bool server_install_finishes(const struct server *server)
{
    return server->ensemble->install.state == INSTALL_FINISHING;
}

void server_install_begin(struct server *server, const struct zab_action *action)
{
    MK_ASSERT(!server_installs(server) && server->ensemble->leader != NULL);

    server->ensemble->install = (struct install){
        .state = INSTALL_STREAMING,
        .zxid = action->zxid,
        .forgets = action->forgets,
    };
}

/* Its leader is no longer connected: what has come is of no use, unless all has. */
void server_install_abandon(struct server *server)
{
    if (server->ensemble->install.state == INSTALL_STREAMING) {
        server->ensemble->install.state = INSTALL_DISCARDING;
    }
}

static bool at_rest(const struct server *server)
{
    return !server->batch_out && server->batch.count == 0 && server->loads_count == 0 &&
           server->loads_ahead_count == 0 && server->checkpoint == NULL;
}

/* All that is there, if that is more than has been shown in vain. */
static bool take_bytes(struct server *server, struct server_install *out)
{
    const struct server_peer *leader = server->ensemble->leader;
    struct install *install = &server->ensemble->install;

    MK_ASSERT(leader != NULL && leader->in.len >= install->bytes.len);
    if (leader->in.len == install->bytes.len) {
        return false;
    }
    install->bytes.len = 0;
    mk_buf_append_bytes(&install->bytes, mk_buf_view(&leader->in));
    *out = (struct server_install){
        .step = SERVER_INSTALL_BYTES, .zxid = install->zxid, .bytes = mk_buf_view(&install->bytes)};
    return true;
}

bool server_install_take(struct server *server, struct server_install *out)
{
    struct install *install = &server->ensemble->install;

    if (install->out || server->failure.text[0] != '\0') {
        return false;
    }
    switch (install->state) {
    case INSTALL_NONE: return false;
    case INSTALL_STREAMING: install->out = take_bytes(server, out); break;
    case INSTALL_FINISHING:
        install->out = at_rest(server);
        *out = (struct server_install){
            .step = SERVER_INSTALL_FINISH, .zxid = install->zxid, .forgets = install->forgets};
        break;
    case INSTALL_DISCARDING:
        install->out = true;
        *out = (struct server_install){.step = SERVER_INSTALL_DISCARD};
        break;
    }
    return install->out;
}

static void install_end(struct server *server, mk_zxid log_last)
{
    mk_buf_free(&server->ensemble->install.bytes);
    server->ensemble->install = (struct install){.state = INSTALL_NONE};
    zab_installed(server->zab, log_last);
    server_actions_run(server);
    server_leader_resume(server);
}

static void bytes_done(struct server *server, const struct server_install *done)
{
    struct server_peer *leader = server->ensemble->leader;
    struct install *install = &server->ensemble->install;

    if (install->state != INSTALL_STREAMING) {
        return; /* the leader has gone meanwhile */
    }
    MK_ASSERT(leader != NULL && done->used <= install->bytes.len);
    if (done->broken) {
        server_peer_refuse(server, leader, "its snapshot cannot be read");
        server_actions_run(server);
        return;
    }
    memmove(leader->in.data, leader->in.data + done->used, leader->in.len - done->used);
    leader->in.len -= done->used;
    install->bytes.len -= done->used;
    if (done->whole) {
        install->state = INSTALL_FINISHING;
    }
    zab_leader_alive(server->zab);
    server_actions_run(server);
    server_peers_pause(server);
}

void server_install_done(struct server *server, const struct server_install *done)
{
    struct install *install = &server->ensemble->install;

    MK_ASSERT(install->out && done->step != SERVER_INSTALL_FINISH);
    install->out = false;
    if (done->step == SERVER_INSTALL_BYTES) {
        bytes_done(server, done);
    } else {
        install_end(server, server->ensemble->appended);
    }
}

/* The zxid of the snapshot that the state began with, in its own facts. */
#define FACT_INSTALLED MK_BYTES("installed")

static void fact_put(struct store_view *view, struct mk_bytes name, uint64_t number)
{
    uint8_t value[sizeof(number)];

    mk_store_u64(value, number);
    store_fact_put(view, name, mk_bytes_of(value, sizeof(value)));
}

bool server_install_is_all(struct store *store)
{
    struct store_view *view = store_committed(store);
    struct mk_buf value = {0};

    store_view_blocking(view, true);
    bool known = store_fact_read(view, FACT_INSTALLED, &value) == MK_OK && value.len == 8;
    bool all = known && (mk_zxid)mk_load_u64(value.data) == store_applied(store);
    mk_buf_free(&value);
    return all;
}

/* Log time does not go behind what is stored, whoever leads next. */
void server_install_complete(struct store_install *install)
{
    struct store *store = store_install_store(install);
    struct store_view *view = store_committed(store);
    store_again(store, true); /* it is of the zxid that the store has applied */
    store_begin(view, store_applied(store), 0);
    fact_put(view, MK_BYTES(APPLY_TIME), (uint64_t)store_install_time(install));
    fact_put(view, FACT_INSTALLED, (uint64_t)store_applied(store));
    store_end(view);
    store_again(store, false);
}

void server_store_replaced(struct server *server, struct store *store)
{
    struct ensemble *ensemble = server->ensemble;

    MK_ASSERT(ensemble->install.state == INSTALL_FINISHING && ensemble->install.out);
    MK_ASSERT(store_applied(store) == ensemble->install.zxid);
    server_store_set(server, store);
    history_clear(&server->history);
    server->committed = ensemble->install.zxid;
    ensemble->appended = ensemble->install.zxid;
    server->log_bytes = 0;
    install_end(server, ensemble->install.zxid);
}
