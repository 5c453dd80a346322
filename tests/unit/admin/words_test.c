#include "admin/admin.h"
#include "jute/jute.h"
#include "unit/cmocka.h"

#include <stdlib.h>
#include <time.h>

static struct admin_settings settings;
static struct admin_facts facts;
static uint32_t allowed;

static int facts_make(void **state)
{
    settings = (struct admin_settings){
        .version = "3.9.3-moonkeeper, built on 2026-11-22 00:00 UTC",
        .own_version = "0.1.0",
        .data_dir = "/data",
        .log_dir = "/data",
        .port = 23000,
        .listen_backlog = -1,
        .address_conns_max = 60,
        .tick_ms = 2000,
        .session_timeout_min_ms = 4000,
        .session_timeout_max_ms = 40000,
        .server_id = 1,
    };
    facts = (struct admin_facts){
        .settings = &settings,
        .serving = true,
        .wall_ms = 1795318341000,
        .monotonic_ms = 1000000,
        .stats = {.zxid = 5,
                  .mode = "standalone",
                  .packets_received = 12,
                  .packets_sent = 11,
                  .connections = 0,
                  .read_latency = {.all = {.count = 8, .sum = 30, .min = 2, .max = 15}},
                  .update_latency = {.all = {.count = 2, .sum = 7, .min = 1, .max = 6}},
                  .totals = {.znodes = 7, .data_bytes = 44}},
        .data_bytes = 100,
        .log_bytes = 67109337,
    };
    assert_int_equal(admin_words_parse(MK_BYTES("*"), &allowed), MK_OK);
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    return 0;
}

static void answer(const char *word, struct mk_buf *out)
{
    admin_word_answer(admin_word_find((const uint8_t *)word), allowed, &facts, out);
    mk_buf_put_u8(out, '\0');
}

static void assert_answer(const char *word, const char *expected)
{
    struct mk_buf out = {0};
    answer(word, &out);
    assert_string_equal((const char *)out.data, expected);
    mk_buf_free(&out);
}

static void assert_answer_has(const char *word, const char *line)
{
    struct mk_buf out = {0};
    answer(word, &out);
    if (strstr((const char *)out.data, line) == NULL) {
        fail_msg("%s lacks \"%s\": %s", word, line, (const char *)out.data);
    }
    mk_buf_free(&out);
}

#define VERSION "Zookeeper version: 3.9.3-moonkeeper, built on 2026-11-22 00:00 UTC\n"
#define STATE(connections)                                                             \
    "Latency min/avg/max: 1/3.7/15\nReceived: 12\nSent: 11\nConnections: " connections \
    "\nOutstanding: 0\nZxid: 0x5\nMode: standalone\nNode count: 8\n"

/* One with a session that has asked something, one that asks the word. */
static void two_connections(struct admin_conn conns[2])
{
    conns[0] = (struct admin_conn){
        .stats = {.address = MK_BYTES("127.0.0.1"),
                  .port = 37908,
                  .received = 3,
                  .sent = 3,
                  .session = 0x100001964200000,
                  .timeout_ms = 30000,
                  .established_ms = 1795318341470,
                  .closes_ms = 1002000,
                  .answered_ms = 1667825,
                  .op = JUTE_EXISTS,
                  .cxid = 6,
                  .zxid = 6,
                  .latency_ms = 1,
                  .latencies = {.count = 7, .sum = 29, .min = 0, .max = 15}},
    };
    conns[1] = (struct admin_conn){
        .stats = {.address = MK_BYTES("127.0.0.1"),
                  .port = 37934,
                  .cxid = -1,
                  .closes_ms = 1002000},
        .asking = true,
    };
    facts.conns = conns;
    facts.conns_count = facts.stats.connections = 2;
}

/* ---- The state ---- */

static void srvr_is_what_zookeeper_prints(void **state)
{
    assert_answer("srvr", VERSION STATE("0"));
}

static void stat_lists_the_clients_before_it(void **state)
{
    struct admin_conn conns[2];
    two_connections(conns);

    assert_answer("stat", VERSION "Clients:\n /127.0.0.1:37908[1](queued=0,recved=3,sent=3)\n"
                                  " /127.0.0.1:37934[0](queued=0,recved=1,sent=0)\n\n" STATE("2"));
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
    assert_answer("dump", "This ZooKeeper instance is not currently serving requests\n");
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
    assert_answer_has("envi", "Environment:\nzookeeper.version=3.9.3-moonkeeper, built on ");
}

static void dirs_hash_and_the_resets_answer_as_zookeeper_does(void **state)
{
    facts.trace_mask = 306;

    assert_answer("dirs", "datadir_size: 100\nlogdir_size: 67109337\n");
    assert_answer("srst", "Server stats reset.\n");
    assert_answer("crst", "Connection stats reset.\n");
    assert_answer("gtmk", "306");
    assert_answer("stmk", "306");
    assert_answer("hash", "");
}

