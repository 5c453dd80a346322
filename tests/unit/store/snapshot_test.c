/* A checkpoint goes out as a stream, and another store is filled from it: it is then the same store, and
 * goes on as the same, over both bases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "jute/jute.h"
#include "model.h"
#include "scratch.h"

#define BYTES_MAX (1 << 20)

static const struct store_options plain = {.cache_bytes = 1 << 20,
                                           .overlay_bytes = 1 << 30,
                                           .overlay_bytes_max = 1 << 30,
                                           .quota_step_rows = 3};
/* So narrow that a store is filled over many checkpoints. */
static const struct store_options narrow = {.cache_bytes = 2000,
                                            .overlay_bytes = 3000,
                                            .overlay_bytes_max = 1 << 20,
                                            .quota_step_rows = 3,
                                            .hash_seed = 9};

static struct store *open_over(struct store_base *base, const struct store_options *options)
{
    struct mk_error error;
    store_base_memory_ref(base);
    struct store *store = store_open(base, options, &error);
    assert_non_null(store);
    return store;
}

static void checkpoint_now(struct store *store)
{
    struct mk_error error;
    struct store_checkpoint *checkpoint = store_checkpoint_start(store);
    assert_non_null(checkpoint);
    enum mk_status status = store_checkpoint_write(checkpoint, &error);
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(store, checkpoint);
}

/* ---- Out and in ---- */

static mk_zxid export(struct store_base *base, size_t bytes_about, struct mk_buf *out)
{
    struct store_snapshot *snapshot;
    struct mk_error error = {0};
    mk_zxid zxid;
    enum mk_status status = store_snapshot_open(base, &snapshot, &zxid, &error);
    assert_int_equal(status, MK_OK);
    while (status == MK_OK) {
        status = store_snapshot_read(snapshot, bytes_about, true, out, &error);
    }
    assert_int_equal(status, MK_END);
    store_snapshot_close(snapshot);
    return zxid;
}

static struct store_install *install_begin(struct store_base *base,
                                           const struct store_options *options, mk_zxid zxid)
{
    struct store_install_options how = {.zxid = zxid, .bytes_max = BYTES_MAX, .trailer = true};
    struct mk_error error = {0};
    struct store_install *install = store_install_begin(base, options, &how, &error);
    assert_non_null(install);
    return install;
}

/* As a connection brings it: `piece` bytes at a time. */
static enum mk_status install_bytes(struct store_install *install, struct mk_bytes stream,
                                    size_t piece)
{
    struct mk_error error = {0};
    size_t from = 0, to = 0;
    enum mk_status status = MK_OK;
    while (status == MK_OK && to < stream.len) {
        size_t used;
        to = stream.len - to < piece ? stream.len : to + piece;
        status =
            store_install_bytes(install, mk_bytes_of(stream.data + from, to - from), &used, &error);
        from += used;
    }
    assert_true(status != MK_END || from == stream.len);
    return status;
}

static void install(struct store_base *base, const struct store_options *options, mk_zxid zxid,
                    const struct mk_buf *stream, size_t piece)
{
    struct mk_error error = {0};
    store_base_memory_ref(base);
    struct store_install *install = install_begin(base, options, zxid);
    assert_int_equal(install_bytes(install, mk_buf_view(stream), piece), MK_END);
    enum mk_status status = store_install_finish(install, &error);
    assert_int_equal(status, MK_OK);
}

/* ---- Random histories ---- */

/* What a snapshot does not say: which calls became ready when; and what was done to quotas, whose usage is
 * counted anew. There is one, with both its znodes, from the beginning (history()). */
static bool left_out(const struct op *op, bool calls)
{
    struct mk_bytes path = mk_bytes_text(op->path), root;
    return (!calls && tree_call_of_path(path) != 0) ||
           tree_quota_of_path(path, &root) != TREE_QUOTA_NONE;
}

static void apply(struct store *store, const struct txn *txn, bool calls)
{
    struct store_view *view = store_committed(store);
    store_begin(view, txn->zxid, txn->zxid * 10);
    for (size_t i = 0; i < txn->count; i++) {
        struct mk_buf result = {0};
        if (!left_out(&txn->ops[i], calls)) {
            enum mk_status status = model_op_apply(view, &txn->ops[i], &result);
            assert_int_equal(status, MK_OK);
        }
        mk_buf_free(&result);
    }
    store_end(view);
}

/* Usage is being counted in steps; a snapshot says only what it is in the end. */
static mk_zxid count_to_the_end(struct store *store, mk_zxid zxid)
{
    struct store_view *view = store_committed(store);
    enum mk_status status = MK_OK;
    while (status == MK_OK) {
        zxid++;
        store_begin(view, zxid, zxid * 10);
        status = store_quota_count(view);
        store_end(view);
    }
    assert_int_equal(status, MK_END);
    return zxid;
}

