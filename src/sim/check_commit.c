/* Each transaction that the server logs and commits: the next zxid, at a time that does not go
 * back, of a request that was really made, once, in the order of its connection, and what the model
 * makes of that request, to the byte. Transactions of calls are done as they say, and then judged
 * by what they did. */
#include "sim/check.h"

#include <string.h>

static void fail_txn(struct sim_check *check, const struct jute_txn *txn, const char *what)
{
    sim_check_fail(check, "transaction 0x%llx of session 0x%llx cxid=%d type=%d path=%.*s: %s",
                   (unsigned long long)txn->zxid, (unsigned long long)txn->client_id,
                   (int)txn->cxid, (int)txn->type, (int)txn->path.len,
                   txn->path.data == NULL ? "" : (const char *)txn->path.data, what);
}

/* ---- Sessions ---- */

/* In an ensemble it is not told whose it is, before the client is. */
static void commit_create_session_agreed(struct sim_check *check, const struct jute_txn *txn)
{
    if (sim_model_session(&check->model, txn->client_id) != NULL) {
        fail_txn(check, txn, "there is a session with this id");
        return;
    }
    (void)sim_model_session_add(&check->model, txn->client_id, txn->timeout_ms);
}

static void commit_create_session(struct sim_check *check, const struct jute_txn *txn)
{
    if (check->agreement != NULL) {
        commit_create_session_agreed(check, txn);
        return;
    }
    if (check->connecting_count == 0) {
        fail_txn(check, txn, "nobody has asked for a session");
        return;
    }
    struct sim_check_conn *conn = check->connecting[0];
    int32_t timeout_ms = check->connecting_timeouts[0];
    check->connecting_count--;
    memmove(check->connecting, check->connecting + 1,
            check->connecting_count * sizeof(*check->connecting));
    memmove(check->connecting_timeouts, check->connecting_timeouts + 1,
            check->connecting_count * sizeof(*check->connecting_timeouts));
    if (txn->client_id == 0 || sim_model_session_known(&check->model, txn->client_id)) {
        fail_txn(check, txn, "there was a session with this id before");
        return;
    }
    if (txn->timeout_ms != timeout_ms) {
        fail_txn(check, txn, "its timeout is not the one negotiated");
    }
    struct sim_session *session =
        sim_model_session_add(&check->model, txn->client_id, txn->timeout_ms);
    session->heard_ms = check->now_ms;
    if (conn != NULL) {
        conn->session = txn->client_id;
    }
}

/* What the closeSession must say, written to check->txn. */
static void expect_close(struct sim_check *check, const struct jute_txn *txn)
{
    struct sim_model *model = &check->model;
    struct mk_buf results = {0};
    struct jute_txn expected = *txn;
    struct mk_buf paths = {0};

    expected.paths = (struct jute_strings){0};
    mk_buf_printf(&results, SIM_CALLS_PATH "/.s%016llx", (unsigned long long)txn->client_id);
    for (size_t i = 0; i < model->znodes_count; i++) {
        if (sim_owner_session(model, model->znodes[i]->owner) == txn->client_id) {
            mk_buf_put_field(&paths, model->znodes[i]->path);
            expected.paths.count++;
        }
    }
    if (sim_model_find(model, mk_buf_view(&results)) != NULL) {
        mk_buf_put_field(&paths, mk_buf_view(&results));
        expected.paths.count++;
    }
    expected.paths.bytes = paths.len > 0 ? mk_buf_view(&paths) : MK_BYTES("");
    jute_txn_encode(&check->txn, &expected);
    mk_buf_free(&results);
    mk_buf_free(&paths);
}

static void conns_may_close(struct sim_check *check, mk_session session)
{
    for (size_t i = 0; i < check->conns_count; i++) {
        if (check->conns[i]->session == session) {
            check->conns[i]->may_close = true;
        }
    }
}

static void commit_close_session(struct sim_check *check, const struct jute_txn *txn,
                                 struct mk_bytes entry, struct sim_op *op)
{
    struct sim_session *session = sim_model_session(&check->model, txn->client_id);

