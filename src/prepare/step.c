/* One transaction of one call.
 *
 *   step_run:  begin -> run -> returned: finish | parked: write the record | failed: abort, step_end
 *   step_end:  begin -> cancel -> remove what the call made -> finish
 *
 * A finished call that was made through a call node leaves the result there, and its record stays,
 * without an operation, as the reminder to remove both. Any other leaves its result in the session's
 * record of results, if it has an id, and nothing else. */
#include <string.h>

#include "prepare/context.h"

/* A call that is woken this often without ending is slowed, then given up. */
#define WAKES_FREE 64
#define WAKES_MAX 10000
#define WAKE_DELAY_MAX_MS 1000

/* ---- The transaction ---- */

void prepare_step_begin(struct call_step *step)
{
    struct jute_txn header = {
        .client_id = step->who.session,
        .cxid = step->who.cxid,
        .zxid = step->at.zxid,
        .time_ms = step->at.time_ms,
        .type = JUTE_MULTI,
    };
    step->start = step->out->len;
    step->prepare->builtin.audit.len = 0;
    step->ended = false;
    store_begin(step->prepare->view, step->at.zxid, step->at.time_ms);
    step->multi = jute_txn_multi_begin(step->out, &header);
}

void prepare_step_abort(struct call_step *step)
{
    store_abort(step->prepare->view);
    step->out->len = step->start;
}

void prepare_step_put(struct call_step *step, const struct jute_txn *part)
{
    jute_txn_multi_put(step->out, &step->multi, part);
}

void prepare_step_commit(struct call_step *step)
{
    jute_txn_multi_end(step->out, &step->multi);
    store_end(step->prepare->view);
    prepare_figures_commit(step);
}

/* ---- The server's own parts ---- */

static enum mk_status put_own_create(struct call_step *step, struct mk_bytes path,
                                     struct mk_bytes data, mk_session owner)
{
    struct jute_txn part;
    enum mk_status status =
        prepare_own_create(step->prepare, path, data, MK_BYTES_NULL, owner, false, &part);

    if (status == MK_OK) {
        prepare_step_put(step, &part);
    }
    return status;
}

static enum mk_status put_own_set(struct call_step *step, struct mk_bytes path,
                                  struct mk_bytes data)
{
    struct jute_txn part;
    enum mk_status status = prepare_own_set_data(step->prepare, path, data, &part);

    if (status == MK_OK) {
        prepare_step_put(step, &part);
    }
    return status;
}

/* Whatever has gone already is fine: the client may have deleted it. */
static enum mk_status put_own_delete(struct call_step *step, struct mk_bytes path)
{
    struct jute_txn part;
    enum mk_status status = prepare_own_delete(step->prepare, path, &part);

    if (status == MK_OK) {
        prepare_step_put(step, &part);
    }
    return status == MK_NO_NODE || status == MK_NOT_EMPTY ? MK_OK : status;
}

/* What has been put together in the scratch buffer, in the scraps. */
static struct mk_bytes scratch_keep(struct call_step *step)
{
    return mk_arena_copy(&step->prepare->scraps, mk_buf_view(&step->prepare->scratch));
}

static struct mk_bytes record_path(struct call_step *step)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];

    tree_call_record_path(path, step->number);
    return mk_arena_copy(&step->prepare->scraps, mk_bytes_of(path, sizeof(path)));
}

static enum mk_status put_record(struct call_step *step)
{
    tree_call_encode(prepare_scratch(step->prepare), &step->call);
    struct mk_bytes data = scratch_keep(step);
    return step->first ? put_own_create(step, record_path(step), data, 0)
                       : put_own_set(step, record_path(step), data);
}

/* "/zookeeper/calls/lock.acquire-0000000100000007", behind Curator's protection prefix if it had one;
 * in `node` before the first run is the path up to the number. */
static struct mk_bytes node_path(struct call_step *step)
{
    static const char digits[] = "0123456789abcdef";

