/* Private to sim: a run of the simulator. One host or several that are an ensemble, a handful of clients,
 * their connections, and everything that goes wrong, all from one seed. A step is one thing that happens
 * at one moment. */
#ifndef MK_SIM_RUN_H
#define MK_SIM_RUN_H

#include "sim/check.h"
#include "sim/machine.h"
#include "sim/sim.h"

struct sim_run;
struct sim_host;

/* ---- What happens at a moment ---- */

struct sim_event {
    struct mk_timer timer;
    void (*happen)(struct sim_run *run, void *owner);
    void *owner;
    struct sim_host *host; /* whose process has to run for it; or NULL */
};
void sim_event_at(struct sim_run *run, struct sim_event *event, mk_ms delay_ms);
void sim_event_cancel(struct sim_run *run, struct sim_event *event);
bool sim_event_set(const struct sim_event *event);

/* ---- A pretend connection (link.c) ---- */

struct sim_link {
    struct sim_run *run;
    struct sim_host *host;
    struct mk_link in_host;
    struct sim_client *client;    /* NULL: it has hung up */
    struct server_conn *server;   /* NULL: it has hung up, or died */
    struct sim_check_conn *check; /* as long as `server` */
    struct mk_buf up;             /* from the client, under way */
    struct mk_buf arrived;        /* at the server, less than a frame, or more while it is paused */
    struct mk_buf down;           /* from the server, under way */
    struct mk_buf received;       /* at the client, less than a frame */
    struct sim_event up_event, down_event, take_event, hangup_event;
    mk_ms stalled_until_ms; /* nothing moves before */
    bool reads_slowly;      /* the server's output is fetched late */
};

struct sim_link *sim_link_open(struct sim_host *host, struct sim_client *client);
void sim_link_send(struct sim_link *link, struct mk_bytes frame); /* client to server */
void sim_link_hang_up(struct sim_link *link);                     /* by the client */
void sim_link_dirty(struct sim_link *link); /* the server has output for it, or closes it */
void sim_link_server_died(struct sim_link *link);
void sim_link_free(struct sim_link *link);
bool sim_link_quiet(const struct sim_link *link);

/* ---- A pretend client (client.c, client_do.c, client_call.c) ---- */

enum { SIM_LIST_DATA, SIM_LIST_EXIST, SIM_LIST_CHILD, SIM_LIST_PERSISTENT, SIM_LIST_RECURSIVE };

struct sim_pending { /* a request without a reply */
    int32_t xid, op;
    struct mk_buf path, data;
    bool watch;
    int32_t mode;
    int64_t call_id; /* 0 too for what is not asked again: dry runs */
    mk_ms sent_ms;
};

struct sim_client {
    struct sim_run *run;
    int number;
    char address[24];
    struct sim_link *link;
    bool connected; /* its session is attached */
    struct sim_event act_event;
    mk_session session;
    uint8_t password[JUTE_PASSWORD_BYTES];
    int32_t timeout_ms;
    int32_t xid;
    mk_zxid zxid_seen;
    mk_ms heard_ms; /* when a byte came last */
    mk_ms sent_ms;
    unsigned identities; /* credentials that it sends, a bit each */
    bool closing;        /* closeSession is sent */
    bool sleeping;       /* it says nothing until it wakes */
    struct sim_pending *pending;
    size_t pending_count, pending_cap;
    struct sim_paths watches[JUTE_LISTS_MAX];
    int64_t call_id;                /* last one given out */
    struct sim_paths tickets;       /* that it believes to hold */
    struct sim_paths nodes;         /* call nodes that it made */
    struct sim_pending *unanswered; /* calls of a lost connection, to ask again for */
    size_t unanswered_count, unanswered_cap;
};

void sim_client_init(struct sim_run *run, struct sim_client *client, int number);
void sim_client_deinit(struct sim_client *client);
void sim_client_frame(struct sim_client *client, struct mk_bytes frame); /* a whole one came */
void sim_client_lost(struct sim_client *client);                         /* its connection */
void sim_client_do(struct sim_client *client);                           /* something, at random */
struct sim_check *sim_client_check(const struct sim_client *client); /* of the server it talks to */
struct sim_pending *sim_client_send(struct sim_client *client, struct jute_request *request);
void sim_client_send_frame(struct sim_client *client, struct mk_bytes frame);
/* For what was sent as a frame. */
void sim_client_note(struct sim_client *client, const struct jute_request *request);
void sim_client_call(struct sim_client *client, const char *operation, int64_t call_id,
                     struct mk_bytes arguments);
