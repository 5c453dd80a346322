/* Servers as an ensemble: elected, written through each, read from each, stopped at every step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "server/ensemble.h"
#include "unit/cmocka.h"

#define TIMEOUT_MS CLUSTER_TIMEOUT_MS

static void create(struct client *client, const char *path, const char *data, int32_t flags)
{
    struct jute_request request = request_create(path, data, flags);

    assert_int_equal(client_call(client, &request).error, 0);
}

static void assert_data(struct client *client, const char *path, const char *data)
{
    struct jute_request request = request_path(JUTE_GET_DATA, path);
    struct jute_reply reply = client_call(client, &request);
    struct mk_reader reader = mk_reader_of(reply.body);

    assert_int_equal(reply.error, 0);
    assert_true(mk_bytes_equal(mk_read_field(&reader), mk_bytes_text(data)));
}

static void assert_exists(struct client *client, const char *path, bool exists)
{
    struct jute_request request = request_path(JUTE_EXISTS, path);

    assert_int_equal(client_call(client, &request).error, exists ? 0 : -101);
}

/* ---- Roles ---- */

static void three_servers_elect_one_leader_and_all_serve(void **state)
{
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3, 0);

    cluster_await(&cluster);

    int leaders = 0;
    for (size_t i = 0; i < 3; i++) {
        leaders += strcmp(member_mode(&cluster.members[i]), "leader") == 0;
        assert_int_equal(cluster.members[i].epochs.current, 1);
    }
    assert_int_equal(leaders, 1);
    struct server_stats stats;
    server_stats_read(cluster_leader(&cluster)->world.server, &stats);
    assert_int_equal(stats.synced_followers, 2);
    cluster_check(&cluster);
    cluster_deinit(&cluster);
}

static void one_of_three_is_no_ensemble_and_takes_no_clients(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_stop(&cluster, &cluster.members[1]);
    cluster_stop(&cluster, &cluster.members[2]);

    cluster_advance(&cluster, 60000);

    assert_string_equal(member_mode(&cluster.members[0]), "looking");
    client_init(&ann, &cluster.members[0].world);
    ann.conn = server_conn_open(cluster.members[0].world.server, MK_BYTES("127.0.0.1"), 1, &ann);
    struct mk_buf out = {0};
    jute_connect_encode(&out, &(struct jute_connect){.timeout_ms = 4000});
    server_conn_frame(cluster.members[0].world.server, ann.conn,
                      mk_bytes_of(out.data + 4, out.len - 4));
    cluster_settle(&cluster);
    assert_null(ann.conn);
    mk_buf_free(&out);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_leader_without_followers_leads_no_more(void **state)
{
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *old = cluster_leader(&cluster);

    cluster_cut(&cluster, old, true);
    cluster_advance(&cluster, 15000);

    assert_string_equal(member_mode(old), "looking");
    assert_non_null(cluster_leader(&cluster));
    cluster_cut(&cluster, old, false);
    cluster_await(&cluster);
    cluster_check(&cluster);
    cluster_deinit(&cluster);
}

/* ---- Requests ---- */

static void what_is_written_through_any_server_is_read_from_all(void **state)
{
    struct cluster cluster;
    struct client clients[3] = {{0}};
    char path[24];
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);

    for (int i = 0; i < 3; i++) {
        open_client(&clients[i], &cluster.members[i]);
        (void)snprintf(path, sizeof(path), "/from-%d", i);
        create(&clients[i], path, "x", 0);
    }

    for (int i = 0; i < 3; i++) {
        struct jute_request sync = request_path(JUTE_SYNC, "/");
        assert_int_equal(client_call(&clients[i], &sync).error, 0);
        for (int j = 0; j < 3; j++) {
            (void)snprintf(path, sizeof(path), "/from-%d", j);
            assert_data(&clients[i], path, "x");
        }
    }
    cluster_check(&cluster);
    for (int i = 0; i < 3; i++) {
        client_deinit(&clients[i]);
    }
    cluster_deinit(&cluster);
}

