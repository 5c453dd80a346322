#include "shell/internal.h"
#include "unit/cmocka.h"

static void changed(struct shell *shell, const char *path)
{
    struct moonkeeper_event event = {
        .type = MOONKEEPER_EVENT_DATA_CHANGED, .state = MOONKEEPER_CONNECTED, .path = path};

    shell_events_watcher(&shell->events, &event);
}

static void beyond_their_maximum_events_are_counted_and_not_kept(void **state)
{
    struct shell shell = {.print_watches = false};

    shell_events_init(&shell.events);
    for (int i = 0; i < SHELL_EVENTS_MAX + 5; i++) {
        changed(&shell, "/a");
    }
    assert_int_equal(shell.events.count, SHELL_EVENTS_MAX);
    assert_int_equal(shell.events.dropped, 5);

    assert_false(shell_events_print(&shell));
    assert_int_equal(shell.events.count, 0);
    assert_int_equal(shell.events.dropped, 0);
    changed(&shell, "/b");
    assert_int_equal(shell.events.count, 1);
    assert_string_equal(shell.events.first->path, "/b");
    shell_events_free(&shell.events);
}

static void a_state_is_told_once_and_not_by_each_watch(void **state)
{
    struct shell shell = {.print_watches = false};
    struct moonkeeper_event expired = {
        .type = MOONKEEPER_EVENT_NONE, .state = MOONKEEPER_EXPIRED, .path = "/a", .last = true};

    shell_events_init(&shell.events);
    shell_events_watcher(&shell.events, &expired);
    assert_int_equal(shell.events.count, 0);
    shell_events_listener(&shell.events, NULL, MOONKEEPER_EXPIRED);
    assert_int_equal(shell.events.count, 1);
    assert_string_equal(shell.events.first->state, "Expired");
    shell_events_free(&shell.events);
}

static void who_was_never_connected_is_not_told_of_a_disconnection(void **state)
{
    struct shell shell = {.print_watches = false};

    shell_events_init(&shell.events);
    shell_events_listener(&shell.events, NULL, MOONKEEPER_CONNECTING);
    assert_int_equal(shell.events.count, 0);
    shell_events_listener(&shell.events, NULL, MOONKEEPER_CONNECTED);
    shell_events_listener(&shell.events, NULL, MOONKEEPER_CONNECTING);
    assert_int_equal(shell.events.count, 2);
    assert_string_equal(shell.events.first->state, "SyncConnected");
    assert_string_equal(shell.events.first->next->state, "Disconnected");
    shell_events_free(&shell.events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_their_maximum_events_are_counted_and_not_kept),
        cmocka_unit_test(a_state_is_told_once_and_not_by_each_watch),
        cmocka_unit_test(who_was_never_connected_is_not_told_of_a_disconnection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
