/* How many ephemerals each session has in the speculative view: counted once, then kept. Not of every
 * session: those that began in this view are known to have none, others are counted when they are asked
 * for. Of the running transaction it can be taken back. */
#ifndef MK_STORE_OWNED_H
#define MK_STORE_OWNED_H

#include "base/base.h"

struct owned {
    struct mk_map_u64 counts; /* session -> its count + 1, as a pointer: there is no 0 */
    struct mk_buf changes;    /* of the running transaction: session, difference, 8 bytes each */
};

void owned_free(struct owned *owned);
/* False: that is not known. */
bool owned_read(const struct owned *owned, mk_session id, int64_t *count);
void owned_know(struct owned *owned, mk_session id, int64_t count);
void owned_forget(struct owned *owned, mk_session id);
void owned_change(struct owned *owned, mk_session id, int64_t difference);
void owned_end(struct owned *owned);
void owned_abort(struct owned *owned);

#endif
