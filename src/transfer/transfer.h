/* A ZooKeeper's data directory becomes a Moonkeeper's, and the other way: znodes with their Stats, ACLs and
 * sessions as they are, so that clients go on with theirs. Both servers must have stopped. Nothing is
 * changed where is read from, and on a failure nothing is there where is written to.
 *
 * Not here: migrating under load, one server after another, which is what an ensemble is for. */
#ifndef MK_TRANSFER_H
#define MK_TRANSFER_H

#include "base/base.h"

/* These two are what the module moonkeeper_transfer.so shows to who loads it. */
#define TRANSFER_DOOR __attribute__((visibility("default")))

struct transfer_places {
    const char *zookeeper;     /* dataDir, with version-2 in it, or version-2 itself */
    const char *zookeeper_log; /* dataLogDir, likewise; NULL: the same. Import only */
    const char *data;          /* ours: dataDir */
    const char *log;           /* ... and dataLogDir; NULL: the same */
};

struct transfer_report {
    mk_zxid zxid;          /* every transaction up to here is in it */
    uint64_t transactions; /* of them, those that came from a log */
    int64_t epoch;
    int64_t znodes, ephemerals, sessions;
    char snapshot[64]; /* name of the snapshot that was read or written */
};

/* `data` must not hold a state or log yet. Snapshots that are damaged are passed over for an older one, as
 * ZooKeeper does it, and named in `warning` (empty: none were). MK_CORRUPT: no snapshot is whole, or the log
 * is damaged; MK_NODE_EXISTS, MK_NO_NODE, MK_IN_USE, MK_UNIMPLEMENTED (compressed with snappy), failures. */
typedef enum mk_status transfer_importer(const struct transfer_places *places,
                                         struct transfer_report *report, struct mk_error *warning,
                                         struct mk_error *error);
TRANSFER_DOOR transfer_importer transfer_import;
/* `zookeeper` must not hold snapshots or logs; `myid` is left alone. */
typedef enum mk_status transfer_exporter(const struct transfer_places *places,
                                         struct transfer_report *report, struct mk_error *error);
TRANSFER_DOOR transfer_exporter transfer_export;

#endif
