/* Dispatch: a request becomes one transaction, whichever way it goes.
 *
 *   begin at the next zxid -> check and change, in the speculative view -> write it -> end
 *   an answer instead: abort, and write the error transaction, which uses up the zxid as well
 *   MK_WOULD_BLOCK: abort, write nothing; the server loads what is missing and asks again */
#include "prepare/prepare.h"

#include "prepare/context.h"

/* A closeSession with more ephemerals than this carries no list; apply goes by its own index. */
#define CLOSE_PATHS_MAX 1000
/* A multi's transaction may be larger than its request: "auth" in an ACL becomes all the digests of the
 * connection. By this much, in units of transaction_bytes_max, which is half a frame. */
#define MULTI_GROWTH_MAX ((size_t)8)

struct prepare *prepare_new(const struct prepare_options *options, struct store *store,
                            struct recipe_engine *engine, const struct mk_log *log)
{
    MK_ASSERT(engine != NULL || !options->recipes);

    struct prepare *prepare = mk_alloc_zero(1, sizeof(*prepare));
    prepare->options = *options;
    prepare->store = store;
    prepare->view = store_speculative(store);
    prepare->engine = engine;
    prepare->log = log;
    prepare_builtin_init(prepare);
    return prepare;
}

void prepare_free(struct prepare *prepare)
{
    prepare_builtin_deinit(prepare);
    prepare_figures_free(prepare);
    mk_arena_free(&prepare->scraps);
    mk_buf_free(&prepare->scratch);
    for (size_t i = 0; i < RUN_BUFFERS; i++) {
        mk_buf_free(&prepare->run_buffers[i]);
    }
    mk_free(prepare);
}

/* A call's record and results are smaller; what is larger comes seldom. */
#define SCRATCH_BYTES_KEPT ((size_t)64 * 1024)

struct mk_buf *prepare_scratch(struct prepare *prepare)
{
    if (prepare->scratch.cap > SCRATCH_BYTES_KEPT) {
        mk_buf_free(&prepare->scratch);
    }
    prepare->scratch.len = 0;
    return &prepare->scratch;
}

void prepare_result_reset(struct prepared *prepared)
{
    prepared->transaction = false;
    prepared->own_body = false;
    prepared->body.len = 0;
    prepared->parked = 0;
    prepared->ended = 0;
    prepared->ended_body.len = 0;
    prepared->audit.len = 0;
}

void prepare_result_deinit(struct prepared *prepared)
{
    mk_buf_free(&prepared->body);
    mk_buf_free(&prepared->ended_body);
    mk_buf_free(&prepared->audit);
}

static struct jute_txn header_of(const struct prepare_at *at, mk_session session, int32_t cxid,
                                 int32_t type)
{
    return (struct jute_txn){
        .client_id = session,
        .cxid = cxid,
        .zxid = at->zxid,
        .time_ms = at->time_ms,
        .type = type,
    };
}

static void put_header(struct jute_txn *part, const struct jute_txn *header)
{
    part->client_id = header->client_id;
    part->cxid = header->cxid;
    part->zxid = header->zxid;
    part->time_ms = header->time_ms;
}

static void put_error(const struct prepare_at *at, const struct prepare_who *who,
                      enum mk_status status, struct mk_buf *out)
{
    struct jute_txn txn = header_of(at, who->session, who->cxid, JUTE_ERROR);

    txn.error = jute_error_code(status);
    jute_txn_encode(out, &txn);
}

/* ---- One operation ---- */

static enum mk_status prepare_single(struct prepare *prepare, const struct prepare_at *at,
                                     const struct prepare_who *who,
                                     const struct jute_request *request, struct mk_buf *out)
{
    struct changer changer = {
        .session = who->session, .identities = who->identities, .local = who->local};
    struct jute_txn header = header_of(at, who->session, who->cxid, 0);
    struct jute_txn txn;

    store_begin(prepare->view, at->zxid, at->time_ms);
    enum mk_status status = prepare_change_request(prepare, &changer, request, false, &txn);
    if (status == MK_OK) {
        store_end(prepare->view);
        put_header(&txn, &header);
        jute_txn_encode(out, &txn);
        return MK_OK;
    }
    store_abort(prepare->view);
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    put_error(at, who, status, out);
    return MK_OK;
}

/* ---- Multi ---- */

