/* Recipes that are deployed while calls wait on them, and calls whose answers the model knows: a call
 * finishes on the version that it began with; only who may deploy does; a dry run changes nothing, and
 * tells what would happen; a call that only reads answers what is true at its zxid; one that outlives
 * its session is not ended with it. */
#include <stdio.h>
#include <string.h>

#include "sim/check.h"

#define GATE_PATH SIM_RECIPES_PATH "/gate"
#define ENDING_PATH SIM_RECIPES_PATH "/.ending"

/* ---- Before and after each transaction ---- */

int64_t sim_tally_now(const struct sim_check *check)
{
    const struct sim_znode *znode = sim_model_find(&check->model, MK_BYTES("/tally"));

    /* Whatever else clients write there is no number to the recipe either. */
    return znode == NULL ? 0 : sim_number_of(znode->data);
}

/* The source of the active version of gate; NULL: there is none. */
static const struct sim_znode *gate_source(const struct sim_check *check)
{
    const struct sim_znode *recipe = sim_model_find(&check->model, MK_BYTES(GATE_PATH));
    struct mk_buf path = {0};

    if (recipe == NULL || recipe->data.len == 0) {
        return NULL;
    }
    mk_buf_printf(&path, GATE_PATH "/%.*s", (int)recipe->data.len, (const char *)recipe->data.data);
    const struct sim_znode *source = sim_model_find(&check->model, mk_buf_view(&path));
    mk_buf_free(&path);
    return source;
}

static int gate_now(const struct sim_check *check)
{
    const struct sim_znode *source = gate_source(check);

    return source == NULL ? -1 : sim_gate_version(source->data);
}

void sim_recipes_before(struct sim_check *check)
{
    check->gate_before = gate_now(check);
    check->tally_before = sim_tally_now(check);
}

void sim_recipes_after(struct sim_check *check)
{
    int64_t value = sim_tally_now(check);

    if (value != check->tally_before) {
        check->tallies = sim_grown(check->tallies, check->tallies_count, &check->tallies_cap,
                                   sizeof(*check->tallies));
        check->tallies[check->tallies_count++] =
            (struct sim_tally){.zxid = check->model.zxid, .value = value};
    }
}

/* As of the last transaction before `zxid`. */
static int64_t tally_before(const struct sim_check *check, mk_zxid zxid)
{
    size_t i = check->tallies_count;

    while (i > 0 && check->tallies[i - 1].zxid >= zxid) {
        i--;
    }
    return i == 0 ? 0 : check->tallies[i - 1].value;
}

/* ---- Versions ---- */

static bool is_super(const struct sim_identities *identities)
{
    for (size_t i = 0; i < identities->count; i++) {
        if (strcmp(identities->list[i].scheme, "super") == 0) {
            return true;
        }
    }
    return false;
}

bool sim_version_marked(const struct sim_check *check, struct mk_bytes version)
{
    struct mk_buf mark = {0};
    struct mk_bytes recipe =
        version.data == NULL ? MK_BYTES_NULL : sim_path_parent(version); /* ".../gate" */

    if (version.data == NULL) {
        return false;
    }
    size_t skip = sizeof(SIM_RECIPES_PATH);
    mk_buf_printf(&mark, ENDING_PATH "/%.*s.%.*s", (int)(recipe.len - skip),
                  (const char *)recipe.data + skip, (int)(version.len - recipe.len - 1),
                  (const char *)version.data + recipe.len + 1);
    bool marked = sim_model_find(&check->model, mk_buf_view(&mark)) != NULL;
    mk_buf_free(&mark);
    return marked;
}

/* The path of the version that the call runs on; null for the server's own recipe. */
static void put_version_path(struct mk_buf *out, const struct tree_call *record)
{
    const uint8_t *dot = memchr(record->operation.data, '.', record->operation.len);
    int len = (int)(dot - record->operation.data);

    mk_buf_printf(out, SIM_RECIPES_PATH "/%.*s/%.*s", len, (const char *)record->operation.data,
                  (int)record->version.len, (const char *)record->version.data);
}

