/* An ensemble of one, established: what a standalone server has. */
#ifndef TESTS_ZAB_ALONE_H
#define TESTS_ZAB_ALONE_H

#include "zab/zab.h"

/* Its epoch is the one after `accepted`; the log ends with `logged`. To be freed. */
struct zab *alone_new(int64_t accepted, mk_zxid logged);

#endif