static void through_a_follower_each_error_is_the_one_that_the_leader_would_give(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    create(&ann, "/a", "1", 0);

    struct jute_request again = request_create("/a", "1", 0);
    struct jute_request missing = request_set("/b", "2", -1);
    struct jute_request version = request_set("/a", "2", 7);
    struct jute_request delete = request_delete("/a", 0);
    struct jute_request path = request_create("no", "", 0);

    assert_int_equal(client_call(&ann, &again).error, -110);
    assert_int_equal(client_call(&ann, &missing).error, -101);
    assert_int_equal(client_call(&ann, &version).error, -103);
    assert_int_equal(client_call(&ann, &path).error, -8);
    assert_int_equal(client_call(&ann, &delete).error, 0);
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_multi_through_a_follower_is_answered_part_by_part(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct mk_buf frame = {0};
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 1));

    struct jute_request one = request_create("/m", "1", 0);
    struct jute_request two = request_create("/m/n", "2", 0);
    size_t at = jute_multi_request_begin(&frame, 77, JUTE_MULTI);
    jute_multi_request_put(&frame, &one);
    jute_multi_request_put(&frame, &two);
    jute_multi_request_end(&frame, at);
    server_conn_frame(ann.world->server, ann.conn, mk_bytes_of(frame.data + 4, frame.len - 4));
    cluster_settle(&cluster);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, 77);
    assert_int_equal(reply.error, 0);
    struct mk_reader reader = mk_reader_of(reply.body);
    assert_int_equal(mk_read_i32(&reader), JUTE_CREATE);
    assert_data(&ann, "/m/n", "2");
    mk_buf_free(&frame);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void on_a_follower_a_client_reads_what_it_has_written_just_before(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    create(&ann, "/a", "0", 0);

    struct jute_request set = request_set("/a", "1", -1);
    struct jute_request get = request_path(JUTE_GET_DATA, "/a");
    struct jute_request set_again = request_set("/a", "2", -1);
    struct jute_request sync = request_path(JUTE_SYNC, "/a");
    int32_t xids[] = {client_send(&ann, &set), client_send(&ann, &get), client_send(&ann, &sync),
                      client_send(&ann, &set_again)};
    get.xid = 0;
    int32_t last = client_send(&ann, &get);
    cluster_settle(&cluster);

    for (size_t i = 0; i < MK_COUNT(xids); i++) {
        assert_true(client_next(&ann, &reply));
        assert_int_equal(reply.xid, xids[i]);
        assert_int_equal(reply.error, 0);
        if (i == 1) {
            struct mk_reader reader = mk_reader_of(reply.body);
            assert_true(mk_bytes_equal(mk_read_field(&reader), MK_BYTES("1")));
        }
    }
    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, last);
    struct mk_reader reader = mk_reader_of(reply.body);
    assert_true(mk_bytes_equal(mk_read_field(&reader), MK_BYTES("2")));
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void on_a_follower_a_read_behind_a_sync_sees_no_later_write_of_its_session(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    char data[16];
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    struct member *leader = cluster_leader(&cluster);
    create(&ann, "/n", "0", 0);
    struct jute_request sync = request_path(JUTE_SYNC, "/");
    struct jute_request get = request_path(JUTE_GET_DATA, "/n");

    leader->stuck = cluster_follower(&cluster, 1)->stuck = true; /* so that much commits at once */
    for (int i = 1; i <= 20; i++) {
        (void)snprintf(data, sizeof(data), "%d", i);
        struct jute_request set = request_set("/n", data, -1);
        sync.xid = get.xid = 0;
        (void)client_send(&ann, &sync);
        (void)client_send(&ann, &get);
        (void)client_send(&ann, &set);
    }
    cluster_settle(&cluster);
    leader->stuck = cluster_follower(&cluster, 1)->stuck = false;
    cluster_settle(&cluster);

    for (int i = 1; i <= 20; i++) {
        (void)snprintf(data, sizeof(data), "%d", i - 1);
        assert_true(client_next(&ann, &reply));
        assert_true(client_next(&ann, &reply));
        struct mk_reader reader = mk_reader_of(reply.body);
        assert_int_equal(reply.error, 0);
        assert_true(mk_bytes_equal(mk_read_field(&reader), mk_bytes_text(data)));
        assert_true(client_next(&ann, &reply));
        assert_int_equal(reply.error, 0);
    }
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void on_a_follower_what_is_behind_the_end_of_a_session_is_told_so(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};
    struct jute_request late = request_create("/late", "", 0);

    (void)client_send(&ann, &close);
    (void)client_send(&ann, &late);
    cluster_settle(&cluster);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.error, 0);
    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.error, -112);
    assert_null(ann.conn);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_watch_on_one_server_is_told_of_a_write_through_another(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    struct jute_request watch = request_path(JUTE_EXISTS, "/w");
    watch.watch = true;
    assert_int_equal(client_call(&ann, &watch).error, -101);

    create(&bob, "/w", "1", 0);

    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.xid, JUTE_XID_NOTIFICATION);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* ---- Sessions ---- */

