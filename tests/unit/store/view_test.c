/* The views agree: what an operation does in the speculative view is what it does when it commits,
 * whatever happens between: aborts, checkpoints, stalls, crashes, lost leadership.
 *
 * Three stores get the same random transactions. `subject` is tried: it proposes, aborts, commits
 * later, forgets, checkpoints, stalls, crashes. `ahead` simply commits each transaction when the
 * subject proposes it, `behind` when the subject commits it. Each view must look like its store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"

#define HISTORY_MAX 4096

/* A base that watches the one below it: an operation in a view that may not block must not make it
 * wait for a row, not even in the midst of writing. */
struct spy {
    struct store_base base;
    struct store_base_ops ops;
    struct store_base *real;
    bool forbidden; /* to block */
};

struct trial {
    struct spy spy;
    struct mk_random random;
    struct mk_random stalls;
    struct store_base *base;
    struct store *subject;
    struct store *ahead;
    struct store *behind;
    struct store_checkpoint *checkpoint;
    bool written;
    struct txn *history[HISTORY_MAX]; /* committed, then proposed */
    size_t proposed;
    size_t committed;
    mk_zxid zxid;
    bool may_block;
};

static const struct store_options plain = {.cache_bytes = 1 << 20,
                                           .overlay_bytes = 1 << 30,
                                           .overlay_bytes_max = 1 << 30,
                                           .quota_step_rows = 3};
static const struct store_options narrow = {.cache_bytes = 2000,
                                            .overlay_bytes = 10000,
                                            .overlay_bytes_max = 1 << 20,
                                            .quota_step_rows = 3,
                                            .hash_seed = 9};

static struct store *open_over(struct store_base *base, const struct store_options *options)
{
    struct mk_error error;
    struct store *store = store_open(base, options, &error);
    assert_non_null(store);
    return store;
}

static enum mk_status spy_get(struct store_base *base, struct mk_bytes key, bool may_block,
                              struct mk_buf *value)
{
    struct spy *spy = MK_CONTAINER(base, struct spy, base);
    assert_false(spy->forbidden && may_block);
    return spy->real->ops->get(spy->real, key, may_block, value);
}

static struct store_base_iter *spy_iter_new(struct store_base *base, bool may_block)
{
    struct spy *spy = MK_CONTAINER(base, struct spy, base);
    return spy->real->ops->iter_new(spy->real, may_block);
}

static enum mk_status spy_ingest(struct store_base *base, const struct store_rows *rows,
                                 struct mk_error *error)
{
    struct spy *spy = MK_CONTAINER(base, struct spy, base);
    return spy->real->ops->ingest(spy->real, rows, error);
}

static void spy_close(struct store_base *base)
{
    struct spy *spy = MK_CONTAINER(base, struct spy, base);
    spy->real->ops->close(spy->real);
}

static void spy_init(struct spy *spy, struct store_base *real)
{
    spy->real = real;
    spy->ops = *real->ops;
    spy->ops.get = spy_get;
    spy->ops.iter_new = spy_iter_new;
    spy->ops.ingest = spy_ingest;
    spy->ops.close = spy_close;
    spy->base.ops = &spy->ops;
}

/* A session's beginning is too rare to be prepared for; its end wakes calls, but its own row may have
 * to be read. */
static bool op_may_block(const struct op *op)
{
    return op->kind == OP_SESSION_PUT || op->kind == OP_SESSION_REMOVE;
}

static enum mk_status subject_apply(struct trial *trial, struct store_view *view,
                                    const struct op *op, struct mk_buf *result)
{
    trial->spy.forbidden = !trial->may_block && !op_may_block(op);
    enum mk_status status = model_op_apply(view, op, result);
    trial->spy.forbidden = false;
    return status;
}

static void subject_open(struct trial *trial)
{
    store_base_memory_ref(trial->base);
    trial->subject = open_over(&trial->spy.base, &narrow);
    store_view_blocking(store_committed(trial->subject), trial->may_block);
    store_view_blocking(store_speculative(trial->subject), trial->may_block);
    trial->checkpoint = NULL;
}

