/* Bugs on purpose, between the server and the checker: a checker that has never been seen to find
 * anything proves nothing. None of this is in the server. */
#include "sim/run.h"

#include <string.h>

static const char *const names[] = {
    [SIM_SABOTAGE_NONE] = "none",
    [SIM_SABOTAGE_FORGET_SYNCED] = "forget-synced",
    [SIM_SABOTAGE_SWAP_REPLIES] = "swap-replies",
    [SIM_SABOTAGE_LOSE_EVENT] = "lose-event",
    [SIM_SABOTAGE_REPEAT_EVENT] = "repeat-event",
    [SIM_SABOTAGE_STALE_STAT] = "stale-stat",
    [SIM_SABOTAGE_EARLY_REPLY] = "early-reply",
    [SIM_SABOTAGE_HASTY_CLOCK] = "hasty-clock",
    [SIM_SABOTAGE_LOSE_CHECKPOINT] = "lose-checkpoint",
    [SIM_SABOTAGE_FORGE_RESULT] = "forge-result",
    [SIM_SABOTAGE_LOCK_FOR_ALL] = "lock-for-all",
    [SIM_SABOTAGE_LOCK_CONSTANT_FENCE] = "lock-constant-fence",
    [SIM_SABOTAGE_MIXED_VERSIONS] = "mixed-versions",
    [SIM_SABOTAGE_REAL_DRY_RUN] = "real-dry-run",
    [SIM_SABOTAGE_STALE_CALL_READ] = "stale-call-read",
    [SIM_SABOTAGE_CALL_MOURNS] = "call-mourns",
    [SIM_SABOTAGE_LOSE_LOAD] = "lose-load",
    [SIM_SABOTAGE_LOSE_TRUNCATION] = "lose-truncation",
    [SIM_SABOTAGE_FORGET_EPOCHS] = "forget-epochs",
    [SIM_SABOTAGE_ALTER_PROPOSAL] = "alter-proposal",
};

const char *sim_sabotage_name(enum sim_sabotage sabotage)
{
    MK_ASSERT(sabotage < SIM_SABOTAGE_COUNT);
    return names[sabotage];
}

/* ---- The disk lies ---- */

bool sim_sabotage_sync(struct sim_run *run)
{
    return run->options.sabotage == SIM_SABOTAGE_EARLY_REPLY && sim_one_in(run, 50);
}

void sim_sabotage_crash(struct sim_host *host)
{
    struct sim_machine *machine = &host->machine;
    struct sim_run *run = host->run;

    if (run->options.sabotage == SIM_SABOTAGE_FORGET_SYNCED) {
        sim_machine_log_cut(machine);
    } else if (run->options.sabotage == SIM_SABOTAGE_LOSE_CHECKPOINT) {
        sim_machine_checkpoint_forget(machine);
    }
}

/* ---- The clock runs ahead ---- */

struct server_time sim_sabotage_time(struct sim_run *run, struct server_time now)
{
    if (run->options.sabotage == SIM_SABOTAGE_HASTY_CLOCK) {
        now.monotonic_ms += run->now_ms * 4;
    }
    return now;
}

/* ---- The output is tampered with ---- */

struct frames { /* two neighbours in the output, from `at` */
    uint8_t *at;
    size_t first, second; /* whole, with their lengths; second may be 0 */
};

static size_t frame_bytes(const struct mk_buf *output, size_t at)
{
    return at >= output->len ? 0 : 4 + (size_t)mk_load_u32(output->data + at);
}

static int32_t frame_xid(const uint8_t *frame)
{
    return (int32_t)mk_load_u32(frame + 4);
}

static int32_t frame_error(const uint8_t *frame)
{
    return (int32_t)mk_load_u32(frame + 16);
}

static void cut(struct mk_buf *output, size_t at, size_t len)
{
    memmove(output->data + at, output->data + at + len, output->len - at - len);
    output->len -= len;
}

static void repeat(struct mk_buf *output, size_t at, size_t len)
{
    size_t rest = output->len - at;

    (void)mk_buf_grow(output, len);
    memmove(output->data + at + len, output->data + at, rest);
}

static void swap(struct sim_run *run, struct mk_buf *output, size_t at, size_t first, size_t second)
{
    run->scratch.len = 0;
    mk_buf_append(&run->scratch, output->data + at, first);
    memmove(output->data + at, output->data + at + first, second);
    memcpy(output->data + at + second, run->scratch.data, first);
}

/* The digit behind `name`, in the result of a call. */
static void forge(uint8_t *frame, size_t len, const char *name)
{
    uint8_t *at = memmem(frame, len, name, strlen(name));

    if (at != NULL) {
        at += strlen(name);
        *at = *at == '9' ? '8' : (uint8_t)(*at + 1);
    }
}

static void tamper(struct sim_run *run, struct mk_buf *output, size_t at, size_t len)
{
    uint8_t *frame = output->data + at;
    size_t next = frame_bytes(output, at + len);
    bool event = frame_xid(frame) == JUTE_XID_NOTIFICATION;

    switch (run->options.sabotage) {
    case SIM_SABOTAGE_LOSE_EVENT:
        if (event && sim_one_in(run, 20)) {
            cut(output, at, len);
        }
        break;
    case SIM_SABOTAGE_REPEAT_EVENT:
        if (event && sim_one_in(run, 20)) {
            repeat(output, at, len);
        }
        break;
    case SIM_SABOTAGE_SWAP_REPLIES:
        if (next > 0 && frame_xid(frame) > 0 && frame_xid(frame + len) > 0 && sim_one_in(run, 20)) {
            swap(run, output, at, len, next);
        }
        break;
    case SIM_SABOTAGE_STALE_STAT:
        if (len > 20 + JUTE_STAT_BYTES && frame_xid(frame) > 0 && frame_error(frame) == 0 &&
            sim_one_in(run, 20)) {
            frame[len - 1] ^= 1; /* the stat's last byte: pzxid */
        }
        break;
    case SIM_SABOTAGE_FORGE_RESULT: forge(frame, len, "\"fence\":"); break;
    case SIM_SABOTAGE_STALE_CALL_READ: forge(frame, len, "{\"value\":"); break;
    default: break;
    }
}

