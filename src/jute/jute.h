/* ZooKeeper's records as bytes: requests and replies of clients, transactions as they are logged
 * and proposed. Total functions: any bytes give a record or MK_MALFORMED; nothing is trusted, nothing
 * allocates, and what is decoded borrows from the bytes it came from. No meaning, no state.
 *
 * Source for every layout: ZooKeeper 3.9's zookeeper.jute; strings are i32 length + UTF-8, -1 null. */
#ifndef MK_JUTE_H
#define MK_JUTE_H

#include "base/base.h"

/* Operation codes, and transaction types where the two agree. */
enum jute_op {
    JUTE_NOTIFICATION = 0,
    JUTE_CREATE = 1,
    JUTE_DELETE = 2,
    JUTE_EXISTS = 3,
    JUTE_GET_DATA = 4,
    JUTE_SET_DATA = 5,
    JUTE_GET_ACL = 6,
    JUTE_SET_ACL = 7,
    JUTE_GET_CHILDREN = 8,
    JUTE_SYNC = 9,
    JUTE_PING = 11,
    JUTE_GET_CHILDREN2 = 12,
    JUTE_CHECK = 13,
    JUTE_MULTI = 14,
    JUTE_CREATE2 = 15,
    JUTE_RECONFIG = 16,
    JUTE_CHECK_WATCHES = 17,
    JUTE_REMOVE_WATCHES = 18,
    JUTE_CREATE_CONTAINER = 19,
    JUTE_DELETE_CONTAINER = 20,
    JUTE_CREATE_TTL = 21,
    JUTE_MULTI_READ = 22,
    JUTE_AUTH = 100,
    JUTE_SET_WATCHES = 101,
    JUTE_SASL = 102,
    JUTE_GET_EPHEMERALS = 103,
    JUTE_GET_ALL_CHILDREN_NUMBER = 104,
    JUTE_SET_WATCHES2 = 105,
    JUTE_ADD_WATCH = 106,
    JUTE_WHO_AM_I = 107,
    JUTE_CALL = 700,  /* Moonkeeper's: call a recipe */
    JUTE_CALLS = 701, /* Moonkeeper's: which calls wait */
    JUTE_CREATE_SESSION = -10,
    JUTE_CLOSE_SESSION = -11,
    JUTE_ERROR = -1,
};

/* Xids with a meaning of their own. */
enum {
    JUTE_XID_NOTIFICATION = -1,
    JUTE_XID_PING = -2,
    JUTE_XID_AUTH = -4,
};

#define JUTE_FRAME_BYTES_MAX_DEFAULT 1048575 /* jute.maxbuffer */
#define JUTE_PASSWORD_BYTES 16
#define JUTE_STAT_BYTES 68
#define JUTE_LISTS_MAX 5

/* A vector<string> whose shape has been checked: iterating cannot fail. `bytes` are the strings as
 * fields (mk_buf_put_field), back to back, without the count; each may be null. */
struct jute_strings {
    int32_t count; /* >= 0; a null vector counts 0 */
    struct mk_bytes bytes;
};
struct jute_strings_cursor {
    struct mk_reader reader;
    int32_t left;
};
struct jute_strings_cursor jute_strings_begin(struct jute_strings strings);
bool jute_strings_next(struct jute_strings_cursor *cursor, struct mk_bytes *string);

/* ---- Connect ---- */

struct jute_connect {
    int32_t protocol_version;
    int64_t last_zxid_seen;
    int32_t timeout_ms;
    int64_t session_id;
    struct mk_bytes password; /* any length, or null */
    bool read_only;
    bool read_only_present; /* the trailing byte is optional; the answer carries it only then */
};
enum mk_status jute_connect_decode(struct mk_bytes frame, struct jute_connect *out);

/* The trailing byte of an answer. */
enum jute_read_only { JUTE_READ_ONLY_ABSENT, JUTE_READ_ONLY_FALSE, JUTE_READ_ONLY_TRUE };
/* Append a whole ConnectResponse frame. timeout_ms 0 with session 0: refused. `password` is
 * JUTE_PASSWORD_BYTES bytes, or NULL for zeros. */
void jute_connect_reply(struct mk_buf *out, int32_t timeout_ms, int64_t session_id,
                        const uint8_t *password, enum jute_read_only read_only);

/* ---- Requests ---- */

