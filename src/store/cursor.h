/* Live rows of a range in key order, either way: one merge of all that can hold a row.
 *
 * Private to the room: rows.h has the cursor that everybody else uses. A cursor is good until a row
 * is written. Its bounds are borrowed and must outlive it. */
#ifndef MK_STORE_CURSOR_H
#define MK_STORE_CURSOR_H

#include "store/committed.h"

struct range {
    struct mk_bytes low;  /* first key that belongs to it */
    struct mk_bytes high; /* first key that does not any more */
    bool backwards;
};

/* Over committed rows: active > frozen > base. */
struct committed_cursor {
    struct committed *rows;
    struct range range;
    bool may_block;
    struct table_cursor active;
    uint64_t sorted; /* rows->sorted, when `active` was found */
    struct table_cursor frozen;
    struct store_base_iter *iter; /* NULL: the base has nothing there */
    bool iter_valid;              /* it stands on a row of the base */
    bool stalled;        /* the iterator may be of an older base than the one that will be loaded */
    struct mk_bytes key; /* of the live row at which the cursor stands */
    struct mk_bytes value;
    /* The run of dead rows that is being passed over. */
    size_t dead;
    struct mk_bytes run; /* where it began */
    bool jumped;         /* part of it is a known gap already */
};

/* MK_OK: it stands on the first row (backwards: the last). MK_END: there is none. MK_WOULD_BLOCK
 * (rows->wanted says for what), failures. Close it in any case. */
enum mk_status committed_cursor_open(struct committed_cursor *cursor, struct committed *rows,
                                     struct range range, bool may_block);
enum mk_status committed_cursor_step(struct committed_cursor *cursor);
void committed_cursor_close(struct committed_cursor *cursor);

#endif
