/* A story told step by step: a text of commands, and below each what came of it. The same machine
 * and the same checker as in a run, but nothing happens by chance, and nothing takes time.
 *
 *   > connect ann            a new session; or, after `break`, its old one again
 *   > ann create /a hello    what ann asks; below it every frame that anybody is sent
 *   > hold log               what is proposed from now on is with the disk, and not durable ...
 *   > release log            ... until now
 *   > crash 1                power off; of what the disk has, one transaction is in the log
 *   > boot
 *
 * The stories in tests/sim/ show every command. A zxid is written epoch.counter, a session s1. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/check.h"
#include "sim/machine.h"
#include "sim/sim.h"

#define ACTORS_MAX 16
#define WORDS_MAX 6
#define LOADS_MAX 64

struct actor {
    char name[16];
    struct server_conn *server;
    struct sim_check_conn *check;
    mk_session session;
    uint8_t password[JUTE_PASSWORD_BYTES];
    bool attached;
    int32_t xid;
    struct mk_map_u64 ops; /* xid -> op */
};

struct scenario {
    const struct sim_scenario_options *options;
    struct server_options server_options;
    struct server_recipe recipe;
    struct sim_machine machine;
    struct sim_check check;
    mk_ms now_ms;
    mk_ms wall_off_ms;
    bool log_held, reads_held;
    struct server_load loads[LOADS_MAX];
    size_t loads_count;
    struct actor actors[ACTORS_MAX];
    size_t actors_count;
    mk_session sessions[64]; /* in the order of creation: s1, s2 ... */
    size_t sessions_count;
    struct mk_buf scratch;
    bool failed; /* a command that cannot be understood or done */
};

/* ---- Writing ---- */

static void say(struct scenario *scenario, const char *format, ...) MK_PRINTF(2, 3);
static void say(struct scenario *scenario, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    scenario->options->line(scenario->options->context, line);
}

static const char *zxid_text(mk_zxid zxid, char out[32])
{
    if (zxid <= 0) {
        (void)snprintf(out, 32, "%lld", (long long)zxid); /* of no transaction */
    } else {
        (void)snprintf(out, 32, "%u.%lld", (unsigned)(zxid >> 32), (long long)(zxid & 0xffffffff));
    }
    return out;
}

static size_t session_number(struct scenario *scenario, mk_session session)
{
    size_t i = 0;

    while (i < scenario->sessions_count && scenario->sessions[i] != session) {
        i++;
    }
    if (i == scenario->sessions_count && i < MK_COUNT(scenario->sessions)) {
        scenario->sessions[scenario->sessions_count++] = session;
    }
    return i + 1;
}

/* ---- What an actor is sent ---- */

static void say_text(struct mk_buf *out, struct mk_bytes text)
{
    if (text.data == NULL) {
        mk_buf_append_bytes(out, MK_BYTES(" null"));
    } else {
        mk_buf_printf(out, " %.*s", (int)text.len, (const char *)text.data);
    }
}

static void names_text(struct mk_reader *reader, struct mk_buf *out)
{
    int32_t count = mk_read_i32(reader);

    mk_buf_append_bytes(out, MK_BYTES(" ["));
    for (int32_t i = 0; i < count; i++) {
        struct mk_bytes name = mk_read_field(reader);
        mk_buf_printf(out, "%s%.*s", i > 0 ? " " : "", (int)name.len, (const char *)name.data);
    }
    mk_buf_put_u8(out, ']');
}

static void result_text(struct mk_reader *reader, struct mk_buf *out)
{
    struct mk_bytes error = mk_read_field(reader);

    (void)mk_read_field(reader);
    say_text(out, error.data != NULL ? error : mk_read_field(reader));
}

static void body_text(int32_t op, struct mk_bytes body, struct mk_buf *out)
{
    struct mk_reader reader = mk_reader_of(body);

    switch (op) {
    case JUTE_CALL: result_text(&reader, out); break;
    case JUTE_CREATE:
    case JUTE_GET_DATA:
    case JUTE_SYNC: say_text(out, mk_read_field(&reader)); break;
    case JUTE_GET_CHILDREN: names_text(&reader, out); break;
    default: break;
    }
}

static void say_event(struct scenario *scenario, struct actor *actor,
                      const struct jute_reply *reply)
{
    static const char *const events[] = {"?", "created", "deleted", "changed", "children"};
    struct mk_reader reader = mk_reader_of(reply->body);
    uint32_t event = mk_read_u32(&reader);
    char zxid[32];

    (void)mk_read_i32(&reader);
    struct mk_bytes path = mk_read_field(&reader);
    say(scenario, "  %s is told: %s %.*s at %s", actor->name, events[event > 4 ? 0 : event],
        (int)path.len, (const char *)path.data, zxid_text(reply->zxid, zxid));
}

