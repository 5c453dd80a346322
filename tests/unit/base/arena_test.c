#include "base/base.h"
#include "unit/cmocka.h"

static void scraps_are_aligned_and_do_not_overlap(void **state)
{
    struct mk_arena arena = {0};
    uint8_t *scraps[500];

    for (size_t i = 0; i < MK_COUNT(scraps); i++) {
        scraps[i] = mk_arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)scraps[i] % 16, 0);
        memset(scraps[i], (int)(i & 0xff), i);
    }

    for (size_t i = 0; i < MK_COUNT(scraps); i++) {
        for (size_t at = 0; at < i; at++) {
            assert_int_equal(scraps[i][at], i & 0xff);
        }
    }
    mk_arena_free(&arena);
}

static void a_scrap_may_be_larger_than_any_block(void **state)
{
    struct mk_arena arena = {0};

    memset(mk_arena_alloc(&arena, 5u << 20), 1, 5u << 20);
    memset(mk_arena_alloc(&arena, 10), 2, 10);

    mk_arena_free(&arena);
    assert_null(arena.blocks);
}

static void a_copy_is_equal_and_null_stays_null(void **state)
{
    struct mk_arena arena = {0};
    char text[] = "/locks/a";

    struct mk_bytes copy = mk_arena_copy(&arena, mk_bytes_text(text));
    text[1] = 'x';

    assert_true(mk_bytes_equal(copy, MK_BYTES("/locks/a")));
    assert_null(mk_arena_copy(&arena, MK_BYTES_NULL).data);
    assert_true(mk_bytes_equal(mk_arena_copy(&arena, MK_BYTES("")), MK_BYTES("")));
    mk_arena_free(&arena);
}

static void an_arena_can_be_used_again_after_a_reset(void **state)
{
    struct mk_arena arena = {0};

    for (int step = 0; step < 50; step++) {
        for (int i = 0; i < 1000; i++) {
            memset(mk_arena_alloc(&arena, 100), step, 100);
        }
        mk_arena_reset(&arena);
    }

    mk_arena_free(&arena);
    mk_arena_reset(&arena);
    mk_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scraps_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_scrap_may_be_larger_than_any_block),
        cmocka_unit_test(a_copy_is_equal_and_null_stays_null),
        cmocka_unit_test(an_arena_can_be_used_again_after_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
