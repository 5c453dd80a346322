#include "tree/tree.h"
#include "unit/cmocka.h"

#include <stdio.h>

/* ---- A little world: three watchers, and a transcript of what they are told ---- */

struct world {
    struct tree_watches *watches;
    struct tree_watcher ann, bob, cat;
    struct mk_buf told;
    void (*on_tell)(struct world *world, struct tree_watcher *watcher);
};

static struct world *world_new(void)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));
    world->watches = tree_watches_new(0);
    tree_watcher_init(&world->ann);
    tree_watcher_init(&world->bob);
    tree_watcher_init(&world->cat);
    return world;
}

static void world_free(struct world *world)
{
    tree_watches_drop(world->watches, &world->ann);
    tree_watches_drop(world->watches, &world->bob);
    tree_watches_drop(world->watches, &world->cat);
    struct tree_watch_counts counts = tree_watches_count(world->watches);
    assert_int_equal(counts.watchers, 0);
    assert_int_equal(counts.paths, 0);
    assert_int_equal(counts.watches, 0);
    tree_watches_free(world->watches);
    mk_buf_free(&world->told);
    mk_free(world);
}

static void world_tell(void *context, struct tree_watcher *watcher, int event, struct mk_bytes path)
{
    static const char *const events[] = {"", "created", "deleted", "changed", "children"};
    struct world *world = context;
    const char *name = watcher == &world->ann ? "ann" : watcher == &world->bob ? "bob" : "cat";
    mk_buf_printf(&world->told, "%s%s %s %.*s", world->told.len == 0 ? "" : ", ", name,
                  events[event], (int)path.len, (const char *)path.data);
    if (world->on_tell != NULL) {
        world->on_tell(world, watcher);
    }
}

static void watch(struct world *world, struct tree_watcher *watcher, const char *path,
                  enum tree_watch kind)
{
    tree_watch_add(world->watches, watcher, mk_bytes_text(path), kind);
}

static void assert_told(struct world *world, const char *expected)
{
    mk_buf_put_u8(&world->told, '\0');
    assert_string_equal((const char *)world->told.data, expected);
    world->told.len = 0;
}

static void created(struct world *world, const char *path, const char *expected)
{
    tree_watches_created(world->watches, mk_bytes_text(path), world_tell, world);
    assert_told(world, expected);
}

static void deleted(struct world *world, const char *path, const char *expected)
{
    tree_watches_deleted(world->watches, mk_bytes_text(path), world_tell, world);
    assert_told(world, expected);
}

static void changed(struct world *world, const char *path, const char *expected)
{
    tree_watches_changed(world->watches, mk_bytes_text(path), world_tell, world);
    assert_told(world, expected);
}

/* ---- Kinds ---- */

static void a_data_watch_tells_of_one_change_of_data(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);

    created(world, "/a/b", "");
    deleted(world, "/a/b", "");
    changed(world, "/a/b", "");
    changed(world, "/a", "ann changed /a");
    changed(world, "/a", "");
    world_free(world);
}

static void a_data_watch_tells_of_the_deletion(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);

    deleted(world, "/a", "ann deleted /a");
    created(world, "/a", "");
    world_free(world);
}

static void an_exists_watch_tells_of_the_creation(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);

    created(world, "/a", "ann created /a");
    deleted(world, "/a", "");
    world_free(world);
}

static void a_child_watch_tells_of_one_created_child(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);

    changed(world, "/a", "");
    changed(world, "/a/b", "");
    created(world, "/a/b/c", "");
    created(world, "/a/b", "ann children /a");
    created(world, "/a/c", "");
    world_free(world);
}

static void a_child_watch_tells_of_one_deleted_child(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);

    deleted(world, "/a/b", "ann children /a");
    deleted(world, "/a/c", "");
    world_free(world);
}

static void a_child_watch_tells_of_the_deletion_of_its_own_znode(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);

    deleted(world, "/a", "ann deleted /a");
    deleted(world, "/a", "");
    world_free(world);
}

