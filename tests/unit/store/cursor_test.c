/* Cursors over committed rows, against an array of flags; above all how they get past rows that are
 * gone, and that what they remember about those is forgotten when rows come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/checkpoint.h"

#define KEYS 3000

struct trial {
    struct committed rows;
    struct mk_random random;
    bool alive[KEYS];
};

static struct mk_bytes key_of(char room[16], int i)
{
    int len = snprintf(room, 16, "k%05d", i);
    return mk_bytes_of(room, (size_t)len);
}

static void trial_open(struct trial *trial, uint64_t seed)
{
    memset(trial, 0, sizeof(*trial));
    mk_random_seed(&trial->random, seed);
    committed_init(&trial->rows, store_base_memory(NULL, 0), 10000, seed);
}

static void trial_close(struct trial *trial)
{
    struct store_base *base = trial->rows.base;
    committed_check(&trial->rows);
    committed_free(&trial->rows);
    base->ops->close(base);
}

static void put(struct trial *trial, int i)
{
    char room[16];
    committed_put(&trial->rows, key_of(room, i), MK_BYTES("value"), false);
    trial->alive[i] = true;
}

static void drop(struct trial *trial, int i)
{
    char room[16];
    committed_delete(&trial->rows, key_of(room, i));
    trial->alive[i] = false;
}

static void checkpoint(struct trial *trial)
{
    struct mk_error error;
    committed_freeze(&trial->rows);
    struct store_rows_place place = {0};
    struct store_rows rows = {&trial->rows.frozen.table, &place};
    enum mk_status status = trial->rows.base->ops->ingest(trial->rows.base, &rows, &error);
    assert_int_equal(status, MK_OK);
    committed_settle(&trial->rows);
}

/* All rows of [low, high) are seen, in order, and no others. */
static void assert_range(struct trial *trial, int low, int high, bool backwards)
{
    char low_room[16];
    char high_room[16];
    char room[16];
    struct range range = {key_of(low_room, low), key_of(high_room, high), backwards};
    struct committed_cursor cursor;
    committed_tidy(&trial->rows);
    enum mk_status status = committed_cursor_open(&cursor, &trial->rows, range, true);
    for (int n = 0; n < high - low; n++) {
        int i = backwards ? high - 1 - n : low + n;
        if (trial->alive[i]) {
            assert_int_equal(status, MK_OK);
            assert_true(mk_bytes_equal(cursor.key, key_of(room, i)));
            status = committed_cursor_step(&cursor);
        }
    }
    assert_int_equal(status, MK_END);
    committed_cursor_close(&cursor);
}

static void random_step(struct trial *trial)
{
    struct mk_random *random = &trial->random;
    int from = (int)mk_random_below(random, KEYS);
    int len = (int)mk_random_below(random, mk_random_below(random, 3) == 0 ? 400 : 20) + 1;
    int to = from + len < KEYS ? from + len : KEYS;
    uint64_t dice = mk_random_below(random, 100);
    if (dice < 30) {
        for (int i = from; i < to; i++) {
            drop(trial, i);
        }
    } else if (dice < 35) {
        for (int i = from; i < to; i++) {
            put(trial, i);
        }
    } else if (dice < 60) {
        put(trial, from);
    } else if (dice < 63) {
        checkpoint(trial);
    } else {
        assert_range(trial, from, to, mk_random_below(random, 2) == 0);
    }
}

static void cursors_see_what_is_alive(void **state)
{
    (void)state;
    static struct trial trial;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        trial_open(&trial, seed);
        for (int i = 0; i < KEYS; i++) {
            put(&trial, i);
        }
        for (int step = 0; step < 1500; step++) {
            random_step(&trial);
        }
        assert_range(&trial, 0, KEYS, false);
        assert_range(&trial, 0, KEYS, true);
        trial_close(&trial);
    }
}

