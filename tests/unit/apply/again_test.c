/* Snapshots that were taken in the midst of changes, as ZooKeeper takes them: each znode as it was when the
 * writer came by. Whoever applies, to a store filled from one, all transactions since the writer began,
 * some of which it holds already, has the store that has seen each of them once. */
#include "apply/apply.h"
#include "jute/jute.h"
#include "store/store.h"
#include "tree/tree.h"
#include "unit/cmocka.h"

#include <stdio.h>
#include <string.h>

#define TXNS_MAX 512
#define SESSIONS 4
#define STACK_MAX 256

struct world {
    struct mk_random random;
    struct store *truth;
    struct apply apply;
    struct tree_watches *watches;
    mk_zxid zxid;
    struct mk_buf entries[TXNS_MAX]; /* by zxid - 1 */
};

static const struct store_options options = {
    .cache_bytes = 1 << 20, .overlay_bytes = 1 << 16, .overlay_bytes_max = 1 << 20};

static struct mk_bytes acl_of(uint64_t which)
{
    static const uint8_t acls[2][27] = {
        {0,   0,   0,   1, 0, 0, 0, 1,   0,   0,   0,   5,   'w', 'o',
         'r', 'l', 'd', 0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e'},
        {0,   0,   0,   1, 0, 0, 0, 3,   0,   0,   0,   5,   'w', 'o',
         'r', 'l', 'd', 0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e'}};
    return which == 2 ? MK_BYTES_NULL : mk_bytes_of(acls[which], sizeof(acls[which]));
}

/* ---- Transactions as a leader makes them: each fits the tree as it is ---- */

static uint64_t below(struct world *world, uint64_t bound)
{
    return mk_random_below(&world->random, bound);
}

static void random_path(struct world *world, char path[32])
{
    static const char *const names[] = {"a", "b", "c"};
    size_t depth = 1 + below(world, 3);
    path[0] = '\0';
    for (size_t i = 0; i < depth; i++) {
        strcat(path, "/");
        strcat(path, names[below(world, MK_COUNT(names))]);
    }
}

/* One that the speculative view allows, and it is made there. False: not this time. */
static bool random_part(struct world *world, struct store_view *view, char path[32],
                        struct jute_txn *out)
{
    static const int32_t kinds[] = {JUTE_CREATE,           JUTE_CREATE,           JUTE_CREATE2,
                                    JUTE_CREATE_CONTAINER, JUTE_CREATE_TTL,       JUTE_DELETE,
                                    JUTE_DELETE,           JUTE_DELETE_CONTAINER, JUTE_SET_DATA,
                                    JUTE_SET_DATA,         JUTE_SET_ACL,          JUTE_CREATE};
    struct store_znode znode, parent, made;
    random_path(world, path);
    *out = (struct jute_txn){.type = kinds[below(world, MK_COUNT(kinds))],
                             .client_id = 1 + (int64_t)below(world, SESSIONS),
                             .path = mk_bytes_text(path),
                             .data = below(world, 2) == 0 ? MK_BYTES("some data") : MK_BYTES_NULL,
                             .acl = acl_of(below(world, 3)),
                             .ttl_ms = 1000};
    bool there = store_znode_read(view, out->path, false, &znode) == MK_OK;
    bool rooted = store_znode_read(view, tree_path_parent(out->path), false, &parent) == MK_OK;
    enum mk_status status;
    switch (out->type) {
    case JUTE_DELETE:
    case JUTE_DELETE_CONTAINER:
        return there && znode.children_count == 0 && store_znode_delete(view, out->path) == MK_OK;
    case JUTE_SET_DATA:
        out->version = there ? tree_version_next(znode.stat.version) : 0;
        status = there ? store_znode_set_data(view, out->path, out->data, out->version, &made)
                       : MK_NO_NODE;
        return status == MK_OK;
    case JUTE_SET_ACL:
        out->version = there ? znode.stat.aversion + 1 : 0;
        status = there ? store_znode_set_acl(view, out->path, out->acl, out->version, &made)
                       : MK_NO_NODE;
        return status == MK_OK;
    default: break;
    }
    if (there || !rooted || tree_owner_session(parent.stat.owner, true) != 0) {
        return false;
    }
    out->parent_cversion = parent.stat.cversion + 1;
    out->ephemeral =
        (out->type == JUTE_CREATE || out->type == JUTE_CREATE2) && below(world, 3) == 0;
    struct store_create create = {.path = out->path,
                                  .data = out->data,
                                  .acl = out->acl,
                                  .owner = out->ephemeral ? out->client_id : 0,
                                  .parent_cversion = out->parent_cversion};
    status = store_znode_create(view, &create, &made);
    return status == MK_OK;
}

/* Creations of one transaction below one parent would get another order: a snapshot that others write
 * does not say which. So there is one at most. */
static bool is_create(const struct jute_txn *txn)
{
    return txn->type != JUTE_DELETE && txn->type != JUTE_DELETE_CONTAINER &&
           txn->type != JUTE_SET_DATA && txn->type != JUTE_SET_ACL;
}

static void random_multi(struct world *world, struct store_view *view, struct mk_buf *out)
{
    struct jute_txn header = {
        .client_id = 1, .zxid = world->zxid, .time_ms = world->zxid * 10, .type = JUTE_MULTI};
    struct jute_txn_multi multi = jute_txn_multi_begin(out, &header);
    bool created = false;
    for (int i = 0; i < 4; i++) {
        char path[32];
        struct jute_txn part;
        if (random_part(world, view, path, &part)) {
            if (is_create(&part) && (created || part.ephemeral)) {
                break; /* it was only made in the view, which is forgotten */
            }
            created = created || is_create(&part);
            jute_txn_multi_put(out, &multi, &part);
        }
    }
    jute_txn_multi_end(out, &multi);
}

static bool path_put(void *context, struct mk_bytes path)
{
    struct jute_txn *close = context;
    struct mk_buf all = {0};
    mk_buf_append_bytes(&all, close->paths.bytes);
    mk_buf_put_field(&all, path);
    mk_free((void *)(uintptr_t)close->paths.bytes.data);
    close->paths = (struct jute_strings){close->paths.count + 1, mk_buf_view(&all)};
    return true;
}

/* With the paths that go: a snapshot may have lost one already, and its parent must hear of that. */
static void random_close(struct world *world, struct store_view *view, struct mk_buf *out)
{
    struct jute_txn txn = {.client_id = 1 + (int64_t)below(world, SESSIONS),
                           .zxid = world->zxid,
                           .time_ms = world->zxid * 10,
                           .type = JUTE_CLOSE_SESSION};
    enum mk_status status =
        store_ephemerals_each(view, txn.client_id, MK_BYTES_NULL, path_put, &txn);
    assert_int_equal(status, MK_OK);
    jute_txn_encode(out, &txn);
    mk_free((void *)(uintptr_t)txn.paths.bytes.data);
}

static bool random_txn(struct world *world, struct store_view *view, struct mk_buf *out)
{
    struct jute_txn txn = {.client_id = 1 + (int64_t)below(world, SESSIONS)};
    char path[32];
    uint64_t dice = below(world, 20);
    if (dice == 0) {
        random_close(world, view, out);
        return true;
    } else if (dice < 3) {
        txn.type = JUTE_CREATE_SESSION;
        txn.timeout_ms = 4000;
    } else if (dice == 3) {
        txn.type = JUTE_ERROR;
        txn.error = -101;
    } else if (dice < 8) {
        random_multi(world, view, out);
        return true;
    } else if (!random_part(world, view, path, &txn)) {
        return false;
    }
    txn.zxid = world->zxid;
    txn.time_ms = world->zxid * 10;
    jute_txn_encode(out, &txn);
    return true;
}

static void entry_apply(struct apply *apply, struct mk_bytes entry)
{
    struct jute_txn txn;
    struct apply_result result;
    assert_int_equal(jute_txn_decode(entry, &txn), MK_OK);
    assert_int_equal(apply_txn(apply, &txn, NULL, &result), MK_OK);
}

/* The next transaction, made and applied to the truth. */
static void go_on(struct world *world)
{
    struct store_view *view = store_speculative(world->truth);
    struct mk_buf *entry = &world->entries[world->zxid];
    world->zxid++;
    assert_true(world->zxid < TXNS_MAX);
    bool made = false;
    while (!made) {
        entry->len = 0;
        store_begin(view, world->zxid, world->zxid * 10);
        made = random_txn(world, view, entry);
        store_abort(view);
    }
    entry_apply(&world->apply, mk_buf_view(entry));
    store_speculative_reset(world->truth);
}

/* ---- A snapshot that takes its time ---- */

static bool session_put(void *context, mk_session id, int32_t timeout_ms)
{
    jute_put_snapshot_session(context, id, timeout_ms);
    return true;
}

struct stack {
    char paths[STACK_MAX][32];
    size_t count;
    const char *parent;
};

static bool child_push(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct stack *stack = context;
    (void)czxid;
    (void)position;
    assert_true(stack->count < STACK_MAX);
    snprintf(stack->paths[stack->count++], 32, "%s/%.*s", stack->parent, (int)name.len,
             (const char *)name.data);
    return true;
}

/* ACL 3 is in nobody's table: it came up after that was written. */
static int64_t acl_id(struct mk_bytes acl, bool late)
{
    if (acl.data == NULL) {
        return JUTE_SNAPSHOT_ACL_OPEN;
    }
    return mk_bytes_equal(acl, acl_of(0)) ? 1 : late ? 3 : 2;
}

static void znode_put(struct store_view *view, const char *path, struct mk_buf *out, bool late)
{
    struct store_znode znode;
    const struct tree_stat *stat = &znode.stat;
    struct mk_bytes at = path[0] == '\0' ? MK_BYTES("/") : mk_bytes_text(path);
    assert_int_equal(store_znode_read(view, at, true, &znode), MK_OK);
    jute_put_snapshot_znode(
        out, &(struct jute_snapshot_znode){.path = mk_bytes_text(path),
                                           .data = znode.data,
                                           .acl = acl_id(znode.acl, late),
                                           .stat = {stat->czxid, stat->mzxid, stat->ctime_ms,
                                                    stat->mtime_ms, stat->version, stat->cversion,
                                                    stat->aversion, stat->owner, stat->pzxid}});
}

/* Depth first, with changes going on between any two znodes. */
static void fuzzy(struct world *world, struct mk_buf *out)
{
    struct store_view *view = store_committed(world->truth);
    struct stack *stack = mk_alloc_zero(1, sizeof(*stack));
    mk_zxid begun = world->zxid;
    jute_put_snapshot_count(out, (int32_t)store_totals(world->truth)->sessions);
    assert_int_equal(store_sessions_each(view, session_put, out), MK_OK);
    jute_put_snapshot_count(out, 2);
    jute_put_snapshot_acl(out, 1, acl_of(0));
    jute_put_snapshot_acl(out, 2, acl_of(1));
    stack->count = 1;
    while (stack->count > 0) {
        char path[32];
        struct store_znode znode;
        memcpy(path, stack->paths[--stack->count], sizeof(path));
        for (uint64_t changes = below(world, 4); changes > 0; changes--) {
            go_on(world);
        }
        struct mk_bytes at = path[0] == '\0' ? MK_BYTES("/") : mk_bytes_text(path);
        if (store_znode_read(view, at, false, &znode) != MK_OK) {
            continue; /* gone since its parent was written */
        }
        znode_put(view, path, out, znode.stat.czxid > begun);
        stack->parent = path;
        struct store_children query = {.path = at, .by_creation = true, .backwards = true};
        assert_int_equal(store_children_each(view, &query, child_push, stack), MK_OK);
    }
    jute_put_snapshot_end(out);
    mk_free(stack);
}

static struct store *filled(struct mk_buf *stream, mk_zxid zxid, struct store_install **install)
{
    const struct store_install_options how = {.zxid = zxid, .bytes_max = 1 << 20};
    struct mk_error error = {0};
    size_t used;
    *install = store_install_begin(store_base_memory(NULL, 0), &options, &how, &error);
    assert_non_null(*install);
    assert_int_equal(store_install_bytes(*install, mk_buf_view(stream), &used, &error), MK_END);
    return store_install_store(*install);
}

/* The same as a server does it, which starts again before anything has come behind the snapshot. */
static struct store *restarted(struct mk_buf *stream, mk_zxid zxid)
{
    const struct store_install_options how = {.zxid = zxid, .bytes_max = 1 << 20};
    struct store_base *base = store_base_memory(NULL, 0);
    struct mk_error error = {0};
    size_t used;

    store_base_memory_ref(base);
    struct store_install *install = store_install_begin(base, &options, &how, &error);
    assert_non_null(install);
    assert_int_equal(store_install_bytes(install, mk_buf_view(stream), &used, &error), MK_END);
    store_fuzzy_begin(store_install_store(install));
    assert_int_equal(store_install_finish(install, &error), MK_OK);
    struct store *store = store_open(base, &options, &error);
    assert_non_null(store);
    return store;
}

static void compare(struct world *world, struct store *store)
{
    store_check(store);
    store_check(world->truth);
    assert_int_equal(store_applied(store), store_applied(world->truth));
    assert_memory_equal(store_totals(store), store_totals(world->truth),
                        sizeof(struct store_totals));
    assert_true(store_hash(store) == store_hash(world->truth));
}

/* `zxid` is what the snapshot says of itself: from where its writer began to where it ended. */
static void trial(uint64_t seed, uint64_t per_mille, bool restarts)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));
    struct mk_error error;
    struct mk_buf stream = {0};
    mk_random_seed(&world->random, seed);
    world->truth = store_open(store_base_memory(NULL, 0), &options, &error);
    world->watches = tree_watches_new(0);
    world->apply =
        (struct apply){.store = world->truth, .watches = world->watches, .extended_types = true};
    for (int i = 0; i < 100; i++) {
        go_on(world);
    }