static void the_parent_of_a_top_level_znode_is_told_as_the_root(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/", TREE_WATCH_CHILD);
    watch(world, &world->bob, "/", TREE_WATCH_DATA);

    created(world, "/a", "ann children /");
    changed(world, "/", "bob changed /");
    world_free(world);
}

static void a_persistent_watch_tells_of_everything_at_its_path_and_of_children(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_PERSISTENT);

    created(world, "/a", "ann created /a");
    changed(world, "/a", "ann changed /a");
    created(world, "/a/b", "ann children /a");
    deleted(world, "/a/b", "ann children /a");
    changed(world, "/a/b", "");
    created(world, "/a/b/c", "");
    deleted(world, "/a", "ann deleted /a");
    created(world, "/a", "ann created /a");
    world_free(world);
}

static void a_recursive_watch_tells_of_its_path_and_all_below_but_not_of_children(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_RECURSIVE);

    created(world, "/a", "ann created /a");
    changed(world, "/a", "ann changed /a");
    created(world, "/a/b", "ann created /a/b");
    changed(world, "/a/b", "ann changed /a/b");
    deleted(world, "/a/b", "ann deleted /a/b");
    created(world, "/a/b/c/d", "ann created /a/b/c/d");
    created(world, "/ab", "");
    deleted(world, "/a", "ann deleted /a");
    created(world, "/a", "ann created /a");
    world_free(world);
}

static void a_recursive_watch_at_the_root_tells_of_everything(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/", TREE_WATCH_RECURSIVE);

    changed(world, "/", "ann changed /");
    created(world, "/a", "ann created /a");
    changed(world, "/a/b/c", "ann changed /a/b/c");
    world_free(world);
}

/* ---- Several at once ---- */

static void a_deletion_tells_each_watcher_of_the_path_once_and_uses_up_both_one_shots(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);
    watch(world, &world->bob, "/a", TREE_WATCH_CHILD);

    deleted(world, "/a", "ann deleted /a, bob deleted /a");
    assert_int_equal(tree_watches_count(world->watches).watches, 0);
    world_free(world);
}

static void kinds_at_one_path_do_not_replace_each_other_and_tell_once(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_PERSISTENT);
    watch(world, &world->ann, "/a", TREE_WATCH_RECURSIVE);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->ann, "/", TREE_WATCH_RECURSIVE);

    changed(world, "/a", "ann changed /a");
    changed(world, "/a", "ann changed /a");
    deleted(world, "/a", "ann deleted /a");
    assert_int_equal(tree_watches_count(world->watches).watches, 3);
    world_free(world);
}

static void a_creation_tells_of_the_znode_first_and_then_of_its_parent(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);
    watch(world, &world->bob, "/a/b", TREE_WATCH_DATA);
    watch(world, &world->cat, "/a", TREE_WATCH_RECURSIVE);
    watch(world, &world->cat, "/a", TREE_WATCH_PERSISTENT);

    created(world, "/a/b", "bob created /a/b, cat created /a/b, ann children /a, cat children /a");
    world_free(world);
}

static void a_deletion_tells_of_data_then_of_the_znodes_children_then_of_its_parent(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_PERSISTENT);
    watch(world, &world->bob, "/a/b", TREE_WATCH_CHILD);
    watch(world, &world->cat, "/a/b", TREE_WATCH_DATA);

    deleted(world, "/a/b", "cat deleted /a/b, bob deleted /a/b, ann children /a");
    world_free(world);
}

static void watchers_at_a_path_are_told_in_the_order_of_registration(void **state)
{
    struct world *world = world_new();
    watch(world, &world->cat, "/a", TREE_WATCH_RECURSIVE);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a", TREE_WATCH_PERSISTENT);
    changed(world, "/a", "cat changed /a, ann changed /a, bob changed /a");

    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    changed(world, "/a", "cat changed /a, bob changed /a, ann changed /a");
    world_free(world);
}

static void recursive_watchers_are_told_from_the_path_upwards(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/", TREE_WATCH_RECURSIVE);
    watch(world, &world->bob, "/a", TREE_WATCH_RECURSIVE);
    watch(world, &world->cat, "/a/b", TREE_WATCH_RECURSIVE);

    changed(world, "/a/b", "cat changed /a/b, bob changed /a/b, ann changed /a/b");
    world_free(world);
}

