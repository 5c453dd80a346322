/* Calls, by what their transactions did: a call ends once, whoever asks again hears the same, nobody
 * wakes early or never, and when a session has ended its calls end, one after the other. */
#include "sim/check.h"
#include "tree/tree.h"

#include <string.h>

#define CALLS SIM_CALLS_PATH "/"

static void call_free(struct sim_call *call)
{
    sim_free_bytes(call->ticket);
    sim_free_bytes(call->version);
    sim_free_bytes(call->awaited);
}

void sim_calls_deinit(struct sim_check *check)
{
    for (size_t i = 0; i < check->outcomes_count; i++) {
        mk_buf_free(&check->outcomes[i].body);
    }
    for (size_t i = 0; i < check->calls_count; i++) {
        call_free(&check->calls[i]);
    }
    mk_free(check->outcomes);
    mk_free(check->calls);
}

/* ---- Results ---- */

bool sim_result_of_body(struct mk_bytes body, struct sim_result *result)
{
    struct mk_reader reader = mk_reader_of(body);

    result->error = mk_read_field(&reader);
    (void)mk_read_field(&reader);
    result->value = mk_read_field(&reader);
    return !reader.failed && mk_reader_left(&reader) == 0 &&
           (result->error.data == NULL) == (result->value.data != NULL);
}

struct mk_bytes sim_json_member(struct mk_bytes json, const char *name, const char *until)
{
    const uint8_t *end = json.data + json.len;
    const uint8_t *at = json.len == 0 ? NULL : memmem(json.data, json.len, name, strlen(name));

    if (at == NULL) {
        return MK_BYTES_NULL;
    }
    at += strlen(name);
    size_t len = 0;
    while (at + len < end && strchr(until, at[len]) == NULL) {
        len++;
    }
    return mk_bytes_of(at, len);
}

int64_t sim_number_of(struct mk_bytes digits)
{
    int64_t number = 0;

    for (size_t i = 0; i < digits.len && digits.data[i] >= '0' && digits.data[i] <= '9'; i++) {
        number = number * 10 + (digits.data[i] - '0');
    }
    return number;
}

static struct sim_call *call_numbered(struct sim_check *check, mk_zxid number)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        if (check->calls[i].number == number) {
            return &check->calls[i];
        }
    }
    return NULL;
}

/* The call returns: if it waited for a time, that has come. */
static void woken(struct sim_check *check, mk_zxid number)
{
    const struct sim_call *call = call_numbered(check, number);

    if (call != NULL && check->model.time_ms < call->wake_at_ms) {
        sim_check_fail(check, "call 0x%llx woke before its time", (unsigned long long)number);
    }
}

enum sim_operation sim_op_operation(const struct sim_op *op)
{
    struct mk_bytes name = op->request.operation;

    if (op->request.op != JUTE_CALL) { /* it creates a node: "/zookeeper/calls/lock.acquire-" */
        size_t skip = sizeof(CALLS) - 1;
        bool below = mk_bytes_starts(op->request.path, MK_BYTES(CALLS));
        name = below && op->request.path.len > skip + 1
                   ? mk_bytes_of(op->request.path.data + skip, op->request.path.len - skip - 1)
                   : MK_BYTES("");
    }
    return sim_operation_of(name);
}

static struct sim_ending ending_of(struct sim_check *check, mk_zxid number, struct sim_op *op)
{
    const struct sim_call *call = call_numbered(check, number);

    return (struct sim_ending){
        .number = number,
        .call = call,
        .op = op,
        .operation = call != NULL ? call->operation
                     : op != NULL ? sim_op_operation(op)
                                  : SIM_UNKNOWN,
    };
}

/* A call of `session` has returned in the transaction just done. */
static void returned(struct sim_check *check, const struct sim_ending *ending, mk_session session,
                     struct mk_bytes value)
{
    struct mk_bytes ticket = sim_json_member(value, "\"ticket\":\"", "\"");
    struct mk_bytes fence = sim_json_member(value, "\"fence\":", ",}");
    bool right = mk_bytes_equal(value, MK_BYTES("true"));

