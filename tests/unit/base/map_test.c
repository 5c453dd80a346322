#include "base/base.h"
#include "unit/cmocka.h"

#include <stdio.h>

#define KEYS_COUNT 500

static void an_unused_map_holds_nothing(void **state)
{
    struct mk_map_u64 numbers = {0};
    struct mk_map_bytes texts = {0};
    size_t cursor = 0;
    uint64_t key;
    void *value;

    assert_null(mk_map_u64_get(&numbers, 1));
    assert_null(mk_map_u64_remove(&numbers, 1));
    assert_false(mk_map_u64_next(&numbers, &cursor, &key, &value));
    assert_null(mk_map_bytes_get(&texts, MK_BYTES("a")));
    assert_null(mk_map_bytes_remove(&texts, MK_BYTES("a")));

    mk_map_u64_free(&numbers);
    mk_map_bytes_free(&texts);
}

static void put_and_remove_return_what_was_there(void **state)
{
    struct mk_map_u64 map = {0};
    int one;
    int two;

    assert_null(mk_map_u64_put(&map, 7, &one));
    assert_ptr_equal(mk_map_u64_put(&map, 7, &two), &one);
    assert_ptr_equal(mk_map_u64_get(&map, 7), &two);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(mk_map_u64_remove(&map, 7), &two);
    assert_null(mk_map_u64_get(&map, 7));
    assert_int_equal(map.count, 0);

    mk_map_u64_free(&map);
}

/* A map beside an array that cannot be wrong, through 200,000 random operations. */
static void a_map_of_numbers_agrees_with_an_array(void **state)
{
    struct mk_map_u64 map = {0};
    struct mk_random random;
    char *model[KEYS_COUNT] = {NULL};
    char values[16];
    size_t count = 0;
    mk_random_seed(&random, 1);

    for (int i = 0; i < 200000; i++) {
        uint64_t at = mk_random_below(&random, KEYS_COUNT);
        uint64_t key = at << 32 | 5; /* differs in the high half only, as session ids do */
        if (mk_random_chance(&random, 500)) {
            char *value = &values[mk_random_below(&random, sizeof(values))];
            assert_ptr_equal(mk_map_u64_put(&map, key, value), model[at]);
            count += model[at] == NULL;
            model[at] = value;
        } else {
            assert_ptr_equal(mk_map_u64_remove(&map, key), model[at]);
            count -= model[at] != NULL;
            model[at] = NULL;
        }
        assert_int_equal(map.count, count);
    }

    for (uint64_t at = 0; at < KEYS_COUNT; at++) {
        assert_ptr_equal(mk_map_u64_get(&map, at << 32 | 5), model[at]);
    }
    assert_true(map.capacity <= 4 * KEYS_COUNT); /* tombs do not make it grow */
    mk_map_u64_free(&map);
}

static void a_map_of_texts_agrees_with_an_array(void **state)
{
    struct mk_map_bytes map = {0};
    struct mk_random random;
    static char keys[KEYS_COUNT][32];
    char *model[KEYS_COUNT] = {NULL};
    char values[16];
    mk_random_seed(&random, 2);
    for (int at = 0; at < KEYS_COUNT; at++) {
        snprintf(keys[at], sizeof(keys[at]), "/locks/%d", at);
    }

    for (int i = 0; i < 200000; i++) {
        uint64_t at = mk_random_below(&random, KEYS_COUNT);
        struct mk_bytes key = mk_bytes_text(keys[at]);
        if (mk_random_chance(&random, 500)) {
            char *value = &values[mk_random_below(&random, sizeof(values))];
            assert_ptr_equal(mk_map_bytes_put(&map, key, value), model[at]);
            model[at] = value;
        } else {
            assert_ptr_equal(mk_map_bytes_remove(&map, key), model[at]);
            model[at] = NULL;
        }
    }

    for (int at = 0; at < KEYS_COUNT; at++) {
        assert_ptr_equal(mk_map_bytes_get(&map, mk_bytes_text(keys[at])), model[at]);
    }
    mk_map_bytes_free(&map);
}

static void iteration_visits_each_entry_once(void **state)
{
    struct mk_map_u64 map = {0};
    int value;
    bool seen[1000] = {false};
    for (uint64_t key = 0; key < 1000; key++) {
        mk_map_u64_put(&map, key, &value);
    }
    for (uint64_t key = 0; key < 1000; key += 2) {
        mk_map_u64_remove(&map, key);
    }

    size_t cursor = 0;
    size_t visited = 0;
    uint64_t key;
    void *found;
    while (mk_map_u64_next(&map, &cursor, &key, &found)) {
        assert_int_equal(key % 2, 1);
        assert_false(seen[key]);
        seen[key] = true;
        visited++;
    }

    assert_int_equal(visited, 500);
    mk_map_u64_free(&map);
}

static void replacing_a_value_replaces_the_borrowed_key(void **state)
{
    struct mk_map_bytes map = {0};
    char first[] = "/a";
    char second[] = "/a";
    int value;
    mk_map_bytes_put(&map, mk_bytes_text(first), &value);

    mk_map_bytes_put(&map, mk_bytes_text(second), &value);
    memset(first, 'x', sizeof(first)); /* its owner is gone */

    assert_ptr_equal(mk_map_bytes_get(&map, MK_BYTES("/a")), &value);
    size_t cursor = 0;
    struct mk_bytes key;
    void *found;
    assert_true(mk_map_bytes_next(&map, &cursor, &key, &found));
    assert_ptr_equal(key.data, second);
    assert_false(mk_map_bytes_next(&map, &cursor, &key, &found));
    mk_map_bytes_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unused_map_holds_nothing),
        cmocka_unit_test(put_and_remove_return_what_was_there),
        cmocka_unit_test(a_map_of_numbers_agrees_with_an_array),
        cmocka_unit_test(a_map_of_texts_agrees_with_an_array),
        cmocka_unit_test(iteration_visits_each_entry_once),
        cmocka_unit_test(replacing_a_value_replaces_the_borrowed_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