/* ---- Adding, asking, removing ---- */

static void a_watch_that_is_there_already_is_one(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);

    assert_int_equal(tree_watches_count(world->watches).watches, 1);
    changed(world, "/a", "ann changed /a");
    changed(world, "/a", "");
    world_free(world);
}

static void removing_takes_exactly_the_kinds_that_are_named(void **state)
{
    static const enum tree_watch kinds[] = {TREE_WATCH_DATA, TREE_WATCH_CHILD,
                                            TREE_WATCH_PERSISTENT, TREE_WATCH_RECURSIVE};
    for (size_t i = 0; i < MK_COUNT(kinds); i++) {
        struct world *world = world_new();
        for (size_t j = 0; j < MK_COUNT(kinds); j++) {
            watch(world, &world->ann, "/a", kinds[j]);
        }

        assert_true(tree_watch_remove(world->watches, &world->ann, MK_BYTES("/a"), kinds[i]));
        for (size_t j = 0; j < MK_COUNT(kinds); j++) {
            assert_int_equal(tree_watch_has(world->watches, &world->ann, MK_BYTES("/a"), kinds[j]),
                             i != j);
        }
        assert_false(tree_watch_remove(world->watches, &world->ann, MK_BYTES("/a"), kinds[i]));
        assert_true(tree_watch_has(world->watches, &world->ann, MK_BYTES("/a"), TREE_WATCH_ANY));

        assert_true(tree_watch_remove(world->watches, &world->ann, MK_BYTES("/a"), TREE_WATCH_ANY));
        assert_int_equal(tree_watches_count(world->watches).paths, 0);
        world_free(world);
    }
}

static void asking_and_removing_look_at_the_exact_path_and_watcher_only(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_RECURSIVE);

    assert_false(tree_watch_has(world->watches, &world->ann, MK_BYTES("/a/b"), TREE_WATCH_ANY));
    assert_false(tree_watch_has(world->watches, &world->bob, MK_BYTES("/a"), TREE_WATCH_ANY));
    assert_false(tree_watch_remove(world->watches, &world->ann, MK_BYTES("/"), TREE_WATCH_ANY));
    assert_false(tree_watch_remove(world->watches, &world->bob, MK_BYTES("/a"), TREE_WATCH_ANY));
    assert_true(tree_watch_has(world->watches, &world->ann, MK_BYTES("/a"), TREE_WATCH_ANY));
    world_free(world);
}

static void a_removed_watch_tells_nothing(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a", TREE_WATCH_DATA);

    assert_true(tree_watch_remove(world->watches, &world->ann, MK_BYTES("/a"), TREE_WATCH_DATA));
    changed(world, "/a", "bob changed /a");
    world_free(world);
}

static void a_watcher_that_goes_takes_all_its_watches_along(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->ann, "/a/b", TREE_WATCH_CHILD);
    watch(world, &world->ann, "/", TREE_WATCH_RECURSIVE);
    watch(world, &world->bob, "/a", TREE_WATCH_PERSISTENT);

    tree_watches_drop(world->watches, &world->ann);

    struct tree_watch_counts counts = tree_watches_count(world->watches);
    assert_int_equal(counts.watchers, 1);
    assert_int_equal(counts.paths, 1);
    assert_int_equal(counts.watches, 1);
    deleted(world, "/a", "bob deleted /a");
    world_free(world);
}

static void any_bytes_may_be_watched_and_null_is_the_empty_path(void **state)
{
    struct world *world = world_new();
    tree_watch_add(world->watches, &world->ann, MK_BYTES_NULL, TREE_WATCH_DATA);
    tree_watch_add(world->watches, &world->ann, MK_BYTES("no/slash\0/"), TREE_WATCH_RECURSIVE);

    assert_true(tree_watch_has(world->watches, &world->ann, MK_BYTES(""), TREE_WATCH_DATA));
    assert_true(
        tree_watch_has(world->watches, &world->ann, MK_BYTES("no/slash\0/"), TREE_WATCH_RECURSIVE));
    changed(world, "/a", "");
    world_free(world);
}