    if (!step->first) {
        return step->node;
    }
    struct mk_buf *buf = prepare_scratch(step->prepare);
    if (step->node.data != NULL) {
        mk_buf_append_bytes(buf, step->node);
    } else {
        mk_buf_append_bytes(buf, MK_BYTES(TREE_CALLS_PATH "/"));
        mk_buf_append_bytes(buf, step->call.operation);
        mk_buf_put_u8(buf, '-');
    }
    for (int shift = 60; shift >= 0; shift -= 4) {
        mk_buf_put_u8(buf, (uint8_t)digits[((uint64_t)step->number >> shift) & 15]);
    }
    return scratch_keep(step);
}

/* Who may read and delete the node of a call that outlives its session: whoever can prove to be who
 * called, or everybody, if that was nobody in particular. */
static struct mk_bytes outliving_acl(struct call_step *step)
{
    struct mk_buf asked = {0};
    struct mk_buf fixed = {0};
    bool open = false;

    mk_buf_put_i32(&asked, 1);
    mk_buf_put_i32(&asked, TREE_READ | TREE_DELETE);
    mk_buf_put_field(&asked, MK_BYTES("auth"));
    mk_buf_put_field(&asked, MK_BYTES(""));
    enum mk_status status = tree_acl_fix(&step->prepare->options.acl, mk_buf_view(&asked),
                                         step->call.identities, &fixed, &open);
    struct mk_bytes acl = status == MK_OK && !open
                              ? mk_arena_copy(&step->prepare->scraps, mk_buf_view(&fixed))
                              : MK_BYTES_NULL;
    mk_buf_free(&fixed);
    mk_buf_free(&asked);
    return acl;
}

static enum mk_status put_node_waiting(struct call_step *step)
{
    struct mk_bytes waiting = MK_BYTES("{\"state\":\"waiting\"}");
    struct jute_txn part;
    bool outlives = step->call.outlives_session;
    mk_session owner = outlives ? 0 : step->call.session;
    struct mk_bytes acl = outlives ? outliving_acl(step) : MK_BYTES_NULL;

    step->node = node_path(step);
    step->call.node_path = step->node;
    enum mk_status status =
        prepare_own_create(step->prepare, step->node, waiting, acl, owner, false, &part);
    if (status == MK_OK) {
        part.type = step->node_type != 0 ? step->node_type : JUTE_CREATE;
        prepare_step_put(step, &part);
    }
    return status;
}

/* ---- How a call ends ---- */

static struct mk_bytes node_data(struct call_step *step, const char *error, struct mk_bytes message,
                                 struct mk_bytes result)
{
    struct mk_buf *buf = prepare_scratch(step->prepare);

    if (error == NULL) {
        mk_buf_append_bytes(buf, MK_BYTES("{\"state\":\"done\",\"result\":"));
        mk_buf_append_bytes(buf, result);
    } else {
        mk_buf_append_bytes(buf, MK_BYTES("{\"state\":\"failed\",\"error\":"));
        recipe_json_string(buf, mk_bytes_text(error));
        mk_buf_append_bytes(buf, MK_BYTES(",\"message\":"));
        recipe_json_string(buf, message);
    }
    mk_buf_put_u8(buf, '}');
    return scratch_keep(step);
}

static void put_body(struct mk_buf *body, const char *error, struct mk_bytes message,
                     struct mk_bytes result)
{
    mk_buf_put_field(body, error == NULL ? MK_BYTES_NULL : mk_bytes_text(error));
    mk_buf_put_field(body, error == NULL ? MK_BYTES_NULL : message);
    mk_buf_put_field(body, error == NULL ? result : MK_BYTES_NULL);
}

void prepare_call_lost(struct mk_buf *body)
{
    put_body(body, PREPARE_GONE_ERROR, MK_BYTES(PREPARE_GONE_MESSAGE), MK_BYTES_NULL);
}

static enum mk_status finish_node(struct call_step *step, struct mk_bytes data)
{
    enum mk_status status = MK_OK;