/* ---- mntr ---- */

static void mntr_has_the_keys_that_monitoring_reads(void **state)
{
    assert_answer_has("mntr", "zk_version\t3.9.3-moonkeeper, built on ");
    assert_answer_has("mntr", "\nzk_server_state\tstandalone\n");
    assert_answer_has("mntr", "\nzk_avg_latency\t3.7\n");
    assert_answer_has("mntr", "\nzk_min_latency\t1\n");
    assert_answer_has("mntr", "\nzk_max_latency\t15\n");
    assert_answer_has("mntr", "\nzk_znode_count\t8\n");
    assert_answer_has("mntr", "\nzk_approximate_data_size\t44\n");
}

static void a_summary_of_mntr_is_average_least_most_count_and_sum(void **state)
{
    facts.counters.syncs_ms = (struct mk_summary){.count = 3, .sum = 217, .min = 34, .max = 97};

    assert_answer_has("mntr", "\nzk_avg_fsynctime\t72.3333\nzk_min_fsynctime\t34\n"
                              "zk_max_fsynctime\t97\nzk_cnt_fsynctime\t3\nzk_sum_fsynctime\t217\n");
}

static void a_latency_of_mntr_has_quantiles_too(void **state)
{
    facts.stats.update_latency = (struct mk_spread){0};
    for (uint64_t i = 1; i <= 10; i++) {
        mk_spread_add(&facts.stats.update_latency, i);
    }

    assert_answer_has("mntr", "\nzk_sum_updatelatency\t55\nzk_p50_updatelatency\t5\n"
                              "zk_p95_updatelatency\t10\nzk_p99_updatelatency\t10\n"
                              "zk_p999_updatelatency\t10\n");
}

static void the_first_recv_of_a_client_has_what_monitoring_reads_most(void **state)
{
    struct mk_buf out = {0};
    answer("mntr", &out);

    const char *last = strstr((const char *)out.data, "zk_calls_woken\t");
    assert_non_null(last);
    assert_in_range(last - (const char *)out.data, 0, 2048);
    mk_buf_free(&out);
}

static void an_average_is_printed_as_java_does(void **state)
{
    facts.stats.update_latency = (struct mk_spread){0};
    facts.stats.read_latency.all = (struct mk_summary){0};
    assert_answer_has("srvr", "min/avg/max: 0/0.0/0\n");
    facts.stats.read_latency.all =
        (struct mk_summary){.count = 20, .sum = 191, .min = 1, .max = 15};
    assert_answer_has("srvr", "min/avg/max: 1/9.55/15\n");
    facts.stats.read_latency.all = (struct mk_summary){.count = 3, .sum = 1, .min = 0, .max = 1};
    assert_answer_has("srvr", "min/avg/max: 0/0.3333/1\n");
}

/* ---- Lists ---- */

static void cons_tells_what_each_connection_last_did(void **state)
{
    struct admin_conn conns[2];
    two_connections(conns);

    assert_answer("cons", " /127.0.0.1:37908[1](queued=0,recved=3,sent=3,sid=0x100001964200000,"
                          "lop=EXIS,est=1795318341470,to=30000,lcxid=0x6,lzxid=0x6,lresp=1667825,"
                          "llat=1,minlat=0,avglat=4,maxlat=15)\n"
                          " /127.0.0.1:37934[0](queued=0,recved=1,sent=0)\n\n");
}

static void cons_leaves_out_a_request_that_there_was_not(void **state)
{
    struct admin_conn conns[2];
    two_connections(conns);
    conns[0].stats.cxid = -1;

    assert_answer_has("cons", ",to=30000,lzxid=0x6,");
}

static void a_list_that_is_not_complete_says_what_it_leaves_out(void **state)
{
    struct admin_conn conns[2];
    two_connections(conns);
    facts.stats.connections = 20002;

    assert_answer_has("cons", "... 20000 more are not listed\n\n");
    assert_answer_has("stat", "... 20000 more are not listed\n\n");
    assert_answer_has("dump", "... 20000 more are not listed\n");
}

