/* The ordered table against a sorted array, with keys that make it hard: shared prefixes, keys that
 * are prefixes of others, zero bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/table.h"

#define ROWS_MAX 6000

struct reference {
    struct row *rows[ROWS_MAX]; /* sorted */
    size_t count;
    struct table table;
};

static size_t reference_rank(const struct reference *reference, struct mk_bytes key)
{
    size_t rank = 0;
    size_t high = reference->count;
    while (rank < high) {
        size_t middle = (rank + high) / 2;
        if (mk_bytes_compare(row_key(reference->rows[middle]), key) < 0) {
            rank = middle + 1;
        } else {
            high = middle;
        }
    }
    return rank;
}

static bool reference_holds(const struct reference *reference, struct mk_bytes key)
{
    size_t rank = reference_rank(reference, key);
    return rank < reference->count && mk_bytes_equal(row_key(reference->rows[rank]), key);
}

static void insert(struct reference *reference, struct mk_bytes key)
{
    if (reference->count == ROWS_MAX || reference_holds(reference, key)) {
        return;
    }
    size_t rank = reference_rank(reference, key);
    struct row *row = row_new(key, 0);
    memmove(&reference->rows[rank + 1], &reference->rows[rank],
            (reference->count - rank) * sizeof(row));
    reference->rows[rank] = row;
    reference->count++;
    table_insert(&reference->table, row);
}

static void remove_at(struct reference *reference, size_t rank)
{
    struct row *row = reference->rows[rank];
    table_remove(&reference->table, row);
    row_free(row);
    reference->count--;
    memmove(&reference->rows[rank], &reference->rows[rank + 1],
            (reference->count - rank) * sizeof(row));
}

static void assert_seek(const struct reference *reference, struct mk_bytes key)
{
    size_t rank = reference_rank(reference, key);
    struct table_cursor forward = table_seek(&reference->table, key, false);
    for (size_t i = rank; i < rank + 3; i++) {
        struct row *expected = i < reference->count ? reference->rows[i] : NULL;
        assert_ptr_equal(table_at(&forward), expected);
        if (expected == NULL) {
            break;
        }
        table_step(&forward, false);
    }
    struct table_cursor backward = table_seek(&reference->table, key, true);
    for (size_t i = rank; i + 3 > rank; i--) {
        struct row *expected = i > 0 ? reference->rows[i - 1] : NULL;
        assert_ptr_equal(table_at(&backward), expected);
        if (expected == NULL) {
            break;
        }
        table_step(&backward, true);
    }
}

static void clear(struct reference *reference)
{
    for (size_t i = 0; i < reference->count; i++) {
        row_free(reference->rows[i]);
    }
    table_free(&reference->table);
    reference->count = 0;
}

static struct mk_bytes random_key(struct mk_random *random, uint8_t room[64], int kind)
{
    static const char *const prefixes[] = {"", "/a", "/a/b", "/a/b/a long path of some kind/",
                                           "/a/b/a long path of some other kind/"};
    const char *prefix = prefixes[mk_random_below(random, MK_COUNT(prefixes))];
    if (kind == 0) {
        int number = (int)mk_random_below(random, 20000);
        return mk_bytes_of(room, (size_t)snprintf((char *)room, 64, "%s%06d", prefix, number));
    }
    size_t len = (size_t)snprintf((char *)room, 64, "%s", prefix);
    size_t tail = mk_random_below(random, 12);
    for (size_t i = 0; i < tail; i++) {
        room[len++] = (uint8_t)mk_random_below(random, 3); /* zeros, ones, twos */
    }
    room[len] = 'x';
    return mk_bytes_of(room, len + (len == 0));
}

static void random_run(uint64_t seed, int kind)
{
    static struct reference reference;
    struct mk_random random;
    mk_random_seed(&random, seed);
    uint8_t room[64];
    for (int step = 0; step < 30000; step++) {
        bool growing = (step / 5000) % 2 == 0;
        if (mk_random_below(&random, 10) < (growing ? 8 : 2)) {
            insert(&reference, random_key(&random, room, kind));
        } else if (reference.count > 0) {
            remove_at(&reference, mk_random_below(&random, reference.count));
        }
        assert_seek(&reference, random_key(&random, room, kind));
        if (step % 1000 == 0) {
            table_check(&reference.table);
            assert_int_equal(reference.table.count, reference.count);
        }
    }
    while (reference.count > 0) {
        remove_at(&reference, mk_random_below(&random, reference.count));
    }
    assert_null(reference.table.root);
    clear(&reference);
}

static void a_table_is_a_sorted_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        random_run(seed, 0);
        random_run(seed, 1);
    }
}

static void rows_in_ascending_order_fill_the_leaves(void **state)
{
    (void)state;
    static struct reference reference;
    char key[32];
    for (int i = 0; i < 4096; i++) {
        int len = snprintf(key, sizeof(key), "/queue/item-%010d", i);
        insert(&reference, mk_bytes_of(key, (size_t)len));
    }
    table_check(&reference.table);

    size_t leaves = 0;
    const struct table_leaf *leaf = NULL;
    struct table_cursor cursor = table_first(&reference.table);
    for (; table_at(&cursor) != NULL; table_step(&cursor, false)) {
        leaves += cursor.leaf != leaf;
        leaf = cursor.leaf;
    }
    assert_int_equal(leaves, 64);
    clear(&reference);
}

static void rows_taken_from_the_front_leave_no_empty_leaves(void **state)
{
    (void)state;
    static struct reference reference;
    char key[32];
    for (int i = 0; i < 5000; i++) {
        int len = snprintf(key, sizeof(key), "/queue/item-%010d", i);
        insert(&reference, mk_bytes_of(key, (size_t)len));
        if (i >= 10) {
            remove_at(&reference, 0);
            struct table_cursor first = table_first(&reference.table);
            assert_ptr_equal(table_at(&first), reference.rows[0]);
        }
    }
    table_check(&reference.table);
    assert_int_equal(reference.table.height, 0);
    clear(&reference);
}

static void an_empty_table_has_no_rows(void **state)
{
    (void)state;
    struct table table = {0};
    struct table_cursor cursor = table_first(&table);
    assert_null(table_at(&cursor));
    cursor = table_seek(&table, MK_BYTES("a"), false);
    assert_null(table_at(&cursor));
    cursor = table_seek(&table, MK_BYTES("a"), true);
    assert_null(table_at(&cursor));
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_has_no_rows),
        cmocka_unit_test(a_table_is_a_sorted_array),
        cmocka_unit_test(rows_in_ascending_order_fill_the_leaves),
        cmocka_unit_test(rows_taken_from_the_front_leave_no_empty_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
