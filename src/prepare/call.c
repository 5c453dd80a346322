/* The life of a call.
 *
 *   made by opcode 700, or by creating a call node -> first run -> returned or failed: answered
 *                                                               -> parked: its record and node exist
 *   parked: a wait breaks -> run again, from the top, on the version it started with
 *           the deadline passes -> Timeout | its node is deleted -> Cancelled | its session ends
 *
 * What never ran leaves nothing: an unknown operation, bad arguments, too many calls. */
#include <string.h>

#include "prepare/context.h"

#define NUMBER_DIGITS 16

/* ---- Names and paths ---- */

static enum mk_status gate_find(struct prepare *prepare, struct mk_bytes gate)
{
    struct store_znode calls;

    if (gate.data == NULL) {
        return MK_NO_NODE;
    }
    enum mk_status status =
        store_znode_read(prepare->view, MK_BYTES(TREE_CALLS_PATH), true, &calls);
    return status == MK_OK && !tree_gate_open(calls.data, gate) ? MK_NO_NODE : status;
}

enum mk_status prepare_call_gate(struct prepare *prepare, struct mk_bytes path,
                                 struct mk_bytes *chroot)
{
    struct mk_bytes calls = MK_BYTES(TREE_CALLS_PATH "/");

    *chroot = MK_BYTES("");
    if (path.data != NULL && path.len > calls.len && mk_bytes_starts(path, calls)) {
        return memchr(path.data + calls.len, '/', path.len - calls.len) == NULL ? MK_OK
                                                                                : MK_NO_NODE;
    }
    *chroot = tree_gate_of_path(path);
    return gate_find(prepare, *chroot);
}

enum mk_status prepare_call_gate_above(struct prepare *prepare, struct mk_bytes path)
{
    enum mk_status status = MK_NO_NODE;
    struct mk_bytes gate;
    size_t from = 0;

    while (status == MK_NO_NODE && (gate = tree_gate_above(path, &from)).data != NULL) {
        status = gate_find(prepare, gate);
    }
    return status;
}

/* "_c_<uuid>-": Curator's protection, so that it finds its node again after a lost reply. */
static size_t protection_bytes(struct mk_bytes name)
{
    const size_t bytes = 3 + 36 + 1;

    return name.len > bytes && memcmp(name.data, "_c_", 3) == 0 && name.data[bytes - 1] == '-'
               ? bytes
               : 0;
}

/* The operation that the path of a call node to be created names: "lock.acquire" of
 * ".../_c_<uuid>-lock.acquire-". Null if it does not end in "-". */
static struct mk_bytes node_operation(struct mk_bytes path)
{
    struct mk_bytes name = tree_path_name(path);
    size_t skip = protection_bytes(name);

    if (name.len - skip < 2 || name.data[name.len - 1] != '-') {
        return MK_BYTES_NULL;
    }
    return mk_bytes_of(name.data + skip, name.len - skip - 1);
}

/* The number at the end of a call node's path; 0 if it does not look like one. */
static mk_zxid node_number(struct mk_bytes path)
{
    uint64_t number = 0;

    if (path.len < NUMBER_DIGITS + 1) {
        return 0;
    }
    for (size_t i = path.len - NUMBER_DIGITS; i < path.len; i++) {
        uint8_t c = path.data[i];
        if (c >= '0' && c <= '9') {
            number = number << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return 0;
        }
    }
    return number <= INT64_MAX ? (mk_zxid)number : 0;
}

/* ---- What is looked up before a first run ---- */

/* Whoever may create below TREE_CALLS_PATH, or below a gate, may call there: its ACL is the
 * administrator's switch. */
enum mk_status prepare_call_may(struct prepare *prepare, const struct prepare_who *who,
                                struct mk_bytes calls)
{
    struct changer changer = {.session = who->session, .identities = who->identities};
    struct store_znode parent;
    enum mk_status status = store_znode_read(prepare->view, calls, false, &parent);

    if (status == MK_OK) {
        status = prepare_may(prepare, &changer, parent.acl, TREE_CREATE);
    }
    return status;
}

