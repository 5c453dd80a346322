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
    JUTE_PACKET_RESULT = 700, /* ours alone; only sent to who has announced recipes */
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

/* Who runs recipes says so behind what ZooKeeper reads: eight bytes, which are the same in both
 * directions. A later way of running them, which does not go together with this one, has others. */
#define JUTE_ANNOUNCEMENT "MKrecip1"

/* Data of FOLLOWERINFO and OBSERVERINFO. Before 3.5 it ends behind protocol_version, before 3.4 behind
 * id; protocol_version is then 0. What follows, but for an announcement, is ignored. MK_MALFORMED: not
 * even an id. */
struct jute_learner_info {
    int64_t id;
    int32_t protocol_version;
    int64_t config_version;
    bool announces;
};
enum mk_status jute_learner_info_read(struct mk_bytes data, struct jute_learner_info *out);
void jute_put_learner_info(struct mk_buf *out, const struct jute_learner_info *info);
/* Data of LEADERINFO: likewise. MK_MALFORMED: not even a version. */
struct jute_leader_info {
    int32_t protocol_version;
    bool announces;
};
enum mk_status jute_leader_info_read(struct mk_bytes data, struct jute_leader_info *out);
void jute_put_leader_info(struct mk_buf *out, const struct jute_leader_info *info);

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

/* Data of a RESULT: what is answered to a forwarded request, instead of what its transaction, which has
 * the packet's zxid, would say. It comes before that. */
struct jute_result {
    mk_session session; /* whose request it was, */
    int32_t cxid;       /* and which */
    mk_zxid parked;     /* the call that the answer waits for; 0: the answer is `body` */
    struct mk_bytes body;
};
enum mk_status jute_result_read(struct mk_bytes data, struct jute_result *out);
void jute_put_result(struct mk_buf *out, const struct jute_result *result);

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

/* ---- The ensemble as text (section 13.1) ---- */

#define JUTE_MEMBERS_MAX \
    64 /* of an ensemble: a notification goes to each, and so does each packet */
#define JUTE_MEMBER_ID_MAX 254 /* the byte of session ids that TTL znodes leave free */
#define JUTE_HOST_BYTES_MAX 255

struct jute_endpoint {
    char host[JUTE_HOST_BYTES_MAX + 1]; /* a name or an address, IPv6 without brackets; "": any */
    uint16_t port;                      /* 0: there is none */
};
struct jute_member {
    int64_t id; /* 0 to JUTE_MEMBER_ID_MAX */
    char host[JUTE_HOST_BYTES_MAX + 1];
    uint16_t quorum_port, election_port;
    bool observer;
    struct jute_endpoint client, secure;
    int64_t group; /* with groups: above 0, but an observer may be in none: 0 */
    uint32_t weight;
};
struct jute_ensemble { /* {0} is an empty one; some 50 KB */
    struct jute_member members[JUTE_MEMBERS_MAX];
    size_t members_count;
    bool hierarchical; /* there are groups */
    int64_t version;
    struct {
        int64_t id;
        uint32_t weight;
    } weights[JUTE_MEMBERS_MAX]; /* read before the member was; private */
    struct {
        int64_t id, group;
    } groups[JUTE_MEMBERS_MAX]; /* likewise */
    size_t weights_count, groups_count;
};
/* Take one line: server.N, group.N, weight.N, version. MK_NO_NODE: it is about something else.
 * MK_MALFORMED: `error` says why, without the line's number, which the caller knows. */
enum mk_status jute_ensemble_line(struct jute_ensemble *ensemble, struct mk_bytes key,
                                  struct mk_bytes value, struct mk_error *error);
/* All lines were taken: members are sorted by id, and have their groups and weights. MK_MALFORMED: they
 * do not fit together, as when a group names nobody. */
enum mk_status jute_ensemble_finish(struct jute_ensemble *ensemble, struct mk_error *error);
/* A whole text; lines about something else do not count. `error` names the line. */
enum mk_status jute_ensemble_read(struct mk_bytes text, struct jute_ensemble *out,
                                  struct mk_error *error);
/* Somebody votes and may lead, and each has two ports. MK_BAD_ARGUMENTS: `error` says what is not so. */
enum mk_status jute_ensemble_check(const struct jute_ensemble *ensemble, struct mk_error *error);
/* A finished one, in the form in which others write it; and the same without its version. */
void jute_put_ensemble(struct mk_buf *out, const struct jute_ensemble *ensemble);
void jute_put_ensemble_members(struct mk_buf *out, const struct jute_ensemble *ensemble);
/* The members as a RECONFIG request makes them of those that there are: finished and checked, but the
 * version is the caller's to give. MK_BAD_ARGUMENTS: `error` says why that cannot be. */
struct jute_request;
enum mk_status jute_ensemble_change(const struct jute_ensemble *now,
                                    const struct jute_request *request, struct jute_ensemble *out,
                                    struct mk_error *error);

/* ---- Snapshots (section 11): sessions, then ACLs, then znodes, then the end ---- */

/* As others store it, and so not as clients see it: jute_stat. */
struct jute_stat_persisted {
    mk_zxid czxid, mzxid;
    mk_ms ctime_ms, mtime_ms;
    int32_t version, cversion, aversion;
    int64_t owner;
    mk_zxid pzxid;
};
struct jute_snapshot_znode {
    struct mk_bytes path; /* the root's is "" */
    struct mk_bytes data; /* or null */
    int64_t acl;          /* id of an entry; JUTE_SNAPSHOT_ACL_OPEN */
    struct jute_stat_persisted stat;
};
#define JUTE_SNAPSHOT_ACL_OPEN INT64_C(-1)

void jute_put_snapshot_count(struct mk_buf *out, int32_t count); /* of sessions, of ACLs */
void jute_put_snapshot_session(struct mk_buf *out, mk_session id, int32_t timeout_ms);
void jute_put_snapshot_acl(struct mk_buf *out, int64_t id, struct mk_bytes acl);
void jute_put_snapshot_znode(struct mk_buf *out, const struct jute_snapshot_znode *znode);
void jute_put_snapshot_end(struct mk_buf *out);     /* of the znodes */
void jute_put_snapshot_trailer(struct mk_buf *out); /* on the wire only, behind the end */

enum jute_snapshot_kind { JUTE_SNAPSHOT_SESSION, JUTE_SNAPSHOT_ACL, JUTE_SNAPSHOT_ZNODE };
struct jute_snapshot_record {
    enum jute_snapshot_kind kind;
    struct jute_touch session;        /* SESSION */
    int64_t acl_id;                   /* ACL: above 0 */
    struct mk_bytes acl;              /* ACL: vector<ACL>, its shape checked */
    struct jute_snapshot_znode znode; /* ZNODE: the first is the root, the others begin with '/' */
};
/* Reads a stream by the piece; private. */
struct jute_snapshot_reader {
    size_t bytes_max;
    bool wire;
    int state;
    int32_t left;
    bool rooted;
};
/* No record may have a path, data or ACL of more than `bytes_max`. `wire`: it ends with the trailer. */
struct jute_snapshot_reader jute_snapshot_begin(size_t bytes_max, bool wire);
/* The next record, from the beginning of `bytes`, of which *used are then done with. MK_WOULD_BLOCK: it
 * has not all arrived, *used is 0; the caller comes again with the same bytes and more. MK_END: that
 * was the end, *used is how long it was. MK_MALFORMED: this is no snapshot. */
enum mk_status jute_snapshot_next(struct jute_snapshot_reader *reader, struct mk_bytes bytes,
                                  struct jute_snapshot_record *out, size_t *used);

#endif