static void dump_shows_sessions_ephemerals_and_connections_as_they_expire(void **state)
{
    struct admin_conn conns[2];
    struct admin_session sessions[] = {{0x100001964200000, 30000}, {0x100001964200001, 10000}};
    struct admin_path ephemerals[] = {{0x100001964200000, MK_BYTES("/e1")},
                                      {0x100001964200000, MK_BYTES("/e2")}};
    two_connections(conns);
    facts.sessions = sessions;
    facts.sessions_count = facts.stats.sessions = 2;
    facts.ephemerals = ephemerals;
    facts.ephemerals_count = 2;
    facts.stats.totals.ephemerals = 2;

    assert_answer("dump", "SessionTracker dump:\n"
                          "Session Sets (2)/(2):\n"
                          "1 expire at Sun Nov 22 03:32:31 UTC 2026:\n"
                          "\t0x100001964200001\n"
                          "1 expire at Sun Nov 22 03:32:51 UTC 2026:\n"
                          "\t0x100001964200000\n"
                          "ephemeral nodes dump:\n"
                          "Sessions with Ephemerals (1):\n"
                          "0x100001964200000:\n"
                          "\t/e1\n"
                          "\t/e2\n"
                          "Connections dump:\n"
                          "Connections Sets (1)/(2):\n"
                          "2 expire at Sun Nov 22 03:32:23 UTC 2026:\n"
                          "\tip: /127.0.0.1:37908 sessionId: 0x100001964200000\n"
                          "\tip: /127.0.0.1:37934 sessionId: 0x0\n");
}

static void watches_are_listed_by_session_and_by_path(void **state)
{
    struct admin_path by_session[] = {
        {0x1, MK_BYTES("/a")}, {0x1, MK_BYTES("/b")}, {0x2, MK_BYTES("/a")}};
    struct admin_path by_path[] = {
        {0x1, MK_BYTES("/a")}, {0x2, MK_BYTES("/a")}, {0x1, MK_BYTES("/b")}};
    facts.stats.data_watchers = 2;
    facts.stats.data_paths = 2;
    facts.stats.data_watches = facts.watches_count = 3;

    facts.watches = by_session;
    assert_answer("wchs", "2 connections watching 2 paths\nTotal watches:3\n");
    assert_answer("wchc", "0x1\n\t/a\n\t/b\n0x2\n\t/a\n\n");
    facts.watches = by_path;
    assert_answer("wchp", "/a\n\t0x1\n\t0x2\n/b\n\t0x1\n\n");
    facts.watches_cut = true;
    facts.stats.data_watches = 1000;
    assert_answer_has("wchp", "... and more: 3 of 1000 watches are listed\n\n");
}

static void a_watched_path_cannot_forge_a_line(void **state)
{
    struct admin_path watches[] = {{0x1, MK_BYTES("/a\n0x2\n")}};
    facts.watches = watches;
    facts.watches_count = facts.stats.data_watches = 1;

    assert_answer("wchc", "0x1\n\t/a?0x2?\n\n");
}

/* ---- The whitelist ---- */

static void by_default_srvr_isro_and_memb_are_answered(void **state)
{
    assert_int_equal(admin_words_parse(MK_BYTES(ADMIN_WORDS_DEFAULT), &allowed), MK_OK);

    assert_answer_has("srvr", "Mode: standalone");
    assert_answer("isro", "rw");
    assert_answer_has("memb", "Mode: standalone");
    assert_answer("ruok", "ruok is not executed because it is not in the whitelist.\n");
    assert_answer("dump", "dump is not executed because it is not in the whitelist.\n");
}

static void a_word_that_is_not_allowed_has_no_effect(void **state)
{
    int word = admin_word_find((const uint8_t *)"srst");

    assert_int_equal(admin_word_needs(word, allowed, NULL).effect, ADMIN_RESET_SERVER);
    assert_int_equal(admin_word_needs(word, 0, NULL).effect, ADMIN_NONE);
}

static void words_are_named_with_commas_or_a_star(void **state)
{
    uint32_t words = 0;

    assert_int_equal(admin_words_parse(MK_BYTES("ruok , stat,"), &words), MK_OK);
    assert_int_equal(words, 1u << admin_word_find((const uint8_t *)"ruok") |
                                1u << admin_word_find((const uint8_t *)"stat"));
    assert_int_equal(admin_words_parse(MK_BYTES("dump,ruok,*"), &words), MK_OK);
    assert_int_equal(words, allowed);
    assert_int_equal(admin_words_parse(MK_BYTES("nope"), &words), MK_BAD_ARGUMENTS);
    assert_int_equal(admin_word_find((const uint8_t *)"nope"), ADMIN_WORD_NONE);
}

/* ---- A member of an ensemble ---- */

static struct admin_member members[4];

static void facts_of_a_leader(void)
{
    members[0] = (struct admin_member){.id = 1, .self = true};
    members[1] = (struct admin_member){.id = 2,
                                       .connected = true,
                                       .learner = true,
                                       .serving = true,
                                       .acked = 0x500000003,
                                       .queued_bytes = 12};
    members[2] = (struct admin_member){.id = 3, .for_ms = 12999, .why = "connection refused"};
    members[3] =
        (struct admin_member){.id = 4, .connected = true, .learner = true, .observer = true};
    settings.ensemble = "server.1=a:2888:3888:participant\nversion=0";
    settings.init_limit = 10;
    settings.sync_limit = 5;
    settings.quorum_port = 2888;
    settings.election_port = 3888;
    settings.voters = 3;
    /* admin_facts_free() is not called: the facts are borrowed from here. */
    facts.members = members;
    facts.members_count = 4;
    facts.members_missing = 1;
    facts.stats.mode = "leader";
    facts.stats.zxid = 0x500000007;
    facts.stats.epoch = 5;
    facts.stats.leader = 1;
    facts.stats.followers = facts.stats.observers = facts.stats.synced_followers = 1;
}

