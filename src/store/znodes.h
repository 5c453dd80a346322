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

/* The znodes of a new ensemble, at zxid 0. */
void znodes_plant(struct store_view *view);

#endif