/* ---- Transactions ---- */

static void assert_same(const struct mk_buf *is, const struct mk_buf *expected, const char *what)
{
    if (is->len == expected->len && memcmp(is->data, expected->data, is->len) == 0) {
        return;
    }
    size_t at = 0;
    while (at < is->len && at < expected->len && is->data[at] == expected->data[at]) {
        at++;
    }
    size_t from = at > 300 ? at - 300 : 0;
    print_error("%s differs at %zu\n---- is\n%.*s\n---- expected\n%.*s\n", what, at,
                (int)(is->len - from < 600 ? is->len - from : 600), (const char *)is->data + from,
                (int)(expected->len - from < 600 ? expected->len - from : 600),
                (const char *)expected->data + from);
    fail();
}

/* All operations in the speculative view. False: one of them has to wait for the disk. */
static bool propose_once(struct trial *trial, struct txn *txn)
{
    struct store_view *view = store_speculative(trial->subject);
    store_begin(view, txn->zxid, txn->zxid * 10);
    for (size_t i = 0; i < txn->count; i++) {
        txn->ops[i].result.len = 0;
        enum mk_status status = subject_apply(trial, view, &txn->ops[i], &txn->ops[i].result);
        if (status == MK_WOULD_BLOCK) {
            store_abort(view);
            model_load(trial->subject);
            return false;
        }
    }
    return true;
}

static void apply_plainly(struct store *store, const struct txn *txn)
{
    struct store_view *view = store_committed(store);
    store_begin(view, txn->zxid, txn->zxid * 10);
    for (size_t i = 0; i < txn->count; i++) {
        struct mk_buf result = {0};
        enum mk_status status = model_op_apply(view, &txn->ops[i], &result);
        assert_int_equal(status, MK_OK);
        assert_same(&result, &txn->ops[i].result, "the answer of an operation");
        mk_buf_free(&result);
    }
    store_end(view);
}

static void propose(struct trial *trial)
{
    struct txn *txn = model_txn_new(&trial->random, store_committed(trial->ahead), trial->zxid + 1);
    while (!propose_once(trial, txn)) {
    }
    if (mk_random_below(&trial->random, 5) == 0) {
        store_abort(store_speculative(trial->subject));
        model_txn_free(txn);
        return;
    }
    store_end(store_speculative(trial->subject));
    trial->zxid++;
    trial->history[trial->proposed++] = txn;
    apply_plainly(trial->ahead, txn);
}

static void subject_commit(struct trial *trial, const struct txn *txn)
{
    struct store_view *view = store_committed(trial->subject);
    store_begin(view, txn->zxid, txn->zxid * 10);
    for (size_t i = 0; i < txn->count; i++) {
        struct mk_buf result = {0};
        while (subject_apply(trial, view, &txn->ops[i], &result) == MK_WOULD_BLOCK) {
            model_load(trial->subject);
        }
        assert_same(&result, &txn->ops[i].result, "the answer of a committed operation");
        mk_buf_free(&result);
    }
    store_end(view);
}

static void commit(struct trial *trial)
{
    if (trial->committed == trial->proposed) {
        return;
    }
    const struct txn *txn = trial->history[trial->committed++];
    subject_commit(trial, txn);
    apply_plainly(trial->behind, txn);
    if (mk_random_below(&trial->random, 3) == 0) {
        store_speculative_forget(trial->subject, store_applied(trial->subject));
    }
}

/* ---- What may happen in between ---- */

static void propose_again(struct trial *trial)
{
    for (size_t i = trial->committed; i < trial->proposed; i++) {
        struct txn *txn = trial->history[i];
        while (!propose_once(trial, txn)) {
        }
        store_end(store_speculative(trial->subject));
    }
}

static void lose_leadership(struct trial *trial)
{
    store_speculative_reset(trial->subject);
    propose_again(trial);
}

