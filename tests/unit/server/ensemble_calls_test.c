/* Recipes in an ensemble: when they run, calls through each server, waiting calls across servers and
 * leaders, a leader that stops at every step of a call's life, a member that runs none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "unit/cmocka.h"

/* tally.add adds one to /n, and says what it is then; tally.get reads it. tally.wait waits until there is
 * a znode `path`, in a place in the queue that it makes, and deletes it then. */
static const char tally[] =
    "local tally = {}\n"
    "tally.add = operation { doc = 'Add.', run = function(call)\n"
    "  local n = tonumber(znode.get('/n') or '0') + 1\n"
    "  if n == 1 then znode.create('/n') end\n"
    "  znode.set('/n', tostring(n))\n"
    "  return n\n"
    "end }\n"
    "tally.get = operation { doc = 'Get.', reads_only = true, run = function(call)\n"
    "  return tonumber(znode.get('/n') or '0')\n"
    "end }\n"
    "tally.wait = operation { doc = 'Wait.', args = { path = 'path', timeout = 'duration?' },\n"
    "run = function(call)\n"
    "  local place = call:once('place', function()\n"
    "    return znode.create('/queue/p-', { ephemeral = true, sequential = true, parents = true "
    "})\n"
    "  end)\n"
    "  if not znode.exists(call.args.path) then call:wait { created = call.args.path } end\n"
    "  znode.delete(place)\n"
    "  return { place = place, zxid = call.zxid }\n"
    "end }\n"
    "return tally\n";

static const struct server_recipe catalogue[] = {
    {{(const uint8_t *)"tally", 5}, {(const uint8_t *)tally, sizeof(tally) - 1}}};

static void start(struct cluster *cluster, size_t count, size_t observers)
{
    cluster_init_recipes(cluster, count, observers, catalogue, MK_COUNT(catalogue));
    cluster_await(cluster);
}

/* What stands for a ZooKeeper: a server that says nothing of recipes, in the place of one that did. */
static void run_recipes(struct cluster *cluster, struct member *member, bool run)
{
    cluster_stop(cluster, member);
    member->world.options.recipes = run;
    cluster_start(cluster, member);
    cluster_await(cluster);
}

/* A call's answer: its result, or "!" and the error. */
static const char *text_of(const struct jute_reply *reply)
{
    static char text[512];
    struct mk_reader reader = mk_reader_of(reply->body);
    struct mk_bytes error = mk_read_field(&reader);
    struct mk_bytes message = mk_read_field(&reader);
    struct mk_bytes result = mk_read_field(&reader);

    assert_int_equal(reply->error, 0);
    assert_false(reader.failed);
    if (error.data == NULL) {
        (void)snprintf(text, sizeof(text), "%.*s", (int)result.len, (const char *)result.data);
    } else {
        (void)snprintf(text, sizeof(text), "!%.*s: %.*s", (int)error.len, (const char *)error.data,
                       (int)message.len, (const char *)message.data);
    }
    return text;
}

static const char *call(struct client *client, const char *operation, int64_t id, const char *json)
{
    struct jute_request request = request_recipe(operation, id, json);
    struct jute_reply reply = client_call(client, &request);

    return text_of(&reply);
}

static int32_t wait_for(struct client *client, int64_t id, const char *json)
{
    struct jute_request request = request_recipe("tally.wait", id, json);
    struct jute_reply reply;
    int32_t xid = client_send(client, &request);

    cluster_settle(MK_CONTAINER(client->world, struct member, world)->cluster);
    assert_false(client_next(client, &reply));
    return xid;
}

static const char *answer_to(struct client *client, int32_t xid)
{
    struct jute_reply reply;

    assert_true(client_next(client, &reply));
    assert_int_equal(reply.xid, xid);
    return text_of(&reply);
}

static void create(struct client *client, const char *path)
{
    struct jute_request request = request_create(path, "", 0);

    assert_int_equal(client_call(client, &request).error, 0);
}

