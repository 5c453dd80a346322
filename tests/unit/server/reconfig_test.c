/* Servers join an ensemble and leave it, while it works; whoever is killed meanwhile finds out. */
#include <string.h>

#include "cluster.h"
#include "unit/cmocka.h"

#define TIMEOUT_MS 10000
#define CONFIG "/zookeeper/config"

static void attach(struct client *client, struct member *member)
{
    client_init(client, &member->world);
    client_connect(client, TIMEOUT_MS);
    assert_true(client->session != 0);
}

static int32_t reconfig(struct client *client, const char *joining, const char *leaving,
                        const char *members, int64_t version)
{
    struct jute_request request = {.op = JUTE_RECONFIG,
                                   .joining = joining ? mk_bytes_text(joining) : MK_BYTES_NULL,
                                   .leaving = leaving ? mk_bytes_text(leaving) : MK_BYTES_NULL,
                                   .data = members ? mk_bytes_text(members) : MK_BYTES_NULL,
                                   .relative_zxid = version};

    return client_call(client, &request).error;
}

static int32_t join(struct client *client, int64_t id, const char *role)
{
    struct mk_buf line = {0};

    cluster_line(&line, id, role);
    mk_buf_put_u8(&line, 0);
    int32_t error = reconfig(client, (const char *)line.data, NULL, NULL, -1);
    mk_buf_free(&line);
    return error;
}

static int32_t leave(struct client *client, const char *ids)
{
    return reconfig(client, NULL, ids, NULL, -1);
}

/* What a member shows as the members. */
static bool shows(struct member *member, const char *part)
{
    struct store_view *view = store_committed(member->world.store);
    struct store_znode znode;
    struct mk_buf text = {0};

    assert_int_equal(store_znode_read(view, MK_BYTES(CONFIG), true, &znode), MK_OK);
    mk_buf_append_bytes(&text, znode.data);
    mk_buf_put_u8(&text, 0);
    bool found = strstr((const char *)text.data, part) != NULL;
    mk_buf_free(&text);
    return found;
}

/* Roles have been changed, and whoever leads is followed by all. */
static void settle_down(struct cluster *cluster)
{
    cluster_advance(cluster, 2000);
    cluster_await(cluster);
}

static void create(struct client *client, const char *path)
{
    struct jute_request request = request_create(path, "x", 0);

    assert_int_equal(client_call(client, &request).error, 0);
}

static void the_first_leader_gives_the_members_a_version(void **state)
{
    struct cluster cluster;
    (void)state;
    cluster_init_changing(&cluster, 3, 3);

    cluster_await(&cluster);

    for (size_t i = 0; i < 3; i++) {
        assert_true(shows(&cluster.members[i], "server.3=h3:2888:3888:participant;h3:2181\n"
                                               "version=100000000"));
    }
    cluster_check(&cluster);
    cluster_deinit(&cluster);
}

static void a_server_that_follows_joins_and_counts(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_changing(&cluster, 3, 4);
    cluster_await(&cluster);
    cluster_start(&cluster, &cluster.members[3]);
    cluster_await(&cluster);
    attach(&ann, cluster_follower(&cluster, 0));

    assert_int_equal(join(&ann, 4, "participant"), 0);

    cluster_await(&cluster);
    for (size_t i = 0; i < 4; i++) {
        assert_true(shows(&cluster.members[i], "server.4=h4:2888:3888:participant"));
    }
    create(&ann, "/a");
    cluster_check(&cluster);
    client_deinit(&ann);
    /* Two of four are no majority; two of the old three would have been. */
    struct member *leader = cluster_leader(&cluster);
    for (size_t i = 0, stopped = 0; i < 4 && stopped < 2; i++) {
        if (&cluster.members[i] != leader) {
            cluster_stop(&cluster, &cluster.members[i]);
            stopped++;
        }
    }
    cluster_advance(&cluster, 30000);
    assert_string_equal(member_mode(leader), "looking");
    cluster_deinit(&cluster);
}