/* It begins on the version that is active, and stays with that. */
void sim_version_follow(struct sim_check *check, struct sim_call *call,
                        const struct tree_call *record)
{
    struct mk_buf path = {0};

    if (call->finished || sim_operation_deploys(call->operation)) {
        return;
    }
    put_version_path(&path, record);
    struct mk_bytes version = mk_buf_view(&path);
    if (call->version.data == NULL) {
        const struct sim_znode *recipe = sim_model_find(&check->model, sim_path_parent(version));
        const struct sim_znode *source = sim_model_find(&check->model, version);
        if (recipe == NULL || source == NULL || !mk_bytes_equal(recipe->data, record->version)) {
            sim_check_fail(check, "call 0x%llx begins on %.*s, which is not the active version",
                           (unsigned long long)call->number, (int)version.len,
                           (const char *)version.data);
        } else {
            call->gate = sim_gate_version(source->data);
            sim_set_bytes(&call->version, version);
        }
    } else if (!mk_bytes_equal(call->version, version)) {
        sim_check_fail(check, "call 0x%llx goes on with %.*s", (unsigned long long)call->number,
                       (int)version.len, (const char *)version.data);
    }
    mk_buf_free(&path);
}

/* A recipe's data names one of its versions, or nothing, while it is being removed. */
static void check_active(struct sim_check *check)
{
    const struct sim_model *model = &check->model;

    for (size_t i = sim_model_rank(model, MK_BYTES(SIM_RECIPES_PATH)); i < model->znodes_count;
         i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (!mk_bytes_starts(znode->path, MK_BYTES(SIM_RECIPES_PATH))) {
            break;
        }
        if (!sim_path_child_of(znode->path, MK_BYTES(SIM_RECIPES_PATH)) || znode->data.len == 0) {
            continue;
        }
        struct mk_buf path = {0};
        mk_buf_printf(&path, "%.*s/%.*s", (int)znode->path.len, (const char *)znode->path.data,
                      (int)znode->data.len, (const char *)znode->data.data);
        if (sim_model_find(model, mk_buf_view(&path)) == NULL) {
            sim_check_fail(check, "%.*s is the active version, and is not there", (int)path.len,
                           (const char *)path.data);
        }
        mk_buf_free(&path);
    }
}

static void check_waited_on(struct sim_check *check)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *call = &check->calls[i];
        if (!call->finished && call->version.data != NULL &&
            sim_model_find(&check->model, call->version) == NULL) {
            sim_check_fail(check, "call 0x%llx waits on %.*s, which is gone",
                           (unsigned long long)call->number, (int)call->version.len,
                           (const char *)call->version.data);
        }
    }
}

void sim_recipes_follow(struct sim_check *check, const struct jute_txn *txn,
                        const struct sim_op *op)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    bool touched = false;

    while (jute_txn_next(&cursor, &part)) {
        touched = touched || sim_path_below(part.path, MK_BYTES(SIM_RECIPES_PATH));
    }
    if (!touched) {
        return;
    }
    bool by_server = op == NULL && txn->client_id == 0;
    bool by_right =
        op != NULL && sim_operation_deploys(sim_op_operation(op)) && is_super(&op->identities);
    if (!by_server && !by_right) {
        sim_check_fail(check, "transaction 0x%llx of session 0x%llx changes recipes, and may not",
                       (unsigned long long)txn->zxid, (unsigned long long)txn->client_id);
    }
    check->stats.deployments++;
    check_active(check);
    check_waited_on(check);
}

/* ---- What calls return ---- */