void sim_sabotage_output(struct sim_run *run, struct sim_check_conn *conn)
{
    struct mk_buf *output = server_conn_output(conn->server);

    if (run->options.sabotage == SIM_SABOTAGE_NONE || conn->state != SIM_CONN_ATTACHED ||
        conn->tampered >= output->len) {
        return;
    }
    if (conn->tampered < conn->checked) {
        conn->tampered = conn->checked;
    }
    while (conn->tampered < output->len) {
        tamper(run, output, conn->tampered, frame_bytes(output, conn->tampered));
        conn->tampered += frame_bytes(output, conn->tampered);
    }
}

/* ---- The recipe is another one ---- */

static void replace(struct mk_buf *text, const char *old, const char *new)
{
    uint8_t *at = memmem(text->data, text->len, old, strlen(old));

    MK_ASSERT(at != NULL); /* the recipe has changed: this has to change with it */
    size_t before = (size_t)(at - text->data);
    struct mk_buf changed = {0};
    mk_buf_append(&changed, text->data, before);
    mk_buf_append_bytes(&changed, mk_bytes_text(new));
    mk_buf_append(&changed, at + strlen(old), text->len - before - strlen(old));
    mk_buf_free(text);
    *text = changed;
}

void sim_sabotage_recipes(struct sim_run *run)
{
    struct mk_buf *lock = &run->recipe_source;

    if (run->options.sabotage == SIM_SABOTAGE_LOCK_FOR_ALL) {
        replace(lock, "if ahead then", "if false then");
    } else if (run->options.sabotage == SIM_SABOTAGE_LOCK_CONSTANT_FENCE) {
        replace(lock, "result(ticket, said, call.zxid)", "result(ticket, said, 7)");
    } else if (run->options.sabotage == SIM_SABOTAGE_CALL_MOURNS) {
        replace(&run->tally_source, "if call.now < at then",
                "if not session.alive(call.session) then fail('SessionExpired') end "
                "if call.now < at then");
    }
}

void sim_sabotage_gate(struct sim_run *run, struct mk_buf *source)
{
    if (run->options.sabotage == SIM_SABOTAGE_MIXED_VERSIONS) {
        replace(source, "{ gate = version }", "{ gate = waited and version + 1 or version }");
    }
}

/* ---- What a client sends arrives as something else; what the disk answers does not ---- */

struct mk_bytes sim_sabotage_frame(struct sim_run *run, struct mk_bytes frame)
{
    struct jute_request request;

    if (run->options.sabotage != SIM_SABOTAGE_REAL_DRY_RUN ||
        jute_request_decode(frame, &request) != MK_OK || request.op != JUTE_CALL ||
        !request.dry_run) {
        return frame;
    }
    request.dry_run = false;
    run->scratch.len = 0;
    jute_request_encode(&run->scratch, &request);
    return mk_bytes_of(run->scratch.data + 4, run->scratch.len - 4);
}

bool sim_sabotage_load(struct sim_run *run, struct server_load *load)
{
    if (run->options.sabotage != SIM_SABOTAGE_LOSE_LOAD || !sim_one_in(run, 20)) {
        return false;
    }
    store_load_free(&load->rows);
    return true;
}

/* ---- Between members ---- */

bool sim_sabotage_truncation(struct sim_run *run)
{
    return run->options.sabotage == SIM_SABOTAGE_LOSE_TRUNCATION;
}

/* What is there again is seen if it is the end of the longest log: power fails for all when whoever has it serves,
 * before anything is behind the cut. */
void sim_sabotage_power(struct sim_run *run)
{
    bool fails = false;

    if (run->options.sabotage != SIM_SABOTAGE_LOSE_TRUNCATION) {
        return;
    }
    for (int i = 0; i < run->hosts_count; i++) {
        const struct sim_machine *machine = &run->hosts[i].machine;
        fails = fails ||
                (machine->server != NULL && machine->uncut.len > 0 &&
                 machine->entries_last == machine->uncut_behind && server_serving(machine->server));
    }
    for (int i = 0; fails && sim_run_ok(run) && i < run->hosts_count; i++) {
        if (run->hosts[i].machine.server != NULL) {
            sim_host_crash(&run->hosts[i], "power failed for all");
        }
    }
}

void sim_sabotage_epochs(struct sim_host *host)
{
    if (host->run->options.sabotage == SIM_SABOTAGE_FORGET_EPOCHS) {
        host->machine.epochs = host->machine.epochs_before;
    }
}

/* The last byte of the first transaction in what is sent: of its data, or of its ACL. */
void sim_sabotage_packets(struct sim_run *run, struct mk_buf *packets)
{
    struct jute_packet packet;
    size_t used;

    if (run->options.sabotage != SIM_SABOTAGE_ALTER_PROPOSAL || packets->len == 0 ||
        jute_packet_read(mk_buf_view(packets), packets->len, &packet, &used) != MK_OK ||
        packet.type != JUTE_PACKET_PROPOSAL || packet.data.len == 0 || !sim_one_in(run, 20)) {
        return;
    }
    size_t at = (size_t)(packet.data.data - packets->data) + packet.data.len - 1;
    packets->data[at] ^= 1;
}
