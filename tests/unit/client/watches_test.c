#include "client/watches.h"
#include "jute/jute.h"
#include "unit/cmocka.h"

#include <stdio.h>
#include <string.h>

/* Contexts are names, and what is to be called becomes a line: "ann! bob", with ! for the last. */
static void watcher(void *context, const struct moonkeeper_event *event)
{
    fail();
}

static void other_watcher(void *context, const struct moonkeeper_event *event)
{
    fail();
}

static char ann[] = "ann";
static char bob[] = "bob";

static bool set(struct client_watches *watches, enum client_watch_kind kind, const char *path,
                char *name)
{
    return client_watches_add(watches, kind, mk_bytes_text(path), watcher, name);
}

static void assert_calls(struct client_calls *calls, const char *expected)
{
    char line[256] = "";

    for (size_t i = 0; i < calls->count; i++) {
        size_t len = strlen(line);
        (void)snprintf(line + len, sizeof(line) - len, "%s%s%s", i > 0 ? " " : "",
                       (const char *)calls->list[i].context, calls->list[i].last ? "!" : "");
    }
    assert_string_equal(line, expected);
    client_calls_free(calls);
}

static void assert_event(struct client_watches *watches, enum moonkeeper_event_type type,
                         const char *path, const char *expected)
{
    struct client_calls calls = {.list = NULL};

    client_watches_event(watches, type, mk_bytes_text(path), &calls);

    assert_calls(&calls, expected);
}

/* ---- Events ---- */

static void a_data_watch_hears_of_one_change(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_DATA, "/a", ann);
    set(&watches, CLIENT_WATCH_DATA, "/a", bob);

    assert_event(&watches, MOONKEEPER_EVENT_CHILDREN_CHANGED, "/a", "");
    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/b", "");
    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a", "ann! bob!");
    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a", "");
    assert_int_equal(watches.count, 0);
    client_watches_free(&watches);
}

static void a_watch_on_what_does_not_exist_hears_of_its_creation(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_EXIST, "/a", ann);

    assert_event(&watches, MOONKEEPER_EVENT_CREATED, "/a", "ann!");
    client_watches_free(&watches);
}

static void a_child_watch_hears_of_children_or_of_the_end(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_CHILD, "/a", ann);
    set(&watches, CLIENT_WATCH_CHILD, "/b", ann);

    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a", "");
    assert_event(&watches, MOONKEEPER_EVENT_CHILDREN_CHANGED, "/a", "ann!");
    assert_event(&watches, MOONKEEPER_EVENT_DELETED, "/b", "ann!");
    client_watches_free(&watches);
}

static void what_is_set_twice_is_called_once(void **state)
{
    struct client_watches watches = {.count = 0};

    assert_true(set(&watches, CLIENT_WATCH_DATA, "/a", ann));
    assert_false(set(&watches, CLIENT_WATCH_DATA, "/a", ann));
    assert_true(set(&watches, CLIENT_WATCH_CHILD, "/a", ann));
    assert_true(
        client_watches_add(&watches, CLIENT_WATCH_DATA, MK_BYTES("/a"), other_watcher, ann));

    assert_int_equal(watches.count, 3);
    assert_event(&watches, MOONKEEPER_EVENT_DELETED, "/a", "ann! ann!"); /* two functions */
    client_watches_free(&watches);
}

static void a_persistent_watch_hears_of_its_znode_and_its_children_for_ever(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_PERSISTENT, "/a", ann);

    for (int i = 0; i < 2; i++) {
        assert_event(&watches, MOONKEEPER_EVENT_CREATED, "/a", "ann");
        assert_event(&watches, MOONKEEPER_EVENT_CHILDREN_CHANGED, "/a", "ann");
        assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a", "ann");
        assert_event(&watches, MOONKEEPER_EVENT_DELETED, "/a", "ann");
        assert_event(&watches, MOONKEEPER_EVENT_CREATED, "/a/b", "");
    }
    assert_int_equal(watches.count, 1);
    client_watches_free(&watches);
}