/* One request, or one operation of a multi. Which fields an operation fills, the comment says. */
struct jute_request {
    int32_t xid;             /* not in a multi's operations */
    int32_t op;              /* enum jute_op */
    struct mk_bytes path;    /* all with a path; the prefix of GET_EPHEMERALS */
    struct mk_bytes data;    /* create*, SET_DATA; AUTH: credentials; SASL: token; CALL: arguments;
                             * RECONFIG: new members */
    struct mk_bytes acl;     /* create*, SET_ACL: the vector<ACL> as sent, shape checked; or null */
    int32_t flags;           /* create*: the mode; ADD_WATCH: mode; CHECK/REMOVE_WATCHES: type */
    int32_t version;         /* DELETE, SET_DATA, SET_ACL, CHECK */
    int64_t ttl_ms;          /* CREATE_TTL */
    bool watch;              /* EXISTS, GET_DATA, GET_CHILDREN* */
    struct mk_bytes scheme;  /* AUTH */
    struct mk_bytes joining; /* RECONFIG, as is `leaving` */
    struct mk_bytes leaving;
    int64_t relative_zxid; /* SET_WATCHES*; RECONFIG: curConfigId */
    /* SET_WATCHES*: data, exist, child, persistent, recursive */
    struct jute_strings lists[JUTE_LISTS_MAX];
    struct mk_bytes operations; /* MULTI, MULTI_READ: walk with jute_multi_next() */
    bool malformed;             /* MK_MALFORMED, but the header could be read */
    bool writes_only;           /* MULTI_READ of writes: MK_MALFORMED, and the answer has a body */
    /* CALL: */
    struct mk_bytes operation; /* "lock.acquire" */
    int64_t call_id;           /* a counter of the session's; 0: no id, may not park.
                                * CALLS: the call behind which the page begins */
    int64_t done_through;      /* results up to this call id are no longer needed */
    struct mk_bytes chroot;    /* null or a path */
    uint8_t format;            /* JUTE_CALL_JSON or JUTE_CALL_MSGPACK: arguments and result */
    bool dry_run;              /* nothing is to happen; answered with a report, in JSON */
    bool linearizable;         /* what it reads is as of the answer, wherever it is read */
};
enum {
    JUTE_CALL_JSON = 0,
    JUTE_CALL_MSGPACK = 1,
    JUTE_CALL_LINEARIZABLE = 64,
    JUTE_CALL_DRY_RUN = 128,
};

/* CALL's record: string operation, i64 call_id, i64 done_through, string chroot, byte format, buffer
 * arguments. The format byte is JSON or MSGPACK, plus LINEARIZABLE if need be; or DRY_RUN, which is one
 * with JSON; any other is malformed. CALLS' record: i64 call_id, i32 flags: how many at most. Its reply: a buffer, JSON. */

/* Decode a frame's payload, what follows its length: RequestHeader and record. What follows the
 * record is ignored. xid and op are set whenever the header could be read; when the answer is not
 * MK_OK, of the rest only malformed and writes_only may be looked at. Paths may be null.
 * MK_MALFORMED with op unset (JUTE_NOTIFICATION and xid 0): not even a header: close.
 * MK_MALFORMED: answer -5; with writes_only, its body is a lone jute_put_multi_end().
 * MK_UNIMPLEMENTED: no such operation: answer -6 and close.
 * A MULTI is checked whole: only write operations, MULTI_READ only reads, ended by its end header. */
enum mk_status jute_request_decode(struct mk_bytes frame, struct jute_request *out);

/* The operations of a decoded MULTI or MULTI_READ, in order; cannot fail. */
struct jute_multi_cursor {
    struct mk_reader reader;
};
struct jute_multi_cursor jute_multi_begin(const struct jute_request *multi);
bool jute_multi_next(struct jute_multi_cursor *cursor, struct jute_request *operation);

/* For clients and tests: append a whole request frame (length, header, record). Multis: begin, put
 * each operation, end; or jute_request_encode() with the `operations` of a decoded one. */
void jute_request_encode(struct mk_buf *out, const struct jute_request *request);
size_t jute_multi_request_begin(struct mk_buf *out, int32_t xid, int32_t op);
void jute_multi_request_put(struct mk_buf *out, const struct jute_request *operation);
void jute_multi_request_end(struct mk_buf *out, size_t frame);
void jute_connect_encode(struct mk_buf *out, const struct jute_connect *connect);

/* ---- Replies ---- */

/* As served: cversion already converted, ephemeral_owner 0 for containers and TTL znodes. */
struct jute_stat {
    int64_t czxid, mzxid, ctime_ms, mtime_ms;
    int32_t version, cversion, aversion;
    int64_t ephemeral_owner;
    int32_t data_length, children_count;
    int64_t pzxid;
};

/* Begin a frame with a ReplyHeader; `error` is a wire code (0 ok). Append the body with the
 * functions below, then end it: the length is filled in. Returns the frame's offset in `out`. */