static void say_reply(struct scenario *scenario, struct actor *actor,
                      const struct jute_reply *reply)
{
    static const char *const special[] = {"ping", "?", "auth"};
    struct mk_buf text = {0};
    char xid[16];
    char zxid[32];
    uintptr_t op = (uintptr_t)mk_map_u64_get(&actor->ops, (uint64_t)(uint32_t)reply->xid);

    (void)snprintf(xid, sizeof(xid), "%d", (int)reply->xid);
    mk_buf_printf(&text, "  %s %s: %s", actor->name,
                  reply->xid < 0 && reply->xid >= -4 ? special[-reply->xid - 2] : xid,
                  reply->error == 0 ? "ok" : jute_error_name(reply->error));
    if (reply->error == 0) {
        body_text((int32_t)op, reply->body, &text);
    }
    mk_buf_printf(&text, " at %s", zxid_text(reply->zxid, zxid));
    say(scenario, "%.*s", (int)text.len, (const char *)text.data);
    mk_buf_free(&text);
}

static void say_connected(struct scenario *scenario, struct actor *actor, struct mk_bytes frame)
{
    struct mk_reader reader = mk_reader_of(frame);

    (void)mk_read_i32(&reader);
    int32_t timeout_ms = mk_read_i32(&reader);
    mk_session session = mk_read_i64(&reader);
    struct mk_bytes password = mk_read_field(&reader);
    if (timeout_ms == 0) {
        say(scenario, "  %s is refused", actor->name);
        return;
    }
    actor->attached = true;
    actor->session = session;
    memcpy(actor->password, password.data, JUTE_PASSWORD_BYTES);
    say(scenario, "  %s has session s%zu", actor->name, session_number(scenario, session));
}

static void say_frame(struct scenario *scenario, struct actor *actor, struct mk_bytes frame)
{
    struct jute_reply reply;

    if (!actor->attached) {
        say_connected(scenario, actor, frame);
    } else if (jute_reply_decode(frame, &reply) != MK_OK) {
        say(scenario, "  %s is sent a malformed reply", actor->name);
    } else if (reply.xid == JUTE_XID_NOTIFICATION) {
        say_event(scenario, actor, &reply);
    } else {
        say_reply(scenario, actor, &reply);
    }
}

/* ---- Letting everything happen ---- */

static struct server_time time_now(const struct scenario *scenario)
{
    return (struct server_time){
        .monotonic_ms = 1000000 + scenario->now_ms,
        .wall_ms = 1700000000000 + scenario->now_ms + scenario->wall_off_ms,
    };
}

static void look(struct scenario *scenario)
{
    for (size_t i = 0; i < scenario->check.conns_count; i++) {
        sim_check_output(&scenario->check, scenario->check.conns[i]);
    }
}

static void look_settled(struct scenario *scenario)
{
    look(scenario);
    for (size_t i = 0; i < scenario->check.conns_count; i++) {
        sim_check_settled(&scenario->check, scenario->check.conns[i]);
    }
}

static void tick(struct scenario *scenario)
{
    sim_check_tick(&scenario->check, time_now(scenario).monotonic_ms);
    server_tick(scenario->machine.server, time_now(scenario));
    look_settled(scenario);
}

static void hang_up(struct scenario *scenario, struct actor *actor)
{
    sim_check_conn_free(&scenario->check, actor->check);
    server_conn_closed(scenario->machine.server, actor->server);
    actor->server = NULL;
    actor->check = NULL;
    actor->attached = false;
}

static void deliver(struct scenario *scenario, struct actor *actor)
{
    struct mk_buf *output = server_conn_output(actor->server);
    size_t at = 0;

    while (at < output->len) {
        size_t len = mk_load_u32(output->data + at);
        say_frame(scenario, actor, mk_bytes_of(output->data + at + 4, len));
        at += 4 + len;
    }
    if (sim_check_ok(&scenario->check)) {
        sim_check_taken(actor->check, output->len);
    }
    output->len = 0;
    if (server_conn_closing(actor->server)) {
        say(scenario, "  %s is disconnected", actor->name);
        hang_up(scenario, actor);
    } else {
        server_conn_drained(scenario->machine.server, actor->server);
    }
}