static enum mk_status may_call(struct prepare *prepare, const struct prepare_who *who,
                               struct mk_error *why)
{
    enum mk_status status = prepare_call_may(prepare, who, MK_BYTES(TREE_CALLS_PATH));

    if (status != MK_OK) {
        mk_error_set(why, "the ACL of " TREE_CALLS_PATH " does not let the caller call");
    }
    return status == MK_NO_NODE ? MK_UNIMPLEMENTED : status;
}

enum mk_status prepare_call_target(struct prepare *prepare, struct mk_bytes operation,
                                   struct call_target *target, struct mk_error *why)
{
    static const char unknown[] = "there is no recipe with an operation called that";
    const uint8_t *dot = operation.len > 0 ? memchr(operation.data, '.', operation.len) : NULL;
    struct mk_buf *path = prepare_scratch(prepare);
    struct store_znode znode;

    memcpy(why->text, unknown, sizeof(unknown));
    if (dot == NULL || dot == operation.data || operation.len > 2 * RECIPE_NAME_BYTES_MAX + 1) {
        return MK_UNIMPLEMENTED;
    }
    struct mk_bytes name = mk_bytes_of(operation.data, (size_t)(dot - operation.data));
    if (prepare_builtin_is(operation)) {
        target->hash = mk_bytes_text(prepare->builtin.hash);
        target->version = prepare->builtin.version;
        target->operation = recipe_operation_find(
            target->version, mk_bytes_of(dot + 1, operation.len - name.len - 1));
        return target->operation != NULL ? MK_OK : MK_UNIMPLEMENTED;
    }
    mk_buf_append_bytes(path, MK_BYTES(TREE_RECIPES_PATH "/"));
    mk_buf_append_bytes(path, name);
    enum mk_status status = store_znode_read(prepare->view, mk_buf_view(path), true, &znode);
    if (status != MK_OK) {
        return status == MK_NO_NODE ? MK_UNIMPLEMENTED : status;
    }
    target->hash = mk_arena_copy(&prepare->scraps, znode.data);
    status = prepare_step_version(prepare, name, target->hash, &target->version, why);
    if (status != MK_OK) {
        return status == MK_WOULD_BLOCK || status >= MK_IO ? status : MK_UNIMPLEMENTED;
    }
    target->operation =
        recipe_operation_find(target->version, mk_bytes_of(dot + 1, operation.len - name.len - 1));
    return target->operation != NULL ? MK_OK : MK_UNIMPLEMENTED;
}

static enum mk_status overloaded(struct mk_error *why, const char *option, uint32_t max)
{
    mk_error_set(why, "%s calls wait or are kept, as many as %s allows: %u",
                 strcmp(option, "callsMax") == 0 ? "the server's" : "the session's", option, max);
    return MK_OVERLOADED;
}

static enum mk_status check_bounds(struct prepare *prepare, mk_session session,
                                   uint32_t results_count, struct mk_error *why)
{
    uint32_t session_max = prepare->options.session_calls_max;
    uint32_t count;

    if (store_totals(prepare->store)->calls >= (int64_t)prepare->options.calls_max) {
        return overloaded(why, "callsMax", prepare->options.calls_max);
    }
    if (results_count >= session_max) {
        return overloaded(why, "sessionCallsMax", session_max);
    }
    enum mk_status status = store_session_calls_count(prepare->view, session, &count);
    return status == MK_OK && count >= session_max ? overloaded(why, "sessionCallsMax", session_max)
                                                   : status;
}

/* ---- Made ---- */

static void first_step(struct call_step *step, struct prepare *prepare, const struct prepare_at *at,
                       const struct prepare_who *who, struct mk_buf *out)
{
    *step = (struct call_step){
        .prepare = prepare,
        .at = *at,
        .who = *who,
        .number = at->zxid,
        .first = true,
        .out = out,
    };
    step->call = (struct tree_call){
        .session = who->session,
        .made_ms = at->time_ms,
        .identities = who->identities,
        .chroot = MK_BYTES(""),
        .once = MK_BYTES(""),
        .node_path = MK_BYTES_NULL,
    };
}