static void memb_tells_a_leaders_learners_and_who_is_missing(void **state)
{
    facts_of_a_leader();

    assert_answer("memb",
                  "Mode: leader\nZxid: 0x500000007\nEpoch: 5\n"
                  "server.1: leader, this server\n"
                  "server.2: follows, zxid 0x500000003, 4 transactions behind; 12 bytes queued\n"
                  "server.3: missing for 12 s: connection refused\n"
                  "server.4: observes, is being synchronised; 0 bytes queued\n");
}

static void memb_tells_whom_a_server_sees_while_it_looks_for_a_leader(void **state)
{
    facts_of_a_leader();
    members[3] = (struct admin_member){.id = 4, .connected = true, .for_ms = 3000};
    facts.members = members + 2;
    facts.members_count = 2;
    facts.serving = false;
    facts.stats.mode = "looking";
    facts.stats.epoch = facts.stats.leader = -1;

    assert_answer("memb", "Mode: looking\nZxid: 0x500000007\n"
                          "server.3: missing for 12 s: connection refused\n"
                          "server.4: connected for 3 s\n");
    facts.stats.leader = 4;
    assert_answer_has("memb", "server.4: leads\n");
}

static void memb_of_a_server_that_is_alone_is_its_mode(void **state)
{
    assert_answer("memb", "Mode: standalone\nZxid: 0x5\n");
}

static void mntr_and_conf_tell_a_role_as_zookeeper_does(void **state)
{
    facts_of_a_leader();

    assert_answer_has("mntr", "zk_peer_state\tleading - broadcast\n");
    assert_answer_has("mntr", "zk_learners\t2\nzk_followers\t1\nzk_synced_followers\t1\n");
    assert_answer_has("mntr", "zk_quorum_size\t3\nzk_members_missing\t1\n");
    assert_answer_has("conf", "serverId=1\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\n"
                              "electionPort=3888\nquorumPort=2888\npeerType=0\n"
                              "membership: \nserver.1=a:2888:3888:participant\nversion=0");
    facts.stats.mode = "follower";
    assert_answer_has("mntr", "zk_peer_state\tfollowing - broadcast\n");
}

static void the_trace_mask_follows_its_word(void **state)
{
    static const uint8_t mask[] = {0, 0, 0, 0, 0, 0, 1, 2};
    int word = admin_word_find((const uint8_t *)"stmk");

    assert_int_equal(admin_word_argument_bytes(word), 8);
    assert_int_equal(admin_word_needs(word, allowed, mask).trace_mask, 258);
    assert_int_equal(admin_word_argument_bytes(admin_word_find((const uint8_t *)"gtmk")), 0);
}

#define T(test) cmocka_unit_test_setup(test, facts_make)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(srvr_is_what_zookeeper_prints),
        T(stat_lists_the_clients_before_it),
        T(ruok_and_isro_have_no_newline),
        T(a_server_that_does_not_serve_says_so),
        T(conf_shows_what_is_in_force),
        T(envi_has_the_version_that_kazoo_looks_for),
        T(dirs_hash_and_the_resets_answer_as_zookeeper_does),
        T(mntr_has_the_keys_that_monitoring_reads),
        T(a_summary_of_mntr_is_average_least_most_count_and_sum),
        T(a_latency_of_mntr_has_quantiles_too),
        T(the_first_recv_of_a_client_has_what_monitoring_reads_most),
        T(an_average_is_printed_as_java_does),
        T(cons_tells_what_each_connection_last_did),
        T(cons_leaves_out_a_request_that_there_was_not),
        T(a_list_that_is_not_complete_says_what_it_leaves_out),
        T(dump_shows_sessions_ephemerals_and_connections_as_they_expire),
        T(watches_are_listed_by_session_and_by_path),
        T(a_watched_path_cannot_forge_a_line),
        T(by_default_srvr_isro_and_memb_are_answered),
        T(a_word_that_is_not_allowed_has_no_effect),
        T(words_are_named_with_commas_or_a_star),
        T(memb_tells_a_leaders_learners_and_who_is_missing),
        T(memb_tells_whom_a_server_sees_while_it_looks_for_a_leader),
        T(memb_of_a_server_that_is_alone_is_its_mode),
        T(mntr_and_conf_tell_a_role_as_zookeeper_does),
        T(the_trace_mask_follows_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