static void an_observer_joins_and_becomes_a_voter_and_an_observer_again(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_changing(&cluster, 3, 4);
    cluster_await(&cluster);
    cluster_start(&cluster, &cluster.members[3]);
    cluster_await(&cluster);
    attach(&ann, cluster_leader(&cluster));

    assert_int_equal(join(&ann, 4, "observer"), 0);
    settle_down(&cluster);
    assert_string_equal(member_mode(&cluster.members[3]), "observer");
    assert_int_equal(join(&ann, 4, "participant"), 0);
    settle_down(&cluster);
    assert_string_equal(member_mode(&cluster.members[3]), "follower");
    assert_int_equal(join(&ann, 4, "observer"), 0);
    settle_down(&cluster);
    assert_string_equal(member_mode(&cluster.members[3]), "observer");

    create(&ann, "/a");
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_leader_that_leaves_hands_over_and_follows(void **state)
{
    struct cluster cluster;
    struct client ann;
    char id[2] = {'0', 0};
    (void)state;
    cluster_init_changing(&cluster, 3, 3);
    cluster_await(&cluster);
    struct member *old = cluster_leader(&cluster);
    id[0] = (char)('0' + old->id);
    attach(&ann, old);
    create(&ann, "/a");

    assert_int_equal(leave(&ann, id), 0);
    settle_down(&cluster);

    assert_true(cluster_leader(&cluster) != old);
    assert_string_equal(member_mode(old), "follower");
    client_deinit(&ann);
    attach(&ann, cluster_leader(&cluster));
    create(&ann, "/b");
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void all_members_are_exchanged_one_by_one_and_started_again(void **state)
{
    struct cluster cluster;
    struct client ann;
    char id[2] = {'0', 0};
    (void)state;
    cluster_init_changing(&cluster, 2, 4);
    cluster_await(&cluster);
    for (int i = 2; i < 4; i++) {
        cluster_start(&cluster, &cluster.members[i]);
        cluster_await(&cluster);
        attach(&ann, cluster_leader(&cluster));
        assert_int_equal(join(&ann, i + 1, "participant"), 0);
        client_deinit(&ann);
        settle_down(&cluster);
        attach(&ann, cluster_leader(&cluster));
        id[0] = (char)('1' + i - 2);
        assert_int_equal(leave(&ann, id), 0);
        client_deinit(&ann);
        settle_down(&cluster);
    }
    attach(&ann, cluster_leader(&cluster));
    create(&ann, "/a");
    client_deinit(&ann);

    for (int i = 0; i < 4; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
    }
    cluster_start(&cluster, &cluster.members[2]);
    cluster_start(&cluster, &cluster.members[3]);
    cluster_await(&cluster);

    attach(&ann, cluster_leader(&cluster));
    create(&ann, "/b");
    assert_true(shows(&cluster.members[2], "server.3="));
    assert_false(shows(&cluster.members[2], "server.1="));
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_server_that_was_away_hears_of_the_new_members_by_the_votes(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_changing(&cluster, 3, 4);
    cluster_await(&cluster);
    cluster_start(&cluster, &cluster.members[3]);
    cluster_await(&cluster);
    struct member *away = cluster_follower(&cluster, 0);
    cluster_stop(&cluster, away);
    attach(&ann, cluster_leader(&cluster));
    assert_int_equal(join(&ann, 4, "participant"), 0);
    settle_down(&cluster);

    cluster_start(&cluster, away);
    cluster_await(&cluster);

    assert_true(shows(away, "server.4="));
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void what_cannot_be_is_refused_as_zookeeper_does(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_changing(&cluster, 3, 4);
    cluster_await(&cluster);
    attach(&ann, cluster_follower(&cluster, 0));

    assert_int_equal(reconfig(&ann, "server.4=h4:1:2:participant;3", NULL, NULL, 77), -103);
    assert_int_equal(reconfig(&ann, "server.4", NULL, NULL, -1), -8);
    assert_int_equal(reconfig(&ann, "server.4=h4:1:2", NULL, NULL, -1), -8);
    assert_int_equal(reconfig(&ann, NULL, "x", NULL, -1), -8);
    assert_int_equal(leave(&ann, "1,2"), -8);
    assert_int_equal(leave(&ann, "1,2,3"), -8);
    assert_int_equal(reconfig(&ann, NULL, NULL, "server.8=h8:1:2,server.9=h9:1:2", -1), -13);
    assert_int_equal(reconfig(&ann, NULL, NULL, "nonsense", -1), -8);
    assert_int_equal(reconfig(&ann, NULL, NULL, NULL, 0x100000000), 0);

    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void without_a_right_to_the_znode_nobody_changes_the_members(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_changing(&cluster, 3, 3);
    for (size_t i = 0; i < 3; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster.members[i].world.options.acl.skip = false;
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    attach(&ann, cluster_follower(&cluster, 0));

    assert_int_equal(reconfig(&ann, NULL, NULL, NULL, -1), -102);

    client_deinit(&ann);
    cluster_deinit(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_leader_gives_the_members_a_version),
        cmocka_unit_test(a_server_that_follows_joins_and_counts),
        cmocka_unit_test(an_observer_joins_and_becomes_a_voter_and_an_observer_again),
        cmocka_unit_test(a_leader_that_leaves_hands_over_and_follows),
        cmocka_unit_test(all_members_are_exchanged_one_by_one_and_started_again),
        cmocka_unit_test(a_server_that_was_away_hears_of_the_new_members_by_the_votes),
        cmocka_unit_test(what_cannot_be_is_refused_as_zookeeper_does),
        cmocka_unit_test(without_a_right_to_the_znode_nobody_changes_the_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
