/* Any bytes as the life of calls: a few sessions that call, ask again, cancel, change what calls wait
 * for, lose their connection, come back, end; time; a leader that dies between any two proposals. The
 * input is a program, a byte a step and what the step reads behind it.
 *
 * The world looks at every invariant of the server's after each step. Beyond that: whoever asks again
 * with the same id is told the same; what `mix.add` does is done once; and when all sessions have ended
 * and all deadlines have passed, no call is left. */
#include "jute/jute.h"
#include "server/server.h"
#include "testkit/world.h"
#include "tree/tree.h"

#include <stdio.h>
#include <string.h>

#define SESSIONS 3
#define IDS 24       /* of calls, of one session after the other */
#define STEPS_MAX 80 /* so that one input takes milliseconds */
#define TIMEOUT_MS 8000

static const char source[] =
    "local mix = {}\n"
    "local args = { path = 'path', n = 'integer', timeout = 'duration?' }\n"
    "local function ticket(call, options)\n"
    "  return call:once('ticket', function()\n"
    "    return znode.create(call.args.path .. '/t-', options) end)\n"
    "end\n"
    "local function drop(call) znode.delete(call:recall('ticket')) end\n"
    "mix.hold = operation { doc = '', args = args, cancel = drop, run = function(call)\n"
    "  local mine = ticket(call, { ephemeral = true, sequential = true, parents = true })\n"
    "  if not znode.exists(mine) then fail('Lost') end\n"
    "  local ahead = znode.sibling_before(mine, { by = 'creation' })\n"
    "  if ahead then call:wait { deleted = { ahead, mine } } end\n"
    "  return call.zxid\n"
    "end }\n"
    "mix.add = operation { doc = '', args = args, run = function(call)\n"
    "  call:once('made', function() return znode.create('/once/' .. call.session .. '-' ..\n"
    "    call.args.n, { parents = true }) end)\n"
    "  if not znode.exists(call.args.path) then call:wait { created = call.args.path } end\n"
    "  return call.args.n\n"
    "end }\n"
    "mix.take = operation { doc = '', args = args, run = function(call)\n"
    "  local first = znode.first_child(call.args.path)\n"
    "  if not first then call:wait { children = call.args.path } end\n"
    "  if znode.count(first) > 0 then fail('Conflict') end\n"
    "  znode.delete(first)\n"
    "  return first\n"
    "end }\n"
    "mix.all = operation { doc = '', args = args, run = function(call)\n"
    "  if znode.count(call.args.path) < 3 then\n"
    "    call:wait { children = call.args.path, changed = '/a', all = true } end\n"
    "  return true\n"
    "end }\n"
    "mix.later = operation { doc = '', args = args, cancel = drop, run = function(call)\n"
    "  ticket(call, { sequential = true, parents = true })\n"
    "  local at = call:once('at', function() return call.now + call.args.n * 100 end)\n"
    "  if call.now < at then call:wait { at = at, changed = '/a' } end\n"
    "  return at\n"
    "end }\n"
    "mix.lasting = operation { doc = '', args = args, outlives_session = true, deadline = '1m',\n"
    "  cancel = drop, run = function(call)\n"
    "  ticket(call, { sequential = true, parents = true })\n"
    "  if not znode.exists('/b') then call:wait { created = '/b' } end\n"
    "  return true\n"
    "end }\n"
    "mix.spin = operation { doc = '', args = args, run = function(call)\n"
    "  local at = call.now\n"
    "  call:wait { at = at }\n"
    "end, cancel = function(call) error('no') end }\n"
    "return mix\n";

static const char *const operations[] = {"hold", "add", "take", "all", "later", "lasting", "spin"};
static const char *const paths[] = {"/a", "/b", "/a/x", "/q", "/q/y", "/once", "/a/t-0000000000"};

struct asked {
    int32_t xid; /* 0: nobody waits for an answer */
    bool made, answered;
    uint8_t operation, path, timeout;
    struct mk_buf answer;
};

struct peer {
    struct testkit_client *client;
    struct asked asked[IDS];
};

struct world {
    struct testkit_world *kit;
    struct mk_reader program;
    struct peer peers[SESSIONS];
};

static uint8_t next(struct world *world, size_t bound)
{
    return (uint8_t)(mk_read_u8(&world->program) % bound);
}

static bool told(const struct mk_buf *answer, const char *error)
{
    struct mk_reader reader = mk_reader_of(mk_buf_view(answer));

    return mk_bytes_equal(mk_read_field(&reader), mk_bytes_text(error));
}