static void a_session_moves_from_server_to_server_with_its_ephemerals(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, &cluster.members[0]);
    mk_session session = ann.session;
    create(&ann, "/e", "1", 1);

    for (size_t i = 1; i < 4; i++) {
        client_disconnect(&ann);
        connect_to(&ann, &cluster.members[i % 3]);
        assert_int_equal(ann.session, session);
        struct jute_request set = request_set("/e", "2", -1);
        assert_int_equal(client_call(&ann, &set).error, 0);
    }

    struct jute_request close = {.op = JUTE_CLOSE_SESSION};
    assert_int_equal(client_call(&ann, &close).error, 0);
    struct client bob;
    open_client(&bob, &cluster.members[1]);
    assert_exists(&bob, "/e", false);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void who_has_moved_writes_no_more_through_the_server_before(void **state)
{
    struct cluster cluster;
    struct client here, there;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&here, cluster_follower(&cluster, 0));
    there = here;
    there.input = (struct mk_buf){0};
    cluster_follower(&cluster, 1)->world.clients[0] = &there;
    cluster_follower(&cluster, 1)->world.clients_count = 1;
    connect_to(&there, cluster_follower(&cluster, 1));
    assert_int_equal(there.session, here.session);

    struct jute_request late = request_create("/late", "", 0);
    (void)client_send(&here, &late);
    cluster_settle(&cluster);

    assert_false(client_next(&here, &reply));
    assert_null(here.conn);
    assert_exists(&there, "/late", false);
    create(&there, "/now", "", 0);
    client_deinit(&here);
    client_deinit(&there);
    cluster_deinit(&cluster);
}

static void a_wrong_password_moves_no_session(void **state)
{
    struct cluster cluster;
    struct client ann, eve;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    client_init(&eve, &cluster_follower(&cluster, 1)->world);
    eve.session = ann.session;

    client_connect(&eve, TIMEOUT_MS);

    assert_int_equal(eve.session, 0);
    create(&ann, "/still", "", 0);
    client_deinit(&ann);
    client_deinit(&eve);
    cluster_deinit(&cluster);
}

static void a_session_of_which_was_heard_just_before_its_connection_broke_lives_on_from_then(
    void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_request ping = {.op = JUTE_PING, .xid = JUTE_XID_PING};
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    cluster_advance(&cluster, TIMEOUT_MS * 3 / 4);
    (void)client_call(&ann, &ping);

    client_disconnect(&ann); /* before the leader has asked who is alive */
    cluster_advance(&cluster, TIMEOUT_MS / 2);

    assert_int_equal(store_totals(ann.world->store)->sessions, 1);
    cluster_advance(&cluster, TIMEOUT_MS);
    assert_int_equal(store_totals(ann.world->store)->sessions, 0);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_session_lives_as_long_as_any_server_hears_of_it(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    create(&ann, "/ann", "", 1);
    create(&bob, "/bob", "", 1);
    client_disconnect(&bob);

    for (int i = 0; i < 8; i++) {
        struct jute_request ping = {.op = JUTE_PING, .xid = JUTE_XID_PING};
        (void)client_call(&ann, &ping);
        cluster_advance(&cluster, TIMEOUT_MS / 4);
    }

    assert_exists(&ann, "/ann", true);
    assert_exists(&ann, "/bob", false);
    assert_int_equal(store_totals(ann.world->store)->sessions, 1);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* ---- What comes back ---- */

static void a_follower_that_was_away_gets_what_it_lacks(void **state)
{
    struct cluster cluster;
    struct client ann;
    char path[24];
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *away = cluster_follower(&cluster, 1);
    open_client(&ann, cluster_follower(&cluster, 0));
    create(&ann, "/before", "", 0);
    cluster_stop(&cluster, away);

    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "/away-%d", i);
        create(&ann, path, "x", 0);
    }
    cluster_start(&cluster, away);
    cluster_await(&cluster);

    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void what_only_the_old_leader_has_logged_is_taken_back(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *old = cluster_leader(&cluster);
    open_client(&ann, old);
    create(&ann, "/both", "", 0);
    cluster_cut(&cluster, old, true);
    struct jute_request lost = request_create("/lost", "", 0);
    (void)client_send(&ann, &lost);
    cluster_settle(&cluster);
    assert_true(old->world.log.len > cluster_follower(&cluster, 0)->world.log.len);

    cluster_advance(&cluster, 15000);
    struct member *leader = cluster_leader(&cluster);
    assert_non_null(leader);
    open_client(&bob, leader);
    create(&bob, "/new", "", 0);
    cluster_cut(&cluster, old, false);
    cluster_await(&cluster);

    cluster_check(&cluster);
    assert_exists(&bob, "/both", true);
    assert_exists(&bob, "/lost", false);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void fill(struct client *client, const char *prefix, int count)
{
    char path[32];

    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "/%s-%d", prefix, i);
        create(client, path, "x", 0);
    }
}

