#include "admin/commands.h"
#include "admin/prometheus.h"
#include "unit/cmocka.h"

static const struct admin_settings settings = {.version = "3.9.3", .own_version = "1", .file = ""};

static void assert_answer(const char *name, const struct admin_facts *facts, const char *expected)
{
    struct mk_buf out = {0};
    const struct command *command = command_find(name);
    assert_non_null(command);
    command_answer(command, facts, &out);
    mk_buf_put_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    mk_buf_free(&out);
}

static void an_answer_begins_with_the_command_and_its_error(void **state)
{
    struct admin_facts facts = {.settings = &settings, .serving = true, .trace_mask = 306};

    assert_answer("ruok", &facts, "{\n  \"command\": \"ruok\",\n  \"error\": null\n}\n");
    assert_answer("gtmk", &facts,
                  "{\n  \"command\": \"get_trace_mask\",\n  \"error\": null,\n"
                  "  \"tracemask\": 306\n}\n");
}

static void a_server_that_does_not_serve_says_so(void **state)
{
    struct admin_facts facts = {.settings = &settings};

    assert_answer("dump", &facts,
                  "{\n  \"command\": \"dump\",\n  \"error\": \"This ZooKeeper instance is not "
                  "currently serving requests\"\n}\n");
    assert_answer("ruok", &facts, "{\n  \"command\": \"ruok\",\n  \"error\": null\n}\n");
}

static void a_path_that_is_not_text_does_not_break_the_answer(void **state)
{
    struct admin_path watches[] = {{7, MK_BYTES("/\xff")}, {7, MK_BYTES("/a")}};
    struct admin_facts facts = {
        .settings = &settings, .serving = true, .watches = watches, .watches_count = 2};

    assert_answer("watches", &facts,
                  "{\n  \"command\": \"watches\",\n  \"error\": null,\n"
                  "  \"session_id_to_watched_paths\": {\n    \"7\": [\n      \"?\",\n      \"/a\"\n"
                  "    ]\n  }\n}\n");
    assert_answer("watches_by_path", &facts,
                  "{\n  \"command\": \"watches_by_path\",\n  \"error\": null,\n"
                  "  \"path_to_session_ids\": {\n    \"?\": [\n      7\n    ],\n    \"/a\": [\n"
                  "      7\n    ]\n  }\n}\n");
}

static void a_list_that_is_not_complete_says_so(void **state)
{
    struct admin_facts facts = {
        .settings = &settings, .serving = true, .stats = {.data_watches = 5}, .watches_cut = true};

    assert_answer("wchc", &facts,
                  "{\n  \"command\": \"watches\",\n  \"error\": null,\n"
                  "  \"session_id_to_watched_paths\": {},\n  \"watches_left_out\": 5\n}\n");
}

static void a_command_asks_for_what_it_needs(void **state)
{
    assert_int_equal(command_needs(command_find("connections"), 0).lists, ADMIN_CONNS);
    assert_int_equal(command_needs(command_find("srst"), 0).effect, ADMIN_RESET_SERVER);
    assert_int_equal(command_needs(command_find("set_trace_mask"), 12).trace_mask, 12);
    assert_null(command_find("nope"));
    assert_null(command_find(""));
}

static void prometheus_gets_a_type_for_each_metric(void **state)
{
    struct admin_facts facts = {.settings = &settings, .serving = true, .stats = {.mode = "x"}};
    struct mk_buf out = {0};
    facts.counters.syncs_ms = (struct mk_summary){.count = 2, .sum = 9, .min = 1, .max = 8};

    prometheus_append(&facts, &out);
    mk_buf_put_u8(&out, '\0');

    assert_non_null(strstr((const char *)out.data,
                           "# HELP fsynctime fsynctime\n# TYPE fsynctime summary\n"
                           "fsynctime_count 2\nfsynctime_sum 9\n"));
    assert_non_null(strstr((const char *)out.data, "# TYPE avg_latency gauge\navg_latency 0.0\n"));
    assert_null(strstr((const char *)out.data, "\nzk_"));
    assert_null(strstr((const char *)out.data, "server_state"));
    mk_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_begins_with_the_command_and_its_error),
        cmocka_unit_test(a_server_that_does_not_serve_says_so),
        cmocka_unit_test(a_path_that_is_not_text_does_not_break_the_answer),
        cmocka_unit_test(a_list_that_is_not_complete_says_so),
        cmocka_unit_test(a_command_asks_for_what_it_needs),
        cmocka_unit_test(prometheus_gets_a_type_for_each_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
