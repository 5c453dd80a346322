/* What a learner is told, and when; what it takes in, and when it must not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "unit/cmocka.h"

static void create(struct client *client, const char *path, const char *data)
{
    struct jute_request request = request_create(path, data, 0);

    assert_int_equal(client_call(client, &request).error, 0);
}

/* What is on its way from `from` to `to`: packets of that type. */
static int on_the_way(struct cluster *cluster, struct member *from, struct member *to, int32_t type)
{
    int count = 0;

    for (size_t i = 0; i < CLUSTER_LINKS_MAX; i++) {
        struct link *link = &cluster->links[i];
        for (int side = 0; link->used && side < 2; side++) {
            struct mk_bytes rest = mk_buf_view(&link->wire[side]);
            struct jute_packet packet;
            size_t used;
            bool this_one = link->members[side] == to && link->members[1 - side] == from;
            while (this_one && jute_packet_read(rest, 1 << 20, &packet, &used) == MK_OK) {
                count += packet.type == type;
                rest = mk_bytes_of(rest.data + used, rest.len - used);
            }
        }
    }
    return count;
}

/* ---- COMMITs ---- */

static void who_is_not_up_to_date_is_told_of_proposals_and_of_no_commits(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster_await(&cluster);
    struct member *leader = cluster_leader(&cluster);
    struct member *late = cluster_follower(&cluster, 0);
    open_client(&ann, leader);
    cluster_stop(&cluster, late);
    create(&ann, "/before", "");
    late->stuck = true; /* it cannot acknowledge NEWLEADER: what it lacked is not durable */
    cluster_start(&cluster, late);
    for (int i = 0; i < 100 && strcmp(member_mode(late), "follower") != 0; i++) {
        cluster_advance(&cluster, 50);
    }
    cluster_settle(&cluster);
    cluster.cut[leader->id - 1][late->id - 1] = true;

    create(&ann, "/meanwhile", "");
    create(&ann, "/and-again", "");

    assert_false(server_serving(late->world.server));
    assert_int_equal(on_the_way(&cluster, leader, late, JUTE_PACKET_PROPOSAL), 2);
    assert_int_equal(on_the_way(&cluster, leader, late, JUTE_PACKET_COMMIT), 0);
    cluster.cut[leader->id - 1][late->id - 1] = false;
    late->stuck = false;
    cluster_settle(&cluster); /* no time passes: nobody has to come again */
    assert_true(server_serving(late->world.server));
    cluster_check(&cluster);
    create(&ann, "/afterwards", "");
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

/* ---- Room ---- */

#define MANY 64
#define LARGE_BYTES 8192

static void a_learner_whose_store_is_full_reads_on_when_a_checkpoint_is_written(void **state)
{
    struct cluster cluster;
    struct client ann;
    char path[16];
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster.overlay_bytes = 64 << 10; /* an eighth of what is to come */
    for (size_t i = 0; i < cluster.count; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    struct member *leader = cluster_leader(&cluster);
    struct member *slow = cluster_follower(&cluster, 0);
    open_client(&ann, leader);
    char *data = calloc(1, LARGE_BYTES + 1);
    memset(data, 'x', LARGE_BYTES);
    slow->unwritten = true;

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof(path), "/%d", i);
        create(&ann, path, data);
    }

    assert_true(store_full(slow->world.store));
    assert_true(store_memory_bytes(slow->world.store) < MANY * LARGE_BYTES);
    assert_true(on_the_way(&cluster, leader, slow, JUTE_PACKET_PROPOSAL) > MANY / 4);
    slow->unwritten = false;
    cluster_settle(&cluster);
    cluster_check(&cluster);
    free(data);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

/* ---- A snapshot that has taken the log's place ---- */

static void a_snapshot_has_no_log_until_something_is_written_behind_it(void **state)
{
    struct cluster cluster;
    struct client ann;
    char path[16];
    (void)state;
    cluster_init(&cluster, 3, 0);
    cluster.history_count = 4;
    for (size_t i = 0; i < cluster.count; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster.members[i].world.options.ensemble.history_count = 4;
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    struct member *late = cluster_follower(&cluster, 0);
    open_client(&ann, cluster_leader(&cluster));
    cluster_stop(&cluster, late);
    late->world.base->ops->close(late->world.base); /* it comes back with nothing */
    late->world.base = store_base_memory(NULL, 0);
    late->world.log.len = 0;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(path, sizeof(path), "/%d", i);
        create(&ann, path, "");
    }

    cluster_start(&cluster, late);
    cluster_await(&cluster);

    assert_int_equal(late->snapshots, 1);
    assert_true(server_install_is_all(late->world.store));
    assert_false(server_install_is_all(cluster_leader(&cluster)->world.store));
    create(&ann, "/behind", "");
    cluster_settle(&cluster);
    assert_false(server_install_is_all(late->world.store));
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_not_up_to_date_is_told_of_proposals_and_of_no_commits),
        cmocka_unit_test(a_learner_whose_store_is_full_reads_on_when_a_checkpoint_is_written),
        cmocka_unit_test(a_snapshot_has_no_log_until_something_is_written_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
