/* How many calls run each operation, on which version of its recipe: rows `running`, which follow from
 * the calls' records. */
#ifndef MK_STORE_RUNNING_H
#define MK_STORE_RUNNING_H

#include "store/rows.h"

/* The row that counts `call`. */
struct mk_bytes running_key(struct store_view *view, const struct tree_call *call);
/* One more of its kind, or one less. While an operation writes. */
void running_add(struct store_view *view, const struct tree_call *call, int change);
/* Before it writes: read what running_add() will. */
enum mk_status running_foresee(struct store_view *view, const struct tree_call *call);

#endif