    if (ending->operation == SIM_ACQUIRE) {
        right = ticket.data != NULL && fence.data != NULL;
    } else if (ending->operation != SIM_RELEASE && ending->operation != SIM_NAP) {
        sim_recipe_returned(check, ending, value);
        return;
    }
    if (!right) {
        sim_check_fail(check, "a call of session 0x%llx returned %.*s", (unsigned long long)session,
                       (int)value.len, (const char *)value.data);
    } else if (ending->operation == SIM_ACQUIRE) {
        sim_lock_granted(check, ticket, sim_number_of(fence), session);
    }
}

/* A call has ended otherwise: nothing of it may be left. */
static void failed(struct sim_check *check, const struct sim_ending *ending, struct mk_bytes error)
{
    mk_zxid number = ending->number;

    sim_recipe_failed(check, ending, error);
    check->stats.timeouts += mk_bytes_equal(error, MK_BYTES("Timeout"));
    check->stats.cancels += mk_bytes_equal(error, MK_BYTES("Cancelled"));
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *call = &check->calls[i];
        if (call->number != number) {
            continue;
        }
        if (call->ticket.data != NULL && sim_model_find(&check->model, call->ticket) != NULL) {
            sim_check_fail(check, "call 0x%llx ended with %.*s, and its ticket %.*s is still there",
                           (unsigned long long)number, (int)error.len, (const char *)error.data,
                           (int)call->ticket.len, (const char *)call->ticket.data);
        }
        if (mk_bytes_equal(error, MK_BYTES("Timeout")) &&
            (call->deadline_ms == 0 || check->model.time_ms < call->deadline_ms)) {
            sim_check_fail(check, "call 0x%llx timed out before its deadline",
                           (unsigned long long)number);
        }
    }
}

static const struct sim_outcome *outcome_of(const struct sim_check *check, mk_session session,
                                            int64_t call_id)
{
    for (size_t i = check->outcomes_count; i > 0; i--) {
        const struct sim_outcome *outcome = &check->outcomes[i - 1];
        if (outcome->session == session && outcome->call_id == call_id) {
            return outcome;
        }
    }
    return NULL;
}

bool sim_call_has_ended(const struct sim_check *check, mk_session session, int64_t call_id)
{
    return outcome_of(check, session, call_id) != NULL;
}

static void ended(struct sim_check *check, const struct sim_ending *ending, mk_session session,
                  int64_t call_id, struct mk_bytes body)
{
    struct sim_result result;

    check->stats.outcomes++;
    if (outcome_of(check, session, call_id) != NULL) {
        sim_check_fail(check, "call %lld of session 0x%llx has ended a second time",
                       (long long)call_id, (unsigned long long)session);
        return;
    }
    if (!sim_result_of_body(body, &result)) {
        sim_check_fail(check, "the result of call %lld of session 0x%llx is malformed",
                       (long long)call_id, (unsigned long long)session);
        return;
    }
    check->outcomes = sim_grown(check->outcomes, check->outcomes_count, &check->outcomes_cap,
                                sizeof(*check->outcomes));
    struct sim_outcome *outcome = &check->outcomes[check->outcomes_count++];
    *outcome = (struct sim_outcome){.session = session, .call_id = call_id};
    mk_buf_append_bytes(&outcome->body, body);
    if (result.error.data == NULL) {
        woken(check, ending->number);
        returned(check, ending, session, result.value);
    } else {
        failed(check, ending, result.error);
    }
}

/* ---- Records ---- */

const struct sim_call *sim_call_of(const struct sim_check *check, mk_session session,
                                   int64_t call_id)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *call = &check->calls[i];
        if (call->session == session && call->call_id == call_id && !call->finished) {
            return call;
        }
    }
    return NULL;
}

static struct mk_bytes ticket_of(const struct tree_call *record)
{
    for (int32_t i = 0; i < record->created_count; i++) {
        if (sim_lock_contends(record->created[i].path, sim_path_parent(record->created[i].path))) {
            return sim_copy_of(record->created[i].path);
        }
    }
    return MK_BYTES_NULL;
}

static struct sim_call *call_made(struct sim_check *check, mk_zxid number)
{
    check->calls =
        sim_grown(check->calls, check->calls_count, &check->calls_cap, sizeof(*check->calls));
    struct sim_call *call = &check->calls[check->calls_count++];
    *call = (struct sim_call){.number = number, .gate = -1};
    check->stats.calls++;
    return call;
}