static enum mk_status check_arguments(struct call_step *step, const struct call_target *target,
                                      struct mk_error *why)
{
    enum recipe_format format =
        step->call.format == JUTE_CALL_MSGPACK ? RECIPE_MSGPACK : RECIPE_JSON;
    mk_ms timeout_ms;
    enum mk_status status = recipe_arguments_check(target->version, target->operation, format,
                                                   step->call.arguments, &timeout_ms, why);

    if (target->operation->deadline_ms > 0 &&
        (timeout_ms < 0 || timeout_ms > target->operation->deadline_ms)) {
        timeout_ms = target->operation->deadline_ms;
    }
    if (status == MK_OK && timeout_ms >= 0) {
        step->call.deadline_ms = step->at.time_ms + timeout_ms;
    }
    step->call.version = target->hash;
    step->call.outlives_session = target->operation->outlives_session;
    return status;
}

void prepare_call_refuse(struct mk_buf *body, enum mk_status status, const struct mk_error *why)
{
    const char *error = status == MK_UNIMPLEMENTED   ? "Unimplemented"
                        : status == MK_OVERLOADED    ? "Overload"
                        : status == MK_BAD_ARGUMENTS ? "BadArguments"
                                                     : jute_error_name(jute_error_code(status));
    mk_buf_put_field(body, mk_bytes_text(error));
    mk_buf_put_field(body, mk_bytes_text(why->text));
    mk_buf_put_field(body, MK_BYTES_NULL);
}

/* A request that is answered without a transaction. */
static void refuse(struct prepared *prepared, enum mk_status status, const struct mk_error *why)
{
    prepared->transaction = false;
    prepared->own_body = true;
    prepare_call_refuse(&prepared->body, status, why);
}

enum mk_status prepare_call_look(struct prepare *prepare, mk_zxid number, struct tree_call *call)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    struct store_znode znode;

    tree_call_record_path(path, number);
    enum mk_status status =
        store_znode_read(prepare->view, mk_bytes_of(path, sizeof(path)), true, &znode);
    if (status != MK_OK) {
        return status;
    }
    return znode.data.data == NULL ? MK_MALFORMED : tree_call_decode(znode.data, call);
}

/* `*call` is in the scraps. */
static enum mk_status read_call(struct prepare *prepare, mk_zxid number, struct tree_call *call)
{
    struct mk_buf copy = {0};
    enum mk_status status = prepare_call_look(prepare, number, call);

    if (status == MK_OK) {
        tree_call_encode(&copy, call); /* canonical: the record's own bytes */
        status = tree_call_decode(mk_arena_copy(&prepare->scraps, mk_buf_view(&copy)), call);
        mk_buf_free(&copy);
    }
    return status;
}

/* A call id that is known: the answer it got, or its place among the waiting. MK_NO_NODE: a new one. */
static enum mk_status find_earlier(struct prepare *prepare, const struct prepare_who *who,
                                   const struct jute_request *request, struct prepared *prepared,
                                   struct prepare_results *results)
{
    mk_zxid number = 0;

    if (request->call_id <= 0) {
        return MK_NO_NODE;
    }
    enum mk_status status = prepare_results_read(prepare, who->session, request->call_id,
                                                 request->done_through, results);
    if (status == MK_OK && results->body.data != NULL) {
        prepared->transaction = false;
        prepared->own_body = true;
        mk_buf_append_bytes(&prepared->body, results->body);
        return MK_OK;
    }
    if (status == MK_OK) {
        status = store_session_call_find(prepare->view, who->session, request->call_id, &number);
    }
    if (status == MK_OK) {
        prepared->transaction = false;
        prepared->parked = number;
    }
    return status;
}

/* A chroot is a valid path or none; "/" is none. */
bool prepare_call_chroot(struct mk_bytes *chroot)
{
    if (chroot->data == NULL || chroot->len == 0 || mk_bytes_equal(*chroot, MK_BYTES("/"))) {
        *chroot = MK_BYTES("");
        return true;
    }
    return tree_path_check(*chroot) == MK_OK;
}

