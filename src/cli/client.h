/* Private to cli: a session with one server of a list, as a client has it. One thread, no callbacks:
 * client_wait() returns when something that the caller asked for has happened, and sends pings
 * meanwhile. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/base.h"
#include "jute/jute.h"

/* A reply may list a million children; a server that claims more than this is not one. */
#define CLIENT_FRAME_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum client_end {
    CLIENT_REPLY,       /* a reply is there */
    CLIENT_LATE,        /* the time given has passed */
    CLIENT_LOST,        /* the connection has broken, or the server has fallen silent */
    CLIENT_EXPIRED,     /* the server does not know the session (any more) */
    CLIENT_UNREACHABLE, /* no server of the list gives a session */
    CLIENT_SIGNALLED,   /* SIGINT or SIGTERM, see client->signal */
    CLIENT_INPUT_ENDED, /* standard input was closed */
};

struct client {
    const char *servers;
    int socket;  /* -1: not connected */
    int signals; /* a signalfd, or -1: signals end the process as usual */
    int signal;  /* the last one that came */
    int64_t session_id;
    uint8_t password[JUTE_PASSWORD_BYTES];
    mk_ms timeout_ms; /* asked for, then what the server granted */
    mk_zxid zxid_seen;
    int32_t xid;
    mk_ms heard_ms; /* when bytes last came */
    mk_ms sent_ms;
    struct mk_buf in;
    size_t in_used;        /* of `in`: the frame handed out last, gone at the next wait */
    struct mk_error error; /* why the last connection ended, or could not be had */
};

mk_ms client_now(void); /* monotonic */

/* `servers` is borrowed. */
void client_init(struct client *client, const char *servers, mk_ms timeout_ms);
/* Close the session if there is one, waiting a moment for the answer, and free. */
void client_deinit(struct client *client);

/* From now on SIGINT and SIGTERM are reported by client_wait() instead of ending the process. */
void client_signals_catch(struct client *client);

/* Try each server once for a session: a new one, or the one that there was. CLIENT_REPLY: attached. */
enum client_end client_attach(struct client *client);

/* Send a request; its xid is set, and returned. A failure to send shows in the next wait. */
int32_t client_send(struct client *client, struct jute_request *request);

/* Until a reply comes (events and answered pings are passed over), or `until_ms`, by client_now(),
 * has come; INT64_MAX: no limit. `*reply` borrows until the next call. */
enum client_end client_wait(struct client *client, mk_ms until_ms, bool watch_input,
                            struct jute_reply *reply);

/* Attach again after CLIENT_LOST, trying for as long as the session may live. CLIENT_REPLY: done. */
enum client_end client_recover(struct client *client);

/* ---- connect.c: sockets ---- */

/* Whether every part of a list of servers is "host", "host:port" or "[address]:port". */
bool servers_valid(const char *servers, struct mk_error *error);
/* The server behind `*at`, which moves behind it; false: there was none. */
struct server_name {
    char host[256];
    char port[6];
};
bool servers_next(const char **at, struct server_name *name);
/* A connected, non-blocking socket; or -1, and `error` says why. */
int socket_connect(const struct server_name *name, mk_ms until_ms, struct mk_error *error);

#endif
