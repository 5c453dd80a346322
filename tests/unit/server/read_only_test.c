/* A member without a quorum shows what it knows to be committed to clients that ask for no more. */
#include <string.h>

#include "cluster.h"
#include "unit/cmocka.h"

#define TIMEOUT_MS 10000

struct alone {
    struct cluster cluster;
    struct client ann;
    struct member *left; /* the one that is left */
    mk_session global;   /* a session of before */
    uint8_t password[JUTE_PASSWORD_BYTES];
};

static void options_set(struct cluster *cluster, bool local_sessions)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        cluster_stop(cluster, member);
        member->world.options.read_only_mode = true;
        member->world.options.local_sessions = local_sessions;
        cluster_start(cluster, member);
    }
    cluster_await(cluster);
}

static void call(struct client *client, struct jute_request request, int32_t error)
{
    assert_int_equal(client_call(client, &request).error, error);
}

/* "/a" is there and holds "1". The followers are gone: the leader that was is alone. */
static void set_up(struct alone *alone, bool local_sessions)
{
    struct cluster *cluster = &alone->cluster;
    struct client ben;

    memset(alone, 0, sizeof(*alone));
    cluster_init(cluster, 3, 0);
    options_set(cluster, false);
    alone->left = cluster_leader(cluster);
    client_init(&ben, &alone->left->world);
    client_connect(&ben, TIMEOUT_MS);
    alone->global = ben.session;
    memcpy(alone->password, ben.password, sizeof(alone->password));
    call(&ben, request_create("/a", "1", 0), 0);
    client_disconnect(&ben);
    if (local_sessions) {
        options_set(cluster, true);
        alone->left = cluster_leader(cluster);
    }
    for (size_t i = 0; i < cluster->count; i++) {
        if (&cluster->members[i] != alone->left) {
            cluster_stop(cluster, &cluster->members[i]);
        }
    }
    client_deinit(&ben);
    client_init(&alone->ann, &alone->left->world);
}

static void tear_down(struct alone *alone)
{
    client_deinit(&alone->ann);
    cluster_deinit(&alone->cluster);
}

/* False: the connection was closed without a word. */
static bool connect_as(struct client *client, bool read_only, bool *granted_read_only)
{
    struct world *world = client->world;
    struct mk_buf out = {0};
    struct jute_connect connect = {
        .timeout_ms = TIMEOUT_MS,
        .session_id = client->session,
        .password = mk_bytes_of(client->password, sizeof(client->password)),
        .read_only = read_only,
        .read_only_present = true,
    };

    client->input.len = 0;
    client->conn = server_conn_open(world->server, MK_BYTES("127.0.0.1"), 1, client);
    jute_connect_encode(&out, &connect);
    server_conn_frame(world->server, client->conn, mk_bytes_of(out.data + 4, out.len - 4));
    mk_buf_free(&out);
    world_settle(world);
    if (client->input.len == 0) {
        assert_null(client->conn);
        return false;
    }
    assert_int_equal(client->input.len, 41);
    client->session = (mk_session)mk_load_u64(client->input.data + 12);
    memcpy(client->password, client->input.data + 24, sizeof(client->password));
    client->read = 41;
    *granted_read_only = client->input.data[40] == 1;
    return true;
}

static void connect_read_only(struct alone *alone)
{
    bool read_only;

    assert_true(connect_as(&alone->ann, true, &read_only));
    assert_true(read_only);
    assert_true(alone->ann.session != 0);
}

static void await_quorum(struct alone *alone)
{
    for (size_t i = 0; i < alone->cluster.count; i++) {
        if (!alone->cluster.members[i].up) {
            cluster_start(&alone->cluster, &alone->cluster.members[i]);
        }
    }
    cluster_advance(&alone->cluster, 10000); /* whoever led before has noticed it by now */
    cluster_await(&alone->cluster);
}

/* As many milliseconds as a leader needs to see that it is none any more, and then two seconds. */
static void become_read_only(struct alone *alone)
{
    cluster_advance(&alone->cluster, 20000);
    assert_string_equal(member_mode(alone->left), "read-only");
    assert_false(server_serving(alone->left->world.server));
}

static void assert_data(struct client *client, const char *path, const char *data)
{
    struct jute_request request = request_path(JUTE_GET_DATA, path);
    struct jute_reply reply = client_call(client, &request);
    struct mk_reader reader = mk_reader_of(reply.body);

    assert_int_equal(reply.error, 0);
    assert_true(mk_bytes_equal(mk_read_field(&reader), mk_bytes_text(data)));
}

/* ---- What is served ---- */

