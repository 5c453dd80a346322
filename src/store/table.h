/* An ordered table: a B+tree of pointers to rows, by key. It owns its nodes, not its rows.
 *
 * Everything is O(log n). Leaves are linked both ways, so a step of a cursor is O(1). A node that
 * becomes empty is freed; half-empty ones are not merged, which costs memory in rare patterns and
 * never depth. Reading from two threads is fine while nobody changes it. */
#ifndef MK_STORE_TABLE_H
#define MK_STORE_TABLE_H

#include "store/row.h"

struct table_node;
struct table_leaf;

struct table {
    struct table_node *root; /* NULL: empty */
    struct table_leaf *first;
    struct table_leaf *last;
    size_t count;
    int height; /* levels of inner nodes above the leaves */
};

void table_insert(struct table *table, struct row *row); /* its key is not in the table */
void table_remove(struct table *table, struct row *row); /* it is in the table */
void table_free(struct table *table);                    /* the nodes, and zero it */

/* A place in a table; good until the table changes. */
struct table_cursor {
    struct table_leaf *leaf; /* NULL: past the end */
    int slot;
};
/* To the first row >= key; backwards: to the last row < key. */
struct table_cursor table_seek(const struct table *table, struct mk_bytes key, bool backwards);
struct table_cursor table_first(const struct table *table);
void table_step(struct table_cursor *cursor, bool backwards);
struct row *table_at(const struct table_cursor *cursor); /* or NULL */

void table_check(const struct table *table); /* asserts; O(n) */

#endif