enum mk_status prepare_call_make(struct prepare *prepare, const struct prepare_at *at,
                                 const struct prepare_who *who, const struct jute_request *request,
                                 struct mk_buf *out, struct prepared *prepared)
{
    struct call_target target = {0};
    struct mk_error why;
    struct call_step step;
    struct prepare_results results = {.exists = false};

    if (!prepare->options.recipes) {
        mk_error_set(&why, "recipes are switched off on this server");
        refuse(prepared, MK_UNIMPLEMENTED, &why);
        return MK_OK;
    }
    enum mk_status status =
        request->dry_run ? MK_NO_NODE : find_earlier(prepare, who, request, prepared, &results);
    if (status != MK_NO_NODE) {
        return status;
    }
    if (prepare->paused) {
        refuse(prepared, MK_UNIMPLEMENTED, &prepare->why);
        return MK_OK;
    }
    first_step(&step, prepare, at, who, out);
    step.results_read = request->call_id > 0 && !request->dry_run;
    step.results = results;
    step.call.call_id = request->call_id > 0 ? request->call_id : 0;
    step.call.cxid = who->cxid;
    step.call.format = request->format;
    step.call.operation = request->operation;
    step.call.chroot = request->chroot;
    step.call.arguments = request->data;
    status = prepare_call_target(prepare, request->operation, &target, &why);
    if (status == MK_OK && target.operation->reads_only && !request->dry_run) {
        /* Nobody knew when it arrived, because the recipe had to come from the disk. It sees what is
         * proposed, and its answer waits for that. */
        prepared->transaction = false;
        prepared->own_body = true;
        return prepare_call_read(prepare, prepare->view, at->time_ms, who, request,
                                 &prepared->body);
    }
    if (status == MK_OK) {
        status = may_call(prepare, who, &why);
    }
    if (status == MK_OK && !prepare_call_chroot(&step.call.chroot)) {
        mk_error_set(&why, "the chroot is not a path");
        status = MK_BAD_ARGUMENTS;
    }
    if (status == MK_OK) {
        status = check_arguments(&step, &target, &why);
    }
    if (status == MK_OK && !request->dry_run) {
        status = check_bounds(prepare, who->session, results.count, &why);
    }
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    if (status != MK_OK) {
        refuse(prepared, status, &why);
        return MK_OK;
    }
    if (request->dry_run) {
        prepared->transaction = false;
        prepared->own_body = true;
        return prepare_dry_run(&step, target.version, target.operation, &prepared->body);
    }
    bool parked;
    status = prepare_step_run(&step, &prepared->body, &parked);
    prepared->own_body = status == MK_OK && !parked;
    prepared->parked = parked ? step.number : 0;
    return status;
}

/* ---- Made by creating a call node ---- */

static enum mk_status put_create_body(struct call_step *step, const struct jute_request *request,
                                      struct prepared *prepared)
{
    struct store_znode znode;

    mk_buf_put_field(&prepared->body, step->node);
    if (request->op == JUTE_CREATE) {
        return MK_OK;
    }
    enum mk_status status = store_znode_read(step->prepare->view, step->node, false, &znode);
    if (status == MK_OK) {
        struct jute_stat stat = {
            .czxid = znode.stat.czxid,
            .mzxid = znode.stat.mzxid,
            .ctime_ms = znode.stat.ctime_ms,
            .mtime_ms = znode.stat.mtime_ms,
            .version = znode.stat.version,
            .cversion = 0,
            .aversion = znode.stat.aversion,
            .ephemeral_owner = znode.stat.owner,
            .data_length = znode.data_length,
            .pzxid = znode.stat.pzxid,
        };
        jute_put_stat(&prepared->body, &stat);
    }
    return status;
}

/* The node is as long-lived as the call: sequential, and ephemeral unless the call outlives its session.
 * Who asks for another kind would be mistaken about that. */
