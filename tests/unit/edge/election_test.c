#include "edge/election.h"
#include "unit/cmocka.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000 /* for what must happen; a loaded machine may take its time */

/* ---- A server under test, id 5 of 1, 5 and 9, in a loop of its own ---- */

struct world {
    uv_loop_t loop;
    uv_timer_t alarm; /* so that no wait is for ever */
    struct streams streams;
    struct election_member members[4];
    struct election *election;
    int peer_listener; /* where server 9 and server 1 would be dialled */
    int64_t from;      /* of the last message */
    char message[64];
    size_t messages;
    enum { NOTHING_KNOWN, IS_THERE, IS_GONE } first_is; /* server 1, as the core is told */
    struct mk_log log;
    bool twins_noticed; /* it has said so */
};

static void on_line(void *context, enum mk_log_level level, const char *line)
{
    struct world *world = context;
    (void)level;

    if (strstr(line, "do two servers have the same number in the file myid?  server=9") != NULL) {
        world->twins_noticed = true;
    }
}

static void on_alarm(uv_timer_t *alarm)
{
}

static void on_notified(void *context, int64_t from, struct mk_bytes message)
{
    struct world *world = context;

    assert_true(message.len < sizeof(world->message));
    memcpy(world->message, message.data, message.len);
    world->message[message.len] = '\0';
    world->from = from;
    world->messages++;
}

static void on_reachable(void *context, int64_t id, bool reachable)
{
    struct world *world = context;

    if (id == 1) {
        world->first_is = reachable ? IS_THERE : IS_GONE;
    }
}

static uint16_t port_of(int listener)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

static int listener_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 64), 0);
    return listener;
}

static struct election *election_of(struct world *world, int64_t id, mk_ms silence_ms)
{
    struct mk_error error = {""};
    struct election *election = election_open(&(struct election_options){.loop = &world->loop,
                                                                         .streams = &world->streams,
                                                                         .log = &world->log,
                                                                         .members = world->members,
                                                                         .members_count = 4,
                                                                         .id = id,
                                                                         .connect_timeout_ms = 5000,
                                                                         .silence_ms = silence_ms,
                                                                         .notified = on_notified,
                                                                         .reachable = on_reachable,
                                                                         .context = world},
                                              &error);
    assert_non_null(election);
    return election;
}

static void world_begin(struct world *world, mk_ms silence_ms)
{
    memset(world, 0, sizeof(*world));
    world->log = (struct mk_log){MK_LOG_WARN, on_line, world};
    assert_int_equal(uv_loop_init(&world->loop), 0);
    uv_timer_init(&world->loop, &world->alarm);
    uv_timer_start(&world->alarm, on_alarm, 1, 1);
    streams_init(&world->streams, &world->loop, NULL, 16);
    world->peer_listener = listener_open();
    uint16_t port = port_of(world->peer_listener);
    world->members[0] = (struct election_member){1, "127.0.0.1", port, false};
    world->members[1] = (struct election_member){5, "127.0.0.1", 0, false};
    world->members[2] = (struct election_member){9, "127.0.0.1", port, true};
    world->members[3] = (struct election_member){7, "127.0.0.1", port, true};
    world->election = election_of(world, 5, silence_ms);
    world->members[1].port = election_port(world->election);
}

static void world_start(struct world *world)
{
    struct mk_error error = {""};
    assert_int_equal(election_start(world->election, &error), MK_OK);
}

static void world_end(struct world *world)
{
    election_close(world->election);
    uv_close((uv_handle_t *)&world->alarm, NULL);
    streams_close(&world->streams);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    streams_deinit(&world->streams);
    assert_int_equal(uv_loop_close(&world->loop), 0); /* Nothing of it is left. */
    close(world->peer_listener);
}

/* ---- Another server, by hand ---- */

#define UNTIL(world, condition)                                      \
    do {                                                             \
        uint64_t end_ns = uv_hrtime() + (uint64_t)WAIT_MS * 1000000; \
        while (!(condition)) {                                       \
            assert_true(uv_hrtime() < end_ns);                       \
            uv_run(&(world)->loop, UV_RUN_ONCE);                     \
        }                                                            \
    } while (0)

static int dial(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)election_port(world->election));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    return client;
}

