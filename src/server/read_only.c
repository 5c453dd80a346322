/* A member without a quorum, in read-only mode (readonlymode.enabled): who has said that it will do with
 * less is shown what this server knows to be committed.
 *
 *   looking, for two seconds and a tick at least --> read-only -- any role begins --> clients leave
 *
 * What is shown is what has been applied, which is committed and durable (R1). A member that has been
 * started anew shows its last checkpoint, however old: what its log has beyond may have been lost with
 * the quorum that it was proposed to. Not shown: the state of a member that has lost its data, and a
 * snapshot in whose midst changes were, before those have been applied once more.
 *
 * Sessions are this server's own (local.c). One that all servers know is neither renewed nor refused here,
 * but disconnected: whether it lives only a leader can say. */
#include "server/ensemble.h"

/* As in ZooKeeper: an election is usually over by then, and clients have not been let in for nothing. */
#define READ_ONLY_AFTER_MS 2000

static mk_ms begins_ms(const struct server *server)
{
    mk_ms tick_ms = server->options.tick_ms;

    return server->looking_ms + (tick_ms > READ_ONLY_AFTER_MS ? tick_ms : READ_ONLY_AFTER_MS);
}

static bool may_begin(const struct server *server)
{
    return server->options.read_only_mode && !server_alone(server) && server->role == ZAB_LOOKING &&
           !server->reads_only && !server_installs(server) && !server->forgets &&
           !store_fuzzy(server->store);
}

mk_ms server_read_only_due(const struct server *server)
{
    return may_begin(server) ? begins_ms(server) : INT64_MAX;
}

void server_read_only_tick(struct server *server)
{
    if (!may_begin(server) || server->now.monotonic_ms < begins_ms(server)) {
        return;
    }
    enum mk_status status = server_sessions_begin(server);
    if (status != MK_OK) {
        server_fail(server, status, "beginning to serve in read-only mode");
        return;
    }
    server->reads_only = true;
    mk_log(server->log, MK_LOG_WARN,
           "there is no quorum: serving reads only, to clients that ask for no more  zxid=0x%llx",
           (unsigned long long)store_applied(server->store));
}

void server_read_only_connect(struct server *server, struct server_conn *conn,
                              const struct jute_connect *connect, int32_t timeout_ms)
{
    MK_ASSERT(server->reads_only);

    if (!connect->read_only) {
        server_conn_end(server, conn);
    } else if (connect->session_id == 0) {
        server_local_attach(server, conn, timeout_ms);
    } else if (!server_local_reattach(server, conn, connect, timeout_ms)) {
        server_conn_end(server, conn);
    }
}
