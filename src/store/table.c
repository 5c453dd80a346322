/* The B+tree. An inner node knows, for each child, the first row below it: that is the separator,
 * so it has to follow when the first row of a leaf comes or goes.
 *
 * In a large table nothing is in the processor's cache, and each row looked at costs as much as a
 * hundred comparisons. So a node keeps, of each of its rows, eight bytes of the key: those behind
 * the prefix that all its keys share. A search compares the prefix with one row, then these heads,
 * and looks at rows only where heads are equal. */
#include "store/table.h"

#include <string.h>

#define TABLE_FANOUT 64
#define TABLE_HEIGHT_MAX 16 /* 32^16 rows do not fit into any machine */

/* What leaves and inner nodes have in common: the rows that keys are compared with. */
struct table_node {
    int count;
    uint32_t skip;                /* bytes that all keys here share; perhaps they share more */
    uint64_t heads[TABLE_FANOUT]; /* of each key, the eight bytes from `skip` on, zeros behind it */
    struct row *rows[TABLE_FANOUT];
};

struct table_leaf {
    struct table_node node;
    struct table_leaf *prev;
    struct table_leaf *next;
};

struct table_inner {
    struct table_node node; /* rows[i]: the first row below children[i] */
    struct table_node *children[TABLE_FANOUT];
};

/* The way from the root to a leaf: the inner nodes, and the slot taken in each. */
struct table_path {
    struct table_inner *inner[TABLE_HEIGHT_MAX];
    int slot[TABLE_HEIGHT_MAX];
};

static struct table_leaf *as_leaf(struct table_node *node)
{
    return MK_CONTAINER(node, struct table_leaf, node);
}

static struct table_inner *as_inner(struct table_node *node)
{
    return MK_CONTAINER(node, struct table_inner, node);
}

/* ---- Keys in a node ---- */

static uint64_t key_head(struct mk_bytes key, uint32_t skip)
{
    uint8_t bytes[8] = {0};
    if (key.len > skip) {
        size_t left = key.len - skip;
        memcpy(bytes, key.data + skip, left < 8 ? left : 8);
    }
    uint64_t head;
    memcpy(&head, bytes, 8);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(head) : head;
}

/* How many bytes `a` and `b` share, up to `most`. */
static uint32_t keys_share(struct mk_bytes a, struct mk_bytes b, uint32_t most)
{
    size_t end = a.len < b.len ? a.len : b.len;
    end = end < most ? end : most;
    size_t at = 0;
    while (at < end && a.data[at] == b.data[at]) {
        at++;
    }
    return (uint32_t)at;
}

static void node_set_skip(struct table_node *node, uint32_t skip)
{
    if (skip == node->skip) {
        return;
    }
    node->skip = skip;
    for (int i = 0; i < node->count; i++) {
        node->heads[i] = key_head(row_key(node->rows[i]), skip);
    }
}

/* `row` takes the slot, which is free or whose row goes. */
static void node_set(struct table_node *node, int slot, struct row *row)
{
    struct mk_bytes key = row_key(row);
    if (node->count == 0) {
        node->skip = row->key_len;
    } else {
        const struct row *other = node->rows[slot == 0 ? node->count - 1 : 0];
        node->rows[slot] = row;
        node_set_skip(node, keys_share(key, row_key(other), node->skip));
    }
    node->rows[slot] = row;
    node->heads[slot] = key_head(key, node->skip);
}

/* Sorted keys share what the first and the last share. */
static void node_skip_anew(struct table_node *node)
{
    struct mk_bytes first = row_key(node->rows[0]);
    struct mk_bytes last = row_key(node->rows[node->count - 1]);
    node_set_skip(node, keys_share(first, last, UINT32_MAX));
}