static int32_t node_flags(const struct recipe_operation *operation)
{
    enum { EPHEMERAL = 1, SEQUENTIAL = 2 };

    return operation->outlives_session ? SEQUENTIAL : SEQUENTIAL | EPHEMERAL;
}

enum mk_status prepare_call_make_node(struct prepare *prepare, const struct prepare_at *at,
                                      const struct prepare_who *who,
                                      const struct jute_request *request, struct mk_bytes chroot,
                                      struct mk_buf *out, struct prepared *prepared)
{
    struct mk_bytes operation = node_operation(request->path);
    struct call_target target = {0};
    struct mk_error why;
    struct call_step step;
    struct mk_buf body = {0};

    if (!prepare->options.recipes || prepare->paused) {
        return MK_UNIMPLEMENTED;
    }
    if (operation.data == NULL || tree_path_check(request->path) != MK_OK) {
        return MK_BAD_ARGUMENTS; /* no "-" behind the operation */
    }
    enum mk_status status = prepare_call_may(prepare, who, tree_path_parent(request->path));
    first_step(&step, prepare, at, who, out);
    step.call.node = true;
    step.call.format = JUTE_CALL_JSON;
    step.call.operation = operation;
    step.call.chroot = chroot;
    step.call.arguments = request->data;
    step.node = request->path;
    step.node_type = request->op;
    if (status == MK_OK) {
        status = prepare_call_target(prepare, operation, &target, &why);
    }
    if (status == MK_OK && request->flags != node_flags(target.operation)) {
        status = MK_BAD_ARGUMENTS;
    }
    if (status == MK_OK) {
        status = check_arguments(&step, &target, &why);
    }
    if (status == MK_OK) {
        status = check_bounds(prepare, who->session, 0, &why);
    }
    if (status != MK_OK) {
        return status;
    }
    bool parked;
    status = prepare_step_run(&step, &body, &parked);
    mk_buf_free(&body); /* the result is in the node */
    if (status == MK_OK) {
        prepared->own_body = true;
        status = put_create_body(&step, request, prepared);
    }
    return status;
}

/* ---- Woken, timed out, cancelled, orphaned ---- */

/* When its record was written last. */
static enum mk_status read_parked_ms(struct prepare *prepare, mk_zxid number, mk_ms *parked_ms)
{
    uint8_t path[TREE_CALL_RECORD_PATH_BYTES];
    struct store_znode znode;

    tree_call_record_path(path, number);
    enum mk_status status =
        store_znode_read(prepare->view, mk_bytes_of(path, sizeof(path)), false, &znode);
    if (status == MK_OK) {
        *parked_ms = znode.stat.mtime_ms;
    }
    return status;
}

static enum mk_status later_step(struct call_step *step, struct prepare *prepare,
                                 const struct prepare_at *at, mk_zxid number, struct mk_buf *out)
{
    *step = (struct call_step){.prepare = prepare, .at = *at, .number = number, .out = out};
    enum mk_status status = read_call(prepare, number, &step->call);
    if (status == MK_OK) {
        step->who.session = step->call.session;
        step->who.identities = step->call.identities;
        step->node = step->call.node_path;
        status = read_parked_ms(prepare, number, &step->parked_ms);
    }
    return status;
}

/* A finished call node has been kept long enough, or its owner deletes it. */
static enum mk_status forget_finished(struct call_step *step)
{
    uint8_t record[TREE_CALL_RECORD_PATH_BYTES];
    struct jute_txn part;
    enum mk_status status = MK_OK;

    prepare_step_begin(step);
    if (step->node.data != NULL) {
        status = prepare_own_delete(step->prepare, step->node, &part);
        if (status == MK_OK) {
            prepare_step_put(step, &part);
        }
    }
    if (status == MK_OK || status == MK_NO_NODE) {
        tree_call_record_path(record, step->number);
        status = prepare_own_delete(step->prepare, mk_bytes_of(record, sizeof(record)), &part);
    }
    if (status == MK_OK) {
        prepare_step_put(step, &part);
        prepare_step_commit(step);
    } else {
        prepare_step_abort(step);
    }
    return status;
}