static void a_member_without_a_quorum_answers_reads_and_refuses_writes(void **state)
{
    struct alone alone;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);

    connect_read_only(&alone);

    assert_data(&alone.ann, "/a", "1");
    call(&alone.ann, request_path(JUTE_GET_CHILDREN, "/"), 0);
    call(&alone.ann, request_path(JUTE_EXISTS, "/b"), -101);
    struct jute_request watching = request_path(JUTE_EXISTS, "/a");
    watching.watch = true;
    call(&alone.ann, watching, 0);
    call(&alone.ann, request_create("/b", "", 0), -119);
    call(&alone.ann, request_create("/b", "", 1), -119);
    call(&alone.ann, request_set("/a", "2", -1), -119);
    call(&alone.ann, request_delete("/a", -1), -119);
    call(&alone.ann, request_path(JUTE_SYNC, "/"), -119);
    call(&alone.ann, request_recipe("lock.acquire", 1, "{}"), -119);
    assert_data(&alone.ann, "/a", "1");
    call(&alone.ann, (struct jute_request){.op = JUTE_CLOSE_SESSION}, 0);
    assert_null(alone.ann.conn);
    tear_down(&alone);
}

static void a_multi_is_a_write_even_if_it_only_checks(void **state)
{
    struct alone alone;
    struct mk_buf frame = {0};
    struct jute_reply reply;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);
    connect_read_only(&alone);

    struct jute_request check = {.op = JUTE_CHECK, .path = MK_BYTES("/a"), .version = 0};
    size_t at = jute_multi_request_begin(&frame, 5, JUTE_MULTI);
    jute_multi_request_put(&frame, &check);
    jute_multi_request_end(&frame, at);
    server_conn_frame(alone.ann.world->server, alone.ann.conn,
                      mk_bytes_of(frame.data + 4, frame.len - 4));
    cluster_settle(&alone.cluster);

    assert_true(client_next(&alone.ann, &reply));
    assert_int_equal(reply.error, -119);
    mk_buf_free(&frame);
    tear_down(&alone);
}

static void refusals_keep_their_place_among_the_reads(void **state)
{
    struct alone alone;
    struct jute_reply reply;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);
    connect_read_only(&alone);
    struct jute_request requests[] = {request_path(JUTE_EXISTS, "/a"), request_set("/a", "2", -1),
                                      request_path(JUTE_EXISTS, "/a"), request_delete("/a", -1)};

    for (size_t i = 0; i < MK_COUNT(requests); i++) {
        (void)client_send(&alone.ann, &requests[i]);
    }
    cluster_settle(&alone.cluster);

    for (size_t i = 0; i < MK_COUNT(requests); i++) {
        assert_true(client_next(&alone.ann, &reply));
        assert_int_equal(reply.xid, requests[i].xid);
        assert_int_equal(reply.error, i % 2 == 0 ? 0 : -119);
    }
    tear_down(&alone);
}

/* ---- Who is served, and when ---- */

static void who_has_not_asked_for_read_only_is_disconnected_without_a_word(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);

    assert_false(connect_as(&alone.ann, false, &read_only));

    tear_down(&alone);
}

static void so_is_a_session_that_all_servers_know(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);
    alone.ann.session = alone.global;
    memcpy(alone.ann.password, alone.password, sizeof(alone.password));

    assert_false(connect_as(&alone.ann, true, &read_only));

    await_quorum(&alone);
    assert_true(connect_as(&alone.ann, true, &read_only)); /* and it has not been harmed */
    assert_int_equal(alone.ann.session, alone.global);
    assert_false(read_only);
    tear_down(&alone);
}

static void a_client_that_is_content_with_less_gets_all_of_a_server_that_has_a_quorum(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    await_quorum(&alone);

    assert_true(connect_as(&alone.ann, true, &read_only));

    assert_false(read_only);
    call(&alone.ann, request_create("/b", "", 0), 0);
    tear_down(&alone);
}

static void nobody_is_served_before_two_seconds_without_a_leader(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    for (int i = 0; i < 400 && strcmp(member_mode(alone.left), "looking") != 0; i++) {
        cluster_advance(&alone.cluster, 50);
    }

    cluster_advance(&alone.cluster, 1950);
    assert_string_equal(member_mode(alone.left), "looking");
    assert_false(connect_as(&alone.ann, true, &read_only));
    cluster_advance(&alone.cluster, 100);

    assert_string_equal(member_mode(alone.left), "read-only");
    tear_down(&alone);
}

/* ---- What is shown ---- */

static void what_has_not_been_committed_is_not_shown(void **state)
{
    struct alone alone;
    (void)state;
    set_up(&alone, false); /* the leader does not know yet that it is alone */
    struct client ben;
    client_init(&ben, &alone.left->world);
    ben.session = alone.global;
    memcpy(ben.password, alone.password, sizeof(ben.password));
    client_connect(&ben, TIMEOUT_MS);
    struct jute_request set = request_set("/a", "2", -1);
    (void)client_send(&ben, &set);
    become_read_only(&alone);

    connect_read_only(&alone);
    assert_data(&alone.ann, "/a", "1");
    client_disconnect(&alone.ann);

    /* Nor by a member that has been started anew, and has it in its log. */
    cluster_stop(&alone.cluster, alone.left);
    cluster_start(&alone.cluster, alone.left);
    become_read_only(&alone);
    alone.ann.session = 0;
    connect_read_only(&alone);
    struct jute_request get = request_path(JUTE_GET_DATA, "/a");
    struct jute_reply reply = client_call(&alone.ann, &get);
    if (reply.error == 0) {
        struct mk_reader reader = mk_reader_of(reply.body);
        assert_true(mk_bytes_equal(mk_read_field(&reader), MK_BYTES("1")));
    } else {
        assert_int_equal(reply.error, -101); /* its last checkpoint is older */
    }
    client_deinit(&ben);
    tear_down(&alone);
}