size_t jute_reply_begin(struct mk_buf *out, int32_t xid, mk_zxid zxid, int32_t error);
void jute_reply_end(struct mk_buf *out, size_t frame);
void jute_put_stat(struct mk_buf *out, const struct jute_stat *stat);
/* One result header of a multi, to be followed by its record; an error, code in header and record
 * both; and the end of the list. */
void jute_put_multi_result(struct mk_buf *out, int32_t type);
void jute_put_multi_error(struct mk_buf *out, int32_t error);
void jute_put_multi_end(struct mk_buf *out);

/* WatcherEvent.type */
enum jute_event {
    JUTE_EVENT_CREATED = 1,
    JUTE_EVENT_DELETED = 2,
    JUTE_EVENT_DATA_CHANGED = 3,
    JUTE_EVENT_CHILDREN_CHANGED = 4,
};
/* Append a whole notification frame. `zxid` of the transaction, or -1 for what setWatches found. */
void jute_notification(struct mk_buf *out, mk_zxid zxid, enum jute_event event,
                       struct mk_bytes path);

/* Decoding replies, for clients and tests. */
struct jute_reply {
    int32_t xid;
    mk_zxid zxid;
    int32_t error;
    struct mk_bytes body;
};
enum mk_status jute_reply_decode(struct mk_bytes frame, struct jute_reply *out);
struct jute_stat jute_read_stat(struct mk_reader *reader);

/* ---- Error codes: the only place where a status becomes a number on the wire. ---- */

int32_t jute_error_code(enum mk_status status); /* MK_OK: 0; failures: -1 (SystemError) */
enum mk_status jute_error_status(int32_t code); /* codes of no answer of ours: MK_MALFORMED */
const char *jute_error_name(int32_t code);      /* "NoNode"; "Unknown" */

/* ---- Transactions: TxnHeader and body as logged (zookeeper-quorum.md sections 9.1, 9.2) ---- */

struct jute_txn {
    int64_t client_id;
    int32_t cxid;
    mk_zxid zxid;
    mk_ms time_ms;
    int32_t type;            /* enum jute_op */
    struct mk_bytes path;    /* never null in a type that has one */
    struct mk_bytes data;    /* create*, SET_DATA, RECONFIG */
    struct mk_bytes acl;     /* create*, SET_ACL: vector<ACL> bytes; ZooKeeper reads null as open */
    bool ephemeral;          /* CREATE, CREATE2 */
    int32_t parent_cversion; /* create*: the parent's after it; -1: one more than it was */
    int64_t ttl_ms;          /* CREATE_TTL */
    int32_t version;         /* SET_DATA, RECONFIG, SET_ACL: the new one; CHECK */
    int32_t error;           /* ERROR: a wire code */
    int32_t timeout_ms;      /* CREATE_SESSION */
    struct jute_strings paths;  /* CLOSE_SESSION: ephemerals to delete, none null; may be empty */
    struct mk_bytes operations; /* MULTI: walk with jute_txn_next() */
    int32_t operations_count;
    bool failed; /* MULTI: some part is an ERROR, so none is to be applied */
};

/* Header and body; a trailing TxnDigest is ignored, as is what follows an error's code. The body of a
 * CLOSE_SESSION that makes no vector of paths is the digest of an old leader: no paths.
 * MK_MALFORMED: also a type that is none. The header's fields are set if it could be read. */
enum mk_status jute_txn_decode(struct mk_bytes entry, struct jute_txn *out);

/* Append header and body of anything but a MULTI. */
void jute_txn_encode(struct mk_buf *out, const struct jute_txn *txn);

/* A MULTI: begin with its header, put each (header fields of the parts are ignored), end. */
struct jute_txn_multi {
    size_t count_at;
    int32_t count;
};
struct jute_txn_multi jute_txn_multi_begin(struct mk_buf *out, const struct jute_txn *header);
void jute_txn_multi_put(struct mk_buf *out, struct jute_txn_multi *multi,
                        const struct jute_txn *part);
void jute_txn_multi_end(struct mk_buf *out, struct jute_txn_multi *multi);

/* The parts of a decoded MULTI in order; each gets the header's client, cxid, zxid and time. Cannot
 * fail: jute_txn_decode() has checked them. */
struct jute_txn_cursor {
    struct mk_reader reader;
    const struct jute_txn *multi;
    int32_t left;
};
struct jute_txn_cursor jute_txn_begin(const struct jute_txn *multi);
bool jute_txn_next(struct jute_txn_cursor *cursor, struct jute_txn *part);

/* ---- What servers say to each other ---- */

#include "jute/quorum.h"

#endif