/* A call is its session's; one that outlives that is whosever the node's ACL says. */
static enum mk_status may_delete_node(const struct call_step *step, const struct prepare_who *who,
                                      struct mk_bytes acl)
{
    struct changer changer = {.session = who->session, .identities = who->identities};

    if (step->call.session == who->session || tree_identities_super(who->identities)) {
        return MK_OK;
    }
    return step->call.outlives_session ? prepare_may(step->prepare, &changer, acl, TREE_DELETE)
                                       : MK_NO_AUTH;
}

enum mk_status prepare_call_delete_node(struct prepare *prepare, const struct prepare_at *at,
                                        const struct prepare_who *who,
                                        const struct jute_request *request, struct mk_buf *out,
                                        struct prepared *prepared)
{
    struct store_znode znode;
    struct call_step step;
    mk_zxid number = node_number(request->path);
    enum mk_status status = store_znode_read(prepare->view, request->path, false, &znode);

    if (status != MK_OK) {
        return status;
    }
    struct tree_stat stat = znode.stat;
    struct mk_bytes acl = mk_arena_copy(&prepare->scraps, znode.acl);
    if (number == 0 || tree_call_of_path(request->path) != 0) {
        return MK_NO_NODE; /* a record: not there, for clients */
    }
    status = later_step(&step, prepare, at, number, out);
    if (status == MK_OK && !mk_bytes_equal(step.call.node_path, request->path)) {
        status = MK_NO_NODE;
    }
    if (status != MK_OK) {
        return status == MK_MALFORMED ? MK_NO_NODE : status;
    }
    status = may_delete_node(&step, who, acl);
    if (status != MK_OK) {
        return status;
    }
    if (request->version != -1 && request->version != stat.version) {
        return MK_BAD_VERSION;
    }
    step.who.session = who->session; /* who asks: of a call of another's, somebody super */
    step.who.cxid = who->cxid;
    prepared->own_body = true; /* delete answers with a header alone */
    if (step.call.operation.len == 0) {
        return forget_finished(&step);
    }
    step.delete_node = true;
    prepared->ended = number;
    return prepare_step_end(&step, "Cancelled", MK_BYTES("the caller cancelled the call"),
                            &prepared->ended_body);
}

/* The first of one kind of those that are due by time: MK_OK, or MK_END, and then *next_ms may be
 * earlier than before. */
static enum mk_status due_by_time(enum mk_status found, mk_ms due_ms, mk_ms time_ms, mk_ms *next_ms)
{
    if (found != MK_OK || due_ms <= time_ms) {
        return found;
    }
    *next_ms = due_ms < *next_ms ? due_ms : *next_ms;
    return MK_END;
}

/* Those that are to be run and those that are to be ended for their session's end take turns, so that
 * neither many of the one nor a steady stream of the other makes the rest wait for long. */
static enum mk_status due_by_turn(struct prepare *prepare, mk_zxid *call, enum prepare_why *why)
{
    bool gone = !prepare->gone_last;
    enum mk_status status = MK_END;

    for (int i = 0; status == MK_END && i < 2; i++, gone = !gone) {
        *why = gone ? PREPARE_GONE : PREPARE_READY;
        status =
            gone ? store_gone_first(prepare->view, call) : store_ready_first(prepare->view, call);
    }
    return status;
}

/* Calls whose version is being removed take turns with those. */
static enum mk_status due_by_turns(struct prepare *prepare, mk_ms time_ms, mk_zxid *call,
                                   enum prepare_why *why, mk_ms *next_ms)
{
    bool more = false;
    enum mk_status status = MK_END;

    prepare->builtin.removing_turn = !prepare->builtin.removing_turn;
    if (prepare->builtin.removing_turn) {
        *why = PREPARE_REMOVED;
        status = prepare_builtin_due(prepare, call, &more);
    }
    if (status == MK_END) {
        status = due_by_turn(prepare, call, why);
    }
    if (status == MK_END && (more || prepare->builtin.removing)) {
        *next_ms = time_ms; /* the other's turn */
    }
    return status;
}

