/* The hash index: finds what is in it, grows and shrinks a little at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/index.h"

#define KEYS 20000

static struct mk_bytes key_of(char room[32], size_t i)
{
    int len = snprintf(room, 32, "/a/path/%zu", i);
    return mk_bytes_of(room, (size_t)len);
}

static void add(struct index *index, struct row *rows[], size_t i)
{
    char room[32];
    struct mk_bytes key = key_of(room, i);
    rows[i] = row_new(key, 0);
    index_insert(index, rows[i], index_hash(index, key));
}

static void drop(struct index *index, struct row *rows[], size_t i)
{
    index_remove(index, rows[i], index_hash(index, row_key(rows[i])));
    row_free(rows[i]);
    rows[i] = NULL;
}

static void assert_finds(struct index *index, struct row *rows[], size_t i)
{
    char room[32];
    struct mk_bytes key = key_of(room, i);
    assert_ptr_equal(index_find(index, key, index_hash(index, key)), rows[i]);
}

static void an_index_finds_what_is_in_it(void **state)
{
    (void)state;
    static struct row *rows[KEYS];
    struct index index;
    struct mk_random random;
    mk_random_seed(&random, 5);
    index_init(&index, 11);
    size_t count = 0;
    for (int step = 0; step < 300000; step++) {
        size_t i = mk_random_below(&random, KEYS);
        bool growing = (step / 50000) % 2 == 0;
        bool add_it = mk_random_below(&random, 10) < (growing ? 9 : 1);
        if (rows[i] == NULL && add_it) {
            add(&index, rows, i);
            count++;
        } else if (rows[i] != NULL && !add_it) {
            drop(&index, rows, i);
            count--;
        }
        assert_finds(&index, rows, i);
        assert_finds(&index, rows, mk_random_below(&random, KEYS));
        assert_int_equal(index_count(&index), count);
    }
    for (size_t i = 0; i < KEYS; i++) {
        assert_finds(&index, rows, i);
    }

    size_t walked = 0;
    size_t cursor = 0;
    for (struct row *row; (row = index_next(&index, &cursor)) != NULL;) {
        walked++;
        row_free(row);
    }
    assert_int_equal(walked, count);
    index_free(&index);
    memset(rows, 0, sizeof(rows));
}

static void an_emptied_index_gives_its_memory_back(void **state)
{
    (void)state;
    static struct row *rows[KEYS];
    struct index index;
    index_init(&index, 1);
    for (size_t i = 0; i < KEYS; i++) {
        add(&index, rows, i);
    }
    size_t full = index_bytes(&index);
    for (size_t i = 0; i < KEYS; i++) {
        drop(&index, rows, i);
    }
    assert_true(index_bytes(&index) * 16 < full);
    index_free(&index);
}

static void a_row_takes_the_place_of_another_with_its_key(void **state)
{
    (void)state;
    struct index index;
    index_init(&index, 1);
    struct mk_bytes key = MK_BYTES("key");
    uint64_t hash = index_hash(&index, key);
    struct row *first = row_new(key, 0);
    struct row *second = row_new(key, 0);
    index_insert(&index, first, hash);

    index_replace(&index, first, second, hash);

    assert_ptr_equal(index_find(&index, key, hash), second);
    assert_int_equal(index_count(&index), 1);
    row_free(first);
    row_free(second);
    index_free(&index);
}

static void hashes_depend_on_the_seed(void **state)
{
    (void)state;
    struct index one;
    struct index other;
    index_init(&one, 1);
    index_init(&other, 2);
    assert_true(index_hash(&one, MK_BYTES("/a")) != index_hash(&other, MK_BYTES("/a")));
    assert_true(index_hash(&one, MK_BYTES("/a")) != index_hash(&one, MK_BYTES("/b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_finds_what_is_in_it),
        cmocka_unit_test(an_emptied_index_gives_its_memory_back),
        cmocka_unit_test(a_row_takes_the_place_of_another_with_its_key),
        cmocka_unit_test(hashes_depend_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
