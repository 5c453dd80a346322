/* Frames as documents write them, and bytes that are exactly as long as they say, so that the
 * sanitizer sees a read past their end. */
#ifndef JUTE_TEST_FRAMES_H
#define JUTE_TEST_FRAMES_H

#include "jute/jute.h"
#include "unit/cmocka.h"

/* Give these to cmocka_run_group_tests(): what hex() and copy() return lives until the end of the
 * program's tests. */
int frames_setup(void **state);
int frames_teardown(void **state);

/* "00000008 fffffffe 0000000b": spaces and line ends between digits do not count. */
struct mk_bytes hex(void **state, const char *digits);
struct mk_bytes copy(void **state, struct mk_bytes bytes);

/* A frame without its length, which must be right. */
struct mk_bytes payload(struct mk_bytes frame);

void assert_bytes(struct mk_bytes actual, struct mk_bytes expected);
void assert_text(struct mk_bytes actual, const char *expected);
void assert_null_bytes(struct mk_bytes actual);

/* `out` holds `digits`; it is freed. */
void assert_encoded(void **state, struct mk_buf *out, const char *digits);

/* One vector<ACL>: world:anyone may do everything. */
#define OPEN_ACL "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65"

/* Requests as clients sent them to ZooKeeper 3.8.0, and Moonkeeper's own. Each is canonical: decoded
 * and encoded again it is the same bytes. */
struct golden {
    const char *name;
    int32_t xid;
    int32_t op;
    const char *digits;
};
extern const struct golden golden_requests[];
extern const size_t golden_requests_count;

#endif