void sim_client_try(struct sim_client *client, const char *operation, int64_t call_id,
                    struct mk_bytes arguments); /* a dry run */
void sim_client_answered(struct sim_client *client, struct sim_pending *pending,
                         const struct jute_reply *reply);

struct sim_arguments { /* of one thing that a client does */
    struct mk_buf path, data, acl, more;
};
void sim_choose_new_path(struct sim_client *client, struct mk_buf *path);
void sim_act_call(struct sim_client *client, struct sim_arguments *arguments);
void sim_act_node(struct sim_client *client, struct sim_arguments *arguments);
void sim_act_raw_lock(struct sim_client *client, struct sim_arguments *arguments);
void sim_act_tally(struct sim_client *client, struct sim_arguments *arguments);
void sim_act_recipe(struct sim_client *client, struct sim_arguments *arguments);

bool sim_paths_add(struct sim_paths *paths, struct mk_bytes path);
bool sim_paths_remove(struct sim_paths *paths, struct mk_bytes path);
void sim_paths_free(struct sim_paths *paths);

/* ---- A host: a server, its disk, its clock, and who judges it (host.c) ---- */

#define SIM_LOADS_MAX 64

struct sim_load_event {
    struct sim_event event;
    struct server_load load;
    bool used;
    bool loaded; /* already; what is left is to hand it over */
};

/* Between two servers (wire.c). */
struct sim_mail { /* the newest message of the election from one to another */
    struct sim_host *from, *to;
    struct mk_buf newest;
    bool pending;
    struct sim_event event;
};
struct sim_wire_end {
    struct sim_wire *wire;
    struct sim_host *host;
    struct server_peer *peer; /* NULL: it is not open here any more, or not yet */
    bool accepts;             /* not yet */
    bool shut;                /* the other end is, and what is coming is the last */
    struct mk_buf coming;     /* under way to this end */
    struct sim_event event;
};
struct sim_wire { /* a connection between quorum ports; ends[0] has dialled */
    struct mk_link in_run;
    struct sim_wire_end ends[2];
    mk_ms stalled_until_ms;
    bool broken; /* nothing that is sent from now on arrives */
};

#define SIM_PIECES_MAX 8
struct sim_piece { /* of a snapshot, for a learner */
    struct sim_event event;
    struct server_snapshot *snapshot; /* NULL: free */
};
/* What a host has besides when its server is a member of an ensemble (member.c). */
struct sim_member {
    struct sim_mail mails[SIM_SERVERS_MAX];
    struct sim_event dial_event;
    int64_t dial_to;
    int dial_tries;
    struct sim_event epochs_event, truncate_event, install_event;
    mk_zxid truncate_zxid;
    bool truncate_out;
    struct server_install step;
    bool step_out;
    struct sim_piece pieces[SIM_PIECES_MAX];
};

struct sim_host {
    struct sim_run *run;
    int number;    /* from 0 */
    char name[16]; /* before its lines in the log; "" when it is alone */
    struct server_options options;
    struct mk_log log;
    struct sim_machine machine;
    struct sim_check check;
    struct mk_link links;
    mk_ms wall_off_ms; /* what its wall clock shows more */
    struct sim_event tick_event, take_event, sync_event, write_event, done_event, boot_event;
    struct sim_load_event loads[SIM_LOADS_MAX];
    size_t loads_count;
    mk_ms sync_max_ms; /* how slow the disk is, for a while */
    mk_ms sync_slow_until_ms;
    mk_ms stuck_until_ms; /* a member's: what waits for it then has its time from then on */
    bool sync_fails;      /* the next one */
    mk_ms committed_ms;   /* when something was, last */
    mk_ms booted_ms;
    mk_ms paused_until_ms; /* its process does not run before */
    struct sim_member member;
};

void sim_host_init(struct sim_run *run, struct sim_host *host, int number);
void sim_host_deinit(struct sim_host *host);
void sim_host_crash(struct sim_host *host, const char *why);
void sim_host_synced(struct sim_host *host);
void sim_host_compare(struct sim_host *host); /* everything that it holds with the model */
struct server_time sim_time(const struct sim_host *host);

bool sim_host_is_member(const struct sim_host *host);

void sim_member_init(struct sim_host *host);
void sim_member_deinit(struct sim_host *host);
void sim_member_crash(struct sim_host *host); /* before its machine does */
void sim_member_boot(struct sim_host *host);
void sim_member_turn(struct sim_host *host); /* what the server wants done, but for its peers */