/* ---- While telling ---- */

static void watch_again(struct world *world, struct tree_watcher *watcher)
{
    watch(world, watcher, "/a", TREE_WATCH_DATA);
    watch(world, watcher, "/a", TREE_WATCH_CHILD);
    watch(world, watcher, "/", TREE_WATCH_CHILD);
}

static void a_watch_that_is_added_while_telling_is_a_new_one(void **state)
{
    struct world *world = world_new();
    watch(world, &world->ann, "/a", TREE_WATCH_PERSISTENT);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    world->on_tell = watch_again;

    deleted(world, "/a", "ann deleted /a");
    world->on_tell = NULL;
    assert_true(tree_watch_has(world->watches, &world->ann, MK_BYTES("/a"), TREE_WATCH_DATA));
    created(world, "/a", "ann created /a, ann children /");
    world_free(world);
}

/* ---- Scale ---- */

static void count_told(void *context, struct tree_watcher *watcher, int event, struct mk_bytes path)
{
    (*(size_t *)context)++;
}

static void a_thousand_watchers_of_one_path_and_one_watcher_of_many_are_no_burden(void **state)
{
    enum { WATCHERS = 1000, PATHS = 100000 };
    struct tree_watches *watches = tree_watches_new(0);
    struct tree_watcher *watchers = mk_alloc(WATCHERS * sizeof(watchers[0]));
    char path[32];
    for (size_t i = 0; i < WATCHERS; i++) {
        tree_watcher_init(&watchers[i]);
        tree_watch_add(watches, &watchers[i], MK_BYTES("/hot"), TREE_WATCH_DATA);
    }
    for (size_t i = 0; i < PATHS; i++) {
        snprintf(path, sizeof(path), "/p/%zu", i);
        tree_watch_add(watches, &watchers[0], mk_bytes_text(path), TREE_WATCH_DATA);
    }
    struct tree_watch_counts counts = tree_watches_count(watches);
    assert_int_equal(counts.watchers, WATCHERS);
    assert_int_equal(counts.paths, PATHS + 1);
    assert_int_equal(counts.watches, PATHS + WATCHERS);
    assert_true(counts.bytes > counts.watches * 72);

    size_t told = 0;
    tree_watches_created(watches, MK_BYTES("/hot/child"), count_told, &told);
    assert_int_equal(told, 0);
    tree_watches_changed(watches, MK_BYTES("/hot"), count_told, &told);
    assert_int_equal(told, WATCHERS);
    for (size_t i = 0; i < PATHS; i += 2) {
        snprintf(path, sizeof(path), "/p/%zu", i);
        assert_true(tree_watch_remove(watches, &watchers[0], mk_bytes_text(path), TREE_WATCH_ANY));
    }
    assert_int_equal(watchers[0].count, PATHS / 2);

    tree_watches_drop(watches, &watchers[0]);
    assert_int_equal(tree_watches_count(watches).watches, 0);
    tree_watches_free(watches);
    mk_free(watchers);
}

/* ---- Against a model: an array in the order of registration, and the rules read literally ---- */

enum { MODEL_WATCHERS = 6, MODEL_WATCHES_MAX = 4096 };

struct model_watch {
    size_t watcher;
    const char *path;
    enum tree_watch kind;
};

struct model {
    struct model_watch watches[MODEL_WATCHES_MAX];
    size_t count;
    bool told[MODEL_WATCHERS];
    struct mk_buf expected;
    struct mk_buf happened;
    struct tree_watcher watchers[MODEL_WATCHERS];
};

static const char *const model_paths[] = {"/",      "/a",       "/a/b", "/a/b/c",
                                          "/a/b/d", "/a/b/c/e", "/b",   "/b/a"};

static void transcript_add(struct mk_buf *transcript, size_t watcher, int event,
                           struct mk_bytes path)
{
    mk_buf_printf(transcript, "%zu:%d:%.*s ", watcher, event, (int)path.len,
                  (const char *)path.data);
}