    if (session == NULL) {
        fail_txn(check, txn, "there is no such session");
        return;
    }
    const struct sim_life *life = sim_life_of(check, txn->client_id);
    if (op == NULL && !(life != NULL ? life->expirable : session->expirable)) {
        fail_txn(check, txn, "the session has expired before its time");
    }
    check->stats.expired += op == NULL;
    expect_close(check, txn);
    if (!mk_bytes_equal(entry, mk_buf_view(&check->txn))) {
        fail_txn(check, txn, "it does not list the session's ephemerals");
        return;
    }
    struct jute_strings_cursor cursor = jute_strings_begin(txn->paths);
    struct mk_bytes path;
    while (jute_strings_next(&cursor, &path)) {
        sim_model_delete(&check->model, path);
    }
    sim_model_session_remove(&check->model, txn->client_id);
    sim_calls_gone(check, txn->client_id);
    sim_calls_forget(check, txn->client_id);
    conns_may_close(check, txn->client_id);
}

/* ---- Transactions that do as they say ---- */

static const char *do_create(struct sim_check *check, const struct jute_txn *part)
{
    struct sim_model *model = &check->model;

    if (!sim_path_valid(part->path) || part->path.len == 1) {
        return "it creates a znode whose path is not valid";
    }
    const struct sim_znode *parent = sim_model_find(model, sim_path_parent(part->path));
    if (parent == NULL || sim_model_find(model, part->path) != NULL) {
        return parent == NULL ? "it creates a znode without a parent"
                              : "it creates a znode that is there";
    }
    if (part->parent_cversion != (int32_t)((uint32_t)parent->created + 1u)) {
        return "it does not count the children";
    }
    int64_t owner = part->type == JUTE_CREATE_CONTAINER ? INT64_MIN
                    : part->ephemeral                   ? part->client_id
                                                        : 0;
    if (owner > 0 && sim_model_session(model, owner) == NULL) {
        return "it creates an ephemeral of a session that has ended";
    }
    (void)sim_model_create(model, part->path, part->data, part->acl, owner);
    return NULL;
}

static const char *do_part(struct sim_check *check, const struct jute_txn *part)
{
    const struct sim_znode *znode = NULL;

    switch (part->type) {
    case JUTE_CREATE:
    case JUTE_CREATE2:
    case JUTE_CREATE_CONTAINER: return do_create(check, part);
    case JUTE_DELETE:
        znode = sim_model_find(&check->model, part->path);
        if (znode == NULL || znode->children > 0) {
            return "it deletes what cannot be deleted";
        }
        sim_model_delete(&check->model, part->path);
        return NULL;
    case JUTE_SET_DATA:
        znode = sim_model_find(&check->model, part->path);
        if (znode == NULL || part->version != (int32_t)((uint32_t)znode->version + 1u)) {
            return "it sets what cannot be set";
        }
        (void)sim_model_set_data(&check->model, part->path, part->data);
        return NULL;
    default: return "it has a part that no call can have";
    }
}

static void commit_call(struct sim_check *check, const struct jute_txn *txn, struct sim_op *op)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    const char *wrong = NULL;

    while (wrong == NULL && jute_txn_next(&cursor, &part)) {
        wrong = do_part(check, &part);
        if (wrong != NULL) {
            fail_txn(check, &part, wrong);
        }
    }
    if (wrong == NULL) {
        sim_calls_follow(check, txn, op);
        sim_recipes_follow(check, txn, op);
    }
}

/* ---- Requests ---- */

struct sim_op *sim_op_of(struct sim_check *check, const struct jute_txn *txn)
{
    struct mk_link *writes = check->agreement == NULL ? &check->writes : &check->agreement->writes;
    struct mk_link *link;

    for (link = writes->next; link != writes; link = link->next) {
        struct sim_op *op = MK_CONTAINER(link, struct sim_op, in_check);
        if (op->session == txn->client_id && op->request.xid == txn->cxid) {
            return op;
        }
    }
    return NULL;
}