/* Of the znode as `member` has it. */
static const char *data_of(struct member *member, const char *path)
{
    static char text[256];
    struct store_znode znode;

    assert_int_equal(
        store_znode_read(store_committed(member->world.store), mk_bytes_text(path), true, &znode),
        MK_OK);
    (void)snprintf(text, sizeof(text), "%.*s", (int)znode.data.len,
                   znode.data.len > 0 ? (const char *)znode.data.data : "");
    return text;
}

/* ---- On and off ---- */

static void recipes_run_when_every_server_has_announced_them(void **state)
{
    struct cluster cluster;
    struct client ann;
    char number[2] = "1";
    (void)state;
    start(&cluster, 4, 1);

    for (size_t i = 0; i < 4; i++, number[0]++) {
        open_client(&ann, &cluster.members[i]);
        assert_string_equal(call(&ann, "tally.add", 1, "{}"), number);
        client_deinit(&ann);
    }

    cluster_settle(&cluster);
    assert_string_equal(data_of(&cluster.members[3], "/zookeeper/announced"), "1,2,3,4");
    cluster_check(&cluster);
    cluster_deinit(&cluster);
}

static void until_the_last_has_come_calls_are_told_whom_they_wait_for(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init_recipes(&cluster, 3, 0, catalogue, MK_COUNT(catalogue));
    cluster_stop(&cluster, &cluster.members[0]);
    cluster_await(&cluster);
    open_client(&ann, cluster_leader(&cluster));
    open_client(&bob, cluster_follower(&cluster, 0));
    const char *off = "!Unimplemented: recipes wait for server 1 to say that it runs them";
    struct jute_request node = request_create("/zookeeper/calls/tally.add-", "{}", 3);

    assert_string_equal(call(&ann, "tally.add", 1, "{}"), off);
    assert_string_equal(call(&bob, "tally.add", 1, "{}"), off);
    assert_string_equal(call(&bob, "tally.get", 2, "{}"), off);
    assert_int_equal(client_call(&bob, &node).error, -6);

    cluster_start(&cluster, &cluster.members[0]);
    cluster_await(&cluster);
    assert_string_equal(call(&ann, "tally.add", 3, "{}"), "1");
    assert_string_equal(call(&bob, "tally.add", 3, "{}"), "2");
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void a_minority_that_is_down_does_not_keep_recipes_from_running(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    start(&cluster, 3, 0);
    cluster_stop(&cluster, cluster_leader(&cluster));
    cluster_await(&cluster);
    cluster_settle(&cluster);

    open_client(&ann, cluster_follower(&cluster, 0));
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void while_a_server_runs_no_recipes_waiting_calls_stand_still(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    struct member *stranger = cluster_follower(&cluster, 1);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_leader(&cluster));
    int32_t woken = wait_for(&ann, 1, "{\"path\":\"/go\"}");
    int32_t late = wait_for(&bob, 1, "{\"path\":\"/never\",\"timeout\":\"5s\"}");

    run_recipes(&cluster, stranger, false);
    char off[128];
    (void)snprintf(off, sizeof(off),
                   "!Unimplemented: recipes stand still: server %d does not run them",
                   (int)stranger->id);
    assert_string_equal(call(&ann, "tally.add", 2, "{}"), off);
    assert_string_equal(call(&bob, "tally.get", 2, "{}"), off);
    struct jute_request node = request_create("/zookeeper/calls/tally.add-", "{}", 3);
    assert_int_equal(client_call(&ann, &node).error, -6);
    create(&ann, "/go");
    cluster_advance(&cluster, 7000);
    assert_false(client_next(&ann, &reply));
    assert_false(client_next(&bob, &reply));
    cluster_stop(&cluster, stranger); /* it may come back as it was */
    (void)snprintf(off, sizeof(off),
                   "!Unimplemented: recipes wait for server %d to say that it runs them",
                   (int)stranger->id);
    assert_string_equal(call(&ann, "tally.add", 3, "{}"), off);

    cluster_start(&cluster, stranger);
    run_recipes(&cluster, stranger, true);
    assert_non_null(strstr(answer_to(&ann, woken), "\"place\":\"/queue/p-0000000000\""));
    assert_string_equal(answer_to(&bob, late), "!Timeout: the call was not granted in time");
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* Elect `member`: the others come back when it leads. */
static void make_leader(struct cluster *cluster, struct member *member)
{
    for (int i = 0; cluster_leader(cluster) != member && i < 10; i++) {
        struct member *leader = cluster_leader(cluster);
        cluster_stop(cluster, leader);
        cluster_await(cluster);
        cluster_start(cluster, leader);
        cluster_await(cluster);
    }
    assert_ptr_equal(cluster_leader(cluster), member);
}

static void under_a_leader_that_runs_no_recipes_calls_are_refused_and_old_ones_keep_their_answers(
    void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    struct member *stranger = cluster_follower(&cluster, 1);
    open_client(&ann, cluster_leader(&cluster));
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    (void)wait_for(&ann, 2, "{\"path\":\"/go\"}");
    run_recipes(&cluster, stranger, false);
    make_leader(&cluster, stranger);
    struct member *follower = cluster_follower(&cluster, 0);

    connect_to(&ann, follower);
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    (void)wait_for(&ann, 2, "{\"path\":\"/go\"}");
    assert_non_null(strstr(call(&ann, "tally.add", 3, "{}"), "which leads, does not run them"));
    struct jute_request node = request_create("/zookeeper/calls/tally.add-", "{}", 3);
    struct jute_request cancel = request_delete("/zookeeper/calls/tally.wait-1", -1);
    assert_int_equal(client_call(&ann, &node).error, -6);
    assert_int_equal(client_call(&ann, &cancel).error, -6);
    create(&ann, "/go");
    cluster_advance(&cluster, 3000);
    assert_false(client_next(&ann, &reply));

    run_recipes(&cluster, stranger, true);
    open_client(&bob, stranger);
    connect_to(&ann, stranger);
    assert_non_null(
        strstr(call(&ann, "tally.wait", 2, "{\"path\":\"/go\"}"), "queue/p-0000000000"));
    assert_string_equal(call(&bob, "tally.add", 1, "{}"), "2");
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* ---- Calls through a follower ---- */

static void a_call_is_answered_on_the_server_where_it_waits(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    int32_t first = wait_for(&ann, 1, "{\"path\":\"/go\"}");
    int32_t second = wait_for(&bob, 1, "{\"path\":\"/go\"}");

    create(&bob, "/go");

    assert_non_null(strstr(answer_to(&ann, first), "queue/p-0000000000"));
    assert_non_null(strstr(answer_to(&bob, second), "queue/p-0000000001"));
    assert_int_equal(store_totals(ann.world->store)->calls, 0);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void what_a_follower_answers_to_calls_keeps_its_place_among_all_answers(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    struct jute_request before = request_create("/before", "", 0);
    struct jute_request add = request_recipe("tally.add", 1, "{}");
    struct jute_request unknown = request_recipe("tally.no", 2, "{}");
    struct jute_request get = request_path(JUTE_GET_DATA, "/n");
    struct jute_request again = request_recipe("tally.add", 1, "{}");
    struct jute_request read = request_recipe("tally.get", 0, "{}");
    struct jute_request after = request_set("/n", "7", -1);
    int32_t xids[] = {client_send(&ann, &before),  client_send(&ann, &add),
                      client_send(&ann, &unknown), client_send(&ann, &get),
                      client_send(&ann, &again),   client_send(&ann, &read),
                      client_send(&ann, &after)};
    const char *const texts[] = {NULL, "1", NULL, NULL, "1", "1", NULL};
    mk_zxid zxid = 0;
    cluster_settle(&cluster);

    for (size_t i = 0; i < MK_COUNT(xids); i++) {
        assert_true(client_next(&ann, &reply));
        assert_int_equal(reply.xid, xids[i]);
        assert_int_equal(reply.error, 0);
        assert_true(reply.zxid >= zxid);
        zxid = reply.zxid;
        if (texts[i] != NULL) {
            assert_string_equal(text_of(&reply), texts[i]);
        }
    }
    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "7");
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void an_operation_that_only_reads_runs_where_it_arrives(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    struct member *leader = cluster_leader(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, leader);
    assert_string_equal(call(&bob, "tally.add", 1, "{}"), "1");
    mk_zxid before = store_applied(leader->world.store);
    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "1");
    assert_int_equal(store_applied(leader->world.store), before);

    /* Behind the others: it has not heard of the second addition, and one that must have is not answered
     * before it has. */
    struct member *behind = MK_CONTAINER(ann.world, struct member, world);
    behind->stuck = true;
    assert_string_equal(call(&bob, "tally.add", 2, "{}"), "2");
    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "1");
    struct jute_request exact = request_recipe("tally.get", 0, "{}");
    exact.linearizable = true;
    int32_t xid = client_send(&ann, &exact);
    cluster_settle(&cluster);
    assert_false(client_next(&ann, &reply));
    behind->stuck = false;
    cluster_settle(&cluster);
    assert_string_equal(answer_to(&ann, xid), "2");
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void a_leader_that_may_have_been_replaced_gives_no_linearizable_answer(void **state)
{
    struct cluster cluster;
    struct client ann;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_leader(&cluster));
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    cluster_cut(&cluster, cluster_leader(&cluster), true);

    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "1");
    struct jute_request exact = request_recipe("tally.get", 0, "{}");
    exact.linearizable = true;
    (void)client_send(&ann, &exact);
    cluster_settle(&cluster);
    assert_false(client_next(&ann, &reply));
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_call_node_is_made_watched_and_cancelled_through_followers(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    char path[64] = "";
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    struct jute_request made =
        request_create("/zookeeper/calls/tally.wait-", "{\"path\":\"/go\"}", 3);

    for (int round = 0; round < 2; round++) {
        made.xid = 0;
        reply = client_call(&ann, &made);
        assert_int_equal(reply.error, 0);
        struct mk_reader reader = mk_reader_of(reply.body);
        struct mk_bytes node = mk_read_field(&reader);
        (void)snprintf(path, sizeof(path), "%.*s", (int)node.len, (const char *)node.data);
        assert_non_null(strstr(path, "/zookeeper/calls/tally.wait-0000000"));
        struct jute_request get = request_path(JUTE_GET_DATA, path);
        struct jute_request cancel = request_delete(path, 0);
        if (round == 0) {
            reply = client_call(&ann, &cancel);
            assert_int_equal(reply.error, 0);
            assert_int_equal(reply.body.len, 0); /* a delete's has none */
            assert_int_equal(client_call(&ann, &get).error, -101);
            continue;
        }
        get.watch = true;
        reply = client_call(&ann, &get);
        assert_non_null(memmem(reply.body.data, reply.body.len, "waiting", 7));
        create(&bob, "/go");
        assert_true(client_next(&ann, &reply));
        assert_int_equal(reply.xid, JUTE_XID_NOTIFICATION);
        get.xid = 0;
        reply = client_call(&ann, &get);
        assert_non_null(memmem(reply.body.data, reply.body.len, "\"done\"", 6));
        cancel.xid = 0;
        assert_int_equal(client_call(&ann, &cancel).error, -103);
    }
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void which_calls_wait_is_told_by_each_server(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    (void)wait_for(&ann, 1, "{\"path\":\"/go\"}");

    for (size_t i = 0; i < 3; i++) {
        client_disconnect(&ann);
        connect_to(&ann, &cluster.members[i]);
        struct jute_request list = {.op = JUTE_CALLS};
        struct jute_reply reply = client_call(&ann, &list);
        assert_non_null(
            memmem(reply.body.data, reply.body.len, "\"operation\":\"tally.wait\"", 24));
        assert_non_null(memmem(reply.body.data, reply.body.len, "{\"created\":\"/go\"", 16));
    }
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

static void a_dry_run_and_a_deployment_go_through_a_follower(void **state)
{
    struct cluster cluster;
    struct client ann;
    (void)state;
    cluster_init_recipes(&cluster, 3, 0, catalogue, MK_COUNT(catalogue));
    for (size_t i = 0; i < 3; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster.members[i].world.options.super_digest =
            MK_BYTES("super:lK75jTNcA+U9vtVEw5vB51mj/w4="); /* :secret */
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    open_client(&ann, cluster_follower(&cluster, 0));
    struct jute_request super = {.op = JUTE_AUTH,
                                 .xid = JUTE_XID_AUTH,
                                 .scheme = MK_BYTES("digest"),
                                 .data = MK_BYTES("super:secret")};
    assert_int_equal(client_call(&ann, &super).error, 0);

    struct jute_request dry = request_recipe("tally.add", 0, "{}");
    dry.dry_run = true;
    struct jute_reply reply = client_call(&ann, &dry);
    assert_non_null(strstr(text_of(&reply), "{\"outcome\":\"returned\",\"result\":1"));
    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "0");

    (void)call(&ann, "recipe.deploy", 2,
               "{\"name\":\"one\",\"source\":\"return { get = operation { doc = [[Get.]], "
               "reads_only = true, "
               "run = function() return 1 end } }\"}");
    assert_string_equal(call(&ann, "one.get", 0, "{}"), "1");
    cluster_check(&cluster);
    client_deinit(&ann);
    cluster_deinit(&cluster);
}

/* ---- Clients that move, and end ---- */

static void who_asks_again_elsewhere_has_the_same_place_or_the_same_answer(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    (void)wait_for(&ann, 2, "{\"path\":\"/go\"}");
    (void)wait_for(&bob, 1, "{\"path\":\"/go\"}");

    client_disconnect(&ann);
    connect_to(&ann, cluster_follower(&cluster, 1));
    assert_string_equal(call(&ann, "tally.add", 1, "{}"), "1");
    int32_t xid = wait_for(&ann, 2, "{\"path\":\"/go\"}");
    create(&ann, "/go");

    /* In the transaction behind the creation, whose answer is before it. */
    assert_non_null(strstr(answer_to(&ann, xid), "queue/p-0000000000"));
    client_disconnect(&ann);
    connect_to(&ann, cluster_leader(&cluster));
    assert_non_null(
        strstr(call(&ann, "tally.wait", 2, "{\"path\":\"/go\"}"), "queue/p-0000000000"));
    assert_string_equal(call(&ann, "tally.get", 0, "{}"), "1");
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void a_call_that_comes_late_through_the_server_before_is_not_made(void **state)
{
    struct cluster cluster;
    struct client here, there;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&here, cluster_follower(&cluster, 0));
    there = here;
    there.input = (struct mk_buf){0};
    cluster_follower(&cluster, 1)->world.clients[0] = &there;
    cluster_follower(&cluster, 1)->world.clients_count = 1;
    connect_to(&there, cluster_follower(&cluster, 1));
    assert_string_equal(call(&there, "tally.add", 1, "{}"), "1");

    struct jute_request late = request_recipe("tally.add", 2, "{}");
    (void)client_send(&here, &late);
    cluster_settle(&cluster);

    assert_false(client_next(&here, &reply));
    assert_null(here.conn);
    assert_string_equal(call(&there, "tally.get", 0, "{}"), "1");
    client_deinit(&here);
    client_deinit(&there);
    cluster_deinit(&cluster);
}

static void the_end_of_a_session_is_told_to_its_call_and_frees_its_place(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    struct jute_reply reply;
    (void)state;
    start(&cluster, 3, 0);
    open_client(&ann, cluster_follower(&cluster, 0));
    open_client(&bob, cluster_follower(&cluster, 1));
    int32_t xid = wait_for(&ann, 1, "{\"path\":\"/go\"}");
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};

    (void)client_send(&ann, &close);
    cluster_settle(&cluster);

    bool told = false;
    while (client_next(&ann, &reply)) {
        if (reply.xid == xid) {
            assert_string_equal(text_of(&reply), "!SessionExpired: the caller's session has ended");
            told = true;
        }
    }
    assert_true(told);
    struct jute_request queue = request_path(JUTE_EXISTS, "/queue/p-0000000000");
    assert_int_equal(client_call(&bob, &queue).error, -101);
    assert_int_equal(store_totals(bob.world->store)->calls, 0);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

static void a_leader_that_was_installed_from_a_snapshot_wakes_what_waits(void **state)
{
    struct cluster cluster;
    struct client ann, bob;
    (void)state;
    cluster_init_recipes(&cluster, 3, 0, catalogue, MK_COUNT(catalogue));
    for (size_t i = 0; i < 3; i++) {
        cluster_stop(&cluster, &cluster.members[i]);
        cluster.members[i].world.options.ensemble.history_count = 1;
        cluster_start(&cluster, &cluster.members[i]);
    }
    cluster_await(&cluster);
    struct member *empty = cluster_follower(&cluster, 1);
    open_client(&ann, cluster_leader(&cluster));
    (void)wait_for(&ann, 1, "{\"path\":\"/go\"}");
    (void)wait_for(&ann, 2, "{\"path\":\"/never\",\"timeout\":\"60s\"}");
    cluster_stop(&cluster, empty);
    empty->world.base->ops->close(empty->world.base);
    empty->world.base = store_base_memory(NULL, 0);
    empty->world.log.len = 0;
    empty->epochs = (struct server_epochs){0, 0};
    server_checkpoint_request(cluster_leader(&cluster)->world.server);
    cluster_start(&cluster, empty);
    cluster_await(&cluster);
    assert_int_equal(empty->snapshots, 1);
    make_leader(&cluster, empty);

    open_client(&bob, cluster_follower(&cluster, 0));
    connect_to(&ann, cluster_follower(&cluster, 0));
    int32_t first = wait_for(&ann, 1, "{\"path\":\"/go\"}");
    int32_t second = wait_for(&ann, 2, "{\"path\":\"/never\"}");
    create(&bob, "/go");
    assert_non_null(strstr(answer_to(&ann, first), "queue/p-0000000000"));
    for (int i = 0; i < 24; i++) {
        struct jute_request ping = {.op = JUTE_PING, .xid = JUTE_XID_PING};
        (void)client_call(&ann, &ping);
        cluster_advance(&cluster, 2500);
    }
    assert_string_equal(answer_to(&ann, second), "!Timeout: the call was not granted in time");
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
}

/* ---- Stopped at any step ---- */

enum victim { LEADER, CALLERS };

/* Reconnect until there is somebody who serves, and ask the same again. */
static const char *again(struct cluster *cluster, struct client *client, struct member *member,
                         const char *operation, int64_t id, const char *json)
{
    client_disconnect(client);
    connect_to(client, member);
    assert_true(client->session != 0);
    struct jute_request request = request_recipe(operation, id, json);
    struct jute_reply reply;
    (void)client_send(client, &request);
    cluster_settle(cluster);
    assert_true(client_next(client, &reply));
    return text_of(&reply);
}

/* Ann adds one and then waits, through a follower; Bob, through another, adds one and makes what Ann waits
 * for. After `steps` more steps the victim is killed. All ask again: all of it has happened, once. */
static bool stop_at_step(enum victim victim, int steps, size_t chunk)
{
    struct cluster cluster;
    struct client ann, bob;
    bool whole = false;

    start(&cluster, 3, 0);
    cluster.chunk = chunk;
    struct member *callers = cluster_follower(&cluster, 0);
    struct member *killed = victim == LEADER ? cluster_leader(&cluster) : callers;
    struct member *other = cluster_follower(&cluster, 1);
    open_client(&ann, callers);
    open_client(&bob, other);
    struct jute_request add = request_recipe("tally.add", 1, "{}");
    struct jute_request wait = request_recipe("tally.wait", 2, "{\"path\":\"/go\"}");
    struct jute_request also = request_recipe("tally.add", 1, "{}");
    struct jute_request go = request_create("/go", "", 0);
    (void)client_send(&ann, &add);
    (void)client_send(&ann, &wait);
    (void)client_send(&bob, &also);
    (void)client_send(&bob, &go);
    for (int i = 0; i < steps && !whole; i++) {
        whole = !cluster_step(&cluster);
    }

    cluster_stop(&cluster, killed);
    cluster_await(&cluster);
    char first[16], second[16];
    (void)snprintf(first, sizeof(first), "%s", again(&cluster, &ann, other, "tally.add", 1, "{}"));
    (void)snprintf(second, sizeof(second), "%s",
                   again(&cluster, &bob, other, "tally.add", 1, "{}"));
    client_disconnect(&bob);
    connect_to(&bob, other);
    (void)client_call(&bob, &go); /* it may be there */
    const char *waited = again(&cluster, &ann, other, "tally.wait", 2, "{\"path\":\"/go\"}");

    assert_int_equal(atoi(first) + atoi(second), 3);
    assert_non_null(strstr(waited, "\"place\":\"/queue/p-0000000000\""));
    assert_string_equal(call(&bob, "tally.get", 0, "{}"), "2");
    struct jute_request queue = request_path(JUTE_EXISTS, "/queue/p-0000000000");
    assert_int_equal(client_call(&ann, &queue).error, -101);
    assert_int_equal(store_totals(other->world.store)->calls, 0);
    cluster_start(&cluster, killed);
    cluster_await(&cluster);
    cluster_check(&cluster);
    client_deinit(&ann);
    client_deinit(&bob);
    cluster_deinit(&cluster);
    return whole;
}

static void stop_at_every_step(enum victim victim, size_t chunk, int stride)
{
    int steps = 0;

    while (!stop_at_step(victim, steps, chunk)) {
        steps += stride;
    }
    assert_true(steps > 20);
}

static void a_leader_may_stop_at_any_step_of_a_calls_life_and_it_happens_once(void **state)
{
    (void)state;
    stop_at_every_step(LEADER, 0, 1);
    stop_at_every_step(LEADER, 100, 7);
}

static void the_callers_server_may_stop_at_any_step_of_a_calls_life_and_it_happens_once(
    void **state)
{
    (void)state;
    stop_at_every_step(CALLERS, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_run_when_every_server_has_announced_them),
        cmocka_unit_test(until_the_last_has_come_calls_are_told_whom_they_wait_for),
        cmocka_unit_test(a_minority_that_is_down_does_not_keep_recipes_from_running),
        cmocka_unit_test(while_a_server_runs_no_recipes_waiting_calls_stand_still),
        cmocka_unit_test(
            under_a_leader_that_runs_no_recipes_calls_are_refused_and_old_ones_keep_their_answers),
        cmocka_unit_test(a_call_is_answered_on_the_server_where_it_waits),
        cmocka_unit_test(what_a_follower_answers_to_calls_keeps_its_place_among_all_answers),
        cmocka_unit_test(an_operation_that_only_reads_runs_where_it_arrives),
        cmocka_unit_test(a_leader_that_may_have_been_replaced_gives_no_linearizable_answer),
        cmocka_unit_test(a_call_node_is_made_watched_and_cancelled_through_followers),
        cmocka_unit_test(which_calls_wait_is_told_by_each_server),
        cmocka_unit_test(a_dry_run_and_a_deployment_go_through_a_follower),
        cmocka_unit_test(who_asks_again_elsewhere_has_the_same_place_or_the_same_answer),
        cmocka_unit_test(a_call_that_comes_late_through_the_server_before_is_not_made),
        cmocka_unit_test(the_end_of_a_session_is_told_to_its_call_and_frees_its_place),
        cmocka_unit_test(a_leader_that_was_installed_from_a_snapshot_wakes_what_waits),
        cmocka_unit_test(a_leader_may_stop_at_any_step_of_a_calls_life_and_it_happens_once),
        cmocka_unit_test(
            the_callers_server_may_stop_at_any_step_of_a_calls_life_and_it_happens_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