/* Of a call whose time has come: its end, or what it waits for? */
static enum mk_status why_due(struct prepare *prepare, mk_ms time_ms, mk_zxid call,
                              enum prepare_why *why)
{
    struct tree_call record;
    enum mk_status status = prepare_call_look(prepare, call, &record);

    if (status == MK_OK) {
        bool over = record.deadline_ms > 0 && record.deadline_ms <= time_ms;
        *why = over ? PREPARE_DEADLINE : PREPARE_READY;
    }
    return status;
}

enum mk_status prepare_call_due(struct prepare *prepare, mk_ms time_ms, mk_zxid *call,
                                enum prepare_why *why, mk_ms *next_ms)
{
    mk_ms due_ms = 0;

    mk_arena_reset(&prepare->scraps);
    *next_ms = INT64_MAX;
    if (prepare->paused) {
        return MK_END;
    }
    if (!prepare->options.recipes) { /* none runs, but those of ended sessions end */
        *why = PREPARE_GONE;
        return store_gone_first(prepare->view, call);
    }
    enum mk_status status = store_deadline_first(prepare->view, &due_ms, call);
    status = due_by_time(status, due_ms, time_ms, next_ms);
    if (status == MK_OK) {
        return why_due(prepare, time_ms, *call, why);
    }
    if (status == MK_END) {
        *why = PREPARE_SLOWED;
        status = store_slowed_first(prepare->view, &due_ms, call);
        status = due_by_time(status, due_ms, time_ms, next_ms);
    }
    return status == MK_END ? due_by_turns(prepare, time_ms, call, why, next_ms) : status;
}

/* Its session has ended, and it does not outlive that. */
static enum mk_status find_gone(struct call_step *step)
{
    int32_t timeout_ms;
    enum mk_status status =
        store_session_read(step->prepare->view, step->call.session, &timeout_ms);

    step->session_ends = status == MK_NO_NODE && !step->call.outlives_session;
    return status == MK_NO_NODE ? MK_OK : status;
}

static enum mk_status step_by_reason(struct call_step *step, enum prepare_why why,
                                     struct mk_buf *body, bool *parked)
{
    if (step->session_ends) {
        return prepare_step_end(step, PREPARE_GONE_ERROR, MK_BYTES(PREPARE_GONE_MESSAGE), body);
    }
    switch (why) {
    case PREPARE_DEADLINE:
        /* What it waits for may have come already, in a transaction that others were told of. */
        step->last = true;
        break;
    case PREPARE_SLOWED: *parked = true; return prepare_step_resume(step);
    case PREPARE_REMOVED:
        return prepare_step_end(step, "Cancelled",
                                MK_BYTES("the recipe's version that it waited on was removed"),
                                body);
    case PREPARE_READY:
    case PREPARE_GONE: break; /* gone, and its session is there: not an id of ours */
    }
    return prepare_step_run(step, body, parked);
}

enum mk_status prepare_call_step(struct prepare *prepare, const struct prepare_at *at, mk_zxid call,
                                 enum prepare_why why, struct mk_buf *out,
                                 struct prepared *prepared)
{
    struct call_step step;
    bool parked = false;

    mk_arena_reset(&prepare->scraps);
    prepared->transaction = true;
    if (why == PREPARE_REMOVED && call == 0) {
        return prepare_builtin_ended(prepare, at, out);
    }
    enum mk_status status = later_step(&step, prepare, at, call, out);
    if (status == MK_OK) {
        status = find_gone(&step);
    }
    if (status != MK_OK) {
        return status;
    }
    if (step.call.operation.len == 0) {
        status = forget_finished(&step);
        parked = true; /* it has ended long ago */
    } else {
        status = step_by_reason(&step, why, &prepared->ended_body, &parked);
    }
    prepare->gone_last = status == MK_OK ? why == PREPARE_GONE : prepare->gone_last;
    prepared->ended = status == MK_OK && !parked ? call : 0;
    prepare_builtin_audit(prepare, prepared);
    return status;
}
