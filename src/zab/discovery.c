/* Discovery: the epoch. A leader asks a quorum which epoch it has accepted last and takes the next
 * one; who acknowledges it follows no older leader any more, and so no older leader can commit
 * anything. The histories of those who acknowledge are not longer than the leader's: so it has all
 * that was committed.
 *
 *   learner                                          leader
 *   FOLLOWERINFO(accepted epoch)            ->       of a quorum: epoch := the largest + 1, durable
 *                                           <-       LEADERINFO(epoch)
 *   epoch durable, ACKEPOCH(last, current)  ->       of a quorum, none ahead of it: synchronization
 *
 * A learner acknowledges an epoch once: the second time it says -1, which is not counted. Otherwise
 * two leaders could be elected to one epoch. A voter that has promised itself to an epoch which
 * came to nothing could not follow the older one's leader, ever: for it, that leader steps down,
 * once. An observer's promise counts for nobody: it follows any leader whose history it has not
 * left behind. */
#include "zab/internal.h"

/* ---- The leader's side ---- */

void zab_leader_offer(struct zab *zab, struct zab_learner *learner)
{
    struct mk_buf data = {0};

    MK_ASSERT(learner->state == HANDLER_GREETED && zab->phase >= LEADER_COMPARING);
    if (learner->accepted > zab->epoch && !learner->observer) {
        zab_learner_drop(zab, learner, "it has promised itself to a later epoch");
        return;
    }
    learner->state = HANDLER_OFFERED;
    jute_put_leader_info(&data,
                         &(struct jute_leader_info){JUTE_PROTOCOL_VERSION, zab->options.announces});
    zab_do_send_data(zab, learner, JUTE_PACKET_LEADERINFO, EPOCH_BEGIN(zab->epoch), &data);
    mk_buf_free(&data);
}

/* Who it is. A second connection of the same server replaces the first: what that had acknowledged
 * may have been cut off since, so it does not count any longer. */
static void identify(struct zab *zab, struct zab_learner *learner, int64_t id, bool observer)
{
    struct zab_learner *other = NULL;

    while (id >= 0 && (other = zab_learner_next(zab, other)) != NULL) {
        if (other != learner && other->id == id) {
            zab_learner_drop(zab, other, "it has connected again");
            break;
        }
    }
    learner->id = id;
    learner->observer = observer;
    if (ids_valid(id)) {
        ids_remove(&zab->lead.taken, id);
        zab->lead.acked[id] = 0;
    }
}

static const char *refusal(const struct zab *zab, const struct zab_learner *learner,
                           const struct jute_packet *packet, const struct jute_learner_info *info)
{
    bool observer = packet->type == JUTE_PACKET_OBSERVERINFO;
    int64_t accepted = EPOCH_OF(packet->zxid);

    if (learner->state != HANDLER_NEW) {
        return "it says twice who it is";
    }
    if (info->protocol_version < JUTE_PROTOCOL_VERSION) {
        return "it speaks a protocol from before ZooKeeper 3.4";
    }
    if (accepted < 0 || accepted >= ZAB_EPOCH_MAX) {
        return "its accepted epoch is out of range";
    }
    if (info->id == zab->options.id) {
        return "it has the id of this server";
    }
    /* It may become one while it follows: then it has to have the history first. */
    if (!observer && !zab_votes(zab, info->id) &&
        (!zab->options.reconfig || !ids_valid(info->id))) {
        return "it is not one of the voters";
    }
    if (info->config_version > zab->active.config.version) {
        return "it has a later configuration than this server";
    }
    return NULL;
}

static void handle_info(struct zab *zab, struct zab_learner *learner,
                        const struct jute_packet *packet)
{
    struct jute_learner_info info;

    if (jute_learner_info_read(packet->data, &info) != MK_OK) {
        zab_learner_drop(zab, learner, "it does not say who it is");
        return;
    }
    const char *why = refusal(zab, learner, packet, &info);
    if (why != NULL) {
        zab_learner_drop(zab, learner, why);
        return;
    }
    identify(zab, learner, info.id, packet->type == JUTE_PACKET_OBSERVERINFO);
    learner->state = HANDLER_GREETED;
    learner->announces = info.announces;
    learner->accepted = EPOCH_OF(packet->zxid);
    zab_learner_alive(zab, learner); /* from here on it may wait for others */
    if (zab->phase == LEADER_BROADCAST && learner->accepted > zab->epoch && !learner->observer) {
        zab_leave(zab, "a voter has promised itself to a later epoch: a new one lets it in");
        return;
    }
    if (zab->phase == LEADER_COLLECTING && learner->accepted > zab->lead.accepted_max) {
        zab->lead.accepted_max = learner->accepted;
    }
    zab_leader_advance(zab);
}