static bool sync_batch(struct scenario *scenario)
{
    struct sim_machine *machine = &scenario->machine;
    struct mk_buf batch = {0};
    struct mk_bytes entry;
    size_t offset = 0;

    (void)sim_machine_batch_take(machine);
    if (scenario->log_held || !machine->batch_out) {
        return false;
    }
    mk_buf_append_bytes(&batch, mk_buf_view(&machine->batch.bytes));
    sim_machine_batch_sync(machine, false);
    while (sim_check_ok(&scenario->check) &&
           store_log_entry_next(mk_buf_view(&batch), &offset, &entry)) {
        look(scenario);
        sim_check_commit(&scenario->check, entry);
    }
    mk_buf_free(&batch);
    look_settled(scenario);
    return true;
}

static bool load_rows(struct scenario *scenario)
{
    while (scenario->loads_count < LOADS_MAX &&
           server_load_take(scenario->machine.server, &scenario->loads[scenario->loads_count])) {
        scenario->loads_count++;
    }
    if (scenario->reads_held || scenario->loads_count == 0) {
        return false;
    }
    struct server_load *load = &scenario->loads[--scenario->loads_count];
    enum mk_status status = sim_machine_load(&scenario->machine, load);
    MK_ASSERT(status != MK_IO);
    server_load_done(scenario->machine.server, load);
    look_settled(scenario);
    return true;
}

static void settle(struct scenario *scenario)
{
    bool more = scenario->machine.server != NULL;

    while (more && sim_check_ok(&scenario->check)) {
        struct server_conn *conn;
        more = sync_batch(scenario) || load_rows(scenario);
        while ((conn = server_next_dirty(scenario->machine.server)) != NULL) {
            deliver(scenario, server_conn_owner(conn));
            more = true;
        }
    }
}

/* ---- Commands of the world ---- */

static struct actor *actor_named(struct scenario *scenario, const char *name)
{
    for (size_t i = 0; i < scenario->actors_count; i++) {
        if (strcmp(scenario->actors[i].name, name) == 0) {
            return &scenario->actors[i];
        }
    }
    MK_ASSERT(scenario->actors_count < ACTORS_MAX);
    struct actor *actor = &scenario->actors[scenario->actors_count++];
    (void)snprintf(actor->name, sizeof(actor->name), "%s", name);
    return actor;
}

static void send_frame(struct scenario *scenario, struct actor *actor, const struct mk_buf *frame)
{
    struct mk_bytes payload = mk_bytes_of(frame->data + 4, frame->len - 4);

    sim_check_frame(&scenario->check, actor->check, payload);
    server_conn_frame(scenario->machine.server, actor->server, payload);
    look_settled(scenario);
}

static void connect_actor(struct scenario *scenario, struct actor *actor)
{
    struct jute_connect connect = {
        .timeout_ms = 10000,
        .session_id = actor->session,
        .password = mk_bytes_of(actor->password, sizeof(actor->password)),
        .read_only_present = true,
    };
    struct mk_buf frame = {0};

    actor->server = server_conn_open(scenario->machine.server, MK_BYTES("10.0.0.1"), 1, actor);
    actor->check = sim_check_conn_new(&scenario->check, actor->server, "10.0.0.1");
    jute_connect_encode(&frame, &connect);
    send_frame(scenario, actor, &frame);
    mk_buf_free(&frame);
}

static void drop_loads(struct scenario *scenario)
{
    while (scenario->loads_count > 0) {
        store_load_free(&scenario->loads[--scenario->loads_count].rows);
    }
}

static void crash(struct scenario *scenario, uint32_t kept)
{
    struct sim_machine *machine = &scenario->machine;
    struct mk_bytes entry;
    size_t offset = 0;

    for (uint32_t i = 0; i < kept && machine->batch_out; i++) {
        if (!store_log_entry_next(mk_buf_view(&machine->batch.bytes), &offset, &entry)) {
            break;
        }
        sim_check_commit(&scenario->check, entry);
    }
    sim_check_crash(&scenario->check);
    drop_loads(scenario);
    for (size_t i = 0; i < scenario->actors_count; i++) {
        struct actor *actor = &scenario->actors[i];
        if (actor->server != NULL) {
            sim_check_conn_free(&scenario->check, actor->check);
            actor->server = NULL;
            actor->check = NULL;
            actor->attached = false;
        }
    }
    sim_machine_crash(machine, machine->batch_out ? kept : 0, 0);
    scenario->log_held = scenario->reads_held = false;
}

static void boot(struct scenario *scenario)
{
    struct mk_error error;

    if (!sim_machine_boot(&scenario->machine, time_now(scenario), &error)) {
        say(scenario, "  %s", error.text);
        scenario->failed = true;
        return;
    }
    scenario->check.now_ms = time_now(scenario).monotonic_ms;
    sim_check_boot(&scenario->check);
}