/* The member alone, whose data is as `log_last` says; true: it serves read-only clients. */
static bool shows(struct alone *alone, mk_zxid log_last, bool fuzzy)
{
    struct world *world = &alone->left->world;
    struct mk_error error = {""};
    struct store_options options = {
        .cache_bytes = 1 << 20, .overlay_bytes = 64 << 20, .overlay_bytes_max = 128 << 20};
    struct server_time now = {.monotonic_ms = 1000, .wall_ms = 1700000000000};
    struct server_stats stats;

    store_base_memory_ref(world->base);
    struct store *store = store_open(world->base, &options, &error);
    assert_non_null(store);
    if (fuzzy) {
        store_fuzzy_begin(store);
    }
    struct server *server = server_new(&world->options, store, NULL);
    server_join(server, (struct server_epochs){1, 1}, log_last == -1 ? -1 : store_applied(store),
                now);
    now.monotonic_ms += 5000;
    server_tick(server, now);
    server_stats_read(server, &stats);
    server_free(server);
    store_close(store);
    return stats.reads_only;
}

static void the_state_of_who_has_lost_data_or_has_half_a_snapshot_is_not_shown(void **state)
{
    struct alone alone;
    (void)state;
    set_up(&alone, false);
    cluster_stop(&alone.cluster, alone.left);

    assert_true(shows(&alone, 0, false));
    assert_false(shows(&alone, -1, false));
    assert_false(shows(&alone, 0, true));

    tear_down(&alone);
}

/* ---- Its sessions ---- */

static void a_read_only_session_expires_when_nothing_is_heard_of_it(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);
    connect_read_only(&alone);
    mk_session session = alone.ann.session;

    cluster_advance(&alone.cluster, TIMEOUT_MS / 2);
    client_disconnect(&alone.ann);
    connect_read_only(&alone);
    assert_int_equal(alone.ann.session, session);
    cluster_advance(&alone.cluster, TIMEOUT_MS + 1050);

    assert_null(alone.ann.conn);
    assert_false(connect_as(&alone.ann, true, &read_only));
    tear_down(&alone);
}

static void with_a_quorum_the_session_goes_on_at_its_server_and_is_known_to_all(void **state)
{
    struct alone alone;
    bool read_only;
    (void)state;
    set_up(&alone, false);
    become_read_only(&alone);
    connect_read_only(&alone);
    mk_session session = alone.ann.session;

    await_quorum(&alone);

    assert_null(alone.ann.conn); /* it has to come again */
    assert_true(connect_as(&alone.ann, true, &read_only));
    assert_int_equal(alone.ann.session, session);
    assert_false(read_only);
    call(&alone.ann, request_create("/mine", "", 1), 0);
    client_disconnect(&alone.ann);
    struct member *other = &alone.cluster.members[alone.left->id % 3];
    alone.ann.world = &other->world;
    assert_true(connect_as(&alone.ann, true, &read_only));
    assert_int_equal(alone.ann.session, session);
    call(&alone.ann, request_path(JUTE_EXISTS, "/mine"), 0);
    cluster_check(&alone.cluster);
    tear_down(&alone);
}

static void where_sessions_are_local_it_stays_local(void **state)
{
    struct alone alone;
    struct server_stats stats;
    bool read_only;
    (void)state;
    set_up(&alone, true);
    become_read_only(&alone);
    connect_read_only(&alone);
    mk_session session = alone.ann.session;

    await_quorum(&alone);
    assert_true(connect_as(&alone.ann, true, &read_only));

    assert_int_equal(alone.ann.session, session);
    server_stats_read(alone.left->world.server, &stats);
    assert_int_equal(stats.local_sessions, 1);
    call(&alone.ann, request_create("/b", "", 0), 0);
    tear_down(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_without_a_quorum_answers_reads_and_refuses_writes),
        cmocka_unit_test(a_multi_is_a_write_even_if_it_only_checks),
        cmocka_unit_test(refusals_keep_their_place_among_the_reads),
        cmocka_unit_test(who_has_not_asked_for_read_only_is_disconnected_without_a_word),
        cmocka_unit_test(so_is_a_session_that_all_servers_know),
        cmocka_unit_test(a_client_that_is_content_with_less_gets_all_of_a_server_that_has_a_quorum),
        cmocka_unit_test(nobody_is_served_before_two_seconds_without_a_leader),
        cmocka_unit_test(what_has_not_been_committed_is_not_shown),
        cmocka_unit_test(the_state_of_who_has_lost_data_or_has_half_a_snapshot_is_not_shown),
        cmocka_unit_test(a_read_only_session_expires_when_nothing_is_heard_of_it),
        cmocka_unit_test(with_a_quorum_the_session_goes_on_at_its_server_and_is_known_to_all),
        cmocka_unit_test(where_sessions_are_local_it_stays_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
