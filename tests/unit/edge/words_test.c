#include "edge/words.h"
#include "unit/cmocka.h"

static struct edge_options options;
static struct words_facts facts;

static int facts_make(void **state)
{
    edge_options_default(&options);
    options.server.session_timeout_min_ms = 4000;
    options.server.session_timeout_max_ms = 40000;
    options.server.tick_ms = 2000;
    facts = (struct words_facts){
        .options = &options,
        .data_dir = "/data",
        .log_dir = "/data",
        .port = 23000,
        .serving = true,
        .stats = {.zxid = 5,
                  .mode = "standalone",
                  .packets_received = 12,
                  .packets_sent = 11,
                  .connections = 3,
                  .latency_min_ms = 1,
                  .latency_max_ms = 15,
                  .latency_sum_ms = 37,
                  .latency_count = 10,
                  .totals = {.znodes = 7, .data_bytes = 44}},
        .data_bytes = 100,
        .log_bytes = 67109337,
    };
    return 0;
}

static int facts_free(void **state)
{
    edge_options_free(&options);
    return 0;
}

static void assert_answer(const char *word, const char *expected)
{
    struct mk_buf out = {0};
    words_answer(words_find((const uint8_t *)word), options.words, &facts, &out);
    mk_buf_put_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    mk_buf_free(&out);
}

static void assert_answer_has(const char *word, const char *line)
{
    struct mk_buf out = {0};
    words_answer(words_find((const uint8_t *)word), options.words, &facts, &out);
    mk_buf_put_u8(&out, '\0');
    if (strstr((const char *)out.data, line) == NULL) {
        fail_msg("%s lacks \"%s\": %s", word, line, (const char *)out.data);
    }
    mk_buf_free(&out);
}

#define VERSION "Zookeeper version: 3.9.3-moonkeeper, built on 2026-11-22 00:00 UTC\n"
#define STATE                                                                 \
    "Latency min/avg/max: 1/3.7/15\nReceived: 12\nSent: 11\nConnections: 3\n" \
    "Outstanding: 0\nZxid: 0x5\nMode: standalone\nNode count: 8\n"

static void srvr_is_what_zookeeper_prints(void **state)
{
    assert_answer("srvr", VERSION STATE);
}

static void stat_lists_the_clients_before_it(void **state)
{
    struct words_conn conns[] = {
        {.stats = {.address = MK_BYTES("127.0.0.1"), .port = 37908, .received = 3, .sent = 3}},
        {.stats = {.address = MK_BYTES("127.0.0.1"), .port = 37934}, .asking = true},
    };
    facts.conns = conns;
    facts.conns_count = 2;

    assert_answer("stat", VERSION "Clients:\n /127.0.0.1:37908[1](queued=0,recved=3,sent=3)\n"
                                  " /127.0.0.1:37934[0](queued=0,recved=1,sent=0)\n\n" STATE);
}

static void ruok_and_isro_have_no_newline(void **state)
{
    assert_answer("ruok", "imok");
    assert_answer("isro", "rw");
}

static void a_server_that_does_not_serve_says_so(void **state)
{
    facts.serving = false;

    assert_answer("ruok", "imok");
    assert_answer("isro", "null");
    assert_answer("srvr", "This ZooKeeper instance is not currently serving requests\n");
}

static void a_word_that_is_not_allowed_is_refused_by_name(void **state)
{
    assert_answer("envi", "envi is not executed because it is not in the whitelist.\n");
    assert_answer("dump", "dump is not executed because it is not in the whitelist.\n");
    assert_int_equal(words_find((const uint8_t *)"nope"), WORD_NONE);
}

static void mntr_has_the_keys_that_monitoring_reads(void **state)
{
    assert_answer_has("mntr", "zk_version\t3.9.3-moonkeeper, built on ");
    assert_answer_has("mntr", "\nzk_server_state\tstandalone\n");
    assert_answer_has("mntr", "\nzk_avg_latency\t3.7\n");
    assert_answer_has("mntr", "\nzk_znode_count\t8\n");
    assert_answer_has("mntr", "\nzk_approximate_data_size\t44\n");
    assert_answer_has("mntr", "\nzk_num_alive_connections\t3\n");
}

static void an_average_is_printed_as_java_does(void **state)
{
    facts.stats.latency_count = 0;
    assert_answer_has("srvr", "min/avg/max: 1/0.0/15\n");
    facts.stats.latency_count = 20;
    facts.stats.latency_sum_ms = 191;
    assert_answer_has("srvr", "min/avg/max: 1/9.55/15\n");
    facts.stats.latency_count = 3;
    facts.stats.latency_sum_ms = 1;
    assert_answer_has("srvr", "min/avg/max: 1/0.3333/15\n");
}

static void conf_shows_what_is_in_force(void **state)
{
    assert_answer("conf", "clientPort=23000\nsecureClientPort=-1\ndataDir=/data\n"
                          "dataDirSize=100\ndataLogDir=/data\ndataLogSize=67109337\n"
                          "tickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\n"
                          "maxSessionTimeout=40000\nclientPortListenBacklog=-1\nserverId=1\n");
}

static void envi_has_the_version_that_kazoo_looks_for(void **state)
{
    options.words = UINT32_MAX;
    assert_answer_has("envi", "Environment:\nzookeeper.version=3.9.3-moonkeeper, built on ");
}

#define T(test) cmocka_unit_test_setup_teardown(test, facts_make, facts_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(srvr_is_what_zookeeper_prints),
        T(stat_lists_the_clients_before_it),
        T(ruok_and_isro_have_no_newline),
        T(a_server_that_does_not_serve_says_so),
        T(a_word_that_is_not_allowed_is_refused_by_name),
        T(mntr_has_the_keys_that_monitoring_reads),
        T(an_average_is_printed_as_java_does),
        T(conf_shows_what_is_in_force),
        T(envi_has_the_version_that_kazoo_looks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