    if (step->first) {
        status = put_node_waiting(step);
    }
    if (status == MK_OK) {
        status = put_own_set(step, step->node, data);
    }
    if (status == MK_NO_NODE && !step->first) { /* its gate was closed, and somebody deleted it */
        return put_own_delete(step, record_path(step));
    }
    if (status != MK_OK) {
        return status;
    }
    /* The record stays as the reminder to remove the node after a while, or with the session. */
    step->call = (struct tree_call){
        .session = step->call.session,
        .node = true,
        .outlives_session = step->call.outlives_session,
        .made_ms = step->call.made_ms,
        .deadline_ms = step->at.time_ms + step->prepare->options.call_result_ms,
        .operation = MK_BYTES(""),
        .version = MK_BYTES(""),
        .chroot = MK_BYTES(""),
        .arguments = MK_BYTES_NULL,
        .identities = MK_BYTES(""),
        .once = MK_BYTES(""),
        .node_path = step->node,
    };
    return put_record(step);
}

/* Of a call that answers an opcode-700 request: the node and record go, the result is remembered. */
static enum mk_status finish_plain(struct call_step *step, struct mk_bytes body)
{
    enum mk_status status = MK_OK;
    struct jute_txn part;
    int32_t timeout_ms;

    if (!step->first) {
        status = put_own_delete(step, record_path(step));
        if (status == MK_OK && step->node.data != NULL) {
            status = put_own_delete(step, step->node);
        }
    }
    if (status == MK_OK && step->call.call_id > 0 && !step->session_ends) {
        status = store_session_read(step->prepare->view, step->call.session, &timeout_ms);
        if (status == MK_NO_NODE) {
            return MK_OK; /* the call has outlived its session: nobody can ask again */
        }
        if (status == MK_OK && !step->results_read) {
            status = prepare_results_read(step->prepare, step->call.session, step->call.call_id, 0,
                                          &step->results);
        }
        if (status == MK_OK) {
            status = prepare_results_add(step->prepare, step->call.session, &step->results,
                                         step->call.call_id, body, &part);
        }
        if (status == MK_OK) {
            prepare_step_put(step, &part);
        }
    }
    return status;
}

static enum mk_status finish(struct call_step *step, const char *error, struct mk_bytes message,
                             struct mk_bytes result, struct mk_buf *body)
{
    size_t start = body->len;

    prepare_figures_ended(step, error != NULL);
    put_body(body, error, message, result);
    if (step->call.node && !step->delete_node && !step->session_ends) {
        return finish_node(step, node_data(step, error, message, result));
    }
    struct mk_bytes written = mk_bytes_of(body->data + start, body->len - start);
    return finish_plain(step, written);
}

/* ---- Versions ---- */

enum mk_status prepare_step_version(struct prepare *prepare, struct mk_bytes name,
                                    struct mk_bytes hash, struct recipe_version **version,
                                    struct mk_error *error)
{
    if (prepare->engine == NULL) {
        mk_error_set(error, "recipes are switched off on this server");
        return MK_UNIMPLEMENTED;
    }
    if (mk_bytes_equal(name, MK_BYTES("recipe"))) {
        *version =
            prepare->builtin.version; /* of this server, whatever it was when the call began */
        return MK_OK;
    }
    *version = recipe_version_find(prepare->engine, hash);
    if (*version != NULL) {
        return MK_OK;
    }
    struct mk_buf path = {0};
    struct store_znode znode;
    mk_buf_printf(&path, TREE_RECIPES_PATH "/%.*s/%.*s", (int)name.len, (const char *)name.data,
                  (int)hash.len, (const char *)hash.data);
    enum mk_status status = store_znode_read(prepare->view, mk_buf_view(&path), true, &znode);
    mk_buf_free(&path);
    if (status != MK_OK) {
        mk_error_set(error, "version %.*s of recipe %.*s is gone", (int)hash.len,
                     (const char *)hash.data, (int)name.len, (const char *)name.data);
        return status;
    }
    struct mk_bytes source = mk_arena_copy(&prepare->scraps, znode.data);
    *version = recipe_version_load(prepare->engine, name, source, error);
    return *version != NULL ? MK_OK : MK_BAD_ARGUMENTS;
}

/* The operation that the call runs; NULL: its version cannot be loaded (any more). */
static enum mk_status step_operation(struct call_step *step, struct recipe_version **version,
                                     const struct recipe_operation **operation,
                                     struct mk_error *error)
{
    struct mk_bytes full = step->call.operation;
    const uint8_t *dot = full.len > 0 ? memchr(full.data, '.', full.len) : NULL;

