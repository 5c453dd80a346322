/* What an operator sees of the watches: lists and counts. */
#include "tree/tree.h"
#include "unit/cmocka.h"

struct world {
    struct tree_watches *watches;
    struct tree_watcher ann, bob;
    struct mk_buf seen;
    size_t limit; /* visits until it stops */
};

static int world_make(void **state)
{
    struct world *world = mk_alloc_zero(1, sizeof(*world));
    world->watches = tree_watches_new(0);
    world->limit = 100;
    tree_watcher_init(&world->ann);
    tree_watcher_init(&world->bob);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;
    tree_watches_drop(world->watches, &world->ann);
    tree_watches_drop(world->watches, &world->bob);
    struct tree_watch_counts counts = tree_watches_count(world->watches);
    assert_int_equal(counts.data_watchers, 0);
    assert_int_equal(counts.data_paths, 0);
    assert_int_equal(counts.data_watches, 0);
    tree_watches_free(world->watches);
    mk_buf_free(&world->seen);
    mk_free(world);
    return 0;
}

static bool see(void *context, struct tree_watcher *watcher, struct mk_bytes path)
{
    struct world *world = context;
    mk_buf_printf(&world->seen, "%s %.*s, ", watcher == &world->ann ? "ann" : "bob", (int)path.len,
                  (const char *)path.data);
    return --world->limit > 0;
}

static void assert_seen(struct world *world, const char *expected)
{
    mk_buf_put_u8(&world->seen, '\0');
    assert_string_equal((const char *)world->seen.data, expected);
    world->seen.len = 0;
}

static void watch(struct world *world, struct tree_watcher *watcher, const char *path,
                  enum tree_watch kind)
{
    tree_watch_add(world->watches, watcher, mk_bytes_text(path), kind);
}

static void tell_nobody(void *context, struct tree_watcher *watcher, int event,
                        struct mk_bytes path)
{
}

static void a_watcher_s_watches_are_listed_without_those_of_children(void **state)
{
    struct world *world = *state;
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);
    watch(world, &world->ann, "/b", TREE_WATCH_DATA);
    watch(world, &world->ann, "/c", TREE_WATCH_RECURSIVE);
    watch(world, &world->bob, "/b", TREE_WATCH_DATA);

    assert_true(tree_watches_of_each(world->watches, &world->ann, see, world));

    assert_seen(world, "ann /b, ann /c, ");
}

static void a_path_that_is_watched_in_two_ways_is_listed_once(void **state)
{
    struct world *world = *state;
    watch(world, &world->ann, "/a", TREE_WATCH_PERSISTENT);
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a", TREE_WATCH_PERSISTENT);

    assert_true(tree_watches_each(world->watches, see, world));
    assert_seen(world, "ann /a, bob /a, ");
    assert_true(tree_watches_of_each(world->watches, &world->ann, see, world));
    assert_seen(world, "ann /a, ");
}

static void a_list_ends_where_it_is_told_to(void **state)
{
    struct world *world = *state;
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a", TREE_WATCH_DATA);
    world->limit = 1;

    assert_false(tree_watches_each(world->watches, see, world));

    assert_seen(world, "ann /a, ");
}

static void watches_of_children_alone_are_counted_apart(void **state)
{
    struct world *world = *state;
    watch(world, &world->ann, "/a", TREE_WATCH_CHILD);
    watch(world, &world->ann, "/a", TREE_WATCH_DATA);
    watch(world, &world->bob, "/b", TREE_WATCH_CHILD);

    struct tree_watch_counts counts = tree_watches_count(world->watches);
    assert_int_equal(counts.watches, 3);
    assert_int_equal(counts.data_watches, 1);
    assert_int_equal(counts.data_paths, 1);
    assert_int_equal(counts.data_watchers, 1);
    tree_watches_changed(world->watches, MK_BYTES("/a"), tell_nobody, NULL);
    assert_int_equal(tree_watches_count(world->watches).data_watches, 0);
}

static void how_many_are_told_at_once_is_known_for_each_event(void **state)
{
    struct world *world = *state;
    watch(world, &world->ann, "/a/b", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a/b", TREE_WATCH_DATA);
    watch(world, &world->bob, "/a", TREE_WATCH_CHILD);

    tree_watches_created(world->watches, MK_BYTES("/a/b"), tell_nobody, NULL);
    tree_watches_created(world->watches, MK_BYTES("/a/c"), tell_nobody, NULL);

    assert_int_equal(tree_watches_told(world->watches, 1)->count, 1);
    assert_int_equal(tree_watches_told(world->watches, 1)->sum, 2);
    assert_int_equal(tree_watches_told(world->watches, 4)->sum, 1);
    assert_int_equal(tree_watches_told(world->watches, 3)->count, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_make, world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_watcher_s_watches_are_listed_without_those_of_children),
        T(a_path_that_is_watched_in_two_ways_is_listed_once),
        T(a_list_ends_where_it_is_told_to),
        T(watches_of_children_alone_are_counted_apart),
        T(how_many_are_told_at_once_is_known_for_each_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