static bool model_find(const struct model *model, size_t watcher, const char *path, unsigned kinds,
                       size_t *at)
{
    for (*at = 0; *at < model->count; (*at)++) {
        const struct model_watch *entry = &model->watches[*at];
        if (entry->watcher == watcher && entry->path == path && (entry->kind & kinds) != 0) {
            return true;
        }
    }
    return false;
}

static void model_forget(struct model *model, size_t at)
{
    model->count--;
    memmove(&model->watches[at], &model->watches[at + 1],
            (model->count - at) * sizeof(model->watches[0]));
}

static void model_collect(struct model *model, struct mk_bytes path, unsigned kinds, int event,
                          struct mk_bytes event_path)
{
    for (size_t i = 0; i < model->count;) {
        struct model_watch entry = model->watches[i];
        if ((entry.kind & kinds) == 0 || !mk_bytes_equal(mk_bytes_text(entry.path), path)) {
            i++;
            continue;
        }
        if (!model->told[entry.watcher]) {
            transcript_add(&model->expected, entry.watcher, event, event_path);
            model->told[entry.watcher] = true;
        }
        if (entry.kind == TREE_WATCH_DATA || entry.kind == TREE_WATCH_CHILD) {
            model_forget(model, i);
        } else {
            i++;
        }
    }
}

static void model_change(struct model *model, struct mk_bytes path, int event)
{
    memset(model->told, 0, sizeof(model->told));
    model_collect(model, path, TREE_WATCH_DATA | TREE_WATCH_PERSISTENT | TREE_WATCH_RECURSIVE,
                  event, path);
    for (struct mk_bytes at = path; at.len > 1;) {
        at = tree_path_parent(at);
        model_collect(model, at, TREE_WATCH_RECURSIVE, event, path);
    }
    if (event == 2) {
        model_collect(model, path, TREE_WATCH_CHILD | TREE_WATCH_PERSISTENT, event, path);
    }
    if (event != 3) {
        memset(model->told, 0, sizeof(model->told));
        struct mk_bytes parent = tree_path_parent(path);
        model_collect(model, parent, TREE_WATCH_CHILD | TREE_WATCH_PERSISTENT, 4, parent);
    }
}

static void model_tell(void *context, struct tree_watcher *watcher, int event, struct mk_bytes path)
{
    struct model *model = context;
    transcript_add(&model->happened, (size_t)(watcher - model->watchers), event, path);
}

static void model_step_change(struct model *model, struct tree_watches *watches, const char *path,
                              int event)
{
    struct mk_bytes changed_path = mk_bytes_text(path);
    if (changed_path.len == 1) {
        event = 3; /* The root is neither created nor deleted. */
    }
    model->expected.len = 0;
    model->happened.len = 0;
    model_change(model, changed_path, event);
    (event == 1   ? tree_watches_created
     : event == 2 ? tree_watches_deleted
                  : tree_watches_changed)(watches, changed_path, model_tell, model);
    assert_int_equal(model->expected.len, model->happened.len);
    assert_true(mk_bytes_compare(mk_buf_view(&model->expected), mk_buf_view(&model->happened)) ==
                0);
}

static void model_step_add(struct model *model, struct tree_watches *watches, size_t watcher,
                           const char *path, enum tree_watch kind)
{
    size_t at;
    tree_watch_add(watches, &model->watchers[watcher], mk_bytes_text(path), kind);
    if (!model_find(model, watcher, path, kind, &at)) {
        model->watches[model->count++] = (struct model_watch){watcher, path, kind};
    }
}

static void model_step_remove(struct model *model, struct tree_watches *watches, size_t watcher,
                              const char *path, unsigned kinds)
{
    size_t at;
    struct mk_bytes at_path = mk_bytes_text(path);
    bool there = model_find(model, watcher, path, kinds, &at);
    assert_int_equal(tree_watch_has(watches, &model->watchers[watcher], at_path, kinds), there);
    assert_int_equal(tree_watch_remove(watches, &model->watchers[watcher], at_path, kinds), there);
    while (model_find(model, watcher, path, kinds, &at)) {
        model_forget(model, at);
    }
}