static void checkpoint(struct scenario *scenario)
{
    struct mk_error error;

    server_checkpoint_request(scenario->machine.server);
    if (sim_machine_checkpoint_take(&scenario->machine)) {
        scenario->failed = !sim_machine_checkpoint_write(&scenario->machine, &error);
        sim_machine_checkpoint_done(&scenario->machine);
    }
}

static void advance(struct scenario *scenario, mk_ms ms)
{
    mk_ms end_ms = scenario->now_ms + ms;

    while (scenario->machine.server != NULL && sim_check_ok(&scenario->check)) {
        mk_ms due_ms = server_next_tick(scenario->machine.server) - 1000000;
        if (due_ms >= end_ms) {
            break;
        }
        scenario->now_ms = due_ms > scenario->now_ms ? due_ms : scenario->now_ms + 1;
        tick(scenario);
        settle(scenario);
    }
    scenario->now_ms = end_ms;
}

static bool world_command(struct scenario *scenario, char **words, size_t count)
{
    const char *verb = words[0];
    const char *argument = count > 1 ? words[1] : "";
    bool hold = strcmp(verb, "hold") == 0;

    if (hold || strcmp(verb, "release") == 0) {
        *(strcmp(argument, "log") == 0 ? &scenario->log_held : &scenario->reads_held) = hold;
        scenario->machine.reads_stall = scenario->reads_held;
    } else if (strcmp(verb, "connect") == 0) {
        connect_actor(scenario, actor_named(scenario, argument));
    } else if (strcmp(verb, "break") == 0) {
        hang_up(scenario, actor_named(scenario, argument));
    } else if (strcmp(verb, "crash") == 0) {
        crash(scenario, (uint32_t)strtoul(argument, NULL, 10));
    } else if (strcmp(verb, "boot") == 0) {
        boot(scenario);
    } else if (strcmp(verb, "checkpoint") == 0) {
        checkpoint(scenario);
    } else if (strcmp(verb, "wall") == 0) {
        scenario->wall_off_ms += strtoll(argument, NULL, 10);
    } else if (strcmp(verb, "advance") == 0) {
        advance(scenario, strtoll(argument, NULL, 10));
    } else {
        return false;
    }
    return true;
}

/* ---- Commands of an actor ---- */

static struct jute_request request_of(char **words, size_t count)
{
    static const struct {
        const char *name;
        int32_t op;
    } names[] = {
        {"create", JUTE_CREATE}, {"delete", JUTE_DELETE},       {"set", JUTE_SET_DATA},
        {"get", JUTE_GET_DATA},  {"exists", JUTE_EXISTS},       {"children", JUTE_GET_CHILDREN},
        {"sync", JUTE_SYNC},     {"ping", JUTE_PING},           {"auth", JUTE_AUTH},
        {"call", JUTE_CALL},     {"close", JUTE_CLOSE_SESSION}, {"ephemeral", JUTE_CREATE},
        {"node", JUTE_CREATE},   {"rewatch", JUTE_SET_WATCHES},
    };
    struct jute_request request = {.op = -999};
    struct mk_bytes first = count > 1 ? mk_bytes_text(words[1]) : MK_BYTES_NULL;
    struct mk_bytes second = count > 2 ? mk_bytes_text(words[2]) : MK_BYTES("");

    for (size_t i = 0; i < MK_COUNT(names); i++) {
        if (strcmp(words[0], names[i].name) == 0) {
            request.op = names[i].op;
        }
    }
    request.path = first;
    request.data = second;
    request.acl = MK_BYTES("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone");
    request.flags = strcmp(words[0], "ephemeral") == 0 ? 1 : strcmp(words[0], "node") == 0 ? 3 : 0;
    request.version = -1;
    request.watch = count > 2 && strcmp(words[2], "watch") == 0;
    if (request.op == JUTE_AUTH) {
        request.scheme = first;
        request.xid = JUTE_XID_AUTH;
    } else if (request.op == JUTE_PING) {
        request.xid = JUTE_XID_PING;
    } else if (request.op == JUTE_CALL && count > 2) {
        request.call_id = strtoll(words[1], NULL, 10);
        request.operation = second;
        request.data = count > 3 ? mk_bytes_text(words[3]) : MK_BYTES("{}");
    }
    return request;
}

/* setWatches for the data of all the paths named, by somebody who has seen all that there is. */
static void put_watches(struct scenario *scenario, char **words, size_t count,
                        struct jute_request *request)
{
    scenario->scratch.len = 0;
    for (size_t i = 1; i < count; i++) {
        mk_buf_put_field(&scenario->scratch, mk_bytes_text(words[i]));
    }
    request->relative_zxid = scenario->check.model.zxid;
    request->lists[0].count = (int32_t)count - 1;
    request->lists[0].bytes = mk_buf_view(&scenario->scratch);
    for (int list = 1; list < JUTE_LISTS_MAX; list++) {
        request->lists[list].bytes = MK_BYTES("");
    }
}

