/* Rows about parked calls: what they wait for, and the queues of those that need not wait any longer.
 * calls.c, which has the story, is the only one that writes them. */
#ifndef MK_STORE_WAITS_H
#define MK_STORE_WAITS_H

#include "store/rows.h"

/* Whether a wait still holds, with the znode as it is `now` (NULL: absent). */
bool waits_hold(enum tree_wait_kind kind, mk_zxid stamp, const struct store_znode *now);
/* Whether one change wakes all who wait for it, or the first of them only. */
bool waits_wake_all(enum tree_wait_kind kind);
/* MK_OK also if it is absent: then *now is NULL. */
enum mk_status waits_look(struct store_view *view, struct mk_bytes path, struct store_znode *znode,
                          const struct store_znode **now);

/* ---- awaited, with their count per path ---- */

enum mk_status waits_count(struct store_view *view, struct mk_bytes path, uint32_t *count);
void waits_put(struct store_view *view, const struct tree_wait *wait, mk_zxid call);
void waits_delete(struct store_view *view, const struct tree_wait *wait, mk_zxid call);
/* A call whose wait for `kind` at `path` does not hold, the znode being as it is `now`. MK_END: none. */
enum mk_status waits_find_broken(struct store_view *view, struct mk_bytes path,
                                 enum tree_wait_kind kind, const struct store_znode *now,
                                 mk_zxid *call);
/* Read all that waits_find_broken() will read, whatever the znode will be, and the row in `broken`. */
enum mk_status waits_foresee_broken(struct store_view *view, struct mk_bytes path,
                                    enum tree_wait_kind kind);

/* ---- ready and broken; gone; woken ---- */

/* Bring `broken`, and with it `ready`, in step with awaited and the znode as it is `now`. */
void waits_update_broken(struct store_view *view, struct mk_bytes path, enum tree_wait_kind kind,
                         const struct store_znode *now);

struct waits_place {     /* of a call that has no rows in awaited (any more) */
    enum key_kind queue; /* KEY_READY or KEY_GONE */
    mk_zxid zxid;
    uint32_t position;
};
/* MK_NO_NODE: it is in neither queue. */
enum mk_status waits_place_find(struct store_view *view, mk_zxid call, struct waits_place *place);
void waits_queue_put(struct store_view *view, enum key_kind queue, mk_zxid call);
void waits_queue_delete(struct store_view *view, mk_zxid call, const struct waits_place *place);

/* What a row of `ready` or `gone` says: a call, or that a wait is broken. */
struct waits_queued {
    mk_zxid call; /* or 0, and then: */
    enum tree_wait_kind kind;
    struct mk_bytes path; /* borrowed from the row */
};
bool waits_queued_decode(struct mk_bytes value, struct waits_queued *queued);

#endif
