/* What a base is handed to ingest, and the meta row. */
#ifndef MK_STORE_CHECKPOINT_H
#define MK_STORE_CHECKPOINT_H

#include "store/rows.h"

/* A table on its way into the base. One walker at a time: `place` is where it is. */
struct store_rows {
    const struct table *table;
    struct store_rows_place {
        struct table_cursor cursor;
        const void *given; /* the row last handed out */
    } * place;
};

/* What the meta row says. False: it is damaged, or another version's. */
bool checkpoint_meta_decode(struct mk_bytes value, mk_zxid *applied, struct store_totals *out);

/* Read the meta row of a base: applied zxid, totals. MK_NO_NODE: the base is new. Otherwise `error` says
 * what is wrong with it. */
enum mk_status checkpoint_load(struct store *store, struct mk_error *error);

#endif
