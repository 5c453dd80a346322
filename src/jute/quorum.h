/* What servers say to each other, as bytes; part of jute's door, and under its rules: total, stateless,
 * nothing allocated, what is read borrows from what it was read from. Which message may come when, and
 * what it means, is zab's business.
 *
 * Source for every layout: zookeeper-quorum.md, by the section named at each. */
#ifndef JUTE_QUORUM_H
#define JUTE_QUORUM_H

#include "base/base.h"

/* ---- Packets of the quorum port (section 4): records back to back, without a length ---- */

enum jute_packet_type {
    JUTE_PACKET_REQUEST = 1,
    JUTE_PACKET_PROPOSAL = 2,
    JUTE_PACKET_ACK = 3,
    JUTE_PACKET_COMMIT = 4,
    JUTE_PACKET_PING = 5,
    JUTE_PACKET_REVALIDATE = 6,
    JUTE_PACKET_SYNC = 7,
    JUTE_PACKET_INFORM = 8,
    JUTE_PACKET_COMMIT_AND_ACTIVATE = 9,
    JUTE_PACKET_NEWLEADER = 10,
    JUTE_PACKET_FOLLOWERINFO = 11,
    JUTE_PACKET_UPTODATE = 12,
    JUTE_PACKET_DIFF = 13,
    JUTE_PACKET_TRUNC = 14,
    JUTE_PACKET_SNAP = 15,
    JUTE_PACKET_OBSERVERINFO = 16,
    JUTE_PACKET_LEADERINFO = 17,
    JUTE_PACKET_ACKEPOCH = 18,
    JUTE_PACKET_INFORM_AND_ACTIVATE = 19,
};

#define JUTE_PROTOCOL_VERSION 0x10000 /* "Zab 1.0": of LearnerInfo and LEADERINFO */
#define JUTE_PACKET_BYTES_MIN 20      /* neither data nor authinfo */

struct jute_packet {
    int32_t type; /* enum jute_packet_type, or what a peer says instead */
    mk_zxid zxid;
    struct mk_bytes data;     /* null is not empty */
    struct mk_bytes authinfo; /* entries of vector<Id>, each two fields, without the count */
    int32_t authinfo_count;   /* -1: null. {0} is an empty vector, which is not what others send */
};
/* A packet without data and authinfo. */
#define JUTE_PACKET(type, zxid) \
    ((struct jute_packet){(type), (zxid), MK_BYTES_NULL, MK_BYTES_NULL, -1})

/* The packet with which `bytes` begin. MK_OK: *used is how long it is. MK_WOULD_BLOCK: its end has not
 * arrived; no more than 2 * data_max + JUTE_PACKET_BYTES_MIN bytes can be asked for, and a length that
 * is too large is refused as soon as it can be read. MK_MALFORMED: no packet, or data, or all of
 * authinfo, above data_max: leave the peer. */
enum mk_status jute_packet_read(struct mk_bytes bytes, size_t data_max, struct jute_packet *out,
                                size_t *used);
void jute_put_packet(struct mk_buf *out, const struct jute_packet *packet);

/* A packet whose data is put into `out` between the two; without authinfo. */
size_t jute_packet_begin(struct mk_buf *out, int32_t type, mk_zxid zxid);
void jute_packet_end(struct mk_buf *out, size_t packet);

/* The identities in `authinfo`, in order. Cannot fail: jute_packet_read() has checked them. Each may be
 * null: nobody has checked more than their shape. */
struct jute_id {
    struct mk_bytes scheme;
    struct mk_bytes id;
};
struct jute_ids_cursor {
    struct mk_reader reader;
    int32_t left;
};
struct jute_ids_cursor jute_ids_begin(const struct jute_packet *packet);
bool jute_ids_next(struct jute_ids_cursor *cursor, struct jute_id *id);

/* ---- What packets carry ---- */

