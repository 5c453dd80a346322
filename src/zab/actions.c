/* What is to be done, in order. Two kinds are not queued but made when they are asked for, so that
 * what waits needs no memory: the acknowledgements that a durable batch releases, and the storing
 * of epochs, of which one is under way at a time. */
#include <string.h>

#include "zab/internal.h"

static struct queued *queue_at(const struct zab *zab, size_t index)
{
    return &zab->queue[(zab->queue_head + index) & (zab->queue_cap - 1)];
}

static void queue_widen(struct zab *zab)
{
    size_t cap = zab->queue_cap == 0 ? 16 : zab->queue_cap * 2;
    struct queued *queue = mk_alloc_zero(cap, sizeof *queue);

    for (size_t i = 0; i < zab->queue_count; i++) {
        queue[i] = *queue_at(zab, i);
    }
    mk_free(zab->queue);
    zab->queue = queue;
    zab->queue_cap = cap;
    zab->queue_head = 0;
}

static struct queued *queue_put(struct zab *zab, enum zab_action_kind kind)
{
    MK_ASSERT(zab->queue_count < ACTIONS_MAX); /* they are to be taken after every event */
    if (zab->queue_count == zab->queue_cap) {
        queue_widen(zab);
    }
    struct queued *queued = queue_at(zab, zab->queue_count++);
    *queued = (struct queued){.action = {.kind = kind}};
    return queued;
}

struct zab_action *zab_do(struct zab *zab, enum zab_action_kind kind)
{
    return &queue_put(zab, kind)->action;
}

struct zab_action *zab_do_send(struct zab *zab, struct zab_learner *learner, int32_t type,
                               mk_zxid zxid)
{
    struct zab_action *action = zab_do(zab, ZAB_SEND);

    action->learner = learner;
    action->packet = JUTE_PACKET(type, zxid);
    return action;
}

/* The packet's data is copied; where it will be is known only when the action is taken. */
void zab_do_send_data(struct zab *zab, struct zab_learner *learner, int32_t type, mk_zxid zxid,
                      const struct mk_buf *data)
{
    struct queued *queued = queue_put(zab, ZAB_SEND);

    MK_ASSERT(data->len > 0 && data->len <= sizeof queued->data);
    memcpy(queued->data, data->data, data->len);
    queued->action.learner = learner;
    queued->action.packet = JUTE_PACKET(type, zxid);
    queued->action.packet.data.len = data->len;
}

/* A learner is gone: nothing more is done for it. */
void zab_forget_actions(struct zab *zab, const struct zab_learner *learner)
{
    size_t kept = 0;

    for (size_t i = 0; i < zab->queue_count; i++) {
        if (queue_at(zab, i)->action.learner != learner) {
            *queue_at(zab, kept++) = *queue_at(zab, i);
        }
    }
    zab->queue_count = kept;
}

static bool epochs_next(struct zab *zab, struct zab_action *out)
{
    if (zab->storing_now || (zab->wanted.accepted == zab->stored.accepted &&
                             zab->wanted.current == zab->stored.current)) {
        return false;
    }
    zab->storing = zab->wanted;
    zab->storing_now = true;
    *out = (struct zab_action){.kind = ZAB_STORE_EPOCHS,
                               .accepted = zab->storing.accepted,
                               .current = zab->storing.current};
    return true;
}

bool zab_action(struct zab *zab, struct zab_action *out)
{
    mk_free(zab->dropped);
    zab->dropped = NULL;
    if (zab->queue_count == 0 && zab->lead.counts) {
        zab_leader_commit(zab);
    }
    if (zab->queue_count == 0) {
        return zab->phase != PHASE_NONE &&
               (zab_learner_ack_next(zab, out) || epochs_next(zab, out));
    }
    zab->current = *queue_at(zab, 0);
    zab->queue_head = (zab->queue_head + 1) & (zab->queue_cap - 1);
    zab->queue_count--;
    *out = zab->current.action;
    if (out->packet.data.len > 0 && out->packet.data.data == NULL) {
        out->packet.data.data = zab->current.data;
    }
    /* Who the members are is said as it is now. */
    if (out->kind == ZAB_NOTIFY) {
        out->notification.config = zab_members_text(zab, &zab->active.config);
    } else if (out->kind == ZAB_SEND && out->packet.type == JUTE_PACKET_NEWLEADER) {
        /* What a leader begins with commits with its epoch. */
        const struct zab_config *next =
            zab->phase == LEADER_BROADCAST ? NULL : zab_config_next(zab);
        out->packet.data = zab_members_text(zab, next != NULL ? next : &zab->active.config);
    }
    if (out->kind == ZAB_DROP) {
        zab->dropped = out->learner;
    }
    return true;
}
