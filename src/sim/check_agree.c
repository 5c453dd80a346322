/* One history for all servers of an ensemble: what the first of them applies is what all must apply, in
 * the same order, to the byte, and with the same trees behind it.
 *
 *   a server applies --> known? --> the same bytes, the next in its order --> into that server's model
 *                        `--> new: behind all that anybody has applied, of a request that was made
 *
 * What anybody has applied is committed. So whoever leads must have all of it before it serves, in an epoch
 * of its own; and nobody who serves has less than it had when it served before. */
#include <string.h>

#include "sim/check.h"

/* ---- Life ---- */

void sim_agreement_init(struct sim_agreement *agreement)
{
    *agreement = (struct sim_agreement){0};
    mk_list_init(&agreement->writes);
}

static void forget_writes(struct sim_agreement *agreement, unsigned refs_max)
{
    struct mk_link *link = agreement->writes.next;

    while (link != &agreement->writes) {
        struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_check);
        link = link->next;
        if (op->refs <= refs_max) {
            mk_list_remove(&op->in_check);
            sim_op_unref(op);
        }
    }
}

void sim_agreement_quiet(struct sim_agreement *agreement)
{
    forget_writes(agreement, 1); /* of connections that are gone */
}

void sim_agreement_deinit(struct sim_agreement *agreement)
{
    forget_writes(agreement, UINT32_MAX);
    for (size_t i = 0; i < agreement->count; i++) {
        if (agreement->list[i].op != NULL) {
            sim_op_unref(agreement->list[i].op);
        }
        sim_free_bytes(agreement->list[i].entry);
    }
    mk_free(agreement->list);
    mk_free(agreement->lives);
    mk_buf_free(&agreement->leaders);
    mk_map_u64_free(&agreement->lives_by_id);
}

void sim_agreement_join(struct sim_agreement *agreement, struct sim_check *check)
{
    MK_ASSERT(agreement->checks_count < SIM_MEMBERS_MAX);
    agreement->checks[agreement->checks_count++] = check;
    check->agreement = agreement;
}

/* ---- Sessions: heard by any server, ended by the leader ---- */

struct sim_life *sim_life_of(const struct sim_check *check, mk_session id)
{
    if (check->agreement == NULL || id == 0) {
        return NULL;
    }
    uintptr_t at = (uintptr_t)mk_map_u64_get(&check->agreement->lives_by_id, (uint64_t)id);
    return at == 0 ? NULL : &check->agreement->lives[at - 1];
}

static struct sim_life *life_place(struct sim_agreement *agreement, mk_session id)
{
    uintptr_t at = (uintptr_t)mk_map_u64_get(&agreement->lives_by_id, (uint64_t)id);

    if (at == 0) {
        agreement->lives = sim_grown(agreement->lives, agreement->lives_count,
                                     &agreement->lives_cap, sizeof(*agreement->lives));
        at = ++agreement->lives_count;
        (void)mk_map_u64_put(&agreement->lives_by_id, (uint64_t)id, (void *)at);
    }
    return &agreement->lives[at - 1];
}

static void life_begins(struct sim_check *check, const struct jute_txn *txn)
{
    struct sim_agreement *agreement = check->agreement;

    *life_place(agreement, txn->client_id) =
        (struct sim_life){.id = txn->client_id,
                          .made = txn->zxid,
                          .timeout_ms = txn->timeout_ms,
                          .timeout_now_ms = txn->timeout_ms,
                          .heard_ms = check->now_ms,
                          .expirable = check->now_ms < agreement->disturbed_until_ms};
}

/* Servers ask the leader, which may hear them in another order: that of a client that has given up, and gone
 * to another one, last. */
#define ASKED_LATE_MS 2000

bool sim_life_moved(const struct sim_check *check, mk_session id, int64_t server, mk_ms asked_ms)
{
    const struct sim_life *life = sim_life_of(check, id);

    for (int i = 0; life != NULL && i < SIM_MEMBERS_MAX; i++) {
        if (i + 1 != server && life->asked_ms[i] != 0 &&
            life->asked_ms[i] + ASKED_LATE_MS >= asked_ms) {
            return true;
        }
    }
    return false;
}

/* A learner tells its leader whom it has heard of with each ping, every half tick. */
static mk_ms heard_late_ms(const struct sim_check *check)
{
    return check->options->tick_ms;
}