static mk_zxid quota_make(struct store *store)
{
    static const char *const paths[] = {"/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_stats",
                                        "/zookeeper/quota/a/zookeeper_limits"};
    struct store_view *view = store_committed(store);
    for (size_t i = 0; i < MK_COUNT(paths); i++) {
        struct store_znode znode;
        struct store_create create = {.path = mk_bytes_text(paths[i]),
                                      .data = MK_BYTES("count=5,bytes=-1"),
                                      .parent_cversion = -1};
        store_begin(view, (mk_zxid)i + 1, 10);
        enum mk_status status = store_znode_create(view, &create, &znode);
        assert_int_equal(status, MK_OK);
        store_end(view);
    }
    return MK_COUNT(paths);
}

static mk_zxid history(struct store *store, struct mk_random *random, mk_zxid from, int count,
                       bool calls)
{
    mk_zxid zxid = from > 0 ? from : quota_make(store);
    for (int i = 0; i < count; i++) {
        struct txn *txn = model_txn_new(random, store_committed(store), ++zxid);
        apply(store, txn, calls);
        model_txn_free(txn);
        if (mk_random_below(random, 50) == 0) {
            checkpoint_now(store);
        }
    }
    zxid = count_to_the_end(store, zxid);
    checkpoint_now(store);
    return zxid;
}

static void compare(struct store *is, struct store *expected)
{
    store_check(is);
    store_check(expected);
    assert_int_equal(store_applied(is), store_applied(expected));
    assert_int_equal(store_durable(is), store_durable(expected));
    assert_memory_equal(store_totals(is), store_totals(expected), sizeof(struct store_totals));
    assert_true(store_hash(is) == store_hash(expected));
}

static void trial(uint64_t seed, size_t bytes_about, size_t piece)
{
    struct mk_random random;
    mk_random_seed(&random, seed);
    struct store_base *old_base = store_base_memory(NULL, 0);
    struct store_base *new_base = store_base_memory(NULL, 0);
    struct store *old = open_over(old_base, &plain);
    struct mk_buf stream = {0}, again = {0};

    mk_zxid zxid = history(old, &random, 0, 400, false);
    assert_int_equal(export(old_base, bytes_about, &stream), zxid);
    install(new_base, &narrow, zxid, &stream, piece);

    struct store *new = open_over(new_base, &plain);
    compare(new, old);
    assert_int_equal(export(new_base, 1 << 20, &again), zxid);
    assert_true(mk_bytes_equal(mk_buf_view(&again), mk_buf_view(&stream)));

    /* And they go on alike. */
    struct mk_random same = random;
    (void)history(old, &random, zxid, 100, false);
    (void)history(new, &same, zxid, 100, false);
    compare(new, old);
    store_close(old);
    store_close(new);
    old_base->ops->close(old_base);
    new_base->ops->close(new_base);
    mk_buf_free(&stream);
    mk_buf_free(&again);
}

static void a_store_filled_from_a_snapshot_is_the_store_that_it_was_taken_of(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        trial(seed, 4096, 997);
    }
}

static void pieces_of_any_size_make_the_same_store(void **state)
{
    (void)state;
    trial(31, 1, 1);
    trial(32, 100, 7);
    trial(33, 1 << 30, 1 << 30);
}

/* In which order they became ready is not in a snapshot. That they are, follows from what they wait for, as
 * it is now: what has been undone since wakes nobody, and who was passed over for another's sake is woken,
 * which does no harm. */
static void calls_wait_on_behind_a_snapshot(void **state)
{
    (void)state;
    for (uint64_t seed = 51; seed <= 65; seed++) {
        struct mk_random random;
        mk_random_seed(&random, seed);
        struct store_base *old_base = store_base_memory(NULL, 0);
        struct store_base *new_base = store_base_memory(NULL, 0);
        struct store *old = open_over(old_base, &plain);
        struct mk_buf stream = {0}, again = {0};

        mk_zxid zxid = history(old, &random, 0, 400, true);
        (void)export(old_base, 4096, &stream);
        install(new_base, &narrow, zxid, &stream, 997);

        struct store *new = open_over(new_base, &plain);
        store_check(new);
        assert_int_equal(store_totals(new)->calls, store_totals(old)->calls);
        (void)export(new_base, 4096, &again);
        assert_true(mk_bytes_equal(mk_buf_view(&again), mk_buf_view(&stream)));
        store_close(old);
        store_close(new);
        old_base->ops->close(old_base);
        new_base->ops->close(new_base);
        mk_buf_free(&stream);
        mk_buf_free(&again);
    }
}

