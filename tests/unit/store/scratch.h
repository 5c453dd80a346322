/* A directory for one test, its files as bytes, and batches of log entries. */
#ifndef TESTS_UNIT_STORE_SCRATCH_H
#define TESTS_UNIT_STORE_SCRATCH_H

#include "base/base.h"

struct scratch {
    char path[64];
};
void scratch_make(struct scratch *scratch);
void scratch_remove(struct scratch *scratch);

void scratch_read(const struct scratch *scratch, const char *name, struct mk_buf *bytes);
void scratch_write(const struct scratch *scratch, const char *name, struct mk_bytes bytes);
void scratch_unlink(const struct scratch *scratch, const char *name);
bool scratch_has(const struct scratch *scratch, const char *name);
/* Invert the bits of `mask` in one byte. */
void scratch_flip(const struct scratch *scratch, const char *name, size_t at, uint8_t mask);

/* Append to `batch` an entry that follows from its zxid: a TxnHeader and `len` bytes. */
void scratch_entry_put(struct mk_buf *batch, mk_zxid zxid, size_t len);
bool scratch_entry_valid(mk_zxid zxid, struct mk_bytes entry);

#endif
