/* Who may have a session now: a bucket of tokens, as ZooKeeper's BlueThrottle has it, so that a storm of
 * reconnecting clients is let in at the rate that the operator names. Off while the bucket has no size.
 *
 * The bucket fills by `fill_count` tokens every `fill_ms`; a ConnectRequest takes one, or its weight.
 * Who finds too few is dropped without a reply, and comes again. While the bucket stays empty the drop
 * rate rises by `drop_increase` each `freeze_ms`, while it is nearly full it falls: early drops spread a
 * storm better than a bucket that is empty in every other millisecond.
 * ZooKeeper throws dice for the drop rate. Here a debt is carried from one to the next instead: the
 * rate is the same, and the core stays a function of its events. */
#include "server/internal.h"

#define MILLION 1000000

static void fill(struct connect_throttle *throttle, const struct server_throttle *options,
                 mk_ms now_ms)
{
    mk_ms since_ms = now_ms - throttle->filled_ms;

    if (since_ms <= options->fill_ms) {
        return;
    }
    /* By the division of before, so that neither long pauses nor large counts overflow. */
    uint64_t fills = (uint64_t)(since_ms / options->fill_ms);
    uint64_t rest = (uint64_t)(since_ms % options->fill_ms) * options->fill_count;
    uint64_t tokens = throttle->tokens + rest / (uint64_t)options->fill_ms;
    if (fills > (options->tokens - (tokens < options->tokens ? tokens : options->tokens)) /
                    options->fill_count) {
        tokens = options->tokens;
    } else {
        tokens += fills * options->fill_count;
    }
    throttle->tokens = (uint32_t)(tokens < options->tokens ? tokens : options->tokens);
    throttle->filled_ms = now_ms;
}

static void drop_rate_adjust(struct connect_throttle *throttle,
                             const struct server_throttle *options, mk_ms now_ms)
{
    uint64_t taken = options->tokens - throttle->tokens;
    uint64_t few = (uint64_t)options->tokens * options->decrease_ratio / MILLION;

    if (now_ms - throttle->adjusted_ms <= options->freeze_ms) {
        return;
    }
    throttle->adjusted_ms = now_ms;
    if (taken == options->tokens) {
        uint64_t drop = (uint64_t)throttle->drop + options->drop_increase;
        throttle->drop = (uint32_t)(drop < MILLION ? drop : MILLION);
    } else if (taken <= few) {
        throttle->drop -=
            throttle->drop < options->drop_decrease ? throttle->drop : options->drop_decrease;
    }
}

/* Whether the drop rate takes this one. */
static bool dropped(struct connect_throttle *throttle)
{
    throttle->debt += throttle->drop;
    if (throttle->debt < MILLION) {
        return false;
    }
    throttle->debt -= MILLION;
    return true;
}

bool server_throttle_admits(struct server *server, bool renews)
{
    const struct server_throttle *options = &server->options.throttle;
    struct connect_throttle *throttle = &server->throttle;
    mk_ms now_ms = server->now.monotonic_ms;
    uint32_t needed = 1;

    if (options->tokens == 0) {
        return true;
    }
    if (options->weights) {
        needed = renews ? options->renew_weight : options->global_weight;
    }
    if (throttle->filled_ms == 0) {
        *throttle = (struct connect_throttle){.tokens = options->tokens, .filled_ms = now_ms};
    }
    fill(throttle, options, now_ms);
    if (options->freeze_ms >= 0) {
        drop_rate_adjust(throttle, options, now_ms);
    }
    bool admitted = !dropped(throttle) && throttle->tokens >= needed;
    throttle->tokens -= admitted ? needed : 0;
    mk_summary_add(&server->stats.token_deficit, options->tokens - throttle->tokens);
    return admitted;
}

/* ---- Large requests: how many bytes of them may wait at once ---- */

bool server_large_admits(struct server *server, size_t bytes)
{
    const struct server_options *options = &server->options;

    server->frame_large_bytes = 0;
    if (options->large_request_bytes == 0 || bytes < options->large_request_bytes) {
        return true;
    }
    if (server->large_bytes + bytes > options->large_requests_bytes_max) {
        server->stats.large_requests_rejected++;
        return false;
    }
    server->frame_large_bytes = (uint32_t)bytes;
    return true;
}
