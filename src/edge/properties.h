/* Private to edge: the syntax of Java properties files, which is what zoo.cfg is written in. */
#ifndef EDGE_PROPERTIES_H
#define EDGE_PROPERTIES_H

#include "base/base.h"

struct properties {
    struct mk_reader text;
    unsigned line; /* of the entry last returned; from 1 */
    unsigned next_line;
};
struct property {
    struct mk_buf key;   /* unescaped; NUL-terminated behind `len` */
    struct mk_buf value; /* likewise, and trimmed, as ZooKeeper does it */
};
struct properties properties_of(struct mk_bytes text);
/* The next entry, into buffers that are reused and that property_free() frees. MK_END: no more.
 * MK_MALFORMED: an escape is broken, or something stands for NUL; properties->line says where. */
enum mk_status properties_next(struct properties *properties, struct property *out);
void property_free(struct property *property);

#endif
