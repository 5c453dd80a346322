/* Sessions that only their server knows: made and ended without a transaction, gone elsewhere, and made
 * known to all when they need it. */
#include <string.h>

#include "cluster.h"
#include "unit/cmocka.h"

#define TIMEOUT_MS 10000
#define EPHEMERAL 1

struct local {
    struct cluster cluster;
    struct client ann;
    struct member *leader, *follower, *observer;
};

static void set_up(struct local *local, bool upgrade)
{
    struct cluster *cluster = &local->cluster;

    memset(local, 0, sizeof(*local));
    cluster_init(cluster, 4, 1);
    for (size_t i = 0; i < cluster->count; i++) {
        struct member *member = &cluster->members[i];
        cluster_stop(cluster, member);
        member->world.options.local_sessions = true;
        member->world.options.local_sessions_upgrade = upgrade;
        cluster_start(cluster, member);
    }
    cluster_await(cluster);
    local->leader = cluster_leader(cluster);
    local->follower = cluster_follower(cluster, 0);
    local->observer = &cluster->members[3];
}

static void tear_down(struct local *local)
{
    client_deinit(&local->ann);
    cluster_deinit(&local->cluster);
}

static void come_to(struct local *local, struct member *member)
{
    if (local->ann.world == NULL) {
        client_init(&local->ann, &member->world);
    }
    local->ann.world = &member->world;
    client_connect(&local->ann, TIMEOUT_MS);
}

static int32_t create(struct local *local, const char *path, int32_t flags)
{
    struct jute_request request = request_create(path, "", flags);

    return client_call(&local->ann, &request).error;
}

static int32_t create_by_multi(struct local *local, const char *path, int32_t flags)
{
    struct jute_request request = request_create(path, "", flags);
    struct client *ann = &local->ann;
    struct mk_buf frame = {0};
    struct jute_reply reply;

    size_t at = jute_multi_request_begin(&frame, ++ann->xid, JUTE_MULTI);
    jute_multi_request_put(&frame, &request);
    jute_multi_request_end(&frame, at);
    server_conn_frame(ann->world->server, ann->conn, mk_bytes_of(frame.data + 4, frame.len - 4));
    mk_buf_free(&frame);
    cluster_settle(&local->cluster);
    assert_true(client_next(ann, &reply));
    assert_int_equal(reply.error, 0);
    struct mk_reader reader = mk_reader_of(reply.body);
    (void)mk_read_i32(&reader); /* the type */
    (void)mk_read_u8(&reader);
    return mk_read_i32(&reader);
}

static int32_t close_session(struct local *local)
{
    struct jute_request request = {.op = JUTE_CLOSE_SESSION};

    return client_call(&local->ann, &request).error;
}

static bool exists(struct member *member, const char *path)
{
    struct store_znode znode;
    struct store_view *view = store_committed(member->world.store);

    store_view_blocking(view, true);
    return store_znode_read(view, mk_bytes_text(path), false, &znode) == MK_OK;
}

static struct server_stats stats_of(struct member *member)
{
    struct server_stats stats;

    server_stats_read(member->world.server, &stats);
    return stats;
}

/* ---- Made and ended ---- */

static void a_local_session_begins_and_ends_without_a_transaction(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    struct member *members[] = {local.leader, local.follower, local.observer};
    mk_zxid before = store_applied(local.leader->world.store);

    for (size_t i = 0; i < MK_COUNT(members); i++) {
        local.ann.session = 0;
        come_to(&local, members[i]);
        assert_true(local.ann.session != 0);
        assert_int_equal(stats_of(members[i]).local_sessions, 1);
        assert_int_equal(close_session(&local), 0);
        assert_null(local.ann.conn);
        assert_int_equal(stats_of(members[i]).local_sessions, 0);
    }

    assert_int_equal(store_applied(local.leader->world.store), before);
    tear_down(&local);
}

static void a_server_that_is_alone_has_local_sessions_too(void **state)
{
    struct world world;
    struct client ann;
    (void)state;
    world_init(&world, NULL, NULL);
    world.options.local_sessions = true;
    world.options.local_sessions_upgrade = true;
    world_restart(&world);
    client_init(&ann, &world);
    mk_zxid before = store_applied(world.store);

    client_connect(&ann, TIMEOUT_MS);
    assert_int_equal(store_applied(world.store), before);
    struct jute_request ephemeral = request_create("/here", "", EPHEMERAL);
    assert_int_equal(client_call(&ann, &ephemeral).error, 0);

    /* createSession, create: the first of their epoch */
    assert_int_equal((uint32_t)store_applied(world.store), 2);
    world_restart(&world);
    mk_session session = ann.session;
    ann.conn = NULL;
    client_connect(&ann, TIMEOUT_MS);
    assert_int_equal(ann.session, session);
    client_deinit(&ann);
    world_deinit(&world);
}