static void a_recursive_watch_hears_of_all_below_but_of_no_lists_of_children(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_RECURSIVE, "/a", ann);
    set(&watches, CLIENT_WATCH_RECURSIVE, "/", bob);

    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a/b/c", "ann bob");
    assert_event(&watches, MOONKEEPER_EVENT_CREATED, "/a", "ann bob");
    assert_event(&watches, MOONKEEPER_EVENT_DELETED, "/ab", "bob");
    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/", "bob");
    assert_event(&watches, MOONKEEPER_EVENT_CHILDREN_CHANGED, "/a", "");
    client_watches_free(&watches);
}

static void the_last_event_is_that_after_which_nothing_is_left_at_the_path(void **state)
{
    struct client_watches watches = {.count = 0};
    set(&watches, CLIENT_WATCH_DATA, "/a", ann);
    set(&watches, CLIENT_WATCH_CHILD, "/a", ann);
    set(&watches, CLIENT_WATCH_DATA, "/b", ann);
    set(&watches, CLIENT_WATCH_PERSISTENT, "/b", ann);

    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/a", "ann");
    assert_event(&watches, MOONKEEPER_EVENT_CHILDREN_CHANGED, "/a", "ann!");
    assert_event(&watches, MOONKEEPER_EVENT_DATA_CHANGED, "/b", "ann");
    client_watches_free(&watches);
}

/* ---- Removing ---- */

static void removing_takes_what_has_the_type_and_the_watcher(void **state)
{
    struct client_watches watches = {.count = 0};
    struct client_calls calls = {.list = NULL};
    struct client_watch_name name = {.path = MK_BYTES("/a"),
                                     .type = MOONKEEPER_WATCH_TYPE_DATA,
                                     .watcher = watcher,
                                     .context = ann};
    size_t others;
    set(&watches, CLIENT_WATCH_DATA, "/a", ann);
    set(&watches, CLIENT_WATCH_EXIST, "/a", ann);
    set(&watches, CLIENT_WATCH_DATA, "/a", bob);
    set(&watches, CLIENT_WATCH_CHILD, "/a", ann);

    assert_int_equal(client_watches_count(&watches, &name, &others), 2);
    assert_int_equal(others, 1);
    client_watches_remove(&watches, &name, &calls);

    assert_int_equal(calls.list[0].type, MOONKEEPER_EVENT_DATA_WATCH_REMOVED);
    assert_calls(&calls, "ann ann"); /* the child watch is left */
    assert_int_equal(watches.count, 2);
    assert_int_equal(client_watches_count(&watches, &name, &others), 0);
    client_watches_free(&watches);
}

static void removing_any_without_a_watcher_takes_all_at_the_path(void **state)
{
    struct client_watches watches = {.count = 0};
    struct client_calls calls = {.list = NULL};
    struct client_watch_name name = {.path = MK_BYTES("/a"), .type = MOONKEEPER_WATCH_TYPE_ANY};
    set(&watches, CLIENT_WATCH_CHILD, "/a", bob);
    set(&watches, CLIENT_WATCH_PERSISTENT, "/a", ann);
    set(&watches, CLIENT_WATCH_RECURSIVE, "/a", ann);
    set(&watches, CLIENT_WATCH_DATA, "/a/b", ann);

    client_watches_remove(&watches, &name, &calls);

    assert_int_equal(calls.list[0].type, MOONKEEPER_EVENT_CHILD_WATCH_REMOVED);
    assert_int_equal(calls.list[1].type, MOONKEEPER_EVENT_PERSISTENT_WATCH_REMOVED);
    assert_calls(&calls, "bob! ann ann!");
    assert_int_equal(watches.count, 1);
    client_watches_free(&watches);
}

static void at_the_end_each_watch_is_told_once_for_each_kind_and_last_at_its_path(void **state)
{
    struct client_watches watches = {.count = 0};
    struct client_watches_cursor cursor = {0};
    struct client_calls calls = {.list = NULL};
    struct mk_bytes path;
    set(&watches, CLIENT_WATCH_DATA, "/a", ann);
    set(&watches, CLIENT_WATCH_CHILD, "/a", ann);
    set(&watches, CLIENT_WATCH_RECURSIVE, "/b", bob);

    while (client_watches_next(&watches, &cursor, &path, &calls)) {
        assert_true(path.len == 2);
    }

    assert_calls(&calls, "ann ann! bob!");
    client_watches_free(&watches);
}

/* ---- Setting them again ---- */

/* The next frame of `frames`, decoded as a server would. */
static struct jute_request frame_next(struct mk_bytes *frames)
{
    struct jute_request request;
    size_t len = mk_load_u32(frames->data);