static void record_written(struct sim_check *check, mk_zxid number, struct mk_bytes data)
{
    struct sim_call *call = call_numbered(check, number);
    struct tree_call record;

    if (data.data == NULL || tree_call_decode(data, &record) != MK_OK) {
        sim_check_fail(check, "the record of call 0x%llx is malformed", (unsigned long long)number);
        return;
    }
    call = call != NULL ? call : call_made(check, number);
    if (call->gone != 0) {
        sim_check_fail(check, "call 0x%llx goes on, and its session 0x%llx has ended",
                       (unsigned long long)number, (unsigned long long)call->session);
    }
    sim_free_bytes(call->ticket);
    call->ticket = ticket_of(&record);
    call->session = record.session;
    call->call_id = record.call_id;
    call->finished = record.operation.len == 0;
    call->operation = call->finished ? call->operation : sim_operation_of(record.operation);
    call->outlives = record.outlives_session;
    call->deadline_ms = record.deadline_ms;
    call->wake_at_ms = record.wake_at_ms;
    call->due_ms = tree_call_due_ms(&record);
    sim_set_bytes(&call->awaited, record.waits_count > 0 ? record.waits[0].path : MK_BYTES_NULL);
    sim_version_follow(check, call, &record);
}

/* ---- What follows the end of a session ---- */

static bool comes_before(const struct sim_call *one, const struct sim_call *other)
{
    return one->call_id != other->call_id ? one->call_id < other->call_id
                                          : one->number < other->number;
}

static bool goes_with(const struct sim_call *call, mk_session session)
{
    return call->session == session && !call->outlives && call->gone == 0;
}

void sim_calls_gone(struct sim_check *check, mk_session session)
{
    struct sim_call *next;

    do { /* in the order of their ids; those of call nodes, without an id, come first */
        next = NULL;
        for (size_t i = 0; i < check->calls_count; i++) {
            struct sim_call *call = &check->calls[i];
            if (goes_with(call, session) && (next == NULL || comes_before(call, next))) {
                next = call;
            }
        }
        if (next != NULL) {
            next->gone = ++check->calls_gone;
        }
    } while (next != NULL);
}

/* It ends in its turn; before it, if its own time is over, or its version is being removed. */
static void gone_ended(struct sim_check *check, const struct sim_call *call)
{
    bool due = call->due_ms != 0 && call->due_ms <= check->model.time_ms;

    check->stats.gone++;
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *other = &check->calls[i];
        if (other->gone != 0 && other->gone < call->gone && !due &&
            !sim_version_marked(check, call->version)) {
            sim_check_fail(check,
                           "call 0x%llx of session 0x%llx, which has ended, overtakes call 0x%llx",
                           (unsigned long long)call->number, (unsigned long long)call->session,
                           (unsigned long long)other->number);
        }
    }
}

/* One whose session has ended and that outlives that: it ends as if nothing had happened. */
static void outliving_ended(struct sim_check *check, const struct sim_call *call,
                            const struct sim_op *op)
{
    if (call->finished || sim_model_session(&check->model, call->session) != NULL || op != NULL) {
        return; /* its result is there to be looked at, or somebody has cancelled it */
    }
    check->stats.outlived++;
    if (sim_tally_now(check) != check->tally_before + 1) {
        sim_check_fail(check, "call 0x%llx has not outlived session 0x%llx",
                       (unsigned long long)call->number, (unsigned long long)call->session);
    }
}

static void record_deleted(struct sim_check *check, mk_zxid number, const struct sim_op *op)
{
    struct sim_call *call = call_numbered(check, number);

    if (call == NULL) {
        sim_check_fail(check, "the record of call 0x%llx goes, and never came",
                       (unsigned long long)number);
        return;
    }
    if (call->gone != 0) {
        gone_ended(check, call);
    } else if (call->operation == SIM_KEEP) {
        outliving_ended(check, call, op);
    }
    call_free(call);
    *call = check->calls[--check->calls_count];
}

/* ---- A transaction of a call ---- */

static mk_session hex_of(struct mk_bytes digits)
{
    uint64_t number = 0;

    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = digits.data[i];
        number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return (mk_session)number;
}

enum child { CHILD_NONE, CHILD_RECORD, CHILD_RESULTS, CHILD_NODE };