static void dead_rows_are_passed_over_once(void **state)
{
    (void)state;
    static struct trial trial;
    trial_open(&trial, 1);
    for (int i = 0; i < KEYS; i++) {
        put(&trial, i);
    }
    checkpoint(&trial); /* from now on deleting leaves tombstones */
    for (int i = 0; i < 2000; i++) {
        drop(&trial, i);
    }
    assert_int_equal(trial.rows.gaps.count, 0);

    assert_range(&trial, 0, KEYS, false);
    assert_int_equal(trial.rows.gaps.count, 1);
    assert_true(mk_bytes_equal(trial.rows.gaps.gaps[0].low, MK_BYTES("k00000")));
    assert_true(mk_bytes_equal(trial.rows.gaps.gaps[0].high, MK_BYTES("k02000")));

    /* Taking away the next first row makes it longer, putting one into it makes it two. */
    drop(&trial, 2000);
    assert_range(&trial, 0, KEYS, false);
    assert_true(mk_bytes_equal(trial.rows.gaps.gaps[0].high, MK_BYTES("k02001")));
    put(&trial, 1000);
    assert_range(&trial, 0, KEYS, false);
    assert_range(&trial, 0, KEYS, true);
    assert_int_equal(trial.rows.gaps.count, 2);
    trial_close(&trial);
}

/* The base has tombstones of its own after a checkpoint, and passes over them on each seek: so a
 * gap begins where the cursor began to look, not at the first dead row that it saw. */
static void a_gap_begins_where_the_search_began(void **state)
{
    (void)state;
    static struct trial trial;
    trial_open(&trial, 1);
    for (int i = 0; i < 100; i++) {
        put(&trial, i);
    }
    checkpoint(&trial);
    for (int i = 0; i < 50; i++) {
        drop(&trial, i);
    }
    struct range range = {MK_BYTES("a"), MK_BYTES("z"), false};
    struct committed_cursor cursor;
    enum mk_status status = committed_cursor_open(&cursor, &trial.rows, range, true);
    assert_int_equal(status, MK_OK);
    assert_true(mk_bytes_equal(cursor.key, MK_BYTES("k00050")));
    committed_cursor_close(&cursor);
    assert_true(mk_bytes_equal(trial.rows.gaps.gaps[0].low, MK_BYTES("a")));
    trial_close(&trial);
}

static void a_row_that_nothing_below_has_leaves_no_tombstone(void **state)
{
    (void)state;
    static struct trial trial;
    trial_open(&trial, 1);
    for (int i = 0; i < 100; i++) {
        char room[16];
        struct row *row;
        enum mk_status status = committed_get(&trial.rows, key_of(room, i), true, &row);
        assert_int_equal(status, MK_OK);
        assert_true(row->tombstone);
        put(&trial, i);
        drop(&trial, i);
    }
    assert_int_equal(trial.rows.active.table.count, 0);
    assert_int_equal(trial.rows.active.bytes, 0);
    trial_close(&trial);
}

static void put_text(struct trial *trial, const char *key)
{
    committed_put(&trial->rows, mk_bytes_text(key), MK_BYTES("value"), true);
}

/* The keys of a range, each followed by a space; `within` is walked at each of them. */
static void walk(struct trial *trial, struct range range, const struct range *within, char out[256])
{
    struct committed_cursor cursor;
    out[0] = '\0';
    enum mk_status status = committed_cursor_open(&cursor, &trial->rows, range, true);
    for (; status == MK_OK; status = committed_cursor_step(&cursor)) {
        size_t len = strlen(out);
        snprintf(out + len, 256 - len, "%.*s ", (int)cursor.key.len, (const char *)cursor.key.data);
        if (within != NULL) {
            char ignored[256];
            walk(trial, *within, NULL, ignored);
            within = NULL;
        }
    }
    assert_int_equal(status, MK_END);
    committed_cursor_close(&cursor);
}