static void say(int client, const char *bytes, size_t count)
{
    assert_int_equal(send(client, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
}
#define SAY(client, literal) say(client, literal, sizeof(literal) - 1)

static int accepted(struct world *world)
{
    int client = -1;
    UNTIL(world, (client = accept4(world->peer_listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    return client;
}

/* Exactly these bytes come next. */
static void hear(struct world *world, int client, const char *bytes, size_t count)
{
    char heard[256];
    size_t have = 0;

    assert_true(count <= sizeof(heard));
    while (have < count) {
        ssize_t got = -1;
        UNTIL(world, (got = recv(client, heard + have, count - have, 0)) >= 0);
        assert_true(got > 0);
        have += (size_t)got;
    }
    assert_memory_equal(heard, bytes, count);
}
#define HEAR(world, client, literal) hear(world, client, literal, sizeof(literal) - 1)

/* The other side has ended the connection; whatever it still said is skipped. */
static void hear_end(struct world *world, int client)
{
    char heard[4096];
    ssize_t got = -1;

    do {
        UNTIL(world, (got = recv(client, heard, sizeof(heard), 0)) >= 0 || errno == ECONNRESET);
    } while (got > 0);
    close(client);
}

static void hear_hello(struct world *world, int client)
{
    char hello[64];
    /* V1, id 5, and "127.0.0.1:PORT" with its length. */
    int length =
        snprintf(hello + 20, sizeof(hello) - 20, "127.0.0.1:%u", election_port(world->election));
    memcpy(hello, "\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00",
           19);
    hello[19] = (char)length;
    hear(world, client, hello, 20 + (size_t)length);
}

static bool connected(struct world *world, int64_t id)
{
    struct election_peer_state state = {0};

    for (size_t i = 0; election_peer_state(world->election, i, &state); i++) {
        if (state.id == id) {
            return state.connected;
        }
    }
    return false;
}

#define HELLO_9                                                                        \
    "\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x03" \
    "a:1"
#define HELLO_1                                                                        \
    "\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x03" \
    "a:1"

/* ---- Whose connection stays ---- */

static void a_server_with_a_smaller_id_is_dialled_and_told_the_newest_message(void **state)
{
    struct world world;
    world_begin(&world, 10000);

    election_send(world.election, 1, MK_BYTES("old"));
    election_send(world.election, 1, MK_BYTES("new"));
    world_start(&world);

    int peer = accepted(&world);
    hear_hello(&world, peer);
    HEAR(&world, peer, "\x00\x00\x00\x03new");
    SAY(peer, "\x00\x00\x00\x02hi");
    UNTIL(&world, world.messages == 1);
    assert_int_equal(world.from, 1);
    assert_string_equal(world.message, "hi");
    close(peer);
    world_end(&world);
}

static void a_server_with_a_larger_id_keeps_the_connection_that_it_makes(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);
    election_send(world.election, 9, MK_BYTES("vote"));

    int peer = dial(&world);
    SAY(peer, HELLO_9 "\x00\x00\x00\x02hi\x00\x00\x00\x05there");

    UNTIL(&world, world.messages == 2);
    assert_int_equal(world.from, 9);
    assert_string_equal(world.message, "there");
    HEAR(&world, peer, "\x00\x00\x00\x04vote");
    close(peer);
    world_end(&world);
}

static void a_connection_by_a_smaller_id_asks_to_be_dialled(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);
    int first = accepted(&world);
    hear_hello(&world, first);

    int peer = dial(&world);
    SAY(peer, HELLO_1);

    hear_end(&world, peer);
    hear_end(&world, first); /* Whoever asks does not have it any more. */
    int second = accepted(&world);
    hear_hello(&world, second);
    close(second);
    world_end(&world);
}

static void a_server_with_a_larger_id_is_asked_to_connect_until_it_does(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world.members[0].observer = true; /* only 9 is dialled */
    world.members[2].observer = false;
    world_start(&world);

    for (int i = 0; i < 2; i++) {
        int asked = accepted(&world);
        hear_hello(&world, asked);
        hear_end(&world, asked);
    }
    assert_false(connected(&world, 9));
    int peer = dial(&world);
    SAY(peer, HELLO_9);

    UNTIL(&world, connected(&world, 9));
    close(peer);
    world_end(&world);
}

static void a_newer_connection_replaces_the_older_and_hears_the_last_message_again(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);
    int older = dial(&world);
    SAY(older, HELLO_9);
    UNTIL(&world, connected(&world, 9));
    election_send(world.election, 9, MK_BYTES("vote"));
    HEAR(&world, older, "\x00\x00\x00\x04vote");

    int newer = dial(&world);
    SAY(newer, HELLO_9);

    hear_end(&world, older);
    HEAR(&world, newer, "\x00\x00\x00\x04vote");
    assert_true(connected(&world, 9));
    close(newer);
    world_end(&world);
}

static void two_servers_of_one_number_are_noticed_when_each_takes_the_others_place(void **state)
{
    struct world world;
    int sockets[4];
    world_begin(&world, 10000);
    world_start(&world);

    for (size_t i = 0; i < MK_COUNT(sockets); i++) {
        assert_false(world.twins_noticed);
        sockets[i] = dial(&world);
        SAY(sockets[i], HELLO_9);
        if (i > 0) {
            hear_end(&world, sockets[i - 1]);
        }
        UNTIL(&world, connected(&world, 9));
    }

    assert_true(world.twins_noticed);
    close(sockets[MK_COUNT(sockets) - 1]);
    world_end(&world);
}

static void connections_that_break_soon_are_made_again_more_and_more_seldom(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);

    uint64_t began_ns = uv_hrtime();
    for (int i = 0; i < 4; i++) {
        int broken = accepted(&world);
        UNTIL(&world, connected(&world, 1));
        close(broken);
        UNTIL(&world, !connected(&world, 1));
    }
    int last = accepted(&world);

    assert_true(uv_hrtime() - began_ns >= (uint64_t)(50 + 100 + 200 + 400) * 1000000);
    UNTIL(&world, connected(&world, 1));
    close(last);
    world_end(&world);
}

static void a_connection_that_breaks_is_made_again(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);
    election_send(world.election, 1, MK_BYTES("vote"));
    int first = accepted(&world);
    UNTIL(&world, connected(&world, 1));
    assert_int_equal(world.first_is, IS_THERE);

    close(first);

    UNTIL(&world, world.first_is == IS_GONE);
    int second = accepted(&world);
    hear_hello(&world, second);
    HEAR(&world, second, "\x00\x00\x00\x04vote");
    UNTIL(&world, world.first_is == IS_THERE);
    close(second);
    world_end(&world);
}