/* Data of FOLLOWERINFO and OBSERVERINFO. Before 3.5 it ends behind protocol_version, before 3.4 behind
 * id; protocol_version is then 0. What follows is ignored. MK_MALFORMED: not even an id. */
struct jute_learner_info {
    int64_t id;
    int32_t protocol_version;
    int64_t config_version;
};
enum mk_status jute_learner_info_read(struct mk_bytes data, struct jute_learner_info *out);
void jute_put_learner_info(struct mk_buf *out, const struct jute_learner_info *info);

/* Data of a PING's reply: the sessions that a learner has heard of. Read from mk_reader_of(data) until
 * MK_END; MK_MALFORMED: the last one is cut off. */
struct jute_touch {
    mk_session session;
    int32_t timeout_ms;
};
#define JUTE_TOUCH_BYTES 12
enum mk_status jute_touch_next(struct mk_reader *reader, struct jute_touch *out);
/* Data of a REVALIDATE is one, too. */
enum mk_status jute_touch_read(struct mk_bytes data, struct jute_touch *out);
void jute_put_touch(struct mk_buf *out, struct jute_touch touch);

/* Data of a REVALIDATE's reply. */
struct jute_validity {
    mk_session session;
    bool valid;
};
enum mk_status jute_validity_read(struct mk_bytes data, struct jute_validity *out);
void jute_put_validity(struct mk_buf *out, struct jute_validity validity);

/* Data of a REQUEST: a client's, as its server forwards it. `payload` (cxid, op, record) is what
 * jute_request_decode() takes; of CREATE_SESSION and CLOSE_SESSION it is not: the former's record is its
 * timeout, the latter's is empty. */
struct jute_forwarded {
    mk_session session;
    int32_t cxid;
    int32_t op;
    struct mk_bytes payload;
    struct mk_bytes record;
};
enum mk_status jute_forwarded_read(struct mk_bytes data, struct jute_forwarded *out);
/* Only session and payload are looked at. */
void jute_put_forwarded(struct mk_buf *out, const struct jute_forwarded *request);

/* ---- The election port (section 2) ---- */

#define JUTE_ELECTION_BYTES_MAX ((size_t)512 * 1024) /* of a message; as the original has it */
#define JUTE_ELECTION_ADDRESSES_BYTES_MAX 2048

/* What the dialling side says first. */
struct jute_election_hello {
    int64_t id;                /* INT64_MAX: an observer without an id */
    struct mk_bytes addresses; /* "host:port", or several, '|' between; null: before 3.5 */
};
/* As jute_packet_read(). */
enum mk_status jute_election_hello_read(struct mk_bytes bytes, struct jute_election_hello *out,
                                        size_t *used);
/* In the form that every release since 3.5 reads. `addresses` has 1 to ..._BYTES_MAX bytes. */
void jute_put_election_hello(struct mk_buf *out, const struct jute_election_hello *hello);

enum jute_server_state {
    JUTE_LOOKING = 0,
    JUTE_FOLLOWING = 1,
    JUTE_LEADING = 2,
    JUTE_OBSERVING = 3,
};
struct jute_notification {
    int32_t state; /* enum jute_server_state */
    int64_t leader;
    mk_zxid zxid;
    int64_t round;          /* electionEpoch */
    int64_t peer_epoch;     /* before 3.4: zxid's */
    int32_t version;        /* 0 of all that end before it, and of 3.4.6 to 3.4.14, too */
    struct mk_bytes config; /* the sender's configuration as text; null below version 2 */
};
#define JUTE_NOTIFICATION_VERSION 2
/* A message's body, without its length. MK_MALFORMED: ignore it, and keep the peer. */
enum mk_status jute_notification_read(struct mk_bytes body, struct jute_notification *out);
/* Always as version 2 is laid out; a null configuration becomes an empty one. */
void jute_put_notification(struct mk_buf *out, const struct jute_notification *notification);

#endif