/* What of the calls' a path is; its number, or the session. */
static enum child child_of(struct mk_bytes path, int64_t *number)
{
    const size_t skip = sizeof(CALLS) - 1;
    const size_t digits = 16;

    if (!mk_bytes_starts(path, MK_BYTES(CALLS)) || path.len < skip + 1 + digits) {
        return CHILD_NONE;
    }
    *number = hex_of(mk_bytes_of(path.data + path.len - digits, digits));
    if (path.data[skip] != '.') {
        return CHILD_NODE;
    }
    return path.data[skip + 1] == 's' ? CHILD_RESULTS : CHILD_RECORD;
}

/* The entry that this transaction has appended to a session's results. */
static void results_written(struct sim_check *check, const struct sim_ending *ending,
                            mk_session session, struct mk_bytes data)
{
    struct mk_reader reader = mk_reader_of(data);
    struct mk_bytes body = MK_BYTES_NULL;
    int64_t call_id = 0;

    while (mk_reader_left(&reader) > 0 && !reader.failed) {
        call_id = mk_read_i64(&reader);
        body = mk_read_field(&reader);
    }
    if (reader.failed || body.data == NULL) {
        sim_check_fail(check, "the results of session 0x%llx are malformed",
                       (unsigned long long)session);
        return;
    }
    ended(check, ending, session, call_id, body);
}

static void node_written(struct sim_check *check, const struct sim_ending *ending,
                         const struct jute_txn *part)
{
    struct mk_bytes result = sim_json_member(part->data, "\"result\":", "");
    struct mk_bytes error = sim_json_member(part->data, "\"error\":\"", "\"");

    if (result.data != NULL) {
        woken(check, ending->number);
        result.len--; /* the object's brace */
        returned(check, ending, part->client_id, result);
    } else if (error.data != NULL) {
        failed(check, ending, error);
    } else if (part->type == JUTE_SET_DATA) {
        sim_check_fail(check, "a call node was written, and neither done nor failed");
    }
}

/* The call that the transaction deletes the record of, or else makes or keeps: it ends, if one
 * does. */
static mk_zxid call_concerned(const struct jute_txn *txn)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    int64_t number = 0;
    mk_zxid concerned = txn->zxid;

    while (jute_txn_next(&cursor, &part)) {
        if (child_of(part.path, &number) == CHILD_RECORD) {
            concerned = number;
        }
    }
    return concerned;
}

static bool is_create(int32_t type)
{
    return type == JUTE_CREATE || type == JUTE_CREATE2;
}

/* The reply of whoever made a call by creating its node. */
static void expect_created(struct sim_check *check, struct sim_op *op, struct mk_bytes path)
{
    if (!is_create(op->request.op)) {
        return;
    }
    op->body_known = true;
    mk_buf_put_field(&op->body, path);
    if (op->request.op == JUTE_CREATE2) {
        sim_put_stat(&check->model, sim_model_find(&check->model, path), &op->body);
    }
}

/* A call without an id that was granted: its reply is not in the transaction. */
static void follow_plain(struct sim_check *check, const struct jute_txn *part, struct sim_op *op)
{
    struct mk_bytes lock = sim_path_parent(part->path);

    if (op != NULL && op->request.op == JUTE_CALL && op->request.call_id == 0 &&
        mk_bytes_equal(part->path, MK_BYTES("/tally"))) {
        op->body_known = sim_tally_body(check, op, &op->body);
        return;
    }
    if (op == NULL || op->request.op != JUTE_CALL || op->request.call_id != 0 ||
        part->type != JUTE_CREATE || !part->ephemeral || !sim_lock_contends(part->path, lock)) {
        return;
    }
    mk_buf_put_field(&op->body, MK_BYTES_NULL);
    mk_buf_put_field(&op->body, MK_BYTES_NULL);
    struct mk_buf value = {0};
    mk_buf_printf(&value, "{\"fence\":%lld,\"ticket\":\"%.*s\"}", (long long)check->model.zxid,
                  (int)part->path.len, (const char *)part->path.data);
    mk_buf_put_field(&op->body, mk_buf_view(&value));
    mk_buf_free(&value);
    op->body_known = true;
    sim_lock_granted(check, part->path, check->model.zxid, op->session);
}

