/* Who the members are: as zab knows them, by their ids, and here with their addresses, for the edge.
 *
 *   request -- prepare asks what the members become --> transaction -- proposed --> zab: the next ones
 *   leader's packet, or a vote, with a configuration ------------------------------> zab
 *   zab: ZAB_MEMBERS --> the edge makes them durable, and connects to them --> server_members_stored()
 *
 * What a change of the members commits is applied, and so acknowledged, when they are durable here: whoever
 * starts this server again then finds them before it looks into its state.
 *
 * /zookeeper/config is the text of the active members. Transactions write it but for the first ones, and
 * those that came with a snapshot or a vote: it is set when the server begins to serve. */
#include <inttypes.h>

#include "server/ensemble.h"

/* ---- Members, as zab is to know them ---- */

static uint64_t address_of(const struct jute_member *member)
{
    struct mk_buf text = {0};

    mk_buf_printf(&text, "%s:%u", member->host, (unsigned)member->quorum_port);
    uint64_t address = mk_bytes_hash(mk_buf_view(&text));
    mk_buf_free(&text);
    return address;
}

/* `text` is what the configuration points to. */
static void config_of(const struct jute_ensemble *ensemble, struct mk_buf *text,
                      struct zab_config *out)
{
    *out = (struct zab_config){.members_count = ensemble->members_count,
                               .hierarchical = ensemble->hierarchical,
                               .version = ensemble->version};
    for (size_t i = 0; i < ensemble->members_count; i++) {
        const struct jute_member *member = &ensemble->members[i];
        out->members[i] = (struct zab_member){.id = member->id,
                                              .observer = member->observer,
                                              .weight = member->weight,
                                              .group = member->group,
                                              .address = address_of(member)};
    }
    text->len = 0;
    jute_put_ensemble_members(text, ensemble);
    out->text = mk_buf_view(text);
}

/* What others say that the members are. It is read once; NULL: it is none, or the one that there is. */
static const struct zab_config *config_read(struct server *server, struct mk_bytes text,
                                            struct mk_error *error)
{
    struct members *members = server->ensemble->members;

    if (jute_ensemble_read(text, &members->read, error) != MK_OK ||
        jute_ensemble_check(&members->read, error) != MK_OK) {
        return NULL;
    }
    config_of(&members->read, &members->read_text, &members->read_config);
    return &members->read_config;
}

static bool may_change(const struct server *server)
{
    return server->ensemble->members != NULL && server->options.reconfig;
}

const struct zab_config *server_members_noted(struct server *server, struct mk_bytes text)
{
    struct members *members = server->ensemble->members;
    struct mk_error why = {""};

    /* Most votes come with the members that there are. */
    if (!may_change(server) || text.len == 0 ||
        mk_bytes_equal(text, mk_buf_view(&members->active_text))) {
        return NULL;
    }
    return config_read(server, text, &why);
}

const struct zab_config *server_members_in(struct server *server, const struct jute_txn *txn)
{
    struct mk_error why = {""};

    if (!may_change(server) || txn->type != JUTE_RECONFIG) {
        return NULL;
    }
    const struct zab_config *config = config_read(server, txn->data, &why);
    if (config == NULL) {
        mk_log(server->log, MK_LOG_ERROR,
               "the members that are proposed cannot be read: %s  zxid=0x%" PRIx64, why.text,
               (uint64_t)txn->zxid);
    }
    return config;
}

/* ---- A request ---- */