    *operation = NULL;
    if (dot == NULL) {
        mk_error_set(error, "not an operation's name");
        return MK_NO_NODE;
    }
    size_t name_len = (size_t)(dot - full.data);
    enum mk_status status = prepare_step_version(step->prepare, mk_bytes_of(full.data, name_len),
                                                 step->call.version, version, error);
    if (status == MK_OK) {
        *operation = recipe_operation_find(*version, mk_bytes_of(dot + 1, full.len - name_len - 1));
        if (*operation == NULL) {
            mk_error_set(error, "the recipe has no such operation");
            status = MK_NO_NODE;
        }
    }
    return status;
}

/* A run's buffers serve the next one, too, unless this one has made them large. */
#define RUN_BUFFER_BYTES_KEPT 4096

static void run_done(struct call_step *step, struct recipe_run *run)
{
    struct mk_buf *kept = step->prepare->run_buffers;
    struct mk_buf *used[RUN_BUFFERS] = {&run->result, &run->message, &run->once_out,
                                        &run->wait_paths};

    for (size_t i = 0; i < RUN_BUFFERS; i++) {
        if (kept[i].data == NULL && used[i]->cap <= RUN_BUFFER_BYTES_KEPT) {
            kept[i] = *used[i];
            kept[i].len = 0;
            *used[i] = (struct mk_buf){0};
        }
    }
    recipe_run_deinit(run);
}

static struct mk_buf buffer_take(struct call_step *step, enum run_buffer which)
{
    struct mk_buf *kept = &step->prepare->run_buffers[which];
    struct mk_buf taken = *kept;

    *kept = (struct mk_buf){0};
    return taken;
}

static struct recipe_run run_of(struct call_step *step, struct recipe_version *version,
                                const struct recipe_operation *operation, struct host *host)
{
    return (struct recipe_run){
        .version = version,
        .operation = operation,
        .may_park = step->call.node || step->call.call_id > 0,
        .format = step->call.format == JUTE_CALL_MSGPACK ? RECIPE_MSGPACK : RECIPE_JSON,
        .arguments = step->call.arguments,
        .once = step->call.once,
        .zxid = step->at.zxid,
        .now_ms = step->at.time_ms,
        .session = step->call.session,
        .host = &host->base,
        .result = buffer_take(step, RUN_RESULT),
        .message = buffer_take(step, RUN_MESSAGE),
        .once_out = buffer_take(step, RUN_ONCE),
        .wait_paths = buffer_take(step, RUN_WAIT_PATHS),
    };
}

/* ---- Parking ---- */

static enum mk_status wait_stamp(struct call_step *step, struct tree_wait *wait)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(step->prepare->view, wait->path, false, &znode);

    wait->stamp = 0;
    if (status == MK_NO_NODE) {
        return MK_OK;
    }
    if (status != MK_OK) {
        return status;
    }
    switch (wait->kind) {
    case TREE_WAIT_CREATED:
    case TREE_WAIT_DELETED: wait->stamp = znode.stat.czxid; break;
    case TREE_WAIT_CHANGED: wait->stamp = znode.stat.mzxid; break;
    case TREE_WAIT_CHILDREN:
    case TREE_WAIT_CHILDREN_ALL: wait->stamp = znode.stat.pzxid; break;
    }
    return MK_OK;
}

/* Before what the call waits for now takes the place of what it waited for before. A wake by time that
 * was this far away when the call parked comes no more often than those of a call that is slowed. */
static void slow_down(struct call_step *step)
{
    mk_ms wake_at_ms = step->call.wake_at_ms;

    step->call.not_before_ms = 0;
    if (step->first || (wake_at_ms > 0 && wake_at_ms <= step->at.time_ms &&
                        wake_at_ms - step->parked_ms >= WAKE_DELAY_MAX_MS)) {
        return;
    }
    step->call.wakes++;
    if (step->call.wakes > WAKES_FREE) {
        mk_ms delay_ms = step->call.wakes - WAKES_FREE;
        step->call.not_before_ms =
            step->at.time_ms + (delay_ms < WAKE_DELAY_MAX_MS ? delay_ms : WAKE_DELAY_MAX_MS);
    }
}