/* How many heads are < head. */
static int heads_rank(const struct table_node *node, uint64_t head)
{
    int low = 0;
    int high = node->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (node->heads[middle] < head) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* How many rows of `node` are < key; with `or_equal`: <= key. */
static int node_rank(const struct table_node *node, struct mk_bytes key, bool or_equal)
{
    size_t shared = key.len < node->skip ? key.len : node->skip;
    int order = shared == 0 ? 0 : memcmp(key.data, node->rows[0]->key, shared);
    if (order != 0 || key.len < node->skip) {
        return order > 0 ? node->count : 0;
    }
    uint64_t head = key_head(key, node->skip);
    int low = heads_rank(node, head);
    int high = low;
    while (high < node->count && node->heads[high] == head) {
        high++;
    }
    while (low < high) {
        int middle = (low + high) / 2;
        order = mk_bytes_compare(row_key(node->rows[middle]), key);
        if (order < 0 || (or_equal && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- Finding ---- */

/* To the leaf in which `key` is, or would be. With `before`: where the last row < key is. */
static struct table_leaf *table_descend(const struct table *table, struct mk_bytes key, bool before,
                                        struct table_path *path)
{
    struct table_node *node = table->root;
    for (int level = 0; level < table->height; level++) {
        struct table_inner *inner = as_inner(node);
        int rank = node_rank(node, key, !before);
        int slot = rank > 0 ? rank - 1 : 0;
        if (path != NULL) {
            path->inner[level] = inner;
            path->slot[level] = slot;
        }
        node = inner->children[slot];
    }
    return as_leaf(node);
}

/* The first row below path[level] has changed to `row`: tell those above. */
static void path_first_changed(struct table_path *path, int level, struct row *row)
{
    while (--level >= 0) {
        node_set(&path->inner[level]->node, path->slot[level], row);
        if (path->slot[level] > 0) {
            return;
        }
    }
}

/* ---- Inserting ---- */

static void node_open_slot(struct table_node *node, int slot, struct row *row)
{
    MK_ASSERT(node->count < TABLE_FANOUT && slot <= node->count);
    size_t behind = (size_t)(node->count - slot);
    memmove(&node->rows[slot + 1], &node->rows[slot], behind * sizeof(node->rows[0]));
    memmove(&node->heads[slot + 1], &node->heads[slot], behind * sizeof(node->heads[0]));
    if (node->count > 0) {
        node->rows[slot] = row;
        node->count++;
    }
    node_set(node, slot, row);
    node->count += node->count == 0;
}

static void node_close_slot(struct table_node *node, int slot)
{
    MK_ASSERT(slot < node->count);
    node->count--;
    size_t behind = (size_t)(node->count - slot);
    memmove(&node->rows[slot], &node->rows[slot + 1], behind * sizeof(node->rows[0]));
    memmove(&node->heads[slot], &node->heads[slot + 1], behind * sizeof(node->heads[0]));
}

static void inner_insert(struct table_inner *inner, int slot, struct table_node *child)
{
    memmove(&inner->children[slot + 1], &inner->children[slot],
            (size_t)(inner->node.count - slot) * sizeof(inner->children[0]));
    inner->children[slot] = child;
    node_open_slot(&inner->node, slot, child->rows[0]);
}

/* Where to cut a full node that gets something at `slot`. Rows often arrive in ascending order:
 * then nothing is moved, and nodes stay full. */
static int split_point(int slot)
{
    return slot == TABLE_FANOUT ? TABLE_FANOUT : TABLE_FANOUT / 2;
}

static void node_split(struct table_node *node, struct table_node *right, int cut)
{
    right->count = node->count - cut;
    right->skip = node->skip;
    memcpy(right->rows, &node->rows[cut], (size_t)right->count * sizeof(node->rows[0]));
    memcpy(right->heads, &node->heads[cut], (size_t)right->count * sizeof(node->heads[0]));
    node->count = cut;
    node_skip_anew(node);
    if (right->count > 0) {
        node_skip_anew(right);
    }
}

static struct table_leaf *leaf_split(struct table *table, struct table_leaf *leaf, int cut)
{
    struct table_leaf *right = mk_alloc(sizeof(*right));
    node_split(&leaf->node, &right->node, cut);
    right->prev = leaf;
    right->next = leaf->next;
    *(leaf->next != NULL ? &leaf->next->prev : &table->last) = right;
    leaf->next = right;
    return right;
}

static struct table_inner *inner_split(struct table_inner *inner, int cut)
{
    struct table_inner *right = mk_alloc(sizeof(*right));
    int moved = inner->node.count - cut;
    memcpy(right->children, &inner->children[cut], (size_t)moved * sizeof(inner->children[0]));
    node_split(&inner->node, &right->node, cut);
    return right;
}

static void root_grow(struct table *table, struct table_node *right)
{
    MK_ASSERT(table->height < TABLE_HEIGHT_MAX);
    struct table_inner *root = mk_alloc(sizeof(*root));
    root->node.count = 0;
    inner_insert(root, 0, table->root);
    inner_insert(root, 1, right);
    table->root = &root->node;
    table->height++;
}

/* `right` is new, to the right of what `path` leads to. */
static void path_insert(struct table *table, struct table_path *path, struct table_node *right)
{
    for (int level = table->height - 1; level >= 0; level--) {
        struct table_inner *inner = path->inner[level];
        int slot = path->slot[level] + 1;
        if (inner->node.count < TABLE_FANOUT) {
            inner_insert(inner, slot, right);
            return;
        }
        int cut = split_point(slot);
        struct table_inner *half = inner_split(inner, cut);
        if (slot >= cut) {
            inner_insert(half, slot - cut, right);
        } else {
            inner_insert(inner, slot, right);
        }
        right = &half->node;
    }
    root_grow(table, right);
}

void table_insert(struct table *table, struct row *row)
{
    table->count++;
    if (table->root == NULL) {
        struct table_leaf *leaf = mk_alloc(sizeof(*leaf));
        leaf->prev = NULL;
        leaf->next = NULL;
        leaf->node.count = 0;
        node_open_slot(&leaf->node, 0, row);
        table->root = &leaf->node;
        table->first = leaf;
        table->last = leaf;
        return;
    }

    struct table_path path;
    struct table_leaf *leaf = table_descend(table, row_key(row), false, &path);
    int slot = node_rank(&leaf->node, row_key(row), false);
    if (leaf->node.count < TABLE_FANOUT) {
        node_open_slot(&leaf->node, slot, row);
        if (slot == 0) {
            path_first_changed(&path, table->height, row);
        }
        return;
    }
    int cut = split_point(slot);
    struct table_leaf *right = leaf_split(table, leaf, cut);
    if (slot >= cut) {
        node_open_slot(&right->node, slot - cut, row);
    } else {
        node_open_slot(&leaf->node, slot, row);
        if (slot == 0) {
            path_first_changed(&path, table->height, row);
        }
    }
    path_insert(table, &path, &right->node);
}

static void leaf_free(struct table *table, struct table_leaf *leaf)
{
    *(leaf->prev != NULL ? &leaf->prev->next : &table->first) = leaf->next;
    *(leaf->next != NULL ? &leaf->next->prev : &table->last) = leaf->prev;
    mk_free(leaf);
}

/* One child less. True: it was the last one, and the node is gone too. */
static bool inner_remove(struct table_inner *inner, int slot)
{
    size_t behind = (size_t)(inner->node.count - slot - 1);
    memmove(&inner->children[slot], &inner->children[slot + 1],
            behind * sizeof(inner->children[0]));
    node_close_slot(&inner->node, slot);
    if (inner->node.count > 0) {
        return false;
    }
    mk_free(inner);
    return true;
}

static void root_shrink(struct table *table)
{
    while (table->height > 0 && table->root->count == 1) {
        struct table_inner *root = as_inner(table->root);
        table->root = root->children[0];
        table->height--;
        mk_free(root);
    }
}

/* What `path` leads to is gone: take it out of the inner node above it, and that one if it is empty
 * now, and so on. */
static void path_remove(struct table *table, struct table_path *path)
{
    int level = table->height - 1;
    while (level >= 0 && inner_remove(path->inner[level], path->slot[level])) {
        level--;
    }
    if (level < 0) {
        table->root = NULL;
        table->height = 0;
        return;
    }
    if (path->slot[level] == 0) {
        path_first_changed(path, level, path->inner[level]->node.rows[0]);
    }
    root_shrink(table);
}

void table_remove(struct table *table, struct row *row)
{
    MK_ASSERT(table->count > 0);
    table->count--;
    struct table_path path;
    struct table_leaf *leaf = table_descend(table, row_key(row), false, &path);
    int slot = node_rank(&leaf->node, row_key(row), false);
    MK_ASSERT(slot < leaf->node.count && leaf->node.rows[slot] == row);
    node_close_slot(&leaf->node, slot);
    if (leaf->node.count == 0) {
        leaf_free(table, leaf);
        path_remove(table, &path);
    } else if (slot == 0) {
        path_first_changed(&path, table->height, leaf->node.rows[0]);
    }
}

static void node_free(struct table_node *node, int height)
{
    if (height == 0) {
        mk_free(as_leaf(node));
        return;
    }
    struct table_inner *inner = as_inner(node);
    for (int i = 0; i < node->count; i++) {
        node_free(inner->children[i], height - 1);
    }
    mk_free(inner);
}

void table_free(struct table *table)
{
    if (table->root != NULL) {
        node_free(table->root, table->height);
    }
    *table = (struct table){0};
}

/* ---- Cursors ---- */

struct table_cursor table_seek(const struct table *table, struct mk_bytes key, bool backwards)
{
    struct table_cursor cursor = {NULL, 0};
    if (table->root == NULL) {
        return cursor;
    }
    cursor.leaf = table_descend(table, key, backwards, NULL);
    cursor.slot = node_rank(&cursor.leaf->node, key, false);
    if (backwards) {
        table_step(&cursor, true); /* rank is one past the last row < key */
    } else if (cursor.slot == cursor.leaf->node.count) {
        cursor = (struct table_cursor){cursor.leaf->next, 0};
    }
    return cursor;
}

struct table_cursor table_first(const struct table *table)
{
    return (struct table_cursor){table->first, 0};
}

void table_step(struct table_cursor *cursor, bool backwards)
{
    MK_ASSERT(cursor->leaf != NULL);
    cursor->slot += backwards ? -1 : 1;
    if (cursor->slot < 0) {
        cursor->leaf = cursor->leaf->prev;
        cursor->slot = cursor->leaf != NULL ? cursor->leaf->node.count - 1 : 0;
    } else if (cursor->slot == cursor->leaf->node.count) {
        *cursor = (struct table_cursor){cursor->leaf->next, 0};
    }
}

struct row *table_at(const struct table_cursor *cursor)
{
    return cursor->leaf == NULL ? NULL : cursor->leaf->node.rows[cursor->slot];
}

/* ---- Whole-structure check ---- */

static size_t node_check(struct table_node *node, int height, const struct row **last)
{
    MK_ASSERT(node->count > 0 && node->count <= TABLE_FANOUT);
    size_t rows = 0;
    for (int i = 0; i < node->count; i++) {
        struct mk_bytes key = row_key(node->rows[i]);
        MK_ASSERT(key.len >= node->skip);
        MK_ASSERT(memcmp(key.data, node->rows[0]->key, node->skip) == 0);
        MK_ASSERT(node->heads[i] == key_head(key, node->skip));
        if (height > 0) {
            struct table_node *child = as_inner(node)->children[i];
            MK_ASSERT(node->rows[i] == child->rows[0]);
            rows += node_check(child, height - 1, last);
        } else {
            MK_ASSERT(*last == NULL ||
                      mk_bytes_compare(row_key(*last), row_key(node->rows[i])) < 0);
            *last = node->rows[i];
            rows++;
        }
    }
    return rows;
}

void table_check(const struct table *table)
{
    const struct row *last = NULL;
    size_t rows = table->root == NULL ? 0 : node_check(table->root, table->height, &last);
    MK_ASSERT(rows == table->count);

    size_t linked = 0;
    const struct table_leaf *before = NULL;
    for (const struct table_leaf *leaf = table->first; leaf != NULL; leaf = leaf->next) {
        MK_ASSERT(leaf->prev == before);
        before = leaf;
        linked += (size_t)leaf->node.count;
    }
    MK_ASSERT(before == table->last);
    MK_ASSERT(linked == table->count);
}