#define ALL_OF_THE_STATE 1000000 /* millionths */

/* One comes back that lacks more than is in memory, while others write. How many snapshots it takes. */
static size_t comes_back(uint32_t log_share_max, bool log_kept)
{
    struct cluster cluster;
    struct client ann;
    cluster_init(&cluster, 3, 0);
    for (size_t i = 0; i < 3; i++) { /* as few as there may be, in buffers of their own */
        cluster.members[i].world.options.ensemble.history_count = 1;
        cluster.members[i].world.options.ensemble.log_share_max = log_share_max;
    }
    for (size_t i = 0; i < 3; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    struct member *away = cluster_follower(&cluster, 1);
    open_client(&ann, cluster_follower(&cluster, 0));
    create(&ann, "/ephemeral", "", 1);
    cluster_stop(&cluster, away);
    char *large = malloc(40001);
    memset(large, 'l', 40000);
    large[40000] = '\0';
    create(&ann, "/large", large, 0);
    create(&ann, "/large/er", large, 0);
    create(&ann, "/large/est", large, 0);
    free(large);
    fill(&ann, "away", 50);
    if (!log_kept) {
        cluster_leader(&cluster)->world.log.len = 0;
    }

    cluster.chunk = 1000;
    cluster_start(&cluster, away);
    int i = 0;
    for (; !server_serving(away->world.server) && i < 200; i++) { /* writes go on meanwhile */
        char path[32];
        (void)snprintf(path, sizeof(path), "/behind-%d", i);
        struct jute_request request = request_create(path, "", 0);
        (void)client_send(&ann, &request);
        for (int step = 0; step < 20; step++) {
            (void)cluster_step(&cluster);
        }
        cluster.now.monotonic_ms += 10;
        for (size_t j = 0; j < 3; j++) {
            server_tick(cluster.members[j].world.server, cluster.now);
        }
    }
    cluster_await(&cluster);

    assert_true(i > 3);
    cluster_check(&cluster);
    assert_int_equal(store_totals(away->world.store)->ephemerals, 1);
    size_t snapshots = away->snapshots;
    client_deinit(&ann);
    cluster_deinit(&cluster);
    return snapshots;
}

static void who_is_further_behind_than_history_goes_gets_a_snapshot_and_what_came_behind(
    void **state)
{
    (void)state;

    assert_int_equal(comes_back(0, true), 1);
}

static void who_is_further_behind_than_history_goes_gets_what_the_log_has(void **state)
{
    (void)state;

    assert_int_equal(comes_back(2 * ALL_OF_THE_STATE, true), 0);
}

static void if_the_log_has_much_more_than_the_state_the_state_is_sent(void **state)
{
    (void)state;

    assert_int_equal(comes_back(ALL_OF_THE_STATE / 100, true), 1);
}

static void if_the_log_has_not_what_a_server_lacks_the_state_is_sent(void **state)
{
    (void)state;

    assert_int_equal(comes_back(2 * ALL_OF_THE_STATE, false), 1);
}

static void who_is_stopped_while_it_receives_a_snapshot_gets_another(void **state)
{
    (void)state;
    for (int steps = 0; steps < 120; steps += 2) {
        struct cluster cluster;
        struct client ann;
        cluster_init(&cluster, 3, 0);
        cluster_await(&cluster);
        open_client(&ann, cluster_leader(&cluster));
        fill(&ann, "a", 10);
        struct member *empty = cluster_follower(&cluster, 0);
        struct member *leader = cluster_leader(&cluster);
        bool sender = steps % 4 == 0;
        cluster_stop(&cluster, empty); /* it comes back without anything */
        empty->world.base->ops->close(empty->world.base);
        empty->world.base = store_base_memory(NULL, 0);
        empty->world.log.len = 0;
        empty->epochs = (struct server_epochs){0, 0};
        server_checkpoint_request(leader->world.server);
        cluster.chunk = 500;
        cluster_start(&cluster, empty);
        for (int i = 0; i < steps; i++) {
            if (!cluster_step(&cluster)) {
                cluster_advance(&cluster, 50);
            }
        }
        struct member *killed = sender ? leader : empty;
        cluster_stop(&cluster, killed);
        cluster_advance(&cluster, 3000);
        cluster_start(&cluster, killed);
        cluster_await(&cluster);
        cluster_check(&cluster);
        assert_int_equal(store_totals(empty->world.store)->znodes,
                         store_totals(leader->world.store)->znodes);
        client_deinit(&ann);
        cluster_deinit(&cluster);
    }
}

static void an_ensemble_that_was_stopped_comes_back_with_everything(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    for (int round = 0; round < 4; round++) {
        char path[24];
        cluster_await(&cluster);
        open_client(&ann, cluster_follower(&cluster, (size_t)round % 2));
        (void)snprintf(path, sizeof(path), "/round-%d", round);
        create(&ann, path, "x", 0);
        if (round > 0) {
            assert_exists(&ann, "/round-0", true);
        }
        cluster_check(&cluster);
        client_deinit(&ann);
        for (size_t i = 0; i < 3; i++) {
            cluster_stop(&cluster, &cluster.members[i]);
            cluster.members[i].world.clients_count = 0;
        }
        for (size_t i = 0; i < 3; i++) {
            cluster_start(&cluster, &cluster.members[i]);
        }
    }
    cluster_deinit(&cluster);
}

static void a_leader_whose_log_is_stuck_goes_on_with_the_logs_of_others(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *leader = cluster_leader(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, leader);
    leader->stuck = true;

    create(&ann, "/a", "", 0);

    assert_exists(&bob, "/a", false); /* not in its own log: not applied (R2) */
    leader->stuck = false;
    cluster_settle(&cluster);
    assert_exists(&bob, "/a", true);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void without_a_quorum_of_logs_nothing_is_acknowledged(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_leader(&cluster));
    cluster_follower(&cluster, 0)->stuck = true;
    cluster_follower(&cluster, 1)->stuck = true;

    struct jute_request wanted = request_create("/a", "", 0);
    (void)client_send(&ann, &wanted);
    cluster_settle(&cluster);
    assert_false(client_next(&ann, &reply));

    cluster_follower(&cluster, 1)->stuck = false;
    cluster_settle(&cluster);
    assert_true(client_next(&ann, &reply));
    assert_int_equal(reply.error, 0);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

/* ---- Observers ---- */

static void a_sync_is_answered_when_all_that_was_proposed_before_it_has_committed(void **state)
{
    struct cluster cluster;
    struct client ann, ben;
    struct jute_reply reply;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    open_client(&ann, cluster_leader(&cluster));
    open_client(&ben, cluster_follower(&cluster, 0));
    for (size_t i = 0; i < 3; i++) {
        cluster.members[i].stuck = true;
    }
    struct jute_request before = request_create("/before", "", 0);
    struct jute_request sync = request_path(JUTE_SYNC, "/");
    (void)client_send(&ann, &before);
    cluster_settle(&cluster);

    int32_t xid = client_send(&ben, &sync);
    cluster_settle(&cluster);
    assert_false(client_next(&ben, &reply));

    for (size_t i = 0; i < 3; i++) {
        cluster.members[i].stuck = false;
    }
    cluster_settle(&cluster);
    assert_true(client_next(&ben, &reply));
    assert_int_equal(reply.xid, xid);
    assert_int_equal(reply.error, 0);
    assert_exists(&ben, "/before", true);
    client_deinit(&ann);
    client_deinit(&ben);
    cluster_deinit(&cluster);
}

static void an_observer_serves_and_forwards_and_is_no_part_of_any_quorum(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init(&cluster, 4, 1);
    cluster_await(&cluster);
    struct member *observer = &cluster.members[3];
    assert_string_equal(member_mode(observer), "observer");
    open_client(&ann, observer);
    open_client(&bob, cluster_leader(&cluster));

    create(&ann, "/by-observer", "", 0);
    create(&bob, "/by-leader", "", 0);
    struct jute_request sync = request_path(JUTE_SYNC, "/");
    assert_int_equal(client_call(&ann, &sync).error, 0);
    assert_exists(&ann, "/by-leader", true);
    cluster_check(&cluster);

    struct member *follower = cluster_follower(&cluster, 0);
    cluster_stop(&cluster, observer);
    create(&bob, "/without-observer", "", 0);
    cluster_start(&cluster, observer);
    cluster_await(&cluster);
    cluster_check(&cluster);
    cluster_stop(&cluster, follower);
    create(&bob, "/two-voters", "", 0);
    cluster_stop(&cluster, cluster_follower(&cluster, 0));
    cluster_advance(&cluster, 20000);
    assert_null(cluster_leader(&cluster));
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* ---- Stopped at any step ---- */

enum victim { LEADER, FOLLOWER };

/* A client writes through a follower, and another one through the leader. After `steps` more steps the
 * victim is killed. True: it all had happened before that. */
static bool stop_at_step(enum victim victim, int steps, size_t chunk)
{
    struct cluster cluster;
    struct client ann, bob, eve;
    struct jute_reply reply;

    cluster_init(&cluster, 3, 0);
    cluster.chunk = chunk;
    cluster_await(&cluster);
    struct member *leader = cluster_leader(&cluster);
    struct member *killed = victim == LEADER ? leader : cluster_follower(&cluster, 0);
    struct member *other = cluster_follower(&cluster, 1);
    open_client(&ann, other);
    open_client(&bob, leader);
    struct jute_request by_ann = request_create("/ann", "1", 0);
    struct jute_request again = request_set("/ann", "2", 0);
    struct jute_request by_bob = request_create("/bob", "1", 0);

    (void)client_send(&ann, &by_ann);
    (void)client_send(&ann, &again);
    (void)client_send(&bob, &by_bob);
    bool whole = false;
    for (int i = 0; i < steps && !whole; i++) {
        whole = !cluster_step(&cluster);
    }
    cluster_stop(&cluster, killed);
    cluster_await(&cluster);
    int by_ann_done = client_next(&ann, &reply) ? 1 + client_next(&ann, &reply) : 0;
    bool by_bob_done = client_next(&bob, &reply);
    cluster_check(&cluster);
    cluster_start(&cluster, killed);
    cluster_await(&cluster);

    cluster_check(&cluster);
    open_client(&eve, other);
    if (by_ann_done > 0) {
        assert_exists(&eve, "/ann", true);
    }
    if (by_ann_done > 1) {
        assert_data(&eve, "/ann", "2");
    }
    if (by_bob_done) {
        assert_exists(&eve, "/bob", true);
    }
    create(&eve, "/after", "", 0);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    client_deinit(&eve);
    cluster_deinit(&cluster);
    return whole;
}

static void stop_at_every_step(enum victim victim, size_t chunk)
{
    int steps = 0;

    while (!stop_at_step(victim, steps, chunk)) {
        steps++;
    }
    assert_true(steps > 20);
}

static void a_leader_may_stop_at_any_step_and_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    stop_at_every_step(LEADER, 0);
    stop_at_every_step(LEADER, 64);
}

static void a_follower_may_stop_at_any_step_and_comes_back(void **state)
{
    (void)state;
    stop_at_every_step(FOLLOWER, 0);
}

/* From the first election on: nobody serves what others do not have. */
static void any_server_may_stop_at_any_step_of_the_beginning(void **state)
{
    (void)state;
    for (int steps = 0; steps < 400; steps += 3) {
        struct cluster cluster;
        struct client ann;
        cluster_init(&cluster, 3, 0);
        cluster.chunk = 100;
        struct member *killed = &cluster.members[steps % 3];
        for (int i = 0; i < steps; i++) {
            if (!cluster_step(&cluster)) {
                cluster_advance(&cluster, 50);
            }
        }
        cluster_stop(&cluster, killed);
        cluster_await(&cluster);
        open_client(&ann, cluster_leader(&cluster));
        create(&ann, "/a", "", 0);
        cluster_start(&cluster, killed);
        cluster_await(&cluster);
        cluster_check(&cluster);
        client_deinit(&ann);
        cluster_deinit(&cluster);
    }
}

/* ---- Peers that are none ---- */

static void what_is_no_packet_ends_the_connection_and_nothing_else(void **state)
{
    struct cluster cluster;
    struct client ann;
    int owner;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct server *server = cluster_leader(&cluster)->world.server;
    open_client(&ann, cluster_leader(&cluster));
    uint8_t bytes[64];
    memset(bytes, 0xff, sizeof(bytes));

    struct server_peer *peer = server_peer_open(server, -1, MK_BYTES("127.0.0.1"), &owner);
    assert_non_null(peer);
    server_peer_bytes(server, peer, mk_bytes_of(bytes, sizeof(bytes)));

    assert_true(server_peer_closing(peer));
    server_peer_closed(server, peer);
    create(&ann, "/a", "", 0);
    assert_null(
        server_peer_open(server, 2, MK_BYTES("127.0.0.1"), &owner)); /* nobody was dialled */
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static struct server_peer *leader_of(struct cluster *cluster, struct member *follower)
{
    for (size_t i = 0; i < CLUSTER_LINKS_MAX; i++) {
        struct link *link = &cluster->links[i];
        if (link->used && link->members[0] == follower && link->peers[0] != NULL) {
            return link->peers[0];
        }
    }
    fail_msg("it has no leader");
    return NULL;
}

static void what_a_leader_proposes_and_is_no_transaction_is_not_counted_as_history(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *leader = cluster_leader(&cluster);
    struct member *follower = cluster_follower(&cluster, 1);
    open_client(&ann, leader);
    create(&ann, "/a", "", 0);
    client_deinit(&ann);
    struct jute_packet packet =
        JUTE_PACKET(JUTE_PACKET_PROPOSAL, store_applied(leader->world.store) + 1);
    packet.data = MK_BYTES("no transaction");
    struct mk_buf out = {0};
    jute_put_packet(&out, &packet);

    server_peer_bytes(follower->world.server, leader_of(&cluster, follower), mk_buf_view(&out));
    assert_string_equal(member_mode(follower), "looking");
    cluster_stop(&cluster, leader);
    cluster_await(&cluster); /* else it would be elected for what it has not, and could not lead */

    open_client(&ann, follower);
    assert_exists(&ann, "/a", true);
    cluster_check(&cluster);
    client_deinit(&ann);
    mk_buf_free(&out);
    cluster_deinit(&cluster);
}

/* Of those that connect to a leader's quorum port and say nothing, how many are still there. */
static size_t strangers_come(struct cluster *cluster, struct link *links, size_t count,
                             bool one_address)
{
    struct member *leader = cluster_leader(cluster);
    size_t there = 0;

    for (size_t i = 0; i < count; i++) {
        char address[64] = "10.0.0.1";
        if (!one_address) {
            (void)snprintf(address, sizeof(address), "10.1.%zu.%zu", i / 100, i % 100);
        }
        links[i].members[0] = leader;
        links[i].ends[0] = (struct end){&links[i], 0};
        links[i].peers[0] =
            server_peer_open(leader->world.server, -1, mk_bytes_text(address), &links[i].ends[0]);
        assert_non_null(links[i].peers[0]);
    }
    cluster_settle(cluster);
    for (size_t i = 0; i < count; i++) {
        there += links[i].peers[0] != NULL;
    }
    return there;
}

static void strangers_free(struct link *links, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mk_buf_free(&links[i].wire[1]);
    }
}

static void who_does_not_say_who_it_is_keeps_no_learner_out(void **state)
{
    static struct link many[ZAB_LEARNERS_MAX + 10];
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *follower = cluster_follower(&cluster, 0);
    cluster_stop(&cluster, follower);

    assert_int_equal(strangers_come(&cluster, many, MK_COUNT(many), false), STRANGERS_MAX);

    assert_null(many[0].peers[0]); /* the oldest have gone */
    cluster_start(&cluster, follower);
    cluster_await(&cluster);
    cluster_advance(&cluster, 6000);
    for (size_t i = 0; i < MK_COUNT(many); i++) {
        assert_null(many[i].peers[0]);
    }
    strangers_free(many, MK_COUNT(many));
    cluster_deinit(&cluster);
}

static void strangers_of_one_address_make_room_for_each_other(void **state)
{
    static struct link others[10], many[100];
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    assert_int_equal(strangers_come(&cluster, others, MK_COUNT(others), false), MK_COUNT(others));

    size_t there = strangers_come(&cluster, many, MK_COUNT(many), true);

    assert_int_equal(there, STRANGERS_OF_ADDRESS_MAX);
    for (size_t i = 0; i < MK_COUNT(others); i++) {
        assert_non_null(others[i].peers[0]);
    }
    cluster_advance(&cluster, 6000);
    strangers_free(others, MK_COUNT(others));
    strangers_free(many, MK_COUNT(many));
    cluster_deinit(&cluster);
}

static void a_stranger_is_not_read_further_than_a_greeting_is_long(void **state)
{
    static struct link one;
    struct mk_buf packet = {0};
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    assert_int_equal(strangers_come(&cluster, &one, 1, true), 1);
    struct jute_packet large = JUTE_PACKET(JUTE_PACKET_FOLLOWERINFO, 0);
    uint8_t bytes[STRANGER_DATA_BYTES_MAX + 1] = {0};
    large.data = mk_bytes_of(bytes, sizeof(bytes));
    jute_put_packet(&packet, &large);

    server_peer_bytes(one.members[0]->world.server, one.peers[0],
                      mk_bytes_of(packet.data, packet.len - 100));
    cluster_settle(&cluster);

    assert_null(one.peers[0]);
    mk_buf_free(&packet);
    strangers_free(&one, 1);
    cluster_deinit(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_servers_elect_one_leader_and_all_serve),
        cmocka_unit_test(one_of_three_is_no_ensemble_and_takes_no_clients),
        cmocka_unit_test(a_leader_without_followers_leads_no_more),
        cmocka_unit_test(what_is_written_through_any_server_is_read_from_all),
        cmocka_unit_test(through_a_follower_each_error_is_the_one_that_the_leader_would_give),
        cmocka_unit_test(a_multi_through_a_follower_is_answered_part_by_part),
        cmocka_unit_test(on_a_follower_a_client_reads_what_it_has_written_just_before),
        cmocka_unit_test(on_a_follower_a_read_behind_a_sync_sees_no_later_write_of_its_session),
        cmocka_unit_test(on_a_follower_what_is_behind_the_end_of_a_session_is_told_so),
        cmocka_unit_test(a_watch_on_one_server_is_told_of_a_write_through_another),
        cmocka_unit_test(a_session_moves_from_server_to_server_with_its_ephemerals),
        cmocka_unit_test(who_has_moved_writes_no_more_through_the_server_before),
        cmocka_unit_test(a_wrong_password_moves_no_session),
        cmocka_unit_test(
            a_session_of_which_was_heard_just_before_its_connection_broke_lives_on_from_then),
        cmocka_unit_test(a_session_lives_as_long_as_any_server_hears_of_it),
        cmocka_unit_test(a_follower_that_was_away_gets_what_it_lacks),
        cmocka_unit_test(what_only_the_old_leader_has_logged_is_taken_back),
        cmocka_unit_test(
            who_is_further_behind_than_history_goes_gets_a_snapshot_and_what_came_behind),
        cmocka_unit_test(who_is_further_behind_than_history_goes_gets_what_the_log_has),
        cmocka_unit_test(if_the_log_has_much_more_than_the_state_the_state_is_sent),
        cmocka_unit_test(if_the_log_has_not_what_a_server_lacks_the_state_is_sent),
        cmocka_unit_test(who_is_stopped_while_it_receives_a_snapshot_gets_another),
        cmocka_unit_test(an_ensemble_that_was_stopped_comes_back_with_everything),
        cmocka_unit_test(a_leader_whose_log_is_stuck_goes_on_with_the_logs_of_others),
        cmocka_unit_test(without_a_quorum_of_logs_nothing_is_acknowledged),
        cmocka_unit_test(a_sync_is_answered_when_all_that_was_proposed_before_it_has_committed),
        cmocka_unit_test(an_observer_serves_and_forwards_and_is_no_part_of_any_quorum),
        cmocka_unit_test(a_leader_may_stop_at_any_step_and_nothing_acknowledged_is_lost),
        cmocka_unit_test(a_follower_may_stop_at_any_step_and_comes_back),
        cmocka_unit_test(any_server_may_stop_at_any_step_of_the_beginning),
        cmocka_unit_test(what_is_no_packet_ends_the_connection_and_nothing_else),
        cmocka_unit_test(who_does_not_say_who_it_is_keeps_no_learner_out),
        cmocka_unit_test(strangers_of_one_address_make_room_for_each_other),
        cmocka_unit_test(a_stranger_is_not_read_further_than_a_greeting_is_long),
        cmocka_unit_test(what_a_leader_proposes_and_is_no_transaction_is_not_counted_as_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