static enum mk_status park(struct call_step *step, const struct recipe_run *run)
{
    enum mk_status status = MK_OK;

    MK_ASSERT(run->waits_count <= TREE_WAITS_MAX);
    MK_ASSERT(run->waits_count > 0 || run->wake_at_ms > 0);
    slow_down(step);
    step->call.wake_at_ms = run->wake_at_ms;
    step->call.waits_count = run->waits_count;
    for (int32_t i = 0; status == MK_OK && i < run->waits_count; i++) {
        struct mk_bytes path = MK_BYTES("");
        if (run->waits[i].path_len > 0) {
            path =
                mk_bytes_of(run->wait_paths.data + run->waits[i].path_at, run->waits[i].path_len);
        }
        step->call.waits[i].kind = (enum tree_wait_kind)run->waits[i].kind;
        step->call.waits[i].path = prepare_host_path(step, path);
        status = tree_path_check(step->call.waits[i].path);
        if (status == MK_OK) {
            status = wait_stamp(step, &step->call.waits[i]);
        }
    }
    if (status != MK_OK) {
        return status;
    }
    step->call.once = mk_arena_copy(&step->prepare->scraps, mk_buf_view(&run->once_out));
    if (step->first) {
        status = put_node_waiting(step);
    }
    return status == MK_OK ? put_record(step) : status;
}

enum mk_status prepare_step_resume(struct call_step *step)
{
    step->call.not_before_ms = 0;
    prepare_step_begin(step);
    enum mk_status status = put_record(step);
    if (status == MK_OK) {
        prepare_step_commit(step);
    } else {
        prepare_step_abort(step);
    }
    return status;
}

static bool too_many_calls(const struct call_step *step)
{
    return step->first &&
           store_totals(step->prepare->store)->calls >= (int64_t)step->prepare->options.calls_max;
}

/* ---- Running ---- */

/* The transaction as it stands must fit what peers and log accept. */
static bool too_large(const struct call_step *step)
{
    return step->out->len - step->start > step->prepare->options.transaction_bytes_max;
}

/* Why a call that would wait may not. */
static const char *refuse_parking(const struct call_step *step, struct recipe_run *run)
{
    run->message.len = 0;
    if (too_many_calls(step)) {
        mk_buf_printf(&run->message, "the server's calls that wait are as many as callsMax allows");
        return "Overload";
    }
    if (step->created_overflow) {
        mk_buf_printf(&run->message, "a call that waits may have made %d znodes", TREE_CREATED_MAX);
    } else {
        mk_buf_printf(&run->message, "woken %d times without ending", WAKES_MAX);
    }
    return "Limit";
}

static enum mk_status run_ended(struct call_step *step, struct recipe_run *run, struct mk_buf *body,
                                bool *parked, const char **error)
{
    enum mk_status status = MK_OK;

    *error = NULL;
    if (run->end == RECIPE_UNANSWERED) {
        return run->unanswered;
    }
    if (run->end == RECIPE_RETURNED) {
        status = finish(step, NULL, MK_BYTES_NULL, mk_buf_view(&run->result), body);
    } else if (run->end == RECIPE_PARKED && step->last) {
        *error = "Timeout";
        mk_buf_append_bytes(&run->message, MK_BYTES("the call was not granted in time"));
    } else if (run->end == RECIPE_PARKED && !too_many_calls(step) && !step->created_overflow &&
               step->call.wakes < WAKES_MAX) {
        status = park(step, run);
        *parked = status == MK_OK;
        if (status == MK_BAD_ARGUMENTS) {
            *error = "BadArguments"; /* it waits for what is not a path */
            status = MK_OK;
        }
    } else {
        *error = run->end == RECIPE_FAILED ? run->error_name : refuse_parking(step, run);
    }
    if (status == MK_OK && *error == NULL && too_large(step)) {
        run->message.len = 0;
        mk_buf_printf(&run->message, "its changes are more than half of jute.maxbuffer");
        *error = "Limit";
    }
    return status;
}

enum mk_status prepare_step_run(struct call_step *step, struct mk_buf *body, bool *parked)
{
    struct recipe_version *version;
    const struct recipe_operation *operation;
    struct mk_error why;
    struct host host;
    size_t body_start = body->len;

