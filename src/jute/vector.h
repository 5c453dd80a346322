/* Private to jute: the two vectors that records carry. They stay bytes; only their shape is checked
 * when they are read, so that whoever walks them later cannot run into their end. And fields of a
 * stream, of which the end may not have arrived. */
#ifndef JUTE_VECTOR_H
#define JUTE_VECTOR_H

#include "jute/jute.h"

/* A vector's count; -1 is null. A count that what is left could never hold, with entries of at least
 * so many bytes, fails the reader here, before anybody loops or reserves by it. */
int32_t jute_count_read(struct mk_reader *reader, size_t entry_bytes_min);

/* vector<string>. Null counts 0. A shape that does not hold fails the reader. */
struct jute_strings jute_strings_read(struct mk_reader *reader);
void jute_strings_put(struct mk_buf *out, struct jute_strings strings);

/* vector<ACL>, its count included. Null stays null; null schemes and ids are for the caller to judge. */
struct mk_bytes jute_acl_read(struct mk_reader *reader);
void jute_acl_put(struct mk_buf *out, struct mk_bytes acl);

/* A field of a stream, at most `bytes_max` long; the reader has not failed, and does not. MK_WOULD_BLOCK:
 * its end has not arrived, and the reader has not moved. MK_MALFORMED: it has no such length. */
enum mk_status jute_stream_field(struct mk_reader *reader, size_t bytes_max,
                                 struct mk_bytes *field);

#endif