static void model_step_drop(struct model *model, struct tree_watches *watches, size_t watcher)
{
    size_t at;
    tree_watches_drop(watches, &model->watchers[watcher]);
    for (size_t i = 0; i < MK_COUNT(model_paths); i++) {
        while (model_find(model, watcher, model_paths[i], TREE_WATCH_ANY, &at)) {
            model_forget(model, at);
        }
    }
}

static void model_step(struct model *model, struct tree_watches *watches, struct mk_random *random)
{
    size_t watcher = mk_random_below(random, MODEL_WATCHERS);
    const char *path = model_paths[mk_random_below(random, MK_COUNT(model_paths))];
    unsigned kinds = 1 + (unsigned)mk_random_below(random, TREE_WATCH_ANY);
    enum tree_watch kind = (enum tree_watch)(1 << mk_random_below(random, 4));
    uint64_t what = mk_random_below(random, 100);
    if (what < 60) {
        model_step_add(model, watches, watcher, path, kind);
    } else if (what < 70) {
        model_step_remove(model, watches, watcher, path, kinds);
    } else if (what < 71) {
        model_step_drop(model, watches, watcher);
    } else {
        model_step_change(model, watches, path, 1 + (int)mk_random_below(random, 3));
    }
    assert_int_equal(tree_watches_count(watches).watches, model->count);
}

static void a_hundred_thousand_random_steps_agree_with_a_plain_list(void **state)
{
    struct model *model = mk_alloc_zero(1, sizeof(*model));
    struct tree_watches *watches = tree_watches_new(0);
    struct mk_random random;
    mk_random_seed(&random, 1);
    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        tree_watcher_init(&model->watchers[i]);
    }

    for (int i = 0; i < 100000; i++) {
        model_step(model, watches, &random);
    }

    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        tree_watches_drop(watches, &model->watchers[i]);
    }
    assert_int_equal(tree_watches_count(watches).watchers, 0);
    tree_watches_free(watches);
    mk_buf_free(&model->expected);
    mk_buf_free(&model->happened);
    mk_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_watch_tells_of_one_change_of_data),
        cmocka_unit_test(a_data_watch_tells_of_the_deletion),
        cmocka_unit_test(an_exists_watch_tells_of_the_creation),
        cmocka_unit_test(a_child_watch_tells_of_one_created_child),
        cmocka_unit_test(a_child_watch_tells_of_one_deleted_child),
        cmocka_unit_test(a_child_watch_tells_of_the_deletion_of_its_own_znode),
        cmocka_unit_test(the_parent_of_a_top_level_znode_is_told_as_the_root),
        cmocka_unit_test(a_persistent_watch_tells_of_everything_at_its_path_and_of_children),
        cmocka_unit_test(a_recursive_watch_tells_of_its_path_and_all_below_but_not_of_children),
        cmocka_unit_test(a_recursive_watch_at_the_root_tells_of_everything),
        cmocka_unit_test(a_deletion_tells_each_watcher_of_the_path_once_and_uses_up_both_one_shots),
        cmocka_unit_test(kinds_at_one_path_do_not_replace_each_other_and_tell_once),
        cmocka_unit_test(a_creation_tells_of_the_znode_first_and_then_of_its_parent),
        cmocka_unit_test(a_deletion_tells_of_data_then_of_the_znodes_children_then_of_its_parent),
        cmocka_unit_test(watchers_at_a_path_are_told_in_the_order_of_registration),
        cmocka_unit_test(recursive_watchers_are_told_from_the_path_upwards),
        cmocka_unit_test(a_watch_that_is_there_already_is_one),
        cmocka_unit_test(removing_takes_exactly_the_kinds_that_are_named),
        cmocka_unit_test(asking_and_removing_look_at_the_exact_path_and_watcher_only),
        cmocka_unit_test(a_removed_watch_tells_nothing),
        cmocka_unit_test(a_watcher_that_goes_takes_all_its_watches_along),
        cmocka_unit_test(any_bytes_may_be_watched_and_null_is_the_empty_path),
        cmocka_unit_test(a_watch_that_is_added_while_telling_is_a_new_one),
        cmocka_unit_test(a_thousand_watchers_of_one_path_and_one_watcher_of_many_are_no_burden),
        cmocka_unit_test(a_hundred_thousand_random_steps_agree_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