static void check_order(struct sim_check *check, const struct jute_txn *txn,
                        const struct sim_op *op)
{
    struct sim_session *session = sim_model_session(&check->model, op->session);
    if (session != NULL && session->last_committed > op->number) {
        fail_txn(check, txn, "a later request of the session has committed before");
    } else if (session != NULL) {
        session->last_committed = op->number;
    }
}

/* Creating or deleting a call node: the server makes a call's transaction of it, or refuses. */
static bool is_of_call(const struct sim_op *op)
{
    int32_t type = op->request.op;

    return type == JUTE_CALL ||
           ((type == JUTE_CREATE || type == JUTE_CREATE2 || type == JUTE_DELETE) &&
            op->request.path.data != NULL &&
            sim_path_below(op->request.path, MK_BYTES(SIM_CALLS_PATH)));
}

/* A session that has ended, or come to another server, writes no more: the leader says so. One that expires
 * has ended for it before the transaction that says so. */
static bool is_refusal(struct sim_check *check, const struct jute_txn *txn, const struct sim_op *op)
{
    const struct sim_life *life = sim_life_of(check, op->session);
    bool ended = sim_model_session(&check->model, op->session) == NULL;
    bool expired = txn->error == -112 && (ended || (life != NULL && life->expirable));
    bool moved = txn->error == -118 && sim_life_moved(check, op->session, op->server, op->asked_ms);

    return check->agreement != NULL && txn->type == JUTE_ERROR && (expired || moved);
}

static void commit_op(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry,
                      struct sim_op *op)
{
    struct sim_who who = {.session = op->session, .identities = &op->identities};

    bool refused = is_refusal(check, txn, op);
    if (!refused) {
        check_order(check, txn, op);
    }
    op->committed = true;
    op->zxid = txn->zxid;
    op->body.len = 0;
    if (refused) {
        op->error = txn->error;
        op->body_known = true;
        conns_may_close(check, op->session);
    } else if (txn->type == JUTE_CLOSE_SESSION) {
        op->body_known = true;
        commit_close_session(check, txn, entry, op);
    } else if (is_of_call(op)) {
        op->error = txn->type == JUTE_ERROR ? txn->error : 0;
        if (op->request.op == JUTE_CALL && op->request.dry_run) {
            fail_txn(check, txn, "a dry run has changed something");
        } else if (sim_operation_reads(sim_op_operation(op)) && op->request.op == JUTE_CALL) {
            fail_txn(check, txn, "a call that only reads has changed something");
        }
        if (txn->type == JUTE_MULTI) {
            commit_call(check, txn, op);
        } else if (txn->type != JUTE_ERROR) {
            fail_txn(check, txn, "it is no transaction of a call");
        }
    } else {
        op->error = sim_model_write(&check->model, &who, &op->request, &op->body, &check->txn);
        op->body_known = true;
        if (!mk_bytes_equal(entry, mk_buf_view(&check->txn))) {
            struct jute_txn expected;
            bool known = jute_txn_decode(mk_buf_view(&check->txn), &expected) == MK_OK;
            sim_check_fail(
                check,
                "transaction 0x%llx of session 0x%llx xid=%d op=%d path=%.*s is not "
                "what it must be: type=%d error=%d path=%.*s, expected type=%d "
                "error=%d path=%.*s",
                (unsigned long long)txn->zxid, (unsigned long long)txn->client_id, (int)txn->cxid,
                (int)op->request.op, (int)op->request.path.len, (const char *)op->request.path.data,
                (int)txn->type, (int)txn->error, (int)txn->path.len, (const char *)txn->path.data,
                known ? (int)expected.type : 0, known ? (int)expected.error : 0,
                known ? (int)expected.path.len : 0, known ? (const char *)expected.path.data : "");
        }
    }
    check->stats.errors += op->error != 0;
    if (!mk_list_empty(&op->in_check)) {
        mk_list_remove(&op->in_check);
        sim_op_unref(op);
    }
}