bool sim_cut(const struct sim_host *from, const struct sim_host *to); /* nothing comes through */
void sim_mail_init(struct sim_mail *mail, struct sim_host *from, struct sim_host *to);
void sim_mail_send(struct sim_mail *mail, struct mk_bytes message);
void sim_mail_again(struct sim_mail *mail); /* the connection is another one */
void sim_wire_dial(struct sim_host *from, struct sim_host *to);
void sim_wires_turn(struct sim_host *host); /* what its server has for its peers */
void sim_wires_crash(struct sim_host *host);
void sim_wires_boot(struct sim_host *host);
void sim_wire_break(struct sim_wire *wire);
void sim_wires_free(struct sim_run *run);

/* Begin a turn: the server learns the time. False: it is down. */
bool sim_turn_begin(struct sim_host *host);
/* After each call of the server: judge its output. */
void sim_turn_check(struct sim_host *host);
/* Do what the server wants done. */
void sim_turn_end(struct sim_host *host);

/* ---- The run (run.c, fault.c) ---- */

#define SIM_CLIENTS_MAX 16
#define SIM_ACTS_MAX 16
#define SIM_FAULTS_MAX 24

enum sim_mood {
    SIM_BUSY,  /* clients do things, things go wrong */
    SIM_QUIET, /* neither; what is under way comes to its end */
    SIM_OVER,  /* and every session goes as well */
};

struct sim_run {
    struct sim_options options;
    struct sim_report *report;
    struct server_options server_options; /* of all hosts, but for who they are */
    struct mk_random random;
    struct sim_host hosts[SIM_SERVERS_MAX];
    int hosts_count;
    struct sim_agreement agreement; /* of more than one */
    int observers;                  /* of the hosts, the last ones */
    uint32_t history_count;
    struct mk_link wires;
    mk_ms cut_until_ms[SIM_SERVERS_MAX][SIM_SERVERS_MAX]; /* from, to */
    struct mk_timers timers;
    mk_ms now_ms; /* monotonic, since the run began */
    uint64_t step;
    enum sim_mood mood;
    mk_ms mood_since_ms;
    uint64_t mood_step; /* the step at which it changes next */
    /* Every run has a taste of its own: it does some things often, and leaves others out. */
    unsigned act_weights[SIM_ACTS_MAX];
    unsigned fault_weights[SIM_FAULTS_MAX];
    mk_ms fault_every_ms;
    uint64_t locks; /* how many there are */
    struct sim_client clients[SIM_CLIENTS_MAX];
    int clients_count;
    struct sim_event fault_event;
    struct mk_buf recipe_source, tally_source;
    struct server_recipe recipes[3];
    struct mk_buf line, scratch;
};

/* `true` once in `n`. */
bool sim_one_in(struct sim_run *run, uint64_t n);
uint64_t sim_below(struct sim_run *run, uint64_t bound);
void sim_log(struct sim_run *run, const char *format, ...) MK_PRINTF(2, 3);
bool sim_run_ok(const struct sim_run *run); /* no checker has found anything */

void sim_fault_choose(struct sim_run *run); /* this run's taste */
void sim_fault_begin(struct sim_run *run);
void sim_client_choose(struct sim_run *run);
/* An index, by weight; SIZE_MAX if all are 0. */
size_t sim_weighted(struct sim_run *run, const unsigned *weights, size_t count);
void sim_weights_taste(struct sim_run *run, unsigned *weights, size_t count);

/* ---- Bugs on purpose (sabotage.c); each does nothing unless it is the one asked for ---- */

void sim_sabotage_output(struct sim_run *run, struct sim_check_conn *conn);
struct server_time sim_sabotage_time(struct sim_run *run, struct server_time now);
bool sim_sabotage_sync(struct sim_run *run); /* true: the log is not to have it */
void sim_sabotage_crash(struct sim_host *host);
void sim_sabotage_recipes(struct sim_run *run);
void sim_sabotage_gate(struct sim_run *run, struct mk_buf *source);
/* What the server is given instead of `frame`. */
struct mk_bytes sim_sabotage_frame(struct sim_run *run, struct mk_bytes frame);
bool sim_sabotage_truncation(struct sim_run *run); /* true: the disk has not got it */
void sim_sabotage_power(struct sim_run *run);      /* after that, behind each step */
void sim_sabotage_epochs(struct sim_host *host);   /* in a crash */
void sim_sabotage_packets(struct sim_run *run, struct mk_buf *packets);
bool sim_sabotage_load(struct sim_run *run, struct server_load *load); /* true: it is lost */

#endif
