/* Private to admin: the words whose answers are lists. */
#ifndef ADMIN_LISTS_H
#define ADMIN_LISTS_H

#include "admin/admin.h"

void lists_clients_append(const struct admin_facts *facts, struct mk_buf *out); /* of stat */
void lists_cons_append(const struct admin_facts *facts, struct mk_buf *out);
void lists_dump_append(const struct admin_facts *facts, struct mk_buf *out);
void lists_wchc_append(const struct admin_facts *facts, struct mk_buf *out);
void lists_wchp_append(const struct admin_facts *facts, struct mk_buf *out);

/* The code of an operation as `cons` has it: "GETD"; "NA" of none. */
const char *lists_operation(int32_t op);

#endif