/* How the call ends, if it does, and what its maker is to be told. */
static void follow_outcome(struct sim_check *check, const struct jute_txn *part,
                           const struct sim_ending *ending)
{
    struct sim_op *op = ending->op;
    bool created = is_create(part->type);
    int64_t number = 0;

    if (!created && part->type != JUTE_SET_DATA) {
        return;
    }
    switch (child_of(part->path, &number)) {
    case CHILD_RESULTS: results_written(check, ending, number, part->data); break;
    case CHILD_NODE:
        node_written(check, ending, part);
        if (created && op != NULL) {
            expect_created(check, op, part->path);
        }
        break;
    case CHILD_NONE: follow_plain(check, part, op); break;
    case CHILD_RECORD: break;
    }
}

/* Whether the part was about a record. */
static bool follow_record(struct sim_check *check, const struct jute_txn *part,
                          const struct sim_op *op)
{
    int64_t number = 0;

    if (child_of(part->path, &number) != CHILD_RECORD) {
        return false;
    }
    if (part->type == JUTE_DELETE) {
        record_deleted(check, number, op);
    } else {
        record_written(check, number, part->data);
    }
    return true;
}

/* Outcomes first: they are judged by the record as it was. */
void sim_calls_follow(struct sim_check *check, const struct jute_txn *txn, struct sim_op *op)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    struct sim_ending ending = ending_of(check, call_concerned(txn), op);
    int records = 0;

    while (jute_txn_next(&cursor, &part)) {
        follow_outcome(check, &part, &ending);
    }
    cursor = jute_txn_begin(txn);
    while (jute_txn_next(&cursor, &part)) {
        records += follow_record(check, &part, op);
    }
    if (records > 1) {
        sim_check_fail(check, "transaction 0x%llx is about %d calls", (unsigned long long)txn->zxid,
                       records);
    }
}

/* ---- Answered ---- */

bool sim_result_refused(const struct sim_result *result)
{
    return result->error.data != NULL &&
           (mk_bytes_equal(result->error, MK_BYTES("Unimplemented")) ||
            mk_bytes_equal(result->error, MK_BYTES("BadArguments")) ||
            mk_bytes_equal(result->error, MK_BYTES("Overload")));
}

void sim_call_replied(struct sim_check *check, const struct sim_op *op,
                      const struct jute_reply *reply)
{
    const struct sim_outcome *outcome = outcome_of(check, op->session, op->request.call_id);
    const struct jute_request *request = &op->request;
    struct sim_result result = {0};
    const char *wrong = NULL;

    if (reply->error != 0) {
        wrong = op->committed && reply->error == op->error ? NULL : "with an error in the header";
    } else if (!sim_result_of_body(reply->body, &result)) {
        wrong = "with a malformed body";
    } else if (request->call_id != 0 && outcome != NULL) {
        wrong = mk_bytes_equal(mk_buf_view(&outcome->body), reply->body)
                    ? NULL
                    : "with another result than before";
    } else if (op->body_known) {
        wrong = mk_bytes_equal(mk_buf_view(&op->body), reply->body) ? NULL : "with another result";
    } else if (mk_bytes_equal(result.error, MK_BYTES("SessionExpired"))) {
        sim_check_ended(check, op->session); /* it ends with its session, and is not remembered */
    } else if (request->call_id != 0) {
        wrong = sim_result_refused(&result) ? NULL : "before its outcome was committed";
    } else if (result.error.data == NULL) {
        wrong = op->committed && mk_bytes_equal(result.value, MK_BYTES("true"))
                    ? NULL
                    : "with a result that its transaction does not show";
    }
    if (wrong != NULL) {
        sim_check_fail(check,
                       "call %lld of session 0x%llx (xid %d, transaction 0x%llx) was answered "
                       "%s: %.*s %.*s",
                       (long long)request->call_id, (unsigned long long)op->session,
                       (int)request->xid, (unsigned long long)op->zxid, wrong,
                       (int)result.error.len, (const char *)result.error.data,
                       (int)result.value.len, (const char *)result.value.data);
    }
}

void sim_calls_forget(struct sim_check *check, mk_session session)
{
    size_t kept = 0;

    for (size_t i = 0; i < check->outcomes_count; i++) {
        if (check->outcomes[i].session == session) {
            mk_buf_free(&check->outcomes[i].body);
        } else {
            check->outcomes[kept++] = check->outcomes[i];
        }
    }
    check->outcomes_count = kept;
}
