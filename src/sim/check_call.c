/* Calls of lock.acquire, lock.release and nap.take, by what their transactions did: a call ends once,
 * whoever asks again hears the same, a lock has one holder, the first who asked, with a fence that
 * grows, and nobody wakes early or never. */
#include "sim/check.h"
#include "tree/tree.h"

#include <string.h>

#define CALLS SIM_CALLS_PATH "/"

static struct mk_bytes copy_of(struct mk_bytes bytes)
{
    uint8_t *copy = mk_alloc(bytes.len + 1);

    memcpy(copy, bytes.data, bytes.len);
    return mk_bytes_of(copy, bytes.len);
}

static void free_bytes(struct mk_bytes bytes)
{
    mk_free((void *)(uintptr_t)bytes.data);
}

/* A longer array, if there is no room for one more. */
static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return array;
    }
    *cap = *cap * 2 + 16;
    return mk_realloc(array, *cap * size);
}

void sim_calls_deinit(struct sim_check *check)
{
    for (size_t i = 0; i < check->outcomes_count; i++) {
        mk_buf_free(&check->outcomes[i].body);
    }
    for (size_t i = 0; i < check->calls_count; i++) {
        free_bytes(check->calls[i].ticket);
    }
    for (size_t i = 0; i < check->locks_count; i++) {
        free_bytes(check->locks[i].path);
        free_bytes(check->locks[i].ticket);
    }
    mk_free(check->outcomes);
    mk_free(check->calls);
    mk_free(check->locks);
}

/* ---- Locks ---- */

