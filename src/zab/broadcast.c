/* Broadcast, for an ensemble of one: propose in order, commit in order.
 *
 *   zab_next -> zab_propose -> (log thread) -> zab_logged -> committed
 *
 * A server that stops between any two of these comes back with the log it has: what is in it commits,
 * what is not was never acknowledged. */
#include "zab/zab.h"

#define COUNTER_MAX 0xfffffffeLL /* all ones would run into the bits of the epoch */

void zab_init(struct zab *zab, mk_zxid logged)
{
    MK_ASSERT(logged >= 0);

    *zab = (struct zab){
        .phase = ZAB_LOOKING,
        .epoch = (uint32_t)(logged >> 32),
        .proposed = logged,
        .durable = logged,
        .committed = logged,
    };
    zab_check(zab);
}

void zab_lead(struct zab *zab, uint32_t epoch)
{
    MK_ASSERT(zab->phase == ZAB_LOOKING);
    MK_ASSERT(epoch > (uint32_t)(zab->proposed >> 32));

    zab->phase = ZAB_BROADCAST;
    zab->epoch = epoch;
    zab->proposed = (mk_zxid)epoch << 32;
    zab->durable = zab->proposed;
    zab->committed = zab->proposed;
    zab_check(zab);
}

bool zab_next(const struct zab *zab, mk_zxid *zxid)
{
    MK_ASSERT(zab->phase == ZAB_BROADCAST);

    if ((zab->proposed & 0xffffffffLL) >= COUNTER_MAX) {
        return false;
    }
    *zxid = zab->proposed + 1;
    return true;
}

void zab_propose(struct zab *zab, mk_zxid zxid)
{
    MK_ASSERT(zab->phase == ZAB_BROADCAST);
    MK_ASSERT(zxid == zab->proposed + 1);

    zab->proposed = zxid;
}

void zab_logged(struct zab *zab, mk_zxid zxid)
{
    MK_ASSERT(zxid >= zab->durable);
    MK_ASSERT(zxid <= zab->proposed);

    zab->durable = zxid;
    /* One voter: its own acknowledgement is the quorum. */
    zab->committed = zxid;
    zab_check(zab);
}

mk_zxid zab_committed(const struct zab *zab)
{
    return zab->committed;
}

void zab_check(const struct zab *zab)
{
    MK_ASSERT(zab->committed <= zab->proposed);
    MK_ASSERT(zab->durable <= zab->proposed);
    MK_ASSERT(zab->committed <= zab->durable);
    MK_ASSERT(zab->phase == ZAB_LOOKING || (uint32_t)(zab->proposed >> 32) == zab->epoch);
}