static void an_observer_is_dialled_only_to_be_told_something(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world.members[0].observer = true;
    world_start(&world);
    for (int i = 0; i < 100; i++) {
        uv_run(&world.loop, UV_RUN_ONCE);
    }
    assert_int_equal(accept4(world.peer_listener, NULL, NULL, SOCK_NONBLOCK), -1);

    election_send(world.election, 1, MK_BYTES("vote"));

    int peer = accepted(&world);
    hear_hello(&world, peer);
    HEAR(&world, peer, "\x00\x00\x00\x04vote");
    close(peer);
    world_end(&world);
}

static void servers_find_each_other_by_name(void **state)
{
    struct world world;
    world_begin(&world, 10000);
    world.members[2] = (struct election_member){9, "localhost", 0, false};
    struct election *other = election_of(&world, 9, 10000);
    struct mk_error error = {""};
    world.members[2] = (struct election_member){9, "localhost", election_port(other), false};
    assert_int_equal(election_start(other, &error), MK_OK);
    world_start(&world);

    election_send(other, 5, MK_BYTES("from 9"));
    UNTIL(&world, world.messages >= 1 && world.from == 9);
    assert_string_equal(world.message, "from 9");
    election_send(world.election, 9, MK_BYTES("from 5"));
    UNTIL(&world, world.from == 5);
    assert_string_equal(world.message, "from 5");

    election_close(other);
    world_end(&world);
}

/* ---- Whoever else connects ---- */

static void a_hello_may_come_byte_by_byte_and_in_the_form_of_old_servers(void **state)
{
    static const char old[] = "\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x02hi";
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);

    int peer = dial(&world);
    for (size_t i = 0; i < sizeof(old) - 1; i++) {
        say(peer, old + i, 1);
        uv_run(&world.loop, UV_RUN_ONCE);
    }

    UNTIL(&world, world.messages == 1);
    assert_int_equal(world.from, 9);
    close(peer);
    world_end(&world);
}