static bool ahead(const struct zab *zab, int64_t current, mk_zxid zxid)
{
    const struct leading *lead = &zab->lead;

    return current != lead->own.current ? current > lead->own.current : zxid > lead->own_zxid;
}

/* Once it is certain that a quorum has no more history than this leader, whoever has more has what
 * no quorum can know: it is cut back. */
static void handle_ackepoch(struct zab *zab, struct zab_learner *learner,
                            const struct jute_packet *packet)
{
    struct mk_reader reader = mk_reader_of(packet->data);
    int32_t current = mk_read_i32(&reader);

    if (learner->state != HANDLER_OFFERED || reader.failed) {
        zab_learner_drop(zab, learner, "its acknowledgement of the epoch is not in order");
        return;
    }
    learner->state = HANDLER_PROMISED;
    learner->zxid = packet->zxid;
    if (zab->phase == LEADER_COMPARING && current != -1) {
        if (ahead(zab, current, packet->zxid)) {
            zab_learner_drop(zab, learner, "it has more history than this leader");
            return;
        }
        if (zab_learner_counts(learner) && packet->zxid != -1) {
            ids_add(&zab->lead.compared, learner->id);
        }
    }
    zab_leader_advance(zab);
}

void zab_leader_discovers(struct zab *zab, struct zab_learner *learner,
                          const struct jute_packet *packet)
{
    if (packet->type == JUTE_PACKET_ACKEPOCH) {
        handle_ackepoch(zab, learner, packet);
    } else {
        handle_info(zab, learner, packet);
    }
}

/* ---- The learner's side ---- */

void zab_learner_greet(struct zab *zab)
{
    struct jute_learner_info info = {.id = zab->options.id,
                                     .protocol_version = JUTE_PROTOCOL_VERSION,
                                     .config_version = zab->active.config.version,
                                     .announces = zab->options.announces};
    bool observer = zab->role == ZAB_OBSERVING;
    struct mk_buf data = {0};

    jute_put_learner_info(&data, &info);
    zab_do_send_data(zab, NULL, observer ? JUTE_PACKET_OBSERVERINFO : JUTE_PACKET_FOLLOWERINFO,
                     EPOCH_BEGIN(zab->wanted.accepted), &data);
    mk_buf_free(&data);
    zab->phase = LEARNER_GREETED;
}

void zab_learner_discovers(struct zab *zab, const struct jute_packet *packet)
{
    struct jute_leader_info info;
    int64_t epoch = EPOCH_OF(packet->zxid);

    if (packet->type != JUTE_PACKET_LEADERINFO ||
        jute_leader_info_read(packet->data, &info) != MK_OK ||
        info.protocol_version < JUTE_PROTOCOL_VERSION || epoch <= 0 || epoch > ZAB_EPOCH_MAX) {
        zab_leave(zab, "the leader does not say its epoch");
        return;
    }
    if (epoch < (zab->role == ZAB_OBSERVING ? zab->wanted.current : zab->wanted.accepted)) {
        zab_leave(zab, "the leader's epoch is older than one that was promised to another");
        return;
    }
    zab->epoch = epoch;
    zab->learn.announced = info.announces;
    zab->learn.promised_before = epoch <= zab->wanted.accepted;
    zab->wanted.accepted = epoch > zab->wanted.accepted ? epoch : zab->wanted.accepted;
    zab->phase = LEARNER_PROMISING;
    zab_learner_advance(zab);
}

void zab_learner_promised(struct zab *zab)
{
    struct mk_buf data = {0};

    MK_ASSERT(zab->stored.accepted >= zab->epoch);
    mk_buf_put_i32(&data, zab->learn.promised_before ? -1 : (int32_t)zab->wanted.current);
    zab_do_send_data(zab, NULL, JUTE_PACKET_ACKEPOCH, zab->amnesiac ? -1 : zab->logged, &data);
    mk_buf_free(&data);
    zab->phase = LEARNER_PROMISED;
}