static void a_local_session_writes_through_every_server(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    struct member *members[] = {local.leader, local.follower, local.observer};
    const char *paths[] = {"/by-leader", "/by-follower", "/by-observer"};

    for (size_t i = 0; i < MK_COUNT(members); i++) {
        local.ann.session = 0;
        come_to(&local, members[i]);
        assert_int_equal(create(&local, paths[i], 0), 0);
        assert_int_equal(create(&local, paths[i], 0), -110);
        assert_int_equal(stats_of(members[i]).local_sessions, 1);
        client_disconnect(&local.ann);
    }

    assert_int_equal(stats_of(local.leader).sessions, 0);
    cluster_check(&local.cluster);
    tear_down(&local);
}

static void what_is_behind_the_end_of_a_local_session_hears_that_it_has_expired(void **state)
{
    struct local local;
    struct jute_reply reply;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    struct jute_request requests[] = {
        request_create("/a", "", 0), {.op = JUTE_CLOSE_SESSION}, request_create("/b", "", 0)};
    const int32_t errors[] = {0, 0, -112};

    for (size_t i = 0; i < MK_COUNT(requests); i++) {
        (void)client_send(&local.ann, &requests[i]);
    }
    cluster_settle(&local.cluster);

    for (size_t i = 0; i < MK_COUNT(requests); i++) {
        assert_true(client_next(&local.ann, &reply));
        assert_int_equal(reply.xid, requests[i].xid);
        assert_int_equal(reply.error, errors[i]);
    }
    assert_null(local.ann.conn);
    assert_true(exists(local.leader, "/a"));
    tear_down(&local);
}

/* ---- Where it lives ---- */

static void a_local_session_goes_on_at_its_server_and_has_expired_elsewhere(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    mk_session session = local.ann.session;

    client_disconnect(&local.ann);
    come_to(&local, local.follower);
    assert_int_equal(local.ann.session, session);
    client_disconnect(&local.ann);
    come_to(&local, local.leader);

    assert_int_equal(local.ann.session, 0);
    assert_null(local.ann.conn);
    tear_down(&local);
}

static void a_wrong_password_is_told_that_the_local_session_has_expired(void **state)
{
    struct local local;
    struct client eve;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    client_init(&eve, &local.follower->world);
    eve.session = local.ann.session;

    client_connect(&eve, TIMEOUT_MS);

    assert_int_equal(eve.session, 0);
    assert_non_null(local.ann.conn); /* nobody is disconnected by a guess */
    client_deinit(&eve);
    tear_down(&local);
}

static void a_silent_local_session_expires_at_its_server(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    mk_session session = local.ann.session;

    for (int i = 0; i < 5; i++) {
        cluster_advance(&local.cluster, TIMEOUT_MS - 2000);
        struct jute_request ping = {.op = JUTE_PING, .xid = JUTE_XID_PING};
        (void)client_call(&local.ann, &ping);
    }
    cluster_advance(&local.cluster, TIMEOUT_MS + 1050);

    assert_null(local.ann.conn);
    assert_int_equal(stats_of(local.follower).sessions_expired, 1);
    come_to(&local, local.follower);
    assert_int_not_equal(session, local.ann.session);
    assert_int_equal(local.ann.session, 0);
    tear_down(&local);
}

static void a_local_session_outlives_the_leader(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    mk_session session = local.ann.session;

    cluster_stop(&local.cluster, local.leader);
    cluster_await(&local.cluster);

    assert_null(local.ann.conn);
    come_to(&local, local.follower);
    assert_int_equal(local.ann.session, session);
    assert_int_equal(create(&local, "/after", 0), 0);
    tear_down(&local);
}

/* ---- Upgraded ---- */

static void assert_moves(struct local *local, struct member *from, struct member *to,
                         const char *path)
{
    mk_session session = local->ann.session;

    assert_int_equal(stats_of(from).local_sessions, 0);
    client_disconnect(&local->ann);
    come_to(local, to);
    assert_int_equal(local->ann.session, session);
    assert_int_equal(close_session(local), 0);
    cluster_settle(&local->cluster);
    assert_false(exists(local->leader, path));
    cluster_check(&local->cluster);
}

static void its_first_ephemeral_makes_a_local_session_known_to_all(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    struct member *members[] = {local.leader, local.follower, local.observer};

    for (size_t i = 0; i < MK_COUNT(members); i++) {
        local.ann.session = 0;
        come_to(&local, members[i]);
        assert_int_equal(create(&local, "/here", EPHEMERAL), 0);
        assert_int_equal(create(&local, "/here", EPHEMERAL), -110);
        assert_moves(&local, members[i], members[(i + 1) % 3], "/here");
    }
    tear_down(&local);
}