/* The reaper takes what has no children and is due, and writes no more than that. */
static void commit_reap(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry)
{
    const struct sim_znode *znode = sim_model_find(&check->model, txn->path);
    struct jute_txn expected = {.zxid = txn->zxid,
                                .time_ms = txn->time_ms,
                                .type = JUTE_DELETE_CONTAINER,
                                .path = txn->path};
    mk_ms due_ms;

    if (znode == NULL ||
        !sim_model_reapable(&check->model, znode, check->options->container_unused_ms, &due_ms)) {
        fail_txn(check, txn, "it reaps what is no empty container and has no TTL");
        return;
    }
    if (txn->time_ms < due_ms) {
        fail_txn(check, txn, "it is reaped before its time");
        return;
    }
    jute_txn_encode(&check->txn, &expected);
    if (!mk_bytes_equal(entry, mk_buf_view(&check->txn))) {
        fail_txn(check, txn, "the reaper's transaction says more than the path");
    }
    check->stats.reaped++;
    sim_model_delete(&check->model, txn->path);
}

/* A step of counting for a new quota: to a ZooKeeper, a deletion that came too late. */
static void commit_count(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry)
{
    struct jute_txn expected = {
        .zxid = txn->zxid, .time_ms = txn->time_ms, .type = JUTE_ERROR, .error = -101};

    jute_txn_encode(&check->txn, &expected);
    if (!mk_bytes_equal(entry, mk_buf_view(&check->txn))) {
        fail_txn(check, txn, "no such request is open");
    } else if (!sim_quota_count(&check->model)) {
        fail_txn(check, txn, "there is nothing to count");
    }
    check->stats.counts++;
}

static void commit_own(struct sim_check *check, const struct jute_txn *txn, struct mk_bytes entry)
{
    switch (txn->type) {
    case JUTE_CREATE_SESSION: commit_create_session(check, txn); break;
    case JUTE_CLOSE_SESSION: commit_close_session(check, txn, entry, NULL); break;
    case JUTE_MULTI:
        if (txn->cxid != 0) {
            fail_txn(check, txn, "no such request is open");
        }
        commit_call(check, txn, NULL);
        break;
    case JUTE_ERROR:
        if (txn->cxid != 0 || txn->error != -112 ||
            sim_life_of(check, txn->client_id) == NULL) { /* else its maker asks twice */
            commit_count(check, txn, entry);
        }
        break;
    case JUTE_DELETE_CONTAINER: commit_reap(check, txn, entry); break;
    default: fail_txn(check, txn, "no such request is open"); break;
    }
}

static bool zxid_follows(mk_zxid before, mk_zxid zxid)
{
    return zxid == before + 1 || (zxid >> 32 > before >> 32 && (zxid & 0xffffffff) == 1);
}

void sim_check_commit(struct sim_check *check, struct mk_bytes entry)
{
    struct jute_txn txn;

    if (!sim_check_ok(check)) {
        return;
    }
    check->stats.commits++;
    if (jute_txn_decode(entry, &txn) != MK_OK) {
        sim_check_fail(check, "a transaction behind 0x%llx cannot be decoded",
                       (unsigned long long)check->model.zxid);
        return;
    }
    if (!zxid_follows(check->model.zxid, txn.zxid)) {
        fail_txn(check, &txn, "its zxid does not follow the one before");
        return;
    }
    bool begins = check->agreement != NULL && (txn.zxid & 0xffffffff) == 1;
    if (txn.time_ms < check->model.time_ms && !begins) {
        fail_txn(check, &txn, "log time went back");
    }
    check->txn.len = 0;
    sim_recipes_before(check);
    sim_model_begin(&check->model, txn.zxid, txn.time_ms);
    struct sim_op *op = txn.type == JUTE_CREATE_SESSION ? NULL : sim_op_of(check, &txn);
    if (check->agreement != NULL && !sim_agree(check, &txn, entry, &op)) {
        return;
    }
    if (op != NULL) {
        op->refs++;
        commit_op(check, &txn, entry, op);
        sim_op_unref(op);
    } else {
        commit_own(check, &txn, entry);
    }
    sim_recipes_after(check);
    if (sim_check_ok(check)) {
        sim_watches_fire(check);
    }
}