    *parked = false;
    enum mk_status status = step_operation(step, &version, &operation, &why);
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    if (status != MK_OK) {
        return prepare_step_end(step, "RecipeError", mk_bytes_text(why.text), body);
    }
    struct tree_call before = step->call;
    struct mk_bytes node = step->node;
    prepare_host_init(&host, step, operation->reads_only);
    struct recipe_run run = run_of(step, version, operation, &host);
    prepare_step_begin(step);
    prepare_figures_run(step, prepare_engine_of(step->prepare, version), &run);
    const char *error;
    status = run_ended(step, &run, body, parked, &error);
    if (status == MK_OK && error == NULL) {
        prepare_step_commit(step);
    } else {
        prepare_step_abort(step);
        body->len = body_start;
        step->call = before;
        step->node = node;
        *parked = false;
        if (status == MK_OK) {
            status = prepare_step_end(step, error, mk_buf_view(&run.message), body);
        }
    }
    run_done(step, &run);
    return status;
}

/* ---- Ending without a return ---- */

/* Run the operation's `cancel` in the transaction that is open. *redo: it failed, and whatever it did
 * must be undone. */
static enum mk_status run_cancel(struct call_step *step, bool *redo)
{
    struct recipe_version *version;
    const struct recipe_operation *operation;
    struct mk_error why;
    struct host host;
    enum mk_status status = step_operation(step, &version, &operation, &why);

    *redo = false;
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    if (status != MK_OK || !operation->has_cancel) {
        return MK_OK;
    }
    prepare_host_init(&host, step, false);
    struct recipe_run run = run_of(step, version, operation, &host);
    run.cancel = true;
    run.may_park = false;
    prepare_figures_run(step, prepare_engine_of(step->prepare, version), &run);
    if (run.end == RECIPE_UNANSWERED) {
        status = run.unanswered;
    } else if (run.end != RECIPE_RETURNED || too_large(step)) {
        mk_log(step->prepare->log, MK_LOG_WARN,
               "a recipe's cancel failed; the engine removes what the call made  operation=%.*s "
               "error=%s",
               (int)step->call.operation.len, (const char *)step->call.operation.data,
               run.error_name);
        *redo = true;
    }
    run_done(step, &run);
    return status;
}

/* The znodes that the call made and that are still those: the engine needs no permission. */
static enum mk_status remove_created(struct call_step *step)
{
    enum mk_status status = MK_OK;

    for (int32_t i = step->call.created_count; status == MK_OK && i > 0; i--) {
        struct mk_bytes path = step->call.created[i - 1].path;
        struct store_znode znode;
        status = store_znode_read(step->prepare->view, path, false, &znode);
        if (status == MK_NO_NODE) {
            status = MK_OK;
        } else if (status == MK_OK && znode.stat.czxid == step->call.created[i - 1].czxid) {
            status = put_own_delete(step, path);
        }
    }
    return status;
}

static enum mk_status end_once(struct call_step *step, bool with_cancel, const char *error,
                               struct mk_bytes message, struct mk_buf *body, bool *redo)
{
    enum mk_status status = MK_OK;

    *redo = false;
    prepare_step_begin(step);
    if (with_cancel && step->call.operation.len > 0) {
        status = run_cancel(step, redo);
    }
    if (status == MK_OK && !*redo) {
        status = remove_created(step);
    }
    if (status == MK_OK && !*redo) {
        status = finish(step, error, message, MK_BYTES_NULL, body);
    }
    return status;
}

enum mk_status prepare_step_end(struct call_step *step, const char *error, struct mk_bytes message,
                                struct mk_buf *body)
{
    struct tree_call before = step->call;
    struct mk_bytes node = step->node;
    size_t body_start = body->len;
    bool redo;
    enum mk_status status = end_once(step, true, error, message, body, &redo);

    if (redo) {
        prepare_step_abort(step);
        body->len = body_start;
        step->call = before;
        step->node = node;
        status = end_once(step, false, error, message, body, &redo);
    }
    if (status == MK_OK) {
        prepare_step_commit(step);
    } else {
        prepare_step_abort(step);
        body->len = body_start;
        step->call = before;
        step->node = node;
    }
    return status;
}