/* ---- Answers ---- */

/* Every id has one answer; what was refused, or lost with its session, has none. */
static void answered(struct asked *asked, struct mk_bytes body)
{
    struct mk_buf answer = {0};

    mk_buf_append_bytes(&answer, body);
    MK_ASSERT(!told(&answer, "NodeExists")); /* mix.add has been run twice */
    if (told(&answer, "Overload") || told(&answer, "SessionExpired")) {
        mk_buf_free(&answer);
        return;
    }
    MK_ASSERT(!asked->answered ||
              mk_bytes_equal(mk_buf_view(&answer), mk_buf_view(&asked->answer)));
    mk_buf_free(&asked->answer);
    asked->answer = answer;
    asked->answered = true;
}

static void listen(struct peer *peer)
{
    for (size_t i = 0; i < IDS; i++) {
        struct asked *asked = &peer->asked[i];
        struct jute_reply reply;
        if (asked->xid == 0 || !testkit_client_answer(peer->client, asked->xid, &reply)) {
            continue;
        }
        if (reply.error == 0) {
            answered(asked, reply.body);
        }
        testkit_client_take(peer->client, asked->xid);
        asked->xid = 0;
    }
}

static void forget(struct peer *peer)
{
    for (size_t i = 0; i < IDS; i++) {
        peer->asked[i].xid = 0;
    }
}

/* ---- Steps ---- */

static void arguments(const struct asked *asked, size_t id, struct mk_buf *json)
{
    mk_buf_printf(json, "{\"path\":\"%s\",\"n\":%u", paths[asked->path], (unsigned)id);
    if (asked->timeout > 0) {
        mk_buf_printf(json, ",\"timeout\":%u", asked->timeout * 500u);
    }
    mk_buf_put_u8(json, '}');
}

/* Make a call, or ask for it again. */
static void step_call(struct world *world, struct peer *peer)
{
    size_t id = next(world, IDS);
    struct asked *asked = &peer->asked[id];
    struct mk_buf json = {0};
    char operation[32];

    if (!asked->made) {
        asked->made = true;
        asked->operation = next(world, MK_COUNT(operations));
        asked->path = next(world, MK_COUNT(paths));
        asked->timeout = next(world, 8);
    }
    listen(peer);
    arguments(asked, id, &json);
    snprintf(operation, sizeof(operation), "mix.%s", operations[asked->operation]);
    struct jute_request request = {.op = JUTE_CALL,
                                   .operation = mk_bytes_text(operation),
                                   .call_id = (int64_t)id + 1,
                                   .chroot = MK_BYTES_NULL,
                                   .format = JUTE_CALL_JSON,
                                   .data = mk_buf_view(&json)};
    asked->xid = testkit_client_ask(peer->client, &request);
    mk_buf_free(&json);
}

/* Make one by creating its znode. */
static void step_node(struct world *world, struct peer *peer)
{
    struct asked asked = {.path = next(world, MK_COUNT(paths)), .timeout = next(world, 8)};
    const char *operation = operations[next(world, MK_COUNT(operations))];
    struct mk_buf json = {0};
    char path[64];

    if (strcmp(operation, "add") == 0) {
        operation = "take"; /* the number of an add is its call's id */
    }
    snprintf(path, sizeof(path), TREE_CALLS_PATH "/mix.%s-", operation);
    arguments(&asked, 7, &json);
    struct jute_request request = {.op = next(world, 2) == 0 ? JUTE_CREATE : JUTE_CREATE2,
                                   .path = mk_bytes_text(path),
                                   .data = mk_buf_view(&json),
                                   .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
                                   .flags = next(world, 8) == 0 ? 2 : 3};
    (void)testkit_client_ask(peer->client, &request);
    mk_buf_free(&json);
}

/* Delete the znode of a call, of this session or of another. */
static void step_cancel(struct world *world, struct peer *peer)
{
    struct peer *whose = &world->peers[next(world, SESSIONS)];
    int64_t id = next(world, IDS) + 1;
    struct mk_buf path = {0};

    if (testkit_world_call_node(world->kit, whose->client->session, id, &path)) {
        struct jute_request request = {
            .op = JUTE_DELETE, .path = mk_buf_view(&path), .version = next(world, 3) - 1};
        (void)testkit_client_ask(peer->client, &request);
    }
    mk_buf_free(&path);
}