    assert_int_equal(jute_request_decode(mk_bytes_of(frames->data + 4, len), &request), MK_OK);
    *frames = mk_bytes_of(frames->data + 4 + len, frames->len - 4 - len);
    return request;
}

static void watches_are_set_again_by_kind_and_without_the_younger_kinds_if_there_are_none(
    void **state)
{
    struct client_watches watches = {.count = 0};
    struct mk_buf out = {0};
    set(&watches, CLIENT_WATCH_DATA, "/d", ann);
    set(&watches, CLIENT_WATCH_EXIST, "/e", ann);
    set(&watches, CLIENT_WATCH_EXIST, "/f", bob);

    assert_int_equal(client_watches_encode(&watches, -8, 77, &out), 1);
    set(&watches, CLIENT_WATCH_PERSISTENT, "/p", ann);
    assert_int_equal(client_watches_encode(&watches, -8, 77, &out), 1);

    struct mk_bytes frames = mk_buf_view(&out);
    struct jute_request first = frame_next(&frames);
    struct jute_request second = frame_next(&frames);
    assert_int_equal(first.op, JUTE_SET_WATCHES);
    assert_int_equal(first.relative_zxid, 77);
    assert_int_equal(first.lists[CLIENT_WATCH_DATA].count, 1);
    assert_int_equal(first.lists[CLIENT_WATCH_EXIST].count, 2);
    assert_int_equal(second.op, JUTE_SET_WATCHES2);
    assert_int_equal(second.lists[CLIENT_WATCH_PERSISTENT].count, 1);
    assert_int_equal(frames.len, 0);
    mk_buf_free(&out);
    client_watches_free(&watches);
}

static void many_watches_are_set_again_in_chunks_of_128_kib(void **state)
{
    struct client_watches watches = {.count = 0};
    struct mk_buf out = {0};
    char path[40];
    int32_t seen = 0;

    for (int i = 0; i < 20000; i++) {
        (void)snprintf(path, sizeof(path), "/watched/by-somebody/%06d", i);
        set(&watches, i % 2 == 0 ? CLIENT_WATCH_DATA : CLIENT_WATCH_CHILD, path, ann);
    }
    size_t count = client_watches_encode(&watches, -8, 1, &out);

    struct mk_bytes frames = mk_buf_view(&out);
    assert_int_equal(count, 5); /* 20,000 paths of 27 bytes, and their lengths */
    for (size_t i = 0; i < count; i++) {
        assert_true(mk_load_u32(frames.data) <= CLIENT_CHUNK_BYTES + 64);
        struct jute_request request = frame_next(&frames);
        seen += request.lists[CLIENT_WATCH_DATA].count + request.lists[CLIENT_WATCH_CHILD].count;
    }
    assert_int_equal(seen, 20000);
    mk_buf_free(&out);
    client_watches_free(&watches);
}

static void without_watches_nothing_is_sent(void **state)
{
    struct client_watches watches = {.count = 0};
    struct mk_buf out = {0};

    assert_int_equal(client_watches_encode(&watches, -8, 1, &out), 0);

    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_watch_hears_of_one_change),
        cmocka_unit_test(a_watch_on_what_does_not_exist_hears_of_its_creation),
        cmocka_unit_test(a_child_watch_hears_of_children_or_of_the_end),
        cmocka_unit_test(what_is_set_twice_is_called_once),
        cmocka_unit_test(a_persistent_watch_hears_of_its_znode_and_its_children_for_ever),
        cmocka_unit_test(a_recursive_watch_hears_of_all_below_but_of_no_lists_of_children),
        cmocka_unit_test(the_last_event_is_that_after_which_nothing_is_left_at_the_path),
        cmocka_unit_test(removing_takes_what_has_the_type_and_the_watcher),
        cmocka_unit_test(removing_any_without_a_watcher_takes_all_at_the_path),
        cmocka_unit_test(at_the_end_each_watch_is_told_once_for_each_kind_and_last_at_its_path),
        cmocka_unit_test(
            watches_are_set_again_by_kind_and_without_the_younger_kinds_if_there_are_none),
        cmocka_unit_test(many_watches_are_set_again_in_chunks_of_128_kib),
        cmocka_unit_test(without_watches_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
