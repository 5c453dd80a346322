/* Who the members are, and how that changes while they work.
 *
 *   active    committed: a vote, an epoch, a proposal needs a quorum of it
 *   next      proposed: until it commits, everything needs a quorum of both
 *
 *   a transaction proposes it -> next -- it commits, or a leader that has it is established --> active
 *                                     -- the log is cut below it --> gone
 *   NEWLEADER says it         -> next -- UPTODATE --> active
 *                                     -- another NEWLEADER --> gone
 *
 * The first kind is remembered by the log. The second, which the log may lack behind a snapshot, has
 * to be durable before NEWLEADER is acknowledged. A leader says NEWLEADER when a quorum has promised
 * itself to it: what it does not know of has not committed, and never will.
 *
 * Why both: a leader that knows of the active one alone has a quorum of it behind its history, and one of
 * that quorum has the transaction, if it can have committed; so such a leader has it, too. A leader
 * changes the members only when the change before it has committed: so of two in a log the earlier
 * one has.
 *
 * The first members have version 0, and every server may have been told of others. The first leader makes
 * theirs the members of the ensemble: as a next configuration, with its epoch's beginning as the
 * version, that is active when it is established. (ZooKeeper does the same: ZOOKEEPER-1783.) */
#include "zab/internal.h"

/* ---- One configuration ---- */

static void members_set(struct members *members, const struct zab_config *config, mk_zxid zxid)
{
    struct mk_buf text = members->text;

    MK_ASSERT(config != &members->config);
    text.len = 0;
    mk_buf_append_bytes(&text, config->text);
    members->config = *config;
    members->text = text;
    members->config.text = mk_buf_view(&members->text);
    members->zxid = zxid;
}

static void members_clear(struct members *members)
{
    members->config.members_count = 0;
    members->config.version = 0;
    members->zxid = 0;
}

void zab_members_init(struct zab *zab, const struct zab_config *config)
{
    members_set(&zab->active, config, 0);
}

void zab_members_free(struct zab *zab)
{
    mk_buf_free(&zab->active.text);
    mk_buf_free(&zab->next.text);
    mk_buf_free(&zab->told);
}

/* As servers tell it to each other. It lives until the next one is made. */
struct mk_bytes zab_members_text(struct zab *zab, const struct zab_config *config)
{
    zab->told.len = 0;
    mk_buf_append_bytes(&zab->told, config->text);
    mk_buf_printf(&zab->told, "version=%llx", (unsigned long long)config->version);
    return mk_buf_view(&zab->told);
}

/* ---- Both ---- */

bool zab_members_pending(const struct zab *zab)
{
    return zab->next.config.members_count > 0;
}

bool zab_agree(const struct zab *zab, const struct ids *set)
{
    return zab_quorum(&zab->active.config, set) &&
           (!zab_members_pending(zab) || zab_quorum(&zab->next.config, set));
}

bool zab_votes(const struct zab *zab, int64_t id)
{
    return zab_votes_in(&zab->active.config, id) ||
           (zab_members_pending(zab) && zab_votes_in(&zab->next.config, id));
}

bool zab_may_lead(const struct zab *zab, int64_t id)
{
    const struct zab_config *config = &zab->active.config;
    const struct zab_member *member = zab_member_find(config, id);

    return member != NULL && !member->observer && (!config->hierarchical || member->weight > 0);
}

bool zab_observes(const struct zab *zab, int64_t id)
{
    const struct zab_member *member = zab_member_find(&zab->active.config, id);

    return member != NULL && member->observer;
}

const struct zab_config *zab_config(const struct zab *zab)
{
    return &zab->active.config;
}

const struct zab_config *zab_config_next(const struct zab *zab)
{
    return zab_members_pending(zab) ? &zab->next.config : NULL;
}

bool zab_config_next_logged(const struct zab *zab)
{
    return zab->next.zxid > 0;
}

/* ---- Changes ---- */

/* Before it starts, whoever starts it can see for itself. */
static void changed(struct zab *zab)
{
    if (zab->phase != PHASE_NONE) {
        zab_do(zab, ZAB_MEMBERS);
    }
}

void zab_members_activate(struct zab *zab)
{
    MK_ASSERT(zab_members_pending(zab));
    members_set(&zab->active, &zab->next.config, 0);
    members_clear(&zab->next);
    changed(zab);
}

void zab_members_adopt(struct zab *zab, const struct zab_config *config, mk_zxid zxid)
{
    MK_ASSERT(config->version > zab->active.config.version);
    members_set(&zab->active, config, zxid);
    if (zab->next.config.version <= config->version) {
        members_clear(&zab->next);
    }
    changed(zab);
}

void zab_reconfigure(struct zab *zab, mk_zxid zxid, const struct zab_config *config)
{
    MK_ASSERT(zxid >= 0 && (zab->phase == PHASE_NONE || zxid <= zab->logged));
    if (!zab->options.reconfig || config->version <= zab->active.config.version ||
        config->version <= zab->next.config.version) {
        return; /* it is known */
    }
    if (zab_members_pending(zab)) {
        zab_members_activate(zab); /* or this one would not have been proposed */
    }
    members_set(&zab->next, config, zxid);
    changed(zab);
}

void zab_members_begin(struct zab *zab, int64_t version)
{
    if (zab->options.reconfig && zab->active.config.version == 0 && !zab_members_pending(zab)) {
        members_set(&zab->next, &zab->active.config, 0);
        zab->next.config.version = version;
        changed(zab);
    }
}

void zab_members_offered(struct zab *zab, const struct zab_config *config)
{
    if (zab_members_pending(zab) && zab->next.zxid == 0) {
        members_clear(&zab->next);
        changed(zab);
    }
    if (config != NULL) {
        zab_reconfigure(zab, 0, config);
    }
}

bool zab_members_durable(const struct zab *zab)
{
    return !zab_members_pending(zab) || zab->next.zxid > 0 ||
           zab->next_stored == zab->next.config.version;
}

void zab_members_stored(struct zab *zab, int64_t next)
{
    zab->next_stored = next;
    zab_learner_advance(zab);
}

void zab_members_cut(struct zab *zab, mk_zxid zxid)
{
    if (zab->next.zxid > zxid) {
        members_clear(&zab->next);
        changed(zab);
    }
}
