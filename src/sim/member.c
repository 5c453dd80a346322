/* A host whose server is a member of an ensemble: what the server wants done besides, each in its time.
 *
 *   epochs, the end of the log, a state that is received: with the disk for a while
 *   pieces of a state that is sent: read by another thread
 *   a dial: until it succeeds, or has been tried often enough
 *
 * A crash may come between any two of these; what the disk had been given may be on it or not. */
#include "sim/run.h"

#define DISK_MAX_MS 6
#define DIAL_TRIES 5
#define DIAL_PAUSE_MS 20

static mk_ms disk_ms(struct sim_host *host)
{
    bool slow = host->run->now_ms < host->sync_slow_until_ms;

    return (mk_ms)sim_below(host->run, (uint64_t)(slow ? host->sync_max_ms : DISK_MAX_MS));
}

/* ---- The disk ---- */

static void epochs_happen(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;

    (void)run;
    if (sim_turn_begin(host)) {
        host->machine.epochs_before = host->machine.epochs;
        host->machine.epochs = host->machine.storing;
        host->machine.epochs_out = false;
        server_epochs_stored(host->machine.server);
        sim_turn_check(host);
        sim_turn_end(host);
    }
}

static void truncate_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;
    struct sim_member *member = &host->member;

    if (sim_turn_begin(host)) {
        sim_log(run, "%slog truncated to 0x%llx", host->name,
                (unsigned long long)member->truncate_zxid);
        run->report->truncations++;
        member->truncate_out = false;
        sim_machine_log_truncate(&host->machine, member->truncate_zxid,
                                 sim_sabotage_truncation(run));
        server_truncated(host->machine.server);
        sim_turn_check(host);
        sim_turn_end(host);
    }
}

static void install_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;
    struct server_install *step = &host->member.step;
    struct mk_error error = {""};

    if (!sim_turn_begin(host)) {
        return;
    }
    host->member.step_out = false;
    if (host->machine.reads_fail) {
        sim_host_crash(host, "a snapshot cannot be taken in"); /* as a process would */
        return;
    }
    if (!sim_machine_install(&host->machine, step, &error)) {
        sim_check_fail(&host->check, "a snapshot cannot be taken in: %s", error.text);
    } else if (step->step != SERVER_INSTALL_FINISH) {
        server_install_done(host->machine.server, step);
    } else {
        sim_log(run, "%ssnapshot of 0x%llx installed", host->name, (unsigned long long)step->zxid);
        run->report->snapshots++;
        sim_agree_installed(&host->check, step->zxid);
        host->committed_ms = run->now_ms;
    }
    sim_turn_check(host);
    sim_turn_end(host);
}

static void piece_happens(struct sim_run *run, void *owner)
{
    struct sim_piece *piece = owner;
    struct sim_host *host = piece->event.host;
    struct server_snapshot *snapshot = piece->snapshot;

    (void)run;
    if (sim_turn_begin(host)) {
        piece->snapshot = NULL;
        server_snapshot_read(snapshot);
        server_snapshot_done(host->machine.server, snapshot);
        sim_turn_check(host);
        sim_turn_end(host);
    }
}

static void take_pieces(struct sim_host *host)
{
    for (size_t i = 0; i < SIM_PIECES_MAX; i++) {
        struct sim_piece *piece = &host->member.pieces[i];
        if (piece->snapshot == NULL &&
            (piece->snapshot = server_snapshot_take(host->machine.server)) != NULL) {
            sim_event_at(host->run, &piece->event, disk_ms(host));
        }
    }
}

static void take_disk(struct sim_host *host)
{
    struct server *server = host->machine.server;
    struct sim_member *member = &host->member;

    if (!host->machine.epochs_out && server_epochs_take(server, &host->machine.storing)) {
        host->machine.epochs_out = true;
        sim_event_at(host->run, &member->epochs_event, disk_ms(host));
    }
    if (!member->truncate_out && !host->machine.batch_out &&
        server_truncate_take(server, &member->truncate_zxid)) {
        member->truncate_out = true;
        sim_event_at(host->run, &member->truncate_event, disk_ms(host));
    }
    if (!member->step_out && server_install_take(server, &member->step)) {
        member->step_out = true;
        sim_event_at(host->run, &member->install_event, disk_ms(host));
    }
    take_pieces(host);
}

/* ---- Other servers ---- */

static struct sim_host *host_of(struct sim_run *run, int64_t id)
{
    MK_ASSERT(id >= 1 && id <= run->hosts_count);
    return &run->hosts[id - 1];
}