    mk_zxid begun = world->zxid;
    fuzzy(world, &stream);
    mk_zxid said = begun + (world->zxid - begun) * (mk_zxid)per_mille / 1000;
    for (int i = 0; i < 20; i++) {
        go_on(world);
    }
    struct store_install *install = NULL;
    struct store *store = restarts ? restarted(&stream, said) : filled(&stream, said, &install);
    struct apply apply = {.store = store, .watches = world->watches, .extended_types = true};
    if (!restarts) {
        store_again(store, true);
    }
    for (mk_zxid zxid = begun + 1; zxid <= world->zxid; zxid++) {
        entry_apply(&apply, mk_buf_view(&world->entries[zxid - 1]));
        if (zxid == world->zxid - 10) {
            store_fuzzy_end(store); /* nothing from here on is known to the snapshot */
        }
    }
    compare(world, store);

    if (restarts) {
        store_close(store);
    } else {
        store_install_abort(install);
    }
    store_close(world->truth);
    tree_watches_free(world->watches);
    for (size_t i = 0; i < TXNS_MAX; i++) {
        mk_buf_free(&world->entries[i]);
    }
    mk_buf_free(&stream);
    mk_free(world);
}

static void a_log_behind_a_snapshot_makes_good_what_changed_while_it_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        trial(seed, 0, false);
    }
}

static void what_a_leader_sends_again_changes_nothing_that_is_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1300; seed++) {
        trial(seed, seed % 1001, false);
        trial(seed, 1000, false);
    }
}

static void a_server_that_starts_again_knows_that_its_snapshot_was_taken_in_the_midst_of_changes(
    void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        trial(seed, 0, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_behind_a_snapshot_makes_good_what_changed_while_it_was_written),
        cmocka_unit_test(what_a_leader_sends_again_changes_nothing_that_is_there),
        cmocka_unit_test(
            a_server_that_starts_again_knows_that_its_snapshot_was_taken_in_the_midst_of_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