void sim_lives_tick(struct sim_check *check)
{
    for (size_t i = 0; check->agreement != NULL && i < check->model.sessions_count; i++) {
        struct sim_life *life = sim_life_of(check, check->model.sessions[i]->id);
        mk_ms timeout_ms =
            life->timeout_ms < life->timeout_now_ms ? life->timeout_ms : life->timeout_now_ms;
        if (check->now_ms - life->heard_ms >= timeout_ms - heard_late_ms(check)) {
            life->expirable = true;
        }
    }
}

void sim_agreement_disturb(struct sim_agreement *agreement, mk_ms until_ms)
{
    for (size_t i = 0; i < agreement->lives_count; i++) {
        agreement->lives[i].expirable = true;
    }
    if (until_ms > agreement->disturbed_until_ms) {
        agreement->disturbed_until_ms = until_ms;
    }
}

/* A new leader gives everybody the whole of their time. */
void sim_lives_quiet(struct sim_check *check)
{
    mk_ms led_ms = check->agreement->led_ms;
    mk_ms slack_ms = 4 * check->options->tick_ms;

    for (size_t i = 0; i < check->model.sessions_count; i++) {
        const struct sim_life *life = sim_life_of(check, check->model.sessions[i]->id);
        mk_ms timeout_ms =
            life->timeout_ms > life->timeout_now_ms ? life->timeout_ms : life->timeout_now_ms;
        mk_ms silent_ms = check->now_ms - (life->heard_ms > led_ms ? life->heard_ms : led_ms);
        if (silent_ms > timeout_ms + slack_ms) {
            sim_check_fail(check, "session 0x%llx was silent for %lld ms and has not expired",
                           (unsigned long long)life->id, (long long)silent_ms);
        }
    }
}

/* ---- The history ---- */

static struct sim_agreed *agreed_at(struct sim_check *check)
{
    return &check->agreement->list[check->agreed_next];
}

static mk_zxid agreed_last(const struct sim_agreement *agreement)
{
    return agreement->count == 0 ? 0 : agreement->list[agreement->count - 1].zxid;
}

static void agree_first(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry,
                        struct sim_op *op)
{
    struct sim_agreement *agreement = check->agreement;

    agreement->list =
        sim_grown(agreement->list, agreement->count, &agreement->cap, sizeof(*agreement->list));
    if (op != NULL) {
        op->refs++;
    }
    agreement->list[agreement->count++] =
        (struct sim_agreed){.zxid = txn->zxid, .entry = sim_copy_of(entry), .op = op};
    if (txn->type == JUTE_CREATE_SESSION) {
        const struct sim_life *before = sim_life_of(check, txn->client_id);
        /* Who begins a new role behind the same zxid asks for the same ids again; nobody has been told of
         * those that it asked for before. */
        if (before != NULL && before->claimed) {
            sim_check_fail(check, "session 0x%llx is made again at 0x%llx",
                           (unsigned long long)txn->client_id, (unsigned long long)txn->zxid);
        }
        life_begins(check, txn);
    }
}

static bool fail_agree(struct sim_check *check, mk_zxid zxid, const char *what)
{
    sim_check_fail(check, "server %d applies 0x%llx: %s", (int)check->options->server_id,
                   (unsigned long long)zxid, what);
    return false;
}

bool sim_agree(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry,
               struct sim_op **op)
{
    struct sim_agreement *agreement = check->agreement;

    if (check->agreed_next == agreement->count) {
        if (txn->zxid >> 32 < agreement->epoch) {
            return fail_agree(check, txn->zxid, "it is committed, and a later epoch has begun");
        }
        agree_first(check, txn, entry, *op);
    }
    const struct sim_agreed *agreed = agreed_at(check);
    if (agreed->zxid != txn->zxid) {
        return fail_agree(check, txn->zxid, "others have another transaction there");
    }
    if (!mk_bytes_equal(agreed->entry, entry)) {
        return fail_agree(check, txn->zxid, "others have it otherwise");
    }
    *op = agreed->op;
    check->agreed_next++;
    return true;
}

