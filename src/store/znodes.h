/* Znodes as rows: what the room's other files need of them. */
#ifndef MK_STORE_ZNODES_H
#define MK_STORE_ZNODES_H

#include "store/rows.h"

/* Data up to this size lies in the znode's own row; beyond, listing names must not read it. */
#define ZNODE_INLINE_BYTES_MAX 128

/* The value of a child row. The data is set only if it is inline. False: it is damaged. */
bool znode_decode(struct mk_bytes value, struct store_znode *out);
void znode_encode(struct mk_buf *out, const struct store_znode *znode);

/* The znode at `path`, any bytes: MK_OK, MK_NO_NODE, MK_WOULD_BLOCK, failures. Without data that is
 * not inline. */
enum mk_status znode_find(struct store_view *view, struct mk_bytes path, struct store_znode *out);
/* Its data, wherever that is, for a znode found. */
enum mk_status znode_load_data(struct store_view *view, struct mk_bytes path,
                               struct store_znode *znode);

/* In the midst of writing: other data, and nothing else: no field of the stat moves, and nobody who
 * waits for a change is woken. */
void znode_replace_data(struct store_view *view, struct mk_bytes path, struct mk_bytes data);

/* Put a znode there as it is, data included, but for how many children it has: none yet. Its parent has one
 * more, and is otherwise left as it is. Calls hear nothing of it: calls_restore(). `position` is unlike
 * those of its siblings of the same zxid. MK_MALFORMED: it is there already, its parent is not, or no
 * znode has such a path. */
enum mk_status znode_restore(struct store_view *view, struct mk_bytes path,
                             const struct store_znode *znode);

/* The znodes of a new ensemble, at zxid 0: those of them that are not there; their positions from
 * `position` on. */
enum mk_status znodes_plant(struct store_view *view, uint32_t position);

#endif
