/* Private to admin: the AdminServer's commands, as JSON. */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

#include "admin/admin.h"

struct command;
/* By any of its names; NULL: there is none. */
const struct command *command_find(const char *name);
/* What its answer needs. `trace_mask`: the parameter of set_trace_mask. */
struct admin_needs command_needs(const struct command *command, int64_t trace_mask);
void command_answer(const struct command *command, const struct admin_facts *facts,
                    struct mk_buf *out);
/* {"command": ..., "error": ...}, of what cannot be done. */
void command_refuse(const char *name, const char *error, struct mk_buf *out);
/* A page with a link to each, below `path`. */
void commands_page(const char *path, struct mk_buf *out);

#endif