/* The index of the first that is not before `zxid`. */
static size_t agreed_rank(const struct sim_agreement *agreement, mk_zxid zxid)
{
    size_t low = 0;
    size_t high = agreement->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (agreement->list[middle].zxid < zxid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void sim_agree_again(struct sim_check *check, struct mk_bytes entry)
{
    struct sim_agreement *agreement = check->agreement;
    struct jute_txn txn;

    if (jute_txn_decode(entry, &txn) != MK_OK) {
        sim_check_fail(check, "what has been applied before cannot be decoded");
        return;
    }
    size_t at = agreed_rank(agreement, txn.zxid);
    if (at == agreement->count || agreement->list[at].zxid != txn.zxid ||
        !mk_bytes_equal(agreement->list[at].entry, entry)) {
        (void)fail_agree(check, txn.zxid, "it was otherwise, or not at all, the first time");
    }
}

void sim_agree_installed(struct sim_check *check, mk_zxid zxid)
{
    struct sim_agreement *agreement = check->agreement;
    size_t at = agreed_rank(agreement, zxid);

    if (zxid != 0 && (at == agreement->count || agreement->list[at].zxid != zxid)) {
        (void)fail_agree(check, zxid, "a snapshot of what nobody has applied");
        return;
    }
    while (sim_check_ok(check) && check->agreed_next < agreement->count &&
           agreed_at(check)->zxid <= zxid) {
        sim_check_commit(check, agreed_at(check)->entry);
    }
}

/* ---- Roles ---- */

bool sim_agree_leads(const struct sim_check *check)
{
    const struct mk_buf *leaders = &check->agreement->leaders;
    size_t epoch = (size_t)check->agreed_epoch;

    return check->agreed_serving && epoch < leaders->len &&
           leaders->data[epoch] == check->options->server_id;
}

/* One that has lost its followers may begin late, when another one leads already: it commits nothing. */
static void begins_to_lead(struct sim_check *check, const struct server_stats *stats)
{
    struct sim_agreement *agreement = check->agreement;
    struct mk_buf *leaders = &agreement->leaders;
    size_t epoch = (size_t)stats->epoch;

    while (leaders->len <= epoch) {
        mk_buf_put_u8(leaders, 0);
    }
    if (leaders->data[epoch] != 0) {
        sim_check_fail(check, "servers %d and %d have both led in epoch %lld",
                       (int)check->options->server_id, (int)leaders->data[epoch],
                       (long long)stats->epoch);
    }
    leaders->data[epoch] = check->options->server_id;
    agreement->elections++;
    if (stats->epoch < agreement->epoch) {
        return;
    }
    if (stats->zxid != agreed_last(agreement)) {
        sim_check_fail(check, "server %d leads from 0x%llx on, and 0x%llx was committed",
                       (int)check->options->server_id, (unsigned long long)stats->zxid,
                       (unsigned long long)agreed_last(agreement));
    }
    agreement->epoch = stats->epoch;
    agreement->led_ms = check->now_ms;
}

static void begins_to_serve(struct sim_check *check, const struct server *server)
{
    struct server_stats stats;

    server_stats_read(server, &stats);
    check->agreed_epoch = stats.epoch;
    if (stats.zxid < check->model.zxid) {
        sim_check_fail(check, "server %d serves at 0x%llx, and has served at 0x%llx before",
                       (int)check->options->server_id, (unsigned long long)stats.zxid,
                       (unsigned long long)check->model.zxid);
    }
    if (strcmp(stats.mode, "leader") == 0) {
        begins_to_lead(check, &stats);
    }
}

void sim_agree_role(struct sim_check *check, const struct server *server)
{
    bool serving = server_serving(server);

    if (serving && !check->agreed_serving && sim_check_ok(check)) {
        begins_to_serve(check, server);
    }
    check->agreed_serving = serving;
    for (size_t i = 0; !serving && i < check->conns_count; i++) {
        check->conns[i]->may_close = true;
    }
}

void sim_agree_hash(struct sim_check *check, struct store *store)
{
    struct sim_agreement *agreement = check->agreement;

    if (agreement == NULL || check->agreed_next == 0 ||
        store_applied(store) != agreement->list[check->agreed_next - 1].zxid) {
        return;
    }
    struct sim_agreed *agreed = &agreement->list[check->agreed_next - 1];
    uint64_t hash = store_hash(store);
    if (agreed->hash != 0 && agreed->hash != hash) {
        (void)fail_agree(check, agreed->zxid, "its tree is another one behind it");
    }
    agreed->hash = hash;
}