static bool has(struct mk_bytes text, const char *part)
{
    return text.len > 0 && memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static int64_t added(const struct sim_op *op)
{
    return sim_number_of(sim_json_member(op->request.data, "\"by\":", ",}"));
}

static void put_tally(struct mk_buf *out, int64_t value, mk_zxid zxid)
{
    mk_buf_printf(out, "{\"value\":%lld,\"zxid\":%lld}", (long long)value, (long long)zxid);
}

bool sim_tally_body(const struct sim_check *check, const struct sim_op *op, struct mk_buf *body)
{
    struct mk_buf value = {0};

    put_tally(&value, check->tally_before + added(op), check->model.zxid);
    mk_buf_put_field(body, MK_BYTES_NULL);
    mk_buf_put_field(body, MK_BYTES_NULL);
    mk_buf_put_field(body, mk_buf_view(&value));
    mk_buf_free(&value);
    return true;
}

/* Of a deployment that says what is active now: it is. */
static const char *deployed_wrongly(const struct sim_check *check, const struct sim_ending *ending,
                                    struct mk_bytes value)
{
    const struct sim_znode *recipe = sim_model_find(&check->model, MK_BYTES(GATE_PATH));
    const struct sim_znode *source = gate_source(check);
    struct mk_bytes version = sim_json_member(value, "\"version\":\"", "\"");
    bool changed = has(value, "\"changed\":true");

    if (recipe == NULL || source == NULL || !mk_bytes_equal(recipe->data, version)) {
        return "it says that another version is active";
    }
    if (ending->operation == SIM_DEPLOY &&
        memmem(ending->op->request.data.data, ending->op->request.data.len, source->data.data,
               source->data.len) == NULL) {
        return "the active version is not what was deployed";
    }
    return changed == (gate_now(check) == check->gate_before) ? "it has changed what it says not"
                                                              : NULL;
}

static const char *deployment_wrong(const struct sim_check *check, const struct sim_ending *ending,
                                    struct mk_bytes value)
{
    const struct sim_op *op = ending->op;

    if (op == NULL || ending->call != NULL) {
        return ending->operation == SIM_REMOVE ? NULL : "it has waited";
    }
    if (!is_super(&op->identities)) {
        return "who asked may not";
    }
    switch (ending->operation) {
    case SIM_DEPLOY:
    case SIM_ROLLBACK: return deployed_wrongly(check, ending, value);
    case SIM_UPGRADE:
        return has(value, "\"changed\":false") ? NULL : "the catalogue is what it was";
    default:
        return !has(op->request.data, "\"version\"") &&
                       sim_model_find(&check->model, MK_BYTES(GATE_PATH)) != NULL
                   ? "what is removed is there"
                   : NULL;
    }
}

void sim_recipe_returned(struct sim_check *check, const struct sim_ending *ending,
                         struct mk_bytes value)
{
    struct mk_buf expected = {0};
    const char *wrong = NULL;

    switch (ending->operation) {
    case SIM_PASS:
        check->stats.passes += ending->call != NULL;
        mk_buf_printf(&expected, "{\"gate\":%d}",
                      ending->call != NULL ? ending->call->gate : check->gate_before);
        break;
    case SIM_ADD:
        put_tally(&expected, check->tally_before + (ending->op == NULL ? 0 : added(ending->op)),
                  check->model.zxid);
        break;
    case SIM_KEEP: put_tally(&expected, check->tally_before + 1, check->model.zxid); break;
    default:
        wrong = sim_operation_deploys(ending->operation) ? deployment_wrong(check, ending, value)
                                                         : "nobody makes such calls";
        break;
    }
    if (expected.len > 0 && !mk_bytes_equal(mk_buf_view(&expected), value)) {
        wrong = "it must return something else";
    }
    if (wrong != NULL) {
        sim_check_fail(check, "call 0x%llx returned %.*s, expected %.*s: %s",
                       (unsigned long long)ending->number, (int)value.len, (const char *)value.data,
                       (int)expected.len, expected.len > 0 ? (const char *)expected.data : "",
                       wrong);
    }
    mk_buf_free(&expected);
}

void sim_recipe_failed(struct sim_check *check, const struct sim_ending *ending,
                       struct mk_bytes error)
{
    const char *wrong = NULL;

    if (sim_operation_deploys(ending->operation) && ending->op != NULL && ending->call == NULL) {
        bool no_auth = mk_bytes_equal(error, MK_BYTES("NoAuth"));
        wrong = no_auth != is_super(&ending->op->identities) ? NULL : "who may deploy, does";
    } else if (ending->op == NULL && mk_bytes_equal(error, MK_BYTES("Cancelled")) &&
               !(ending->call != NULL && sim_version_marked(check, ending->call->version))) {
        wrong = "nobody has cancelled it";
    } else if (ending->operation == SIM_KEEP && mk_bytes_equal(error, MK_BYTES("SessionExpired"))) {
        wrong = "it outlives its session";
    }
    if (wrong != NULL) {
        sim_check_fail(check, "call 0x%llx failed with %.*s: %s",
                       (unsigned long long)ending->number, (int)error.len, (const char *)error.data,
                       wrong);
    }
}

/* ---- Replies to what leaves no transaction ---- */

static void fail_reply(struct sim_check *check, const struct sim_op *op,
                       const struct jute_reply *reply, const struct sim_result *result,
                       const char *what)
{
    sim_check_fail(check, "xid %d (%s) of session 0x%llx was answered at 0x%llx with %.*s%.*s: %s",
                   (int)op->request.xid,
                   op->request.dry_run ? "a dry run" : "a call that only reads",
                   (unsigned long long)op->session, (unsigned long long)reply->zxid,
                   (int)result->error.len, (const char *)result->error.data, (int)result->value.len,
                   (const char *)result->value.data, what);
}

static const char *listed_wrongly(const struct sim_check *check, const struct sim_result *result)
{
    const struct sim_znode *recipe = sim_model_find(&check->model, MK_BYTES(GATE_PATH));
    struct mk_buf expected = {0};

    if (recipe == NULL) {
        return mk_bytes_equal(result->error, MK_BYTES("NoNode")) ? NULL : "there is no such recipe";
    }
    if (recipe->data.len == 0) {
        return has(result->value, "\"state\":\"removing\"") ? NULL : "it is being removed";
    }
    /* Its children are the versions and the history. */
    mk_buf_printf(&expected, "\"state\":\"active\",\"version\":\"%.*s\",\"versions\":%d",
                  (int)recipe->data.len, (const char *)recipe->data.data, recipe->children - 1);
    mk_buf_put_u8(&expected, '\0');
    const char *wrong =
        has(result->value, (const char *)expected.data) ? NULL : "another version is active";
    mk_buf_free(&expected);
    return wrong;
}

static const char *got_wrongly(const struct sim_check *check, const struct sim_op *op,
                               const struct sim_result *result)
{
    mk_zxid zxid = sim_number_of(sim_json_member(result->value, "\"zxid\":", "}"));
    struct mk_buf expected = {0};

    put_tally(&expected, tally_before(check, zxid + 1), zxid);
    const char *wrong = zxid < op->received_zxid || zxid > check->model.zxid
                            ? "that is no state that it may have seen"
                        : mk_bytes_equal(result->value, mk_buf_view(&expected))
                            ? NULL
                            : "this is not so at that zxid";
    mk_buf_free(&expected);
    return wrong;
}

/* Whoever is said to hold a lock has been granted it. */
static const char *held_wrongly(const struct sim_check *check, const struct sim_result *result)
{
    struct mk_bytes ticket = sim_json_member(result->value, "\"ticket\":\"", "\"");
    const struct sim_znode *znode = sim_model_find(&check->model, ticket);

    return znode == NULL || sim_lock_first(check, sim_path_parent(ticket)) == znode
               ? NULL
               : "somebody else holds it";
}

void sim_call_read_replied(struct sim_check *check, const struct sim_op *op,
                           const struct jute_reply *reply)
{
    const struct sim_session *session = sim_model_session(&check->model, op->session);
    struct sim_result result = {0};
    const char *wrong = NULL;

    check->stats.call_reads++;
    if (reply->error != 0 || !sim_result_of_body(reply->body, &result)) {
        wrong = "that is no answer to a call";
    } else if (sim_result_refused(&result) || mk_bytes_equal(result.error, MK_BYTES("Io"))) {
        return; /* it never ran; or the disk fails, and the machine is about to */
    } else if (session != NULL && session->last_committed > op->number) {
        wrong = "a later write of its session came first";
    } else {
        wrong = sim_op_operation(op) == SIM_GET    ? got_wrongly(check, op, &result)
                : sim_op_operation(op) == SIM_LIST ? listed_wrongly(check, &result)
                                                   : held_wrongly(check, &result);
    }
    if (wrong != NULL) {
        fail_reply(check, op, reply, &result, wrong);
    }
}

/* It tells what a call of tally.add would have done that was made when this was tried, but for the
 * instructions: behind some transaction from its receipt to its reply. */
static const char *tried_wrongly(const struct sim_check *check, const struct sim_op *op,
                                 const struct sim_result *result)
{
    mk_zxid zxid = sim_number_of(sim_json_member(result->value, "\"zxid\":", "}"));
    struct mk_buf expected = {0};
    const char *wrong = NULL;

    if (has(result->value, "\"outcome\":\"failed\",\"error\":\"Io\"")) {
        return NULL; /* the disk fails, and the machine is about to */
    }
    if (zxid <= op->received_zxid ||
        (zxid > check->model.zxid + 1 && (zxid & 0xffffffff) != 1)) { /* or an epoch begins */
        return "no such transaction was to come";
    }
    int64_t value = tally_before(check, zxid) + added(op);
    mk_buf_append_bytes(&expected, MK_BYTES("{\"outcome\":\"returned\",\"result\":"));
    put_tally(&expected, value, zxid);
    mk_buf_append_bytes(&expected, MK_BYTES(",\"reads\":[{\"znode\":\"/tally\"}],\"effects\":["));
    struct mk_bytes rest = result->value;
    if (!mk_bytes_starts(rest, mk_buf_view(&expected))) {
        wrong = "that is not what would happen";
    } else {
        rest.data += expected.len;
        rest.len -= expected.len;
        expected.len = 0;
        mk_buf_printf(&expected, "{\"set\":\"/tally\",\"bytes\":%d}],\"instructions\":",
                      snprintf(NULL, 0, "%lld", (long long)value));
        wrong =
            mk_bytes_starts(rest, mk_buf_view(&expected)) ||
                    mk_bytes_starts(rest, MK_BYTES("{\"create\":\"/tally\"}],\"instructions\":"))
                ? NULL
                : "these are not its effects";
    }
    mk_buf_free(&expected);
    return wrong;
}

void sim_call_tried_replied(struct sim_check *check, const struct sim_op *op,
                            const struct jute_reply *reply)
{
    struct sim_result result = {0};
    const char *wrong = NULL;

    check->stats.dry_runs++;
    if (reply->error != 0 || !sim_result_of_body(reply->body, &result)) {
        wrong = "that is no answer to a call";
    } else if (sim_result_refused(&result)) {
        return;
    } else if (op->committed) {
        wrong = "it has a transaction";
    } else if (!mk_bytes_starts(result.value, MK_BYTES("{\"outcome\":\""))) {
        wrong = "that is no report";
    } else if (sim_op_operation(op) == SIM_ADD) {
        wrong = tried_wrongly(check, op, &result);
    }
    if (wrong != NULL) {
        fail_reply(check, op, reply, &result, wrong);
    }
}

/* ---- When nothing is under way ---- */

void sim_recipes_quiet(struct sim_check *check)
{
    const struct sim_znode *ending = sim_model_find(&check->model, MK_BYTES(ENDING_PATH));
    const struct sim_znode *gate = sim_model_find(&check->model, MK_BYTES(GATE_PATH));

    if ((ending != NULL && ending->children > 0) || (gate != NULL && gate->data.len == 0)) {
        sim_check_fail(check, "the removal of a recipe's version never comes to its end");
    }
}