static bool actor_command(struct scenario *scenario, char **words, size_t count)
{
    struct actor *actor = actor_named(scenario, words[0]);
    struct jute_request request =
        count > 1 ? request_of(words + 1, count - 1) : (struct jute_request){.op = -999};
    struct mk_buf frame = {0};

    if (actor->server == NULL || request.op == -999) {
        return false;
    }
    if (request.op == JUTE_SET_WATCHES) {
        put_watches(scenario, words + 1, count - 1, &request);
    }
    if (request.xid == 0) {
        request.xid = ++actor->xid;
        (void)mk_map_u64_put(&actor->ops, (uint64_t)request.xid,
                             (void *)(uintptr_t)request.op); /* -11 too: it is not looked at */
    }
    jute_request_encode(&frame, &request);
    send_frame(scenario, actor, &frame);
    mk_buf_free(&frame);
    return true;
}

/* ---- The text ---- */

static size_t split(char *line, char **words)
{
    size_t count = 0;
    char *word = strtok(line, " ");

    while (word != NULL && count < WORDS_MAX) {
        words[count++] = word;
        word = strtok(NULL, " ");
    }
    return count;
}

static void do_line(struct scenario *scenario, struct mk_bytes line)
{
    char text[1024];
    char *words[WORDS_MAX];

    if (line.len == 0 || line.data[0] == '#') {
        say(scenario, "%.*s", (int)line.len, (const char *)line.data);
    }
    if (line.len < 2 || line.data[0] != '>' || line.len >= sizeof(text)) {
        return; /* what was expected: it is not looked at here */
    }
    say(scenario, "%.*s", (int)line.len, (const char *)line.data);
    memcpy(text, line.data + 1, line.len - 1);
    text[line.len - 1] = '\0';
    size_t count = split(text, words);
    if (scenario->machine.server != NULL) {
        tick(scenario);
    }
    if (count == 0 ||
        !(world_command(scenario, words, count) || actor_command(scenario, words, count))) {
        say(scenario, "  this command cannot be done");
        scenario->failed = true;
    }
    settle(scenario);
}

static void init(struct scenario *scenario, const struct sim_scenario_options *options)
{
    *scenario = (struct scenario){.options = options};
    server_options_default(&scenario->server_options);
    scenario->recipe =
        (struct server_recipe){.name = MK_BYTES("lock"), .source = options->lock_source};
    scenario->server_options.extended_types = true;
    scenario->server_options.super_digest =
        mk_bytes_text(sim_credentials[SIM_CREDENTIALS_SUPER].id);
    scenario->server_options.catalogue = &scenario->recipe;
    scenario->server_options.catalogue_count = 1;
    struct sim_machine_options machine = {.server = &scenario->server_options,
                                          .seed = 1,
                                          .cache_bytes = 1 << 20,
                                          .overlay_bytes = 1 << 20};
    sim_machine_init(&scenario->machine, &machine);
    sim_check_init(&scenario->check, &scenario->server_options);
    boot(scenario);
    settle(scenario);
}

static void deinit(struct scenario *scenario)
{
    drop_loads(scenario);
    for (size_t i = 0; i < scenario->actors_count; i++) {
        mk_map_u64_free(&scenario->actors[i].ops);
    }
    mk_buf_free(&scenario->scratch);
    sim_check_deinit(&scenario->check);
    sim_machine_deinit(&scenario->machine);
}

bool sim_scenario(const struct sim_scenario_options *options)
{
    struct scenario *scenario = mk_alloc(sizeof(*scenario));
    struct mk_bytes rest = options->text;

    init(scenario, options);
    while (rest.len > 0 && sim_check_ok(&scenario->check) && !scenario->failed) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
        do_line(scenario, mk_bytes_of(rest.data, len));
        len += end == NULL ? 0 : 1;
        rest = mk_bytes_of(rest.data + len, rest.len - len);
    }
    if (sim_check_ok(&scenario->check) && scenario->machine.server != NULL) {
        sim_check_store(&scenario->check, scenario->machine.store);
        server_check(scenario->machine.server);
    }
    bool passed = sim_check_ok(&scenario->check) && !scenario->failed;
    if (!sim_check_ok(&scenario->check)) {
        say(scenario, "  WRONG: %s", scenario->check.failure.text);
    }
    deinit(scenario);
    mk_free(scenario);
    return passed;
}
