/* A small server without clients: transactions made up from a seed are appended to a log, applied
 * to a store over RocksDB, and checkpointed, by the same threads as in the real one.
 *
 *     crash_workload run DIRECTORY SEED COUNT [unsynced]
 *     crash_workload check DIRECTORY SEED ACKNOWLEDGED EPOCH
 *
 * run: recover, then go on up to transaction COUNT. Descriptor 1000 is told what a client would
 * have been told: "acknowledged <zxid>", "epoch <n>" (see shim.c). unsynced: the log never syncs.
 *
 * check: recover. Everything up to ACKNOWLEDGED and EPOCH must be there; the checkpoint and the
 * state after the log are compared with a store in memory that lived through the same transactions.
 *
 * At every zxid divisible by 250 a few more transactions are appended that nobody is told of, and
 * taken back again, as a leader's TRUNC does: these are of attempt 0, all others of attempt 1. */
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

#define MARK_FD 1000
#define PARENTS_COUNT 8
#define BATCH_MAX 20
#define TAKEN_BACK_EVERY 250
#define TAKEN_BACK_MAX 6
#define DATA_BYTES_MAX 3000

static _Noreturn void fail(const char *format, ...) MK_PRINTF(1, 2);
static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    exit(1);
}

static void must(enum mk_status status, const struct mk_error *error)
{
    if (status != MK_OK) {
        fail("%s: %s", mk_status_name(status), error != NULL ? error->text : "");
    }
}

/* ---- Transactions ---- */

enum kind { CREATE, SET_DATA, DELETE };
struct txn {
    enum kind kind;
    char path[32];
    uint8_t data[DATA_BYTES_MAX];
    size_t data_len;
};

static void txn_path(struct txn *txn, mk_zxid of)
{
    if (of <= PARENTS_COUNT) {
        snprintf(txn->path, sizeof(txn->path), "/d%d", (int)(of % PARENTS_COUNT));
        return;
    }
    snprintf(txn->path, sizeof(txn->path), "/d%d/n%d", (int)(of % PARENTS_COUNT), (int)of);
}

static void txn_make(struct txn *txn, uint64_t seed, mk_zxid zxid, int attempt)
{
    struct mk_random random;
    mk_random_seed(&random, seed * 1000003 + (uint64_t)zxid * 2 + (uint64_t)attempt);
    uint64_t die = mk_random_below(&random, 10);
    bool first = zxid <= PARENTS_COUNT + 1 || die < 5;

    txn->kind = first ? CREATE : die < 8 ? SET_DATA : DELETE;
    mk_zxid old = PARENTS_COUNT + 1 + (mk_zxid)mk_random_below(&random, (uint64_t)zxid);
    txn_path(txn, first ? zxid : old < zxid ? old : zxid - 1);
    bool zeros = mk_random_chance(&random, 200); /* looks like a sector that was never written */
    txn->data_len =
        (size_t)mk_random_below(&random, mk_random_chance(&random, 200) ? DATA_BYTES_MAX : 200);
    for (size_t i = 0; i < txn->data_len; i++) {
        txn->data[i] = zeros ? 0 : (uint8_t)mk_random_next(&random);
    }
}

static void txn_apply(struct store *store, uint64_t seed, mk_zxid zxid)
{
    struct store_view *view = store_committed(store);
    struct store_znode znode;
    struct txn txn;
    txn_make(&txn, seed, zxid, 1);
    struct mk_bytes path = mk_bytes_text(txn.path);
    struct mk_bytes data = mk_bytes_of(txn.data, txn.data_len);

    store_begin(view, zxid, (mk_ms)zxid);
    if (zxid % 40 == 0) {
        enum mk_status put = store_session_put(view, zxid, 30000);
        MK_ASSERT(put == MK_OK);
    }
    enum mk_status status = store_znode_read(view, path, false, &znode);
    if (txn.kind == CREATE) {
        struct store_create create = {.path = path, .data = data, .parent_cversion = -1};
        status = store_znode_create(view, &create, &znode);
    } else if (status == MK_OK && txn.kind == SET_DATA) {
        status = store_znode_set_data(view, path, data, znode.stat.version + 1, &znode);
    } else if (status == MK_OK) {
        status = store_znode_delete(view, path);
    }
    if (status != MK_OK && status != MK_NO_NODE) {
        fail("transaction %d: %s", (int)zxid, mk_status_name(status));
    }
    store_end(view);
}

static void entry_put(struct mk_buf *batch, uint64_t seed, mk_zxid zxid, int attempt)
{
    struct txn txn;
    txn_make(&txn, seed, zxid, attempt);
    size_t entry = store_log_entry_begin(batch);
    mk_buf_put_u64(batch, seed);
    mk_buf_put_i32(batch, attempt);
    mk_buf_put_i64(batch, zxid);
    mk_buf_put_i64(batch, zxid);
    mk_buf_put_i32(batch, (int32_t)txn.kind);
    mk_buf_append(batch, txn.data, txn.data_len);
    store_log_entry_end(batch, entry);
}