static void a_cursor_within_another_lets_it_go_on_either_way(void **state)
{
    struct range outer = {MK_BYTES("k"), MK_BYTES("l"), false};
    struct range before = {MK_BYTES("a"), MK_BYTES("b"), false};
    struct range behind = {MK_BYTES("x"), MK_BYTES("y"), false};
    (void)state;

    for (int i = 0; i < 4; i++) {
        struct trial trial;
        char out[256], key[16];
        trial_open(&trial, 1);
        for (int j = 0; j < 200; j++) { /* enough for nodes to be split below the outer cursor */
            snprintf(key, sizeof(key), "%c%03d", i % 2 == 0 ? 'a' : 'x', j);
            put_text(&trial, key);
        }
        put_text(&trial, "k1");
        put_text(&trial, "k2");
        put_text(&trial, "k3");
        outer.backwards = i >= 2;
        walk(&trial, outer, i % 2 == 0 ? &before : &behind, out);
        assert_string_equal(out, outer.backwards ? "k3 k2 k1 " : "k1 k2 k3 ");
        trial_close(&trial);
    }
}

static void rows_wait_to_be_sorted_and_not_too_many(void **state)
{
    struct trial trial;
    char key[16];
    (void)state;
    trial_open(&trial, 1);

    for (int i = 0; i < COMMITTED_UNSORTED_MAX; i++) {
        (void)key_of(key, i);
        put_text(&trial, key);
    }
    assert_int_equal(trial.rows.active.table.count, 0);
    put_text(&trial, "k99999");
    assert_int_equal(trial.rows.active.table.count, 1);
    committed_check(&trial.rows);
    committed_freeze(&trial.rows);
    assert_int_equal(trial.rows.frozen.table.count, COMMITTED_UNSORTED_MAX + 1);
    trial_close(&trial);
}

static void clean_rows_stay_within_their_bound(void **state)
{
    (void)state;
    static struct trial trial;
    trial_open(&trial, 1);
    for (int i = 0; i < KEYS; i++) {
        put(&trial, i);
    }
    checkpoint(&trial);
    for (int i = 0; i < 10000; i++) {
        char room[16];
        struct row *row;
        committed_tidy(&trial.rows);
        enum mk_status status = committed_get(&trial.rows, key_of(room, i % KEYS), true, &row);
        assert_int_equal(status, MK_OK);
    }
    committed_tidy(&trial.rows);
    assert_true(committed_bytes(&trial.rows) < 15000);
    trial_close(&trial);
}

static void rows_in_use_survive_rows_that_are_read_once(void **state)
{
    (void)state;
    static struct trial trial;
    trial_open(&trial, 1);
    for (int i = 0; i < KEYS; i++) {
        put(&trial, i);
    }
    checkpoint(&trial);
    char room[16];
    struct row *row;
    for (int i = 0; i < 2 * KEYS; i++) {
        committed_tidy(&trial.rows);
        enum mk_status status = committed_get(&trial.rows, key_of(room, i % KEYS), true, &row);
        assert_int_equal(status, MK_OK);
        status = committed_get(&trial.rows, key_of(room, 7), true, &row);
        assert_int_equal(status, MK_OK);
    }
    struct mk_bytes hot = key_of(room, 7);
    assert_non_null(index_find(&trial.rows.index, hot, index_hash(&trial.rows.index, hot)));
    trial_close(&trial);
}

static void gaps_beyond_the_most_are_forgotten(void **state)
{
    (void)state;
    struct gaps gaps = {0};
    char low[16];
    char high[16];
    for (int i = 0; i < 3 * GAPS_MAX; i++) {
        gaps_add(&gaps, key_of(low, 2 * i), key_of(high, 2 * i + 1));
        assert_non_null(gaps_at(&gaps, key_of(low, 2 * i), false));
    }
    assert_int_equal(gaps.count, GAPS_MAX);

    gaps_add(&gaps, key_of(low, 0), key_of(high, 90000));

    assert_int_equal(gaps.count, 1);
    gaps_free(&gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_see_what_is_alive),
        cmocka_unit_test(dead_rows_are_passed_over_once),
        cmocka_unit_test(a_gap_begins_where_the_search_began),
        cmocka_unit_test(a_row_that_nothing_below_has_leaves_no_tombstone),
        cmocka_unit_test(a_cursor_within_another_lets_it_go_on_either_way),
        cmocka_unit_test(rows_wait_to_be_sorted_and_not_too_many),
        cmocka_unit_test(clean_rows_stay_within_their_bound),
        cmocka_unit_test(rows_in_use_survive_rows_that_are_read_once),
        cmocka_unit_test(gaps_beyond_the_most_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
