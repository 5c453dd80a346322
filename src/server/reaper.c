/* The reaper's time: containers that have lost their last child, and TTL znodes whose time is over, go in
 * rounds.
 *
 *   every reap_interval_ms a round begins: what is due by then, and no more
 *   while the log is idle: one deletion, a pause so that no more than reaps_per_minute_max happen, ...
 *   nothing due is left: the round is over
 *
 * A crash between two deletions loses the round and nothing else: what is due stays due. */
#include "server/internal.h"

#define MINUTE_MS 60000
/* Deletions between two turns of requests, where the options ask for no pause between them. */
#define REAPS_PER_TURN_MAX 64

static bool anything_reapable(const struct server *server)
{
    return store_totals(server->store)->reapable > 0;
}

void server_reaper_tick(struct server *server)
{
    struct reaper *reaper = &server->reaper;
    mk_ms now_ms = server->now.monotonic_ms;

    if (now_ms < reaper->round_at_ms) {
        return;
    }
    mk_ms late_ms = now_ms - reaper->round_at_ms;
    /* The rhythm stays, however long nobody looked, so that a container is not gone at once because
     * nothing had happened before. */
    reaper->round_at_ms +=
        (late_ms / server->options.reap_interval_ms + 1) * server->options.reap_interval_ms;
    if (reaper->running) {
        return; /* the one before is not through: what it leaves is for the next */
    }
    reaper->round = (struct prepare_round){
        .emptied_through = store_view_zxid(store_speculative(server->store)),
        .time_ms = server->log_time_ms,
        .unused_ms = server->options.container_unused_ms,
    };
    reaper->running = anything_reapable(server);
    reaper->next_ms = now_ms;
}

void server_reaper_run(struct server *server)
{
    struct reaper *reaper = &server->reaper;
    mk_ms pause_ms = MINUTE_MS / server->options.reaps_per_minute_max;
    uint32_t count = pause_ms > 0 ? 1 : REAPS_PER_TURN_MAX;

    if (!reaper->running || reaper->wait.blocked || !server_leads(server) ||
        server->now.monotonic_ms < reaper->next_ms || store_full(server->store)) {
        return;
    }
    store_view_blocking(store_speculative(server->store), server_load_insists(&reaper->wait));
    enum mk_status status = MK_OK;
    while (status == MK_OK && count-- > 0) {
        status = server_propose_reap(server);
        server->stats.reaped += status == MK_OK;
    }
    reaper->running = status != MK_END;
    if (status == MK_WOULD_BLOCK) {
        server_load_wait(server, &reaper->wait);
    } else {
        reaper->wait.in_vain = 0;
    }
    reaper->next_ms = server->now.monotonic_ms + pause_ms;
}

mk_ms server_reaper_due(const struct server *server)
{
    const struct reaper *reaper = &server->reaper;

    if (!server_leads(server) || !anything_reapable(server)) {
        return INT64_MAX;
    }
    /* While a batch is with the log nothing is deleted; when it is back, the turn looks again. */
    bool soon = reaper->running && !reaper->wait.blocked && !server->batch_out;
    return soon && reaper->next_ms < reaper->round_at_ms ? reaper->next_ms : reaper->round_at_ms;
}