/* Change what calls wait for. */
static void step_change(struct world *world, struct peer *peer)
{
    static const int32_t kinds[] = {JUTE_CREATE, JUTE_DELETE, JUTE_SET_DATA};
    struct jute_request request = {
        .op = kinds[next(world, MK_COUNT(kinds))],
        .path = mk_bytes_text(paths[next(world, MK_COUNT(paths))]),
        .data = MK_BYTES("x"),
        .acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone"),
        .version = -1,
    };

    request.flags = request.op == JUTE_CREATE ? next(world, 4) : 0;
    (void)testkit_client_ask(peer->client, &request);
}

/* A session that has ended is followed by a new one, whose ids begin anew. */
static void attach(struct world *world, struct peer *peer)
{
    if (testkit_client_attach(peer->client, TIMEOUT_MS) != TESTKIT_REFUSED) {
        return;
    }
    for (size_t i = 0; i < IDS; i++) {
        mk_buf_free(&peer->asked[i].answer);
    }
    memset(peer->asked, 0, sizeof(peer->asked));
    peer->client = testkit_client_new(world->kit);
    (void)testkit_client_attach(peer->client, TIMEOUT_MS);
}

static void step_leave(struct world *world, struct peer *peer)
{
    struct jute_request close = {.op = JUTE_CLOSE_SESSION};

    if (next(world, 2) == 0) {
        (void)testkit_client_ask(peer->client, &close);
        listen(peer);
    }
    testkit_client_detach(peer->client);
    forget(peer);
}

static void step_fail_over(struct world *world)
{
    struct mk_error error;
    bool good = testkit_world_fail_over(world->kit, &error);

    MK_ASSERT(good);
    for (size_t i = 0; i < SESSIONS; i++) {
        forget(&world->peers[i]);
        attach(world, &world->peers[i]);
    }
}

/* The leader is to die when the log has taken so many proposals more. */
static void step_cut(struct world *world)
{
    uint8_t proposals = next(world, 4);

    if (!world->kit->cut_armed) {
        testkit_world_cut(world->kit, proposals);
    }
}

static void step(struct world *world)
{
    struct peer *peer = &world->peers[next(world, SESSIONS)];

    switch (next(world, 10)) {
    case 0:
    case 1:
    case 2: step_call(world, peer); break;
    case 3: step_node(world, peer); break;
    case 4: step_cancel(world, peer); break;
    case 5: step_change(world, peer); break;
    case 6: testkit_world_advance(world->kit, 1 << next(world, 14)); break;
    case 7: step_leave(world, peer); break;
    case 8: step_cut(world); break;
    case 9: attach(world, peer); break;
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        listen(&world->peers[i]);
    }
    if (world->kit->dark) {
        step_fail_over(world);
    }
}

/* Everybody leaves for good; an hour later nothing is left of any call. */
static void finish(struct world *world)
{
    struct server_stats stats;

    step_fail_over(world); /* a cut may be armed still */
    for (size_t i = 0; i < SESSIONS; i++) {
        testkit_client_detach(world->peers[i].client);
    }
    testkit_world_advance(world->kit, 3600 * 1000);
    server_stats_read(world->kit->leader->server, &stats);
    MK_ASSERT(stats.totals.sessions == 0 && stats.totals.ephemerals == 0);
    MK_ASSERT(stats.totals.calls == 0 && stats.totals.awaited == 0 && stats.totals.ready == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct server_recipe recipe = {.name = MK_BYTES("mix"),
                                   .source = mk_bytes_of(source, sizeof(source) - 1)};
    struct world *world = mk_alloc_zero(1, sizeof(*world));
    struct mk_error error;

    world->program = mk_reader_of((struct mk_bytes){data, size});
    world->kit = testkit_world_new(&recipe, 1, 1, &error);
    MK_ASSERT(world->kit != NULL);
    for (size_t i = 0; i < SESSIONS; i++) {
        world->peers[i].client = testkit_client_new(world->kit);
        attach(world, &world->peers[i]);
    }
    for (int i = 0; i < STEPS_MAX && mk_reader_left(&world->program) > 0; i++) {
        step(world);
    }
    finish(world);
    testkit_world_free(world->kit);
    for (size_t i = 0; i < SESSIONS; i++) {
        for (size_t id = 0; id < IDS; id++) {
            mk_buf_free(&world->peers[i].asked[id].answer);
        }
    }
    mk_free(world);
    return 0;
}