static void dial_happens(struct sim_run *run, void *owner)
{
    struct sim_host *host = owner;
    struct sim_member *member = &host->member;
    struct sim_host *to = host_of(run, member->dial_to);

    if (!sim_turn_begin(host)) {
        return;
    }
    if (to->machine.server != NULL && !sim_cut(host, to) && !sim_cut(to, host)) {
        sim_wire_dial(host, to);
    } else if (++member->dial_tries < DIAL_TRIES) {
        sim_event_at(run, &member->dial_event, DIAL_PAUSE_MS);
    } else {
        server_dial_failed(host->machine.server, member->dial_to);
    }
    sim_turn_check(host);
    sim_turn_end(host);
}

void sim_member_turn(struct sim_host *host)
{
    struct server *server = host->machine.server;
    struct mk_buf message = {0};
    int64_t to;

    take_disk(host);
    while (server_notification_take(server, &to, &message)) {
        sim_mail_send(&host->member.mails[to - 1], mk_buf_view(&message));
    }
    mk_buf_free(&message);
    if (server_dial_take(server, &to)) {
        host->member.dial_to = to;
        host->member.dial_tries = 0;
        sim_event_at(host->run, &host->member.dial_event, (mk_ms)sim_below(host->run, 4));
    }
    if (server_serving(server)) {
        host->machine.forgot = false;
    }
}

/* ---- Life ---- */

static void options_init(struct sim_host *host)
{
    struct sim_run *run = host->run;
    struct server_ensemble *ensemble = &host->options.ensemble;

    host->options.recipes = false;
    host->options.server_id = (uint8_t)(host->number + 1);
    ensemble->text = MK_BYTES("version=0");
    ensemble->init_limit = 10;
    ensemble->sync_limit = 5;
    ensemble->finalize_ms = 20;
    ensemble->notify_min_ms = 20;
    ensemble->notify_max_ms = 2000;
    ensemble->history_count = run->history_count;
    ensemble->members_count = (size_t)run->options.servers;
    for (int i = 0; i < run->options.servers; i++) {
        ensemble->members[i] = (struct server_member){
            .id = i + 1, .observer = i >= run->options.servers - run->observers, .weight = 1};
    }
}

static void event_init(struct sim_host *host, struct sim_event *event,
                       void (*happen)(struct sim_run *run, void *owner))
{
    *event = (struct sim_event){.happen = happen, .owner = host, .host = host};
}

void sim_member_init(struct sim_host *host)
{
    struct sim_member *member = &host->member;

    options_init(host);
    event_init(host, &member->dial_event, dial_happens);
    event_init(host, &member->epochs_event, epochs_happen);
    event_init(host, &member->truncate_event, truncate_happens);
    event_init(host, &member->install_event, install_happens);
    for (size_t i = 0; i < SIM_PIECES_MAX; i++) {
        member->pieces[i].event =
            (struct sim_event){.happen = piece_happens, .owner = &member->pieces[i], .host = host};
    }
    for (int i = 0; i < host->run->options.servers; i++) {
        sim_mail_init(&member->mails[i], host, &host->run->hosts[i]);
    }
}

/* Epochs that the disk was given: both are on it, the accepted one, or neither. */
static void epochs_crash(struct sim_host *host)
{
    struct sim_machine *machine = &host->machine;
    uint64_t stored = machine->epochs_out ? sim_below(host->run, 3) : 0;

    if (stored > 0) {
        machine->epochs.accepted = machine->storing.accepted;
    }
    if (stored > 1) {
        machine->epochs.current = machine->storing.current;
    }
}

static void pieces_drop(struct sim_host *host)
{
    for (size_t i = 0; i < SIM_PIECES_MAX; i++) {
        struct sim_piece *piece = &host->member.pieces[i];
        sim_event_cancel(host->run, &piece->event);
        if (piece->snapshot != NULL) {
            server_snapshot_done(host->machine.server, piece->snapshot);
            piece->snapshot = NULL;
        }
    }
}

void sim_member_crash(struct sim_host *host)
{
    struct sim_member *member = &host->member;
    struct sim_event *events[] = {&member->dial_event, &member->epochs_event,
                                  &member->truncate_event, &member->install_event};

    for (size_t i = 0; i < MK_COUNT(events); i++) {
        sim_event_cancel(host->run, events[i]);
    }
    epochs_crash(host);
    sim_sabotage_epochs(host);
    if (member->truncate_out && sim_one_in(host->run, 2)) {
        sim_machine_log_truncate(&host->machine, member->truncate_zxid, false);
    }
    member->truncate_out = member->step_out = false;
    pieces_drop(host);
    sim_wires_crash(host);
    host->check.agreed_serving = false;
    host->paused_until_ms = 0;
}

void sim_member_boot(struct sim_host *host)
{
    sim_wires_boot(host);
    sim_turn_check(host);
    sim_turn_end(host);
}

void sim_member_deinit(struct sim_host *host)
{
    if (host->machine.server != NULL) {
        pieces_drop(host);
    }
    for (int i = 0; i < host->run->options.servers; i++) {
        sim_event_cancel(host->run, &host->member.mails[i].event);
        mk_buf_free(&host->member.mails[i].newest);
    }
}
