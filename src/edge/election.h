/* Private to edge: the election port. One connection with each other server is kept; on it go whole
 * messages, of which only the newest counts. What they mean is the core's affair. */
#ifndef EDGE_ELECTION_H
#define EDGE_ELECTION_H

#include "edge/stream.h"

struct election_member {
    int64_t id;
    const char *host; /* borrowed */
    uint32_t port;
    bool observer;
};
struct election_options {
    uv_loop_t *loop;
    const struct mk_log *log;
    struct streams *streams;               /* of that loop; borrowed */
    struct tls *tls;                       /* NULL: connections are plain */
    bool dials_secure;                     /* sslQuorum: with TLS; others are accepted with it, */
    bool accepts_either;                   /* portUnification: or without */
    const struct election_member *members; /* own one included; borrowed */
    size_t members_count;
    int64_t id;               /* own */
    bool listen_all;          /* quorumListenOnAllIPs */
    bool keepalive;           /* tcpKeepAlive */
    mk_ms connect_timeout_ms; /* cnxTimeout */
    mk_ms silence_ms; /* tickTime * syncLimit: until a hello, or an acknowledgement by TCP */
    /* A message has come. `message` is borrowed for the call. */
    void (*notified)(void *context, int64_t from, struct mk_bytes message);
    /* A connection with it stands, or it broke, or could not be made. NULL: nobody asks. */
    void (*reachable)(void *context, int64_t id, bool reachable);
    void *context;
};
struct election;
/* Listen at the own address. NULL: `error` says why that cannot be. */
struct election *election_open(const struct election_options *options, struct mk_error *error);
uint32_t election_port(const struct election *election); /* which it became */
/* Take connections, and make them. */
enum mk_status election_start(struct election *election, struct mk_error *error);
/* The message that `to` should have; one that it has not got yet is forgotten. */
void election_send(struct election *election, int64_t to, struct mk_bytes message);
/* Everything is closed; the memory goes when the loop has run. */
void election_close(struct election *election);

struct election_peer_state {
    int64_t id;
    bool connected;
    mk_ms since_ms;  /* monotonic, since when it is or is not */
    const char *why; /* it is not; NULL: nothing is known */
};
/* Of the n-th member; false behind the last. */
bool election_peer_state(const struct election *election, size_t index,
                         struct election_peer_state *out);

#endif