static void who_is_not_in_the_configuration_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } strangers[] = {
        {"\x00\x00\x00\x00\x00\x00\x00\x08", 8},         /* no such server */
        {"\x00\x00\x00\x00\x00\x00\x00\x05", 8},         /* ourselves */
        {"\x7f\xff\xff\xff\xff\xff\xff\xff", 8},         /* an observer without an id */
        {"\xff\xff\xff\xff\xff\xff\xff\xff", 8},         /* no form of a hello */
        {"GET / HTTP/1.1\r\nHost: example.org\r\n", 35}, /* a stray browser */
        {HELLO_9 "\x00\x00\x00\x00", 27},                /* an empty message */
        {HELLO_9 "\x00\x08\x00\x01", 27},                /* one longer than any may be */
        {HELLO_9 "\xff\xff\xff\xff", 27},
    };
    struct world world;
    world_begin(&world, 10000);
    world_start(&world);

    for (size_t i = 0; i < MK_COUNT(strangers); i++) {
        int peer = dial(&world);
        say(peer, strangers[i].bytes, strangers[i].count);
        hear_end(&world, peer);
    }

    assert_int_equal(world.messages, 0);
    world_end(&world);
}

static void who_stays_silent_is_closed_and_keeps_nobody_waiting(void **state)
{
    struct world world;
    world_begin(&world, 300);
    world_start(&world);
    int silent = dial(&world);
    int halfway = dial(&world);
    SAY(halfway, "\xff\xff\xff\xff\xff");

    int peer = dial(&world);
    SAY(peer, HELLO_9 "\x00\x00\x00\x02hi");

    UNTIL(&world, world.messages == 1);
    hear_end(&world, silent);
    hear_end(&world, halfway);
    assert_true(connected(&world, 9)); /* After its hello a server may be silent for ever. */
    close(peer);
    world_end(&world);
}

static void many_who_stay_silent_lose_their_places_to_later_ones(void **state)
{
    int silent[80];
    struct world world;
    world_begin(&world, INT32_MAX);
    world_start(&world);

    for (size_t i = 0; i < MK_COUNT(silent); i++) {
        silent[i] = dial(&world);
        uv_run(&world.loop, UV_RUN_ONCE);
    }

    hear_end(&world, silent[0]);
    int peer = dial(&world);
    SAY(peer, HELLO_9 "\x00\x00\x00\x02hi");
    UNTIL(&world, world.messages == 1);
    for (size_t i = 1; i < MK_COUNT(silent); i++) {
        close(silent[i]);
    }
    close(peer);
    world_end(&world);
}

static void a_server_that_cannot_be_reached_has_a_reason(void **state)
{
    struct election_peer_state peer = {0};
    struct world world;
    world_begin(&world, 10000);
    int refusing = listener_open();
    world.members[0].port = port_of(refusing);
    close(refusing);

    world_start(&world);

    UNTIL(&world, election_peer_state(world.election, 0, &peer) &&
                      strcmp(peer.why, "connection refused") == 0);
    assert_int_equal(peer.id, 1);
    assert_false(peer.connected);
    assert_int_equal(world.first_is, IS_GONE);
    world_end(&world);
}

static void a_port_in_use_is_an_error(void **state)
{
    struct mk_error error = {""};
    struct world world;
    world_begin(&world, 10000);
    struct election_options options = {.loop = &world.loop,
                                       .members = world.members,
                                       .members_count = 4,
                                       .id = 1,
                                       .silence_ms = 1};

    assert_null(election_open(&options, &error));

    assert_non_null(strstr(error.text, "cannot listen for elections at 127.0.0.1, port"));
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_with_a_smaller_id_is_dialled_and_told_the_newest_message),
        cmocka_unit_test(a_server_with_a_larger_id_keeps_the_connection_that_it_makes),
        cmocka_unit_test(a_connection_by_a_smaller_id_asks_to_be_dialled),
        cmocka_unit_test(a_server_with_a_larger_id_is_asked_to_connect_until_it_does),
        cmocka_unit_test(a_newer_connection_replaces_the_older_and_hears_the_last_message_again),
        cmocka_unit_test(two_servers_of_one_number_are_noticed_when_each_takes_the_others_place),
        cmocka_unit_test(connections_that_break_soon_are_made_again_more_and_more_seldom),
        cmocka_unit_test(a_connection_that_breaks_is_made_again),
        cmocka_unit_test(an_observer_is_dialled_only_to_be_told_something),
        cmocka_unit_test(servers_find_each_other_by_name),
        cmocka_unit_test(a_hello_may_come_byte_by_byte_and_in_the_form_of_old_servers),
        cmocka_unit_test(who_is_not_in_the_configuration_is_refused),
        cmocka_unit_test(who_stays_silent_is_closed_and_keeps_nobody_waiting),
        cmocka_unit_test(many_who_stay_silent_lose_their_places_to_later_ones),
        cmocka_unit_test(a_server_that_cannot_be_reached_has_a_reason),
        cmocka_unit_test(a_port_in_use_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