static enum mk_status voters_check(const struct server *server,
                                   const struct jute_ensemble *ensemble, struct mk_error *error)
{
    size_t voters = 0;

    for (size_t i = 0; i < ensemble->members_count; i++) {
        voters += !ensemble->members[i].observer;
    }
    if (voters < 2 && server->options.ensemble.standalone) {
        mk_error_set(error,
                     "fewer than two servers would vote: set standaloneEnabled=false for that");
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

/* In ZooKeeper's order; the ACL of /zookeeper/config is the last. */
static enum mk_status plan(struct server *server, const struct jute_request *request,
                           struct jute_ensemble *out, struct mk_error *error)
{
    struct members *members = server->ensemble->members;
    mk_zxid zxid;

    if (zab_config_next(server->zab) != NULL) {
        mk_error_set(error, "another change is under way");
        return MK_RECONFIG_IN_PROGRESS;
    }
    if (request->relative_zxid != -1 && request->relative_zxid != members->active.version) {
        mk_error_set(error, "it is for the version %" PRIx64 ", not %" PRIx64,
                     (uint64_t)request->relative_zxid, (uint64_t)members->active.version);
        return MK_BAD_VERSION;
    }
    enum mk_status status = jute_ensemble_change(&members->active, request, out, error);
    if (status == MK_OK) {
        status = voters_check(server, out, error);
    }
    if (status != MK_OK) {
        return status;
    }
    config_of(out, &members->read_text, &members->read_config);
    if (!zab_config_synced(server->zab, &members->read_config)) {
        mk_error_set(error,
                     "no quorum of the new members follows this leader: start them first, as "
                     "participants");
        return MK_NEW_CONFIG_NO_QUORUM;
    }
    if (!zab_next(server->zab, &zxid)) {
        return MK_OVERLOADED; /* it is asked for the same zxid a moment before */
    }
    out->version = zxid;
    return MK_OK;
}

enum mk_status server_members_plan(void *context, const struct jute_request *request,
                                   struct mk_buf *text)
{
    struct server *server = context;
    struct members *members = server->ensemble->members;
    struct mk_error why = {""};

    if (members == NULL) {
        return MK_UNIMPLEMENTED; /* it is alone */
    }
    enum mk_status status = plan(server, request, &members->read, &why);
    if (status != MK_OK) {
        mk_log(server->log, MK_LOG_WARN, "the members are not changed: %s", why.text);
        return status;
    }
    jute_put_ensemble(text, &members->read);
    return MK_OK;
}

void server_members_proposed(struct server *server, struct mk_bytes entries, size_t from)
{
    struct mk_bytes entry;
    struct jute_txn txn;
    bool there = store_log_entry_next(entries, &from, &entry);

    MK_ASSERT(there);
    enum mk_status status = jute_txn_decode(entry, &txn);
    MK_ASSERT(status == MK_OK);
    const struct zab_config *config = server_members_in(server, &txn);
    if (config != NULL) { /* else the request has failed */
        zab_reconfigure(server->zab, txn.zxid, config);
    }
}

/* ---- At the start ---- */

/* NEWLEADER's members, which the log may lack, among those of the log: in the order of versions. */
static void proposed_before(struct server *server, int64_t version)
{
    struct members *members = server->ensemble->members;
    const struct mk_bytes text = server->options.ensemble.next_text;
    struct mk_error why = {""};

    if (members->next_seen || text.len == 0) {
        return;
    }
    const struct zab_config *config = config_read(server, text, &why);
    if (config != NULL && config->version <= version) {
        members->next_seen = true;
        zab_reconfigure(server->zab, 0, config);
        zab_members_stored(server->zab, config->version);
    }
}

void server_members_recover(struct server *server, const struct jute_txn *txn)
{
    if (may_change(server) && txn->type == JUTE_RECONFIG) {
        proposed_before(server, txn->zxid);
        const struct zab_config *config = server_members_in(server, txn);
        if (config != NULL) {
            zab_reconfigure(server->zab, txn->zxid, config);
        }
    }
}

static void members_follow(struct server *server);

void server_members_recovered(struct server *server)
{
    if (may_change(server)) {
        proposed_before(server, INT64_MAX);
        members_follow(server);
    }
}

/* ---- What the edge is to know ---- */

static void text_set(struct mk_buf *text, const struct zab_config *config)
{
    text->len = 0;
    if (config != NULL) {
        mk_buf_append_bytes(text, config->text);
        mk_buf_printf(text, "version=%" PRIx64, (uint64_t)config->version);
    }
}

static void ensemble_set(struct jute_ensemble *ensemble, struct mk_bytes text)
{
    struct mk_error why = {""};
    enum mk_status status = jute_ensemble_read(text, ensemble, &why);

    MK_ASSERT(status == MK_OK); /* we have written it */
}

static void members_follow(struct server *server)
{
    struct members *members = server->ensemble->members;
    const struct zab_config *next = zab_config_next(server->zab);

    text_set(&members->active_text, zab_config(server->zab));
    ensemble_set(&members->active, mk_buf_view(&members->active_text));
    text_set(&members->next_text, next);
    members->next = (struct jute_ensemble){0};
    if (next != NULL) {
        ensemble_set(&members->next, mk_buf_view(&members->next_text));
    }
    members->changed = true;
}

/* Reported in whatever role; what has not changed is none. */
void server_members_changed(struct server *server)
{
    struct members *members = server->ensemble->members;
    const struct zab_config *now = zab_config(server->zab);
    const struct zab_config *next = zab_config_next(server->zab);

    MK_ASSERT(members != NULL);
    bool activated = now->version != members->active.version;
    members_follow(server);
    if (activated) {
        mk_log(server->log, MK_LOG_INFO,
               "the members of the ensemble are these now: %zu of them%s  version=0x%" PRIx64,
               now->members_count,
               server_member(server, server->options.server_id) != NULL
                   ? ""
                   : ", and this server is none of them: it only follows",
               (uint64_t)now->version);
    }
    server->ensemble->review_wanted = true; /* recipes run if all members run them */
    if (next != NULL) {
        mk_log(server->log, MK_LOG_INFO,
               "other members are proposed: %zu of them  version=0x%" PRIx64, next->members_count,
               (uint64_t)next->version);
    }
}

bool server_members_take(struct server *server, struct server_members *out)
{
    struct members *members = server->ensemble->members;

    server_actions_run(server); /* a proposal may have changed them */
    if (members == NULL || !members->changed || members->out || server->failure.text[0] != '\0') {
        return false;
    }
    bool next = members->next.members_count > 0;
    members->changed = false;
    members->out = true;
    members->out_version = members->active.version;
    members->out_next = next ? members->next.version : 0;
    *out = (struct server_members){
        .active = &members->active,
        .next = next ? &members->next : NULL,
        .next_logged = next && zab_config_next_logged(server->zab),
        .active_text = mk_buf_view(&members->active_text),
        .next_text = mk_buf_view(&members->next_text),
    };
    return true;
}

void server_members_stored(struct server *server)
{
    struct members *members = server->ensemble->members;

    MK_ASSERT(members->out);
    members->out = false;
    members->stored = members->out_version;
    if (members->out_next != 0) {
        zab_members_stored(server->zab, members->out_next);
    }
    server_logged(server, 0); /* what has waited for it */
}

mk_zxid server_members_gate(const struct server *server)
{
    const struct members *members = server->ensemble->members;

    return members == NULL || members->active.version <= members->stored
               ? INT64_MAX
               : members->active.version - 1;
}

const struct jute_member *server_member(const struct server *server, int64_t id)
{
    const struct members *members = server->ensemble->members;

    for (size_t i = 0; members != NULL && i < members->active.members_count; i++) {
        if (members->active.members[i].id == id) {
            return &members->active.members[i];
        }
    }
    return NULL;
}

/* ---- /zookeeper/config ---- */

/* The text in the tree may be another server's, in another order; it says the same if its version does.
 * Where members do not change, each server's is its own affair. */
static bool says_the_same(struct server *server, struct mk_bytes data)
{
    struct members *members = server->ensemble->members;
    struct mk_error why = {""};

    if (mk_bytes_equal(data, mk_buf_view(&members->active_text))) {
        return true;
    }
    return server->options.reconfig && members->active.version != 0 &&
           jute_ensemble_read(data, &members->read, &why) == MK_OK &&
           members->read.version == members->active.version;
}

enum mk_status server_members_show(struct server *server)
{
    struct members *members = server->ensemble->members;
    struct store_znode znode;

    if (members == NULL) {
        return MK_OK;
    }
    store_view_blocking(store_committed(server->store), true);
    enum mk_status status =
        store_znode_read(store_committed(server->store), MK_BYTES(TREE_CONFIG_PATH), true, &znode);
    if (status == MK_OK && !says_the_same(server, znode.data)) {
        status = store_config_put(server->store, mk_buf_view(&members->active_text),
                                  members->active.version);
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

/* ---- Life ---- */

bool server_members_init(struct server *server, struct zab_config *config)
{
    struct mk_error why = {""};

    if (server_alone(server)) {
        return false;
    }
    struct members *members = mk_alloc_zero(1, sizeof(*members));
    ensemble_set(&members->active, server->options.ensemble.text);
    if (members->active.members_count == 0) {
        mk_free(members);
        return false;
    }
    enum mk_status status = jute_ensemble_check(&members->active, &why);
    MK_ASSERT(status == MK_OK); /* whoever has read the options has looked */
    server->ensemble->members = members;
    jute_put_ensemble(&members->active_text, &members->active);
    members->stored = members->active.version;
    config_of(&members->active, &members->read_text, config);
    return true;
}

void server_members_deinit(struct server *server)
{
    struct members *members = server->ensemble->members;

    if (members != NULL) {
        mk_buf_free(&members->active_text);
        mk_buf_free(&members->next_text);
        mk_buf_free(&members->read_text);
        mk_free(members);
    }
}