/* ---- Literal ones ---- */

struct world {
    struct fixture old, new;
    struct mk_buf stream;
};

static int world_setup(void **state)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));
    fixture_open(&world->old);
    world->new.base = store_base_memory(NULL, 0);
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;
    fixture_close(&world->old);
    if (world->new.store != NULL) {
        fixture_close(&world->new);
    } else {
        world->new.base->ops->close(world->new.base);
    }
    mk_buf_free(&world->stream);
    mk_free(world);
    return 0;
}

static void send(struct world *world)
{
    checkpoint(&world->old);
    mk_zxid zxid = export(world->old.base, 1000, &world->stream);
    install(world->new.base, &plain, zxid, &world->stream, 100);
    fixture_open_base(&world->new);
}

static void try_at(struct fixture *fixture, const char *path, int64_t owner, struct mk_bytes acl)
{
    struct store_znode znode;
    struct store_create create = {
        .path = mk_bytes_text(path), .acl = acl, .owner = owner, .parent_cversion = -1};
    enum mk_status status = store_znode_create(fixture->view, &create, &znode);
    assert_int_equal(status, MK_OK);
}

static void children_of_one_transaction_keep_their_order(void **state)
{
    struct world *world = *state;
    create(&world->old, "/p", "");
    begin(&world->old);
    try_at(&world->old, "/p/c", 0, MK_BYTES_NULL);
    try_at(&world->old, "/p/a", 0, MK_BYTES_NULL);
    try_at(&world->old, "/p/a/x", 0, MK_BYTES_NULL);
    try_at(&world->old, "/p/b", 0, MK_BYTES_NULL);
    end(&world->old);
    create(&world->old, "/p/0", "");

    send(world);

    struct store_children query = {.path = MK_BYTES("/p"), .by_creation = true};
    assert_string_equal(list(&world->new, &query), "c a b 0 ");
    assert_string_equal(names_of(&world->new, "/p"), "0 a b c ");
}

/* More distinct ACLs than share ids: 70,000 are above what the table remembers. */
static void there_may_be_any_number_of_acls(void **state)
{
    struct world *world = *state;
    create(&world->old, "/p", "");
    for (int i = 0; i < 70000; i++) {
        char path[32];
        struct mk_buf acl = {0};
        snprintf(path, sizeof(path), "/p/%05d", i);
        mk_buf_put_i32(&acl, 1);
        mk_buf_put_i32(&acl, 1);
        mk_buf_put_field(&acl, MK_BYTES("digest"));
        mk_buf_put_field(&acl, mk_bytes_text(path));
        begin(&world->old);
        try_at(&world->old, path, 0, mk_buf_view(&acl));
        end(&world->old);
        if (i % 1000 == 0) { /* and one that many share */
            snprintf(path, sizeof(path), "/p/s%05d", i);
            begin(&world->old);
            try_at(&world->old, path, 0, MK_BYTES("\0\0\0\0"));
            end(&world->old);
        }
        mk_buf_free(&acl);
    }

    send(world);

    assert_true(store_hash(world->new.store) == store_hash(world->old.store));
}

static void a_snapshot_stays_with_the_checkpoint_that_it_began_with(void **state)
{
    struct world *world = *state;
    struct store_snapshot *snapshot;
    struct mk_error error;
    mk_zxid zxid;
    create(&world->old, "/a", "before");
    checkpoint(&world->old);
    struct mk_buf before = {0};
    (void)export(world->old.base, 1000, &before);

    enum mk_status status = store_snapshot_open(world->old.base, &snapshot, &zxid, &error);
    assert_int_equal(status, MK_OK);
    assert_int_equal(zxid, 1);
    create(&world->old, "/b", "after");
    set_data(&world->old, "/a", "after", 1);
    checkpoint(&world->old);
    while (status == MK_OK) {
        status = store_snapshot_read(snapshot, 10, true, &world->stream, &error);
    }
    store_snapshot_close(snapshot);

    assert_int_equal(status, MK_END);
    assert_true(mk_bytes_equal(mk_buf_view(&world->stream), mk_buf_view(&before)));
    mk_buf_free(&before);
}

static void without_a_checkpoint_there_is_no_snapshot(void **state)
{
    struct world *world = *state;
    struct store_snapshot *snapshot;
    struct mk_error error;
    mk_zxid zxid;

    assert_int_equal(store_snapshot_open(world->old.base, &snapshot, &zxid, &error), MK_NO_NODE);
}