/* Which attempt the entry is; fails if it is not what was written. */
static int entry_attempt(uint64_t seed, mk_zxid zxid, struct mk_bytes entry)
{
    int attempt = (int)mk_load_u32(entry.data + 8);
    struct mk_buf expected = {0};
    entry_put(&expected, seed, zxid, attempt != 0);
    bool same = mk_bytes_equal(entry, mk_bytes_of(expected.data + 12, expected.len - 13));
    mk_buf_free(&expected);
    if (!same) {
        fail("entry %d is not what was written", (int)zxid);
    }
    return attempt;
}

/* ---- Recovery ---- */

struct server {
    const char *directory;
    uint64_t seed;
    struct store_log *log;
    struct store *store;
    mk_zxid last;       /* applied */
    mk_zxid taken_back; /* entries above were of attempt 0; 0: there were none */
    struct mk_error error;

    /* Between the main thread and the helper. */
    sem_t work;
    sem_t answer;
    _Atomic(struct store_checkpoint *) checkpoint; /* to be written */
    atomic_bool checkpoint_written;
    atomic_bool stop;
    _Atomic mk_zxid durable;
};

static struct store *store_over(struct store_base *base, struct mk_error *error)
{
    struct store_options options = {
        .cache_bytes = 1 << 20, .overlay_bytes = 64 << 10, .overlay_bytes_max = 1 << 20};

    return base == NULL ? NULL : store_open(base, &options, error);
}

static enum mk_status replay_visit(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct server *server = context;
    int attempt = entry_attempt(server->seed, zxid, entry);

    if (attempt == 0) {
        if (server->taken_back == 0) {
            server->taken_back = zxid - 1;
        }
        return MK_OK;
    }
    if (server->taken_back != 0) {
        fail("entry %d follows one that was taken back", (int)zxid);
    }
    if (zxid <= server->last) {
        return MK_OK;
    }
    if (zxid != server->last + 1) {
        fail("after %d comes entry %d", (int)server->last, (int)zxid);
    }
    txn_apply(server->store, server->seed, zxid);
    server->last = zxid;
    return MK_OK;
}

/* The directory's lock, the log and the checkpoint; nothing replayed yet. */
static void server_open(struct server *server, bool sync)
{
    struct store_log_options log_options = {
        .segment_bytes = 256 << 10, .segment_first_bytes = 32 << 10, .sync = sync};
    struct store_disk_options disk_options = {.cache_bytes = 4 << 20, .open_files_max = 64};
    char path[512];
    int lock;

    must(store_directory_lock(server->directory, &lock, &server->error), &server->error);
    snprintf(path, sizeof(path), "%s/log", server->directory);
    server->log = store_log_open(path, &log_options, &server->error);
    if (server->log == NULL) {
        fail("%s", server->error.text);
    }
    snprintf(path, sizeof(path), "%s/state", server->directory);
    server->store =
        store_over(store_base_rocks(path, &disk_options, &server->error), &server->error);
    if (server->store == NULL) {
        fail("%s", server->error.text);
    }
    server->last = store_applied(server->store);
}

static void server_replay(struct server *server)
{
    if (server->last > store_log_last(server->log)) {
        fail("the checkpoint is of %d, but the log ends at %d", (int)server->last,
             (int)store_log_last(server->log));
    }
    must(store_log_replay(server->log, server->last, replay_visit, server, &server->error),
         &server->error);
}

static void server_close(struct server *server)
{
    store_close(server->store);
    store_log_close(server->log);
}

/* ---- run ---- */

static void mark(const char *text, int64_t number)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s %lld", text, (long long)number);

    (void)!write(MARK_FD, line, (size_t)len); /* without the shim there is no such descriptor */
}

static void *helper_run(void *context)
{
    struct server *server = context;
    struct mk_error error;

    while (sem_wait(&server->work) == 0 && !atomic_load(&server->stop)) {
        struct store_checkpoint *checkpoint = atomic_exchange(&server->checkpoint, NULL);
        if (checkpoint != NULL) {
            must(store_checkpoint_write(checkpoint, &error), &error);
            atomic_store(&server->checkpoint_written, true);
            sem_post(&server->answer);
        }
        must(store_log_prewrite(server->log, &error), &error);
        must(store_log_remove_through(server->log, atomic_load(&server->durable), 0, &error),
             &error);
    }
    return NULL;
}

static void append(struct server *server, mk_zxid first, mk_zxid last, int attempt)
{
    struct mk_buf batch = {0};

    for (mk_zxid zxid = first; zxid <= last; zxid++) {
        entry_put(&batch, server->seed, zxid, attempt);
    }
    must(store_log_append(server->log, batch.data, batch.len, &server->error), &server->error);
    mk_buf_free(&batch);
}

