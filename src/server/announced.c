/* Whether recipes run. Alone, a server runs them. In an ensemble each says that it does when it connects
 * to a leader, and a leader says so, too, in bytes that a ZooKeeper does not look at. The leader keeps in
 * the tree who has said it, so that a new one knows it of those that are down.
 *
 *   a server greets the leader, or leaves -> the record is made to say what is true
 *       all members are in it, and nobody is connected who is not -> the catalogue, then calls
 *       else                                                      -> whatever waits stands still
 *
 * Why all: any of them may lead next, and answers its own clients' calls; a ZooKeeper can do neither. Who
 * is down and has announced is waited for no longer: were it replaced by a ZooKeeper, that would be seen
 * before it serves anybody. Observers are members like any other; one that is none counts while it is
 * connected. A learner goes by its own copy of the record: it has to know only which calls it can answer
 * itself, the others are the leader's to answer or to refuse. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/ensemble.h"

#define ID_DIGITS_MAX 3 /* 254 */

struct ids { /* of servers */
    bool has[UINT8_MAX + 1];
};

/* ---- The record: "1,2,3" ---- */

static void ids_read(struct mk_bytes text, struct ids *ids)
{
    int64_t id = -1;

    *ids = (struct ids){{false}};
    for (size_t i = 0; i <= text.len; i++) {
        uint8_t c = i < text.len ? text.data[i] : ',';
        if (c >= '0' && c <= '9' && id < UINT8_MAX) {
            id = (id < 0 ? 0 : id) * 10 + (c - '0');
        } else if (c == ',') {
            if (id >= 0 && id <= UINT8_MAX) {
                ids->has[id] = true;
            }
            id = -1;
        } else {
            id = UINT8_MAX + 1; /* none of ours */
        }
    }
}

static void ids_put(struct mk_buf *out, const struct ids *ids)
{
    for (size_t id = 0; id <= UINT8_MAX; id++) {
        if (ids->has[id]) {
            mk_buf_printf(out, "%s%zu", out->len > 0 ? "," : "", id);
        }
    }
}

/* As `view` has it. MK_OK, also if there is none yet; failures. */
static enum mk_status record_read(struct store_view *view, struct ids *ids)
{
    struct store_znode znode;

    store_view_blocking(view, true);
    enum mk_status status = store_znode_read(view, MK_BYTES(TREE_ANNOUNCED_PATH), true, &znode);
    ids_read(status == MK_OK ? znode.data : MK_BYTES(""), ids);
    return status == MK_NO_NODE ? MK_OK : status;
}

static enum mk_status record_write(struct server *server, const struct ids *ids)
{
    struct mk_buf text = {0};

    ids_put(&text, ids);
    enum mk_status status = server_propose_announced(server, mk_buf_view(&text));
    mk_buf_free(&text);
    return status;
}

/* ---- The leader ---- */

static struct server_peer *known_peer(const struct server *server, int64_t id)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->learner != NULL && zab_learner_known(peer->learner) &&
            zab_learner_id(peer->learner) == id) {
            return peer;
        }
    }
    return NULL;
}

/* What is true of the members now: whoever is connected by their own word, else by the record. */
static void members_look(const struct server *server, const struct ids *recorded, struct ids *ids,
                         struct mk_error *why)
{
    const struct zab_config *members = zab_config(server->zab);

    *ids = (struct ids){{false}};
    for (size_t i = 0; i < members->members_count; i++) {
        int64_t id = members->members[i].id;
        const struct server_peer *peer = known_peer(server, id);
        bool own = id == server->options.server_id;
        ids->has[id] =
            own || (peer != NULL ? zab_learner_announces(peer->learner) : recorded->has[id]);
        if (!ids->has[id] && why->text[0] == '\0') {
            mk_error_set(why,
                         peer != NULL ? "recipes stand still: server %" PRId64 " does not run them"
                                      : "recipes wait for server %" PRId64
                                        " to say that it runs them",
                         id);
        }
    }
}