static void an_ephemeral_in_a_multi_does_so_too(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    struct member *members[] = {local.leader, local.follower};

    for (size_t i = 0; i < MK_COUNT(members); i++) {
        local.ann.session = 0;
        come_to(&local, members[i]);
        assert_int_equal(create_by_multi(&local, "/kept", 0), i == 0 ? 0 : -110);
        assert_int_equal(stats_of(members[i]).local_sessions, 1);
        assert_int_equal(create_by_multi(&local, "/gone", EPHEMERAL), 0);
        assert_moves(&local, members[i], members[(i + 1) % 2], "/gone");
    }
    tear_down(&local);
}

static void without_upgrading_an_ephemeral_is_refused_and_nothing_else(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, false);
    struct member *members[] = {local.leader, local.follower, local.observer};
    const char *paths[] = {"/by-leader", "/by-follower", "/by-observer"};

    for (size_t i = 0; i < MK_COUNT(members); i++) {
        local.ann.session = 0;
        come_to(&local, members[i]);
        assert_int_equal(create(&local, "/e", EPHEMERAL), -120);
        assert_int_equal(create_by_multi(&local, "/e", EPHEMERAL), -120);
        assert_int_equal(create(&local, paths[i], 0), 0);
        assert_false(exists(members[i], "/e"));
    }
    assert_int_equal(stats_of(local.leader).sessions, 0);
    tear_down(&local);
}

static void an_upgraded_session_lives_by_its_pings_and_expires_at_the_leader(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    assert_int_equal(create(&local, "/here", EPHEMERAL), 0);

    for (int i = 0; i < 5; i++) {
        cluster_advance(&local.cluster, TIMEOUT_MS - 2000);
        struct jute_request ping = {.op = JUTE_PING, .xid = JUTE_XID_PING};
        (void)client_call(&local.ann, &ping);
    }
    assert_true(exists(local.leader, "/here"));
    client_disconnect(&local.ann);
    cluster_advance(&local.cluster, 2 * TIMEOUT_MS);

    assert_false(exists(local.leader, "/here"));
    cluster_check(&local.cluster);
    tear_down(&local);
}

/* The leader has forgotten the session, and its learner does not know yet. To the leader a local session of
 * the learner's looks the same. */
static void the_late_write_of_an_expired_session_is_not_taken_for_a_local_ones(void **state)
{
    struct local local;
    (void)state;
    set_up(&local, true);
    come_to(&local, local.follower);
    assert_int_equal(create(&local, "/here", EPHEMERAL), 0);
    cluster_advance(&local.cluster, TIMEOUT_MS - 1000);
    local.follower->stuck = true; /* what it does not have in its log it does not apply */
    for (int i = 0; i < 100 && exists(local.leader, "/here"); i++) {
        cluster_advance(&local.cluster, 50);
    }
    assert_false(exists(local.leader, "/here"));
    assert_true(exists(local.follower, "/here"));
    assert_non_null(local.ann.conn);

    struct jute_request late = request_create("/late", "", 0);
    (void)client_send(&local.ann, &late);
    cluster_settle(&local.cluster);

    assert_false(exists(local.leader, "/late"));
    local.follower->stuck = false;
    cluster_settle(&local.cluster);
    assert_null(local.ann.conn);
    cluster_check(&local.cluster);
    tear_down(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_session_begins_and_ends_without_a_transaction),
        cmocka_unit_test(a_server_that_is_alone_has_local_sessions_too),
        cmocka_unit_test(a_local_session_writes_through_every_server),
        cmocka_unit_test(what_is_behind_the_end_of_a_local_session_hears_that_it_has_expired),
        cmocka_unit_test(a_local_session_goes_on_at_its_server_and_has_expired_elsewhere),
        cmocka_unit_test(a_wrong_password_is_told_that_the_local_session_has_expired),
        cmocka_unit_test(a_silent_local_session_expires_at_its_server),
        cmocka_unit_test(a_local_session_outlives_the_leader),
        cmocka_unit_test(its_first_ephemeral_makes_a_local_session_known_to_all),
        cmocka_unit_test(an_ephemeral_in_a_multi_does_so_too),
        cmocka_unit_test(without_upgrading_an_ephemeral_is_refused_and_nothing_else),
        cmocka_unit_test(an_upgraded_session_lives_by_its_pings_and_expires_at_the_leader),
        cmocka_unit_test(the_late_write_of_an_expired_session_is_not_taken_for_a_local_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