static void a_stream_that_is_no_tree_is_refused(void **state)
{
    static const struct {
        const char *first, *second;
    } bad[] = {
        {"/a/b", "/c"}, /* no parent */
        {"/a", "/a"},   /* twice */
        {"/a", "/b/"},  /* no path */
        {"/a", "/b//c"}, {"/a\001", "/b"},
    };
    (void)state;
    for (size_t i = 0; i < MK_COUNT(bad); i++) {
        struct mk_buf stream = {0};
        const char *const paths[] = {"", bad[i].first, bad[i].second};
        jute_put_snapshot_count(&stream, 0);
        jute_put_snapshot_count(&stream, 0);
        for (size_t j = 0; j < MK_COUNT(paths); j++) {
            jute_put_snapshot_znode(&stream,
                                    &(struct jute_snapshot_znode){.path = mk_bytes_text(paths[j]),
                                                                  .acl = JUTE_SNAPSHOT_ACL_OPEN});
        }
        jute_put_snapshot_end(&stream);
        jute_put_snapshot_trailer(&stream);
        struct store_base *base = store_base_memory(NULL, 0);
        struct store_install *install = install_begin(base, &plain, 5);

        assert_int_equal(install_bytes(install, mk_buf_view(&stream), 1000), MK_MALFORMED);

        store_install_abort(install);
        mk_buf_free(&stream);
    }
}

/* As before 3.5, when there was no /zookeeper/config; and with an ACL that no entry has. */
static void what_a_snapshot_lacks_every_server_has(void **state)
{
    struct world *world = *state;
    struct mk_buf stream = {0};
    jute_put_snapshot_count(&stream, 0);
    jute_put_snapshot_count(&stream, 0);
    jute_put_snapshot_znode(&stream,
                            &(struct jute_snapshot_znode){.path = MK_BYTES(""), .acl = -1});
    jute_put_snapshot_znode(&stream,
                            &(struct jute_snapshot_znode){.path = MK_BYTES("/a"), .acl = 77});
    jute_put_snapshot_end(&stream);
    jute_put_snapshot_trailer(&stream);

    install(world->new.base, &plain, 9, &stream, 1000);
    fixture_open_base(&world->new);

    assert_int_equal(store_applied(world->new.store), 9);
    assert_string_equal(names_of(&world->new, "/zookeeper"), "config quota ");
    assert_int_equal(look(&world->new, "/zookeeper/config").stat.aversion, -1);
    assert_int_equal(look(&world->new, "/a").acl.len, 4); /* nobody may do anything */
    mk_buf_free(&stream);
}

static void only_an_empty_base_is_filled(void **state)
{
    struct world *world = *state;
    struct mk_error error;
    struct store_install_options how = {.zxid = 5, .bytes_max = BYTES_MAX};
    checkpoint(&world->old);
    store_base_memory_ref(world->old.base);

    assert_null(store_install_begin(world->old.base, &plain, &how, &error));
}

static void rocksdb_s_checkpoints_go_out_and_come_in(void **state)
{
    (void)state;
    static const struct store_disk_options disk = {.cache_bytes = 1 << 20, .open_files_max = 64};
    struct mk_error error = {0};
    struct scratch from, to;
    struct mk_random random;
    struct mk_buf stream = {0};
    scratch_make(&from);
    scratch_make(&to);
    mk_random_seed(&random, 71);

    struct store *old = store_open(store_base_rocks(from.path, &disk, &error), &plain, &error);
    mk_zxid zxid = history(old, &random, 0, 300, false);
    (void)export(store_base_of(old), 4096, &stream);
    struct store_install *install =
        install_begin(store_base_rocks(to.path, &disk, &error), &narrow, zxid);
    assert_int_equal(install_bytes(install, mk_buf_view(&stream), 997), MK_END);
    enum mk_status status = store_install_finish(install, &error);
    assert_int_equal(status, MK_OK);

    struct store *new = store_open(store_base_rocks(to.path, &disk, &error), &plain, &error);
    compare(new, old);
    store_close(old);
    store_close(new);
    mk_buf_free(&stream);
    scratch_remove(&from);
    scratch_remove(&to);
}

int main(void)
{
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_filled_from_a_snapshot_is_the_store_that_it_was_taken_of),
        cmocka_unit_test(pieces_of_any_size_make_the_same_store),
        cmocka_unit_test(calls_wait_on_behind_a_snapshot),
        WORLD_TEST(children_of_one_transaction_keep_their_order),
        WORLD_TEST(there_may_be_any_number_of_acls),
        WORLD_TEST(a_snapshot_stays_with_the_checkpoint_that_it_began_with),
        WORLD_TEST(without_a_checkpoint_there_is_no_snapshot),
        cmocka_unit_test(a_stream_that_is_no_tree_is_refused),
        WORLD_TEST(what_a_snapshot_lacks_every_server_has),
        WORLD_TEST(only_an_empty_base_is_filled),
        cmocka_unit_test(rocksdb_s_checkpoints_go_out_and_come_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