/* One checkpoint at a time is on its way. */
static void checkpoints_move(struct server *server, struct store_checkpoint **writing)
{
    bool wait = store_full(server->store);
    if (*writing != NULL) {
        if (wait) {
            sem_wait(&server->answer);
        }
        if ((wait || sem_trywait(&server->answer) == 0) &&
            atomic_exchange(&server->checkpoint_written, false)) {
            store_checkpoint_done(server->store, *writing);
            atomic_store(&server->durable, store_durable(server->store));
            *writing = NULL;
        }
    }
    if (*writing == NULL && store_checkpoint_due(server->store)) {
        *writing = store_checkpoint_start(server->store);
        atomic_store(&server->checkpoint, *writing);
    }
}

static void batch_do(struct server *server, mk_zxid last)
{
    mk_zxid first = server->last + 1;

    append(server, first, last, 1);
    mark("acknowledged", last);
    for (mk_zxid zxid = first; zxid <= last; zxid++) {
        txn_apply(server->store, server->seed, zxid);
    }
    server->last = last;
    if (last % TAKEN_BACK_EVERY == 0) {
        append(server, last + 1, last + 1 + last / TAKEN_BACK_EVERY % TAKEN_BACK_MAX, 0);
        must(store_log_truncate(server->log, last, &server->error), &server->error);
    }
    if (last % 7 == 0) {
        must(store_epoch_write(server->directory, "currentEpoch", last, &server->error),
             &server->error);
        mark("epoch", last);
    }
}

static void run(struct server *server, mk_zxid count, bool sync)
{
    struct store_checkpoint *writing = NULL;
    struct mk_random random;
    pthread_t helper;
    server_open(server, sync);
    server_replay(server);
    must(store_log_truncate(server->log, server->last, &server->error), &server->error);
    mark("acknowledged", server->last); /* a server tells its leader at once what it has */
    mk_random_seed(&random, server->seed + (uint64_t)server->last);
    MK_ASSERT(sem_init(&server->work, 0, 0) == 0 && sem_init(&server->answer, 0, 0) == 0);
    MK_ASSERT(pthread_create(&helper, NULL, helper_run, server) == 0);

    while (server->last < count) {
        mk_zxid first = server->last + 1;
        mk_zxid last = first + (mk_zxid)mk_random_below(&random, BATCH_MAX);
        mk_zxid end = (first + TAKEN_BACK_EVERY - 1) / TAKEN_BACK_EVERY * TAKEN_BACK_EVERY;
        batch_do(server, last < end ? last : end);
        checkpoints_move(server, &writing);
        sem_post(&server->work);
    }

    atomic_store(&server->stop, true);
    sem_post(&server->work);
    pthread_join(helper, NULL);
    server_close(server);
}

/* ---- check ---- */

static void state_compare(struct server *server, struct store *model, const char *what)
{
    store_check(server->store);
    if (store_hash(server->store) != store_hash(model)) {
        fail("%s at %d is not the state after the transactions up to there", what,
             (int)server->last);
    }
}

static void check(struct server *server, mk_zxid acknowledged, int64_t epoch)
{
    int64_t found = 0;
    struct store *model = store_over(store_base_memory(NULL, 0), &server->error);
    server_open(server, true);
    enum mk_status status =
        store_epoch_read(server->directory, "currentEpoch", &found, &server->error);
    if (status != MK_NO_NODE) {
        must(status, &server->error);
    }
    if (found < epoch) {
        fail("epoch %d was written and %d is there", (int)epoch, (int)found);
    }

    mk_zxid applied = 0;
    while (applied < server->last) {
        txn_apply(model, server->seed, ++applied);
    }
    state_compare(server, model, "the checkpoint");
    server_replay(server);
    if (server->last < acknowledged) {
        fail("%d was acknowledged, but only %d is there", (int)acknowledged, (int)server->last);
    }
    while (applied < server->last) {
        txn_apply(model, server->seed, ++applied);
    }
    state_compare(server, model, "the state");

    printf("ok, checkpoint %d, log %d to %d\n", (int)store_durable(server->store),
           (int)store_log_first(server->log), (int)server->last);
    store_close(model);
    server_close(server);
}

int main(int argc, char **argv)
{
    struct server server = {0};

    if (argc < 5) {
        fprintf(stderr, "usage: crash_workload run DIRECTORY SEED COUNT [unsynced]\n"
                        "       crash_workload check DIRECTORY SEED ACKNOWLEDGED EPOCH\n");
        return 2;
    }
    server.directory = argv[2];
    server.seed = strtoull(argv[3], NULL, 10);
    if (strcmp(argv[1], "run") == 0) {
        run(&server, atoi(argv[4]), argc < 6);
    } else {
        check(&server, atoi(argv[4]), argc > 5 ? atoi(argv[5]) : 0);
    }
    return 0;
}