/* The failed one: what came before it 0, itself its code, what comes after RuntimeInconsistency. */
static void put_failed_multi(const struct jute_txn *header, const struct jute_request *request,
                             int32_t failed, enum mk_status status, struct mk_buf *out)
{
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_txn_multi multi = jute_txn_multi_begin(out, header);
    struct jute_request operation;

    for (int32_t i = 0; jute_multi_next(&cursor, &operation); i++) {
        struct jute_txn part = {.type = JUTE_ERROR};
        if (i == failed) {
            part.error = jute_error_code(status);
        } else if (i > failed) {
            part.error = jute_error_code(MK_RUNTIME_INCONSISTENCY);
        }
        jute_txn_multi_put(out, &multi, &part);
    }
    jute_txn_multi_end(out, &multi);
}

static enum mk_status prepare_multi(struct prepare *prepare, const struct prepare_at *at,
                                    const struct prepare_who *who,
                                    const struct jute_request *request, struct mk_buf *out)
{
    struct changer changer = {
        .session = who->session, .identities = who->identities, .local = who->local};
    struct jute_txn header = header_of(at, who->session, who->cxid, JUTE_MULTI);
    struct jute_multi_cursor cursor = jute_multi_begin(request);
    struct jute_request operation;
    struct jute_txn part;
    size_t start = out->len;
    enum mk_status status = MK_OK;
    int32_t failed = 0;

    store_begin(prepare->view, at->zxid, at->time_ms);
    struct jute_txn_multi multi = jute_txn_multi_begin(out, &header);
    while (jute_multi_next(&cursor, &operation)) {
        status = prepare_change_request(prepare, &changer, &operation, true, &part);
        if (status != MK_OK) {
            break;
        }
        jute_txn_multi_put(out, &multi, &part);
        if (out->len - start > MULTI_GROWTH_MAX * prepare->options.transaction_bytes_max) {
            status = MK_BAD_ARGUMENTS;
            break;
        }
        failed++;
    }
    if (status == MK_OK) {
        jute_txn_multi_end(out, &multi);
        store_end(prepare->view);
        return MK_OK;
    }
    store_abort(prepare->view);
    out->len = start;
    if (status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    put_failed_multi(&header, request, failed, status, out);
    return MK_OK;
}

/* ---- The door ---- */

static bool is_create(int32_t op)
{
    return op == JUTE_CREATE || op == JUTE_CREATE2;
}

static enum mk_status prepare_one(struct prepare *prepare, const struct prepare_at *at,
                                  const struct prepare_who *who, const struct jute_request *request,
                                  struct mk_buf *out, struct prepared *prepared)
{
    bool node = is_create(request->op) || request->op == JUTE_DELETE;
    struct mk_bytes chroot;
    enum mk_status status = node ? prepare_call_gate(prepare, request->path, &chroot) : MK_NO_NODE;

    if (status == MK_NO_NODE) {
        return prepare_single(prepare, at, who, request, out);
    }
    if (status != MK_OK) {
        return status;
    }
    if (request->op == JUTE_DELETE) {
        return prepare_call_delete_node(prepare, at, who, request, out, prepared);
    }
    if (who->local) {
        return MK_EPHEMERAL_ON_LOCAL_SESSION; /* a call node is one */
    }
    status = prepare_call_make_node(prepare, at, who, request, chroot, out, prepared);
    prepare_builtin_audit(prepare, prepared);
    return status;
}

enum mk_status prepare_request(struct prepare *prepare, const struct prepare_at *at,
                               const struct prepare_who *who, const struct jute_request *request,
                               struct mk_buf *out, struct prepared *prepared)
{
    enum mk_status status;

    MK_ASSERT(at->zxid > store_view_zxid(prepare->view));
    mk_arena_reset(&prepare->scraps);
    prepared->transaction = true;
    if (request->malformed) {
        status = MK_MALFORMED;
    } else if (request->op == JUTE_CALL && who->local && !request->dry_run) {
        status = MK_EPHEMERAL_ON_LOCAL_SESSION; /* it lives, and dies, with the session */
    } else if (request->op == JUTE_CALL) {
        status = prepare_call_make(prepare, at, who, request, out, prepared);
        prepare_builtin_audit(prepare, prepared);
    } else if (request->op == JUTE_MULTI) {
        return prepare_multi(prepare, at, who, request, out);
    } else {
        status = prepare_one(prepare, at, who, request, out, prepared);
    }
    if (status == MK_OK || status == MK_WOULD_BLOCK || status >= MK_IO) {
        return status;
    }
    put_error(at, who, status, out); /* refused before anything was begun */
    return MK_OK;
}

/* ---- Sessions ---- */

enum mk_status prepare_create_session(struct prepare *prepare, const struct prepare_at *at,
                                      mk_session session, int32_t timeout_ms, struct mk_buf *out)
{
    struct jute_txn txn = header_of(at, session, 0, JUTE_CREATE_SESSION);

    MK_ASSERT(session != 0);
    txn.timeout_ms = timeout_ms;
    store_begin(prepare->view, at->zxid, at->time_ms);
    enum mk_status status = store_session_put(prepare->view, session, timeout_ms);
    if (status == MK_OK) {
        store_end(prepare->view);
        jute_txn_encode(out, &txn);
    } else {
        store_abort(prepare->view);
    }
    return status;
}

struct gathered { /* a session's ephemerals, as closeSession lists them: fields */
    struct mk_buf paths;
    int32_t count;
};

static bool gather(void *context, struct mk_bytes path)
{
    struct gathered *gathered = context;

    mk_buf_put_field(&gathered->paths, path);
    gathered->count++;
    return gathered->count < INT32_MAX;
}

/* The record of its results, which the session owns otherwise than as an ephemeral. */
static enum mk_status close_results(struct prepare *prepare, mk_session session,
                                    struct gathered *listed)
{
    uint8_t results[RESULTS_PATH_BYTES];
    struct mk_bytes path = mk_bytes_of(results, sizeof(results));
    struct store_znode znode;

    prepare_results_path(results, session);
    enum mk_status status = store_znode_read(prepare->view, path, false, &znode);
    if (status == MK_OK) {
        (void)gather(listed, path);
        status = store_znode_delete(prepare->view, path);
    }
    return status == MK_NO_NODE ? MK_OK : status;
}

/* All were gathered before the first is deleted: a cursor would have to sort what has been written
 * since the last one was opened, and pass over it. */
static enum mk_status delete_gathered(struct prepare *prepare, struct mk_bytes paths)
{
    struct mk_reader reader = mk_reader_of(paths);
    enum mk_status status = MK_OK;

    while (status == MK_OK && mk_reader_left(&reader) > 0) {
        status = store_znode_delete(prepare->view, mk_read_field(&reader));
    }
    return status;
}

/* `gathered` is empty; it becomes the session's ephemerals, `listed` what the transaction lists. */
static enum mk_status close_in_view(struct prepare *prepare, mk_session session,
                                    struct gathered *gathered, struct gathered *listed)
{
    enum mk_status status =
        store_ephemerals_each(prepare->view, session, MK_BYTES_NULL, gather, gathered);

    if (status == MK_OK && gathered->count <= CLOSE_PATHS_MAX) {
        mk_buf_append_bytes(&listed->paths, mk_buf_view(&gathered->paths));
        listed->count = gathered->count;
    }
    if (status == MK_OK) {
        status = close_results(prepare, session, listed);
    }
    if (status == MK_OK) { /* before its ephemerals, the end of which is nothing to its calls */
        status = store_session_remove(prepare->view, session);
    }
    if (status == MK_OK) {
        status = delete_gathered(prepare, mk_buf_view(&gathered->paths));
    }
    return status;
}

enum mk_status prepare_close_session(struct prepare *prepare, const struct prepare_at *at,
                                     mk_session session, int32_t cxid, struct mk_buf *out)
{
    struct jute_txn txn = header_of(at, session, cxid, JUTE_CLOSE_SESSION);
    struct gathered gathered = {0};
    struct gathered listed = {0};

    mk_arena_reset(&prepare->scraps);
    store_begin(prepare->view, at->zxid, at->time_ms);
    enum mk_status status = close_in_view(prepare, session, &gathered, &listed);
    if (status == MK_OK) {
        store_end(prepare->view);
        txn.paths = (struct jute_strings){
            .count = listed.count,
            .bytes = listed.paths.len > 0 ? mk_buf_view(&listed.paths) : MK_BYTES(""),
        };
        jute_txn_encode(out, &txn);
    } else {
        store_abort(prepare->view);
    }
    mk_buf_free(&gathered.paths);
    mk_buf_free(&listed.paths);
    return status;
}