/* Whoever is connected and no member: an observer that nobody was told of. */
static void strangers_look(const struct server *server, struct mk_error *why)
{
    struct mk_link *link = server->ensemble->peers.next;

    for (; link != &server->ensemble->peers && why->text[0] == '\0'; link = link->next) {
        struct server_peer *peer = MK_CONTAINER(link, struct server_peer, all);
        if (peer->learner != NULL && zab_learner_known(peer->learner) &&
            !zab_learner_announces(peer->learner)) {
            mk_error_set(why, "recipes stand still: server %" PRId64 " at %s does not run them",
                         zab_learner_id(peer->learner), peer->address);
        }
    }
}

static void pause(struct server *server, const char *why)
{
    const char *before = prepare_paused(server->prepare);

    if (before == NULL || strcmp(before, why) != 0) {
        prepare_pause(server->prepare, why);
        if (server_leads(server)) {
            mk_log(server->log, MK_LOG_INFO, "%s", why);
        }
    }
}

/* Those that wait go on where they stand. */
static enum mk_status resume(struct server *server)
{
    if (prepare_paused(server->prepare) == NULL) {
        return MK_OK;
    }
    prepare_lead(server->prepare);
    enum mk_status status = server_catalogue_install(server);
    if (status == MK_OK) {
        prepare_pause(server->prepare, NULL);
        server->calls_alive = true; /* until it is seen that there are none */
        server->calls_due_ms = server->now.monotonic_ms;
        mk_log(server->log, MK_LOG_INFO, "recipes run: all servers do");
    }
    return status;
}

static enum mk_status lead_review(struct server *server)
{
    struct mk_error why = {""};
    struct ids recorded, ids;
    enum mk_status status = record_read(store_speculative(server->store), &recorded);

    if (status != MK_OK) {
        return status;
    }
    members_look(server, &recorded, &ids, &why);
    strangers_look(server, &why);
    if (why.text[0] != '\0') {
        pause(server, why.text);
    }
    if (memcmp(&ids, &recorded, sizeof(ids)) != 0) {
        status = record_write(server, &ids);
    }
    return status == MK_OK && why.text[0] == '\0' ? resume(server) : status;
}

/* ---- A learner ---- */

static enum mk_status learn_review(struct server *server)
{
    const struct zab_config *members = zab_config(server->zab);
    struct mk_error why = {""};
    struct ids recorded;
    enum mk_status status = record_read(store_committed(server->store), &recorded);

    if (!zab_leader_announces(server->zab)) {
        mk_error_set(&why,
                     "recipes stand still: server %" PRId64 ", which leads, does not run them",
                     zab_leader(server->zab));
    }
    for (size_t i = 0; i < members->members_count && why.text[0] == '\0'; i++) {
        int64_t id = members->members[i].id;
        if (!recorded.has[id]) {
            mk_error_set(&why, "recipes wait for server %" PRId64 " to say that it runs them", id);
        }
    }
    if (why.text[0] != '\0') {
        pause(server, why.text);
    } else {
        prepare_pause(server->prepare, NULL);
    }
    return status;
}

/* ---- Both ---- */

void server_recipes_review(struct server *server)
{
    bool member = !server_alone(server) && server->options.recipes;
    enum mk_status status;

    server->ensemble->review_wanted = false;
    if (!member || server->prepare == NULL || server->failure.text[0] != '\0') {
        return; /* without a store for a moment, it does not serve */
    }
    if (!server->serving) {
        pause(server, "this server does not know who leads");
        return;
    }
    status = server_leads(server) ? lead_review(server) : learn_review(server);
    if (status == MK_WOULD_BLOCK || status == MK_OVERLOADED) {
        server->ensemble->review_wanted =
            true; /* the epoch's zxids are used up: another leads soon */
    } else if (status != MK_OK) {
        server_fail(server, status, "seeing whether recipes run");
    }
}

void server_recipes_applied(struct server *server, const struct jute_txn *txn)
{
    bool record = txn->client_id == 0 && (txn->type == JUTE_CREATE || txn->type == JUTE_SET_DATA) &&
                  mk_bytes_equal(txn->path, MK_BYTES(TREE_ANNOUNCED_PATH));

    if (record && server_learns(server)) {
        server_recipes_review(server);
    }
}