static void crash(struct trial *trial)
{
    store_close(trial->subject);
    store_base_memory_lose(trial->base, (unsigned)mk_random_below(&trial->random, 4));
    subject_open(trial);
    for (size_t i = 0; i < trial->committed; i++) {
        if (trial->history[i]->zxid > store_applied(trial->subject)) {
            subject_commit(trial, trial->history[i]);
        }
    }
    store_speculative_reset(trial->subject);
    propose_again(trial);
}

static void checkpoint_on(struct trial *trial)
{
    struct mk_error error;
    if (trial->checkpoint == NULL) {
        trial->checkpoint = store_checkpoint_start(trial->subject);
        assert_non_null(trial->checkpoint);
        trial->written = false;
    } else if (!trial->written) {
        enum mk_status status = store_checkpoint_write(trial->checkpoint, &error);
        assert_int_equal(status, MK_OK);
        trial->written = true;
    } else {
        store_checkpoint_done(trial->subject, trial->checkpoint);
        trial->checkpoint = NULL;
    }
}

static void compare_view(struct trial *trial, struct store_view *view, struct store *plainly,
                         const char *what)
{
    struct mk_buf is = {0};
    struct mk_buf expected = {0};
    enum mk_status status;
    while ((status = model_view_show(view, &is)) == MK_WOULD_BLOCK) {
        model_load(trial->subject);
        is.len = 0;
    }
    assert_int_equal(status, MK_OK);
    status = model_view_show(store_committed(plainly), &expected);
    assert_int_equal(status, MK_OK);
    assert_same(&is, &expected, what);
    mk_buf_free(&is);
    mk_buf_free(&expected);
}

static void compare(struct trial *trial)
{
    compare_view(trial, store_speculative(trial->subject), trial->ahead, "the speculative view");
    compare_view(trial, store_committed(trial->subject), trial->behind, "the committed view");
    store_check(trial->subject);
    store_check(trial->behind);
    assert_true(store_hash(trial->subject) == store_hash(trial->behind));
    assert_memory_equal(store_totals(trial->subject), store_totals(trial->behind),
                        sizeof(struct store_totals));
}

/* ---- Trials ---- */

static void trial_step(struct trial *trial)
{
    uint64_t dice = mk_random_below(&trial->random, 1000);
    if (dice < 480) {
        propose(trial);
    } else if (dice < 940) {
        commit(trial);
    } else if (dice < 980) {
        checkpoint_on(trial);
    } else if (dice < 984) {
        crash(trial);
    } else if (dice < 988) {
        lose_leadership(trial);
    } else {
        compare(trial);
    }
}

static void trial_run(uint64_t seed, uint32_t stall_per_mille, int steps)
{
    struct trial *trial = mk_alloc_zero(1, sizeof(*trial));
    mk_random_seed(&trial->random, seed);
    mk_random_seed(&trial->stalls, seed + 1);
    trial->may_block = stall_per_mille == 0;
    trial->base = store_base_memory(&trial->stalls, stall_per_mille);
    spy_init(&trial->spy, trial->base);
    subject_open(trial);
    trial->ahead = open_over(store_base_memory(NULL, 0), &plain);
    trial->behind = open_over(store_base_memory(NULL, 0), &plain);
    for (int i = 0; i < steps; i++) {
        trial_step(trial);
    }
    while (trial->committed < trial->proposed) {
        commit(trial);
    }
    store_speculative_forget(trial->subject, trial->zxid);
    compare(trial);

    store_close(trial->subject);
    store_close(trial->ahead);
    store_close(trial->behind);
    trial->base->ops->close(trial->base);
    for (size_t i = 0; i < trial->proposed; i++) {
        model_txn_free(trial->history[i]);
    }
    mk_free(trial);
}

static void views_agree_over_random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        trial_run(seed, 0, 1000);
    }
}

static void views_agree_when_reads_stall(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 110; seed++) {
        trial_run(seed, 150, 500);
    }
}

static void views_agree_when_every_read_stalls_first(void **state)
{
    (void)state;
    for (uint64_t seed = 201; seed <= 205; seed++) {
        trial_run(seed, 1000, 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_agree_over_random_histories),
        cmocka_unit_test(views_agree_when_reads_stall),
        cmocka_unit_test(views_agree_when_every_read_stalls_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