static bool contains(struct mk_bytes bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

static bool is_contender(struct mk_bytes path, struct mk_bytes lock)
{
    struct mk_bytes name = {path.data + lock.len, path.len - lock.len};

    return contains(name, "lock-") || contains(name, "__lock__");
}

const struct sim_znode *sim_lock_first(const struct sim_check *check, struct mk_bytes lock)
{
    const struct sim_model *model = &check->model;
    const struct sim_znode *first = NULL;

    for (size_t i = sim_model_rank(model, lock); i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (!mk_bytes_starts(znode->path, lock)) {
            break;
        }
        if (sim_path_child_of(znode->path, lock) && is_contender(znode->path, lock) &&
            (first == NULL || znode->born < first->born)) {
            first = znode;
        }
    }
    return first;
}

static struct sim_lock *lock_of(struct sim_check *check, struct mk_bytes path)
{
    for (size_t i = 0; i < check->locks_count; i++) {
        if (mk_bytes_equal(check->locks[i].path, path)) {
            return &check->locks[i];
        }
    }
    check->locks =
        grown(check->locks, check->locks_count, &check->locks_cap, sizeof(*check->locks));
    struct sim_lock *lock = &check->locks[check->locks_count++];
    *lock = (struct sim_lock){.path = copy_of(path), .ticket = copy_of(MK_BYTES(""))};
    return lock;
}

static const char *grant_wrong(struct sim_check *check, const struct sim_lock *lock,
                               const struct sim_znode *ticket, mk_zxid fence, mk_session session)
{
    if (ticket == NULL) {
        return "its ticket is not there";
    }
    if (sim_owner_session(&check->model, ticket->owner) != session ||
        sim_model_session(&check->model, session) == NULL) {
        return "its ticket is not of a session that lives";
    }
    const struct sim_znode *before = sim_model_find(&check->model, lock->ticket);
    if (before != NULL && before->born == lock->born && before != ticket) {
        return "somebody else holds it";
    }
    if (sim_lock_first(check, lock->path) != ticket) {
        return "somebody else asked first";
    }
    if (fence != check->model.zxid) {
        return "the fence is not the zxid of the grant";
    }
    if (fence <= lock->fence || ticket->born <= lock->born) {
        return "the fence does not grow, or it was granted before";
    }
    return NULL;
}

static void granted(struct sim_check *check, struct mk_bytes path, mk_zxid fence,
                    mk_session session)
{
    struct sim_lock *lock = lock_of(check, sim_path_parent(path));
    const struct sim_znode *ticket = sim_model_find(&check->model, path);
    const char *wrong = grant_wrong(check, lock, ticket, fence, session);

    check->stats.grants++;
    if (wrong != NULL) {
        sim_check_fail(check, "the grant of %.*s to session 0x%llx with fence 0x%llx: %s",
                       (int)path.len, (const char *)path.data, (unsigned long long)session,
                       (unsigned long long)fence, wrong);
        return;
    }
    lock->fence = fence;
    lock->born = ticket->born;
    free_bytes(lock->ticket);
    lock->ticket = copy_of(path);
}

/* ---- Results ---- */

struct result {            /* of a call's reply body, or of a call node's JSON */
    struct mk_bytes error; /* null: it returned */
    struct mk_bytes value;
};

static bool result_of_body(struct mk_bytes body, struct result *result)
{
    struct mk_reader reader = mk_reader_of(body);

    result->error = mk_read_field(&reader);
    (void)mk_read_field(&reader);
    result->value = mk_read_field(&reader);
    return !reader.failed && mk_reader_left(&reader) == 0 &&
           (result->error.data == NULL) == (result->value.data != NULL);
}

/* The value of `"name":` in JSON as the server writes it: without spaces. */
static struct mk_bytes json_member(struct mk_bytes json, const char *name, const char *until)
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

static mk_zxid number_of(struct mk_bytes digits)
{
    mk_zxid number = 0;

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

/* A call of `session` has returned in the transaction just done. */
static void returned(struct sim_check *check, mk_session session, struct mk_bytes value)
{
    struct mk_bytes ticket = json_member(value, "\"ticket\":\"", "\"");
    struct mk_bytes fence = json_member(value, "\"fence\":", ",}");

    if (ticket.data != NULL && fence.data != NULL) {
        granted(check, ticket, number_of(fence), session);
    } else if (!mk_bytes_equal(value, MK_BYTES("true"))) {
        sim_check_fail(check, "a call of session 0x%llx returned %.*s", (unsigned long long)session,
                       (int)value.len, (const char *)value.data);
    }
}

/* A call has ended otherwise: nothing of it may be left. */
static void failed(struct sim_check *check, mk_zxid number, struct mk_bytes error)
{
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

static void ended(struct sim_check *check, mk_session session, int64_t call_id,
                  struct mk_bytes body, mk_zxid number)
{
    struct result result;

    check->stats.outcomes++;
    if (outcome_of(check, session, call_id) != NULL) {
        sim_check_fail(check, "call %lld of session 0x%llx has ended a second time",
                       (long long)call_id, (unsigned long long)session);
        return;
    }
    if (!result_of_body(body, &result)) {
        sim_check_fail(check, "the result of call %lld of session 0x%llx is malformed",
                       (long long)call_id, (unsigned long long)session);
        return;
    }
    check->outcomes = grown(check->outcomes, check->outcomes_count, &check->outcomes_cap,
                            sizeof(*check->outcomes));
    struct sim_outcome *outcome = &check->outcomes[check->outcomes_count++];
    *outcome = (struct sim_outcome){.session = session, .call_id = call_id};
    mk_buf_append_bytes(&outcome->body, body);
    if (result.error.data == NULL) {
        woken(check, number);
        returned(check, session, result.value);
    } else {
        failed(check, number, result.error);
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
        if (is_contender(record->created[i].path, sim_path_parent(record->created[i].path))) {
            return copy_of(record->created[i].path);
        }
    }
    return MK_BYTES_NULL;
}

static void record_written(struct sim_check *check, mk_zxid number, struct mk_bytes data)
{
    struct sim_call *call = call_numbered(check, number);
    struct tree_call record;

    if (data.data == NULL || tree_call_decode(data, &record) != MK_OK) {
        sim_check_fail(check, "the record of call 0x%llx is malformed", (unsigned long long)number);
        return;
    }
    if (call == NULL) {
        check->calls =
            grown(check->calls, check->calls_count, &check->calls_cap, sizeof(*check->calls));
        call = &check->calls[check->calls_count++];
        *call = (struct sim_call){.number = number};
        check->stats.calls++;
    }
    free_bytes(call->ticket);
    call->ticket = ticket_of(&record);
    call->session = record.session;
    call->call_id = record.call_id;
    call->finished = record.operation.len == 0;
    call->deadline_ms = record.deadline_ms;
    call->wake_at_ms = record.wake_at_ms;
    call->due_ms = tree_call_due_ms(&record);
}

static void record_deleted(struct sim_check *check, mk_zxid number)
{
    struct sim_call *call = call_numbered(check, number);

    if (call == NULL) {
        sim_check_fail(check, "the record of call 0x%llx goes, and never came",
                       (unsigned long long)number);
        return;
    }
    free_bytes(call->ticket);
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
static void results_written(struct sim_check *check, mk_session session, struct mk_bytes data,
                            mk_zxid number)
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
    ended(check, session, call_id, body, number);
}

static void node_written(struct sim_check *check, const struct jute_txn *part, mk_zxid number)
{
    struct mk_bytes result = json_member(part->data, "\"result\":", "");
    struct mk_bytes error = json_member(part->data, "\"error\":\"", "\"");

    if (result.data != NULL) {
        woken(check, number);
        result.len--; /* the object's brace */
        returned(check, part->client_id, result);
    } else if (error.data != NULL) {
        failed(check, number, error);
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

    if (op == NULL || op->request.op != JUTE_CALL || op->request.call_id != 0 ||
        part->type != JUTE_CREATE || !part->ephemeral || !is_contender(part->path, lock)) {
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
    granted(check, part->path, check->model.zxid, op->session);
}

/* How the call ends, if it does, and what its maker is to be told. */
static void follow_outcome(struct sim_check *check, const struct jute_txn *part, mk_zxid concerned,
                           struct sim_op *op)
{
    bool created = is_create(part->type);
    int64_t number = 0;

    if (!created && part->type != JUTE_SET_DATA) {
        return;
    }
    switch (child_of(part->path, &number)) {
    case CHILD_RESULTS: results_written(check, number, part->data, concerned); break;
    case CHILD_NODE:
        node_written(check, part, concerned);
        if (created && op != NULL) {
            expect_created(check, op, part->path);
        }
        break;
    case CHILD_NONE: follow_plain(check, part, op); break;
    case CHILD_RECORD: break;
    }
}

static void follow_record(struct sim_check *check, const struct jute_txn *part)
{
    int64_t number = 0;

    if (child_of(part->path, &number) != CHILD_RECORD) {
        return;
    }
    if (part->type == JUTE_DELETE) {
        record_deleted(check, number);
    } else {
        record_written(check, number, part->data);
    }
}

/* Outcomes first: they are judged by the record as it was. */
void sim_calls_follow(struct sim_check *check, const struct jute_txn *txn, struct sim_op *op)
{
    struct jute_txn_cursor cursor = jute_txn_begin(txn);
    struct jute_txn part;
    mk_zxid concerned = call_concerned(txn);

    while (jute_txn_next(&cursor, &part)) {
        follow_outcome(check, &part, concerned, op);
    }
    cursor = jute_txn_begin(txn);
    while (jute_txn_next(&cursor, &part)) {
        follow_record(check, &part);
    }
}

/* ---- Answered ---- */

static bool refused(struct mk_bytes error)
{
    return mk_bytes_equal(error, MK_BYTES("Unimplemented")) ||
           mk_bytes_equal(error, MK_BYTES("BadArguments")) ||
           mk_bytes_equal(error, MK_BYTES("Overload"));
}

void sim_call_replied(struct sim_check *check, const struct sim_op *op,
                      const struct jute_reply *reply)
{
    const struct sim_outcome *outcome = outcome_of(check, op->session, op->request.call_id);
    const struct jute_request *request = &op->request;
    struct result result = {0};
    const char *wrong = NULL;

    if (reply->error != 0) {
        wrong = op->committed && reply->error == op->error ? NULL : "with an error in the header";
    } else if (!result_of_body(reply->body, &result)) {
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
        wrong = result.error.data != NULL && refused(result.error)
                    ? NULL
                    : "before its outcome was committed";
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

/* ---- When nothing is under way ---- */

static bool is_granted(const struct sim_check *check, const struct sim_znode *ticket)
{
    for (size_t i = 0; i < check->locks_count; i++) {
        if (check->locks[i].born == ticket->born) {
            return true;
        }
    }
    return false;
}

static bool is_waiting(const struct sim_check *check, const struct sim_znode *ticket)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        if (mk_bytes_equal(check->calls[i].ticket, ticket->path)) {
            return true;
        }
    }
    return false;
}

void sim_calls_quiet(struct sim_check *check, mk_ms log_time_ms)
{
    for (size_t i = 0; i < check->calls_count; i++) {
        const struct sim_call *call = &check->calls[i];
        const struct sim_znode *ticket = sim_model_find(&check->model, call->ticket);
        if (call->due_ms != 0 && call->due_ms < log_time_ms) {
            sim_check_fail(check, "call 0x%llx is past its time", (unsigned long long)call->number);
        } else if (call->wake_at_ms != 0) {
            continue;
        } else if (!call->finished && ticket == NULL) {
            sim_check_fail(check, "call 0x%llx waits, and its ticket is gone",
                           (unsigned long long)call->number);
        } else if (!call->finished &&
                   sim_lock_first(check, sim_path_parent(call->ticket)) == ticket) {
            sim_check_fail(check, "call 0x%llx waits for a lock that is free",
                           (unsigned long long)call->number);
        }
    }
    for (size_t i = 0; i < check->model.znodes_count; i++) {
        const struct sim_znode *znode = check->model.znodes[i];
        struct mk_bytes name = MK_BYTES("/lock-");
        size_t at = znode->path.len < name.len + 10 ? 0 : znode->path.len - name.len - 10;
        if (at > 0 && sim_owner_session(&check->model, znode->owner) != 0 &&
            memcmp(znode->path.data + at, name.data, name.len) == 0 && !is_granted(check, znode) &&
            !is_waiting(check, znode)) {
            sim_check_fail(check, "the ticket %.*s is nobody's", (int)znode->path.len,
                           (const char *)znode->path.data);
        }
    }
}
