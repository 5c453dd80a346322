/* The indexes that follow from the records of parked calls: what the room's other files call when a
 * znode changes. */
#ifndef MK_STORE_CALLS_H
#define MK_STORE_CALLS_H

#include "store/rows.h"

/* A change of one znode, to begin with: where, and, if it is a call's record, what that said before
 * (null: nothing) and will say (null: nothing). */
struct calls_change {
    struct mk_bytes path;
    struct mk_bytes record_old; /* in the operation's arena: the row is about to change */
    struct mk_bytes record_new;
};

/* Before the operation writes: read what the calls' part of it will need. MK_OK, MK_WOULD_BLOCK,
 * failures. calls_record_keep() is for a znode that exists; it costs nothing if it is no record. */
enum mk_status calls_record_keep(struct store_view *view, struct calls_change *change,
                                 const struct store_znode *znode);
enum mk_status calls_foresee(struct store_view *view, const struct calls_change *change);

/* While it writes, after the znode's own rows: `now` as the znode is, `parent` as its parent is. */
void calls_created(struct store_view *view, const struct calls_change *change,
                   const struct store_znode *now, const struct store_znode *parent);
void calls_deleted(struct store_view *view, const struct calls_change *change,
                   const struct store_znode *parent);
void calls_data_changed(struct store_view *view, const struct calls_change *change,
                        const struct store_znode *now);
/* The parent's pzxid has moved, although no child came or went: the odd ends of create and
 * delete. */
void calls_parent_moved(struct store_view *view, const struct calls_change *change,
                        const struct store_znode *parent);

/* A record that znode_restore() has put there: its part of the indexes, now that all is there that it may
 * wait for. */
enum mk_status calls_restore(struct store_view *view, mk_zxid call);

/* A session ends: what that will read, and then its part. */
enum mk_status calls_session_foresee(struct store_view *view, mk_session id);
void calls_session_gone(struct store_view *view, mk_session id);

#endif
