#include "unit/cmocka.h"
#include "unit/store/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/store.h"

#define SEGMENT_BYTES ((uint64_t)64 << 10)
#define CRASHES_COUNT 1000 /* 60,000 of each kind were tried when this was written */

/* ---- The disk breaks on request: these take the place of the C library's in this program. ---- */

static int sync_errno;
static int write_errno;
static _Atomic int syncs_count;
static _Atomic int writes_count;

int fdatasync(int fd)
{
    atomic_fetch_add(&syncs_count, 1);
    if (sync_errno != 0) {
        errno = sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    atomic_fetch_add(&writes_count, 1);
    if (write_errno != 0) {
        errno = write_errno;
        return -1;
    }
    return syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L);
}

/* ---- A log in a directory of its own ---- */

struct bench {
    struct scratch scratch;
    struct store_log *log;
    struct mk_error error;
    struct store_log_options options;
};

static int setup(void **state)
{
    struct bench *bench = mk_alloc_zero(1, sizeof(*bench));

    scratch_make(&bench->scratch);
    bench->options = (struct store_log_options){
        .segment_bytes = SEGMENT_BYTES, .segment_first_bytes = SEGMENT_BYTES, .sync = true};
    sync_errno = 0;
    write_errno = 0;
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    if (bench->log != NULL) {
        store_log_close(bench->log);
    }
    scratch_remove(&bench->scratch);
    mk_free(bench);
    return 0;
}

static void log_close(struct bench *bench)
{
    store_log_close(bench->log);
    bench->log = NULL;
}

static void log_open(struct bench *bench)
{
    bench->error.text[0] = '\0';
    bench->log = store_log_open(bench->scratch.path, &bench->options, &bench->error);
    assert_string_equal(bench->error.text, "");
    assert_non_null(bench->log);
}

static void log_open_refused(struct bench *bench, const char *reason)
{
    bench->log = store_log_open(bench->scratch.path, &bench->options, &bench->error);
    assert_null(bench->log);
    if (strstr(bench->error.text, reason) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", bench->error.text, reason);
    }
}

/* One batch: entries `first` to `last`, each with a body of `len` bytes. */
static enum mk_status append(struct bench *bench, mk_zxid first, mk_zxid last, size_t len)
{
    struct mk_buf batch = {0};

    for (mk_zxid zxid = first; zxid <= last; zxid++) {
        scratch_entry_put(&batch, zxid, len);
    }
    enum mk_status status = store_log_append(bench->log, batch.data, batch.len, &bench->error);
    mk_buf_free(&batch);
    return status;
}

struct replayed {
    mk_zxid first;
    mk_zxid last;
    size_t count;
};

static enum mk_status replay_visit(void *context, mk_zxid zxid, struct mk_bytes entry)
{
    struct replayed *replayed = context;

    assert_true(scratch_entry_valid(zxid, entry));
    assert_true(zxid > replayed->last);
    replayed->first = replayed->count == 0 ? zxid : replayed->first;
    replayed->last = zxid;
    replayed->count++;
    return MK_OK;
}

static struct replayed replay(struct bench *bench, mk_zxid after)
{
    struct replayed replayed = {0};

    assert_int_equal(store_log_replay(bench->log, after, replay_visit, &replayed, &bench->error),
                     MK_OK);
    return replayed;
}

static void assert_holds(struct bench *bench, mk_zxid first, mk_zxid last)
{
    struct replayed replayed = replay(bench, 0);

    assert_int_equal(replayed.first, first);
    assert_int_equal(replayed.last, last);
    assert_int_equal(store_log_last(bench->log), last);
}

/* ---- What it keeps ---- */

static void a_new_log_is_empty(void **state)
{
    struct bench *bench = *state;

    log_open(bench);

    assert_int_equal(store_log_last(bench->log), 0);
    assert_int_equal(store_log_first(bench->log), 0);
    assert_int_equal(store_log_bytes(bench->log), 0);
    assert_int_equal(replay(bench, 0).count, 0);
}

static void entries_are_there_after_reopening(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1, 100), MK_OK);
    assert_int_equal(append(bench, 2, 9, 100), MK_OK);

    log_close(bench);
    log_open(bench);

    assert_holds(bench, 1, 9);
    assert_int_equal(append(bench, 10, 10, 0), MK_OK);
    assert_holds(bench, 1, 10);
    assert_int_equal(store_log_bytes(bench->log), SEGMENT_BYTES); /* it went on in the same file */
}

static void replay_starts_after_a_zxid_and_stops_when_told(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK); /* several segments */

    struct replayed tail = replay(bench, 1500);

    assert_int_equal(tail.first, 1501);
    assert_int_equal(tail.count, 500);
    assert_int_equal(replay(bench, 2000).count, 0);
}

static void an_epoch_may_begin_with_any_counter(void **state)
{
    struct bench *bench = *state;
    mk_zxid second = ((mk_zxid)2 << 32) + 7;
    log_open(bench);
    assert_int_equal(append(bench, ((mk_zxid)1 << 32) + 1, ((mk_zxid)1 << 32) + 3, 10), MK_OK);
    assert_int_equal(append(bench, second, second, 10), MK_OK);

    log_close(bench);
    log_open(bench);

    assert_int_equal(store_log_last(bench->log), second);
    assert_int_equal(replay(bench, 0).count, 4);
}

static void a_file_is_named_after_its_first_entry_and_holds_zookeepers_format(void **state)
{
    struct bench *bench = *state;
    struct mk_buf bytes = {0};
    const uint8_t expected[] = {'Z', 'K', 'L', 'G', 0, 0, 0,    2,    0,    0,    0, 0, 0, 0,
                                0,   0,   0,   0,   0, 0, 0x34, 0x21, 0x06, 0x5c, 0, 0, 0, 32};
    log_open(bench);
    assert_int_equal(append(bench, 0x1a, 0x1a, 0), MK_OK);

    scratch_read(&bench->scratch, "log.1a", &bytes);

    assert_int_equal(bytes.len, SEGMENT_BYTES);
    assert_memory_equal(bytes.data, expected, 20);
    assert_memory_equal(bytes.data + 24, expected + 24, 4);
    assert_int_equal(bytes.data[16 + 12 + 32], 'B');
    assert_int_equal(mk_load_u32(bytes.data + 16 + 13 + 32 + 8),
                     0); /* a record of length 0: the end */
    mk_buf_free(&bytes);
}

static void one_batch_is_one_write_and_one_sync(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1, 10), MK_OK);
    int writes = writes_count;
    int syncs = syncs_count;

    assert_int_equal(append(bench, 2, 100, 100), MK_OK);

    assert_int_equal(writes_count - writes, 1);
    assert_int_equal(syncs_count - syncs, 1);
}

/* ---- Segments ---- */

static void a_full_segment_is_followed_by_the_one_written_beforehand(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_first_bytes = 4096;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1, 10), MK_OK);
    assert_int_equal(store_log_prewrite(bench->log, &bench->error), MK_OK);
    assert_true(scratch_has(&bench->scratch, "next"));

    assert_int_equal(append(bench, 2, 100, 100), MK_OK); /* straddles both */

    assert_false(scratch_has(&bench->scratch, "next"));
    assert_int_equal(store_log_bytes(bench->log), 4096 + SEGMENT_BYTES);
    log_close(bench);
    log_open(bench);
    assert_holds(bench, 1, 100);
}

static void without_a_segment_written_beforehand_it_makes_a_small_one(void **state)
{
    struct bench *bench = *state;
    bench->options.segment_first_bytes = 4096;
    log_open(bench);

    assert_int_equal(append(bench, 1, 30, 100), MK_OK);

    assert_int_equal(store_log_bytes(bench->log), 2 * 4096);
    assert_holds(bench, 1, 30);
}

static void an_entry_larger_than_a_segment_gets_one_of_its_size(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1, 10), MK_OK);
    assert_int_equal(store_log_prewrite(bench->log, &bench->error), MK_OK);

    assert_int_equal(append(bench, 2, 2, 3 * SEGMENT_BYTES), MK_OK);
    assert_int_equal(append(bench, 3, 3, 10), MK_OK);

    log_close(bench);
    log_open(bench);
    assert_holds(bench, 1, 3);
}

static void a_segment_written_beforehand_survives_a_restart(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(store_log_prewrite(bench->log, &bench->error), MK_OK);
    log_close(bench);
    scratch_write(&bench->scratch, "next.tmp", MK_BYTES("half of one"));

    log_open(bench);

    assert_false(scratch_has(&bench->scratch, "next.tmp"));
    assert_int_equal(store_log_bytes(bench->log), SEGMENT_BYTES);
    assert_int_equal(append(bench, 1, 1, 10), MK_OK);
    assert_false(scratch_has(&bench->scratch, "next"));
}

static void segments_that_hold_nothing_newer_are_removed_but_never_the_current_one(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK); /* 5 segments, the first to 451 */
    uint64_t bytes = store_log_bytes(bench->log);

    assert_int_equal(store_log_remove_through(bench->log, 450, 0, &bench->error), MK_OK);
    assert_int_equal(store_log_first(bench->log), 1);
    assert_int_equal(store_log_remove_through(bench->log, 451, 0, &bench->error), MK_OK);
    assert_int_equal(store_log_first(bench->log), 452);
    assert_int_equal(store_log_bytes(bench->log), bytes - SEGMENT_BYTES);
    assert_int_equal(store_log_remove_through(bench->log, 9999, 0, &bench->error), MK_OK);

    mk_zxid first = store_log_first(bench->log);
    assert_true(first > 1800 && first <= 2000);
    log_close(bench);
    log_open(bench);
    assert_holds(bench, first, 2000);
}

static void as_much_of_the_log_as_asked_for_is_kept_whatever_is_superfluous(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK); /* 5 segments, the first to 451 */

    assert_int_equal(store_log_remove_through(bench->log, 9999, 3 * SEGMENT_BYTES, &bench->error),
                     MK_OK);
    assert_int_equal(store_log_first(bench->log), 452);
    assert_int_equal(store_log_remove_through(bench->log, 9999, 8 * SEGMENT_BYTES, &bench->error),
                     MK_OK);

    assert_int_equal(store_log_first(bench->log), 452);
    assert_holds(bench, 452, 2000);
}

/* What is read, in pieces of `bytes`; the number of entries, which must be without a gap. */
static size_t read_on(struct bench *bench, struct store_log_reader *reader, mk_zxid after,
                      mk_zxid through, size_t bytes)
{
    struct mk_buf piece = {0};
    enum mk_status status = MK_OK;
    size_t count = 0;

    while (status == MK_OK) {
        struct mk_bytes entry;
        size_t offset = 0;
        piece.len = 0;
        status = store_log_reader_read(reader, through, bytes, &piece, &bench->error);
        while (store_log_entry_next(mk_buf_view(&piece), &offset, &entry)) {
            count++;
            assert_true(scratch_entry_valid(after + (mk_zxid)count, entry));
        }
        assert_true(piece.len < bytes + 1000);
    }
    assert_int_equal(status, MK_END);
    mk_buf_free(&piece);
    return count;
}

static void the_log_is_read_a_piece_at_a_time_while_it_grows_and_is_shortened(void **state)
{
    struct bench *bench = *state;
    struct store_log_reader *reader = NULL;
    uint64_t bytes = 0;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK);

    assert_int_equal(store_log_reader_open(bench->log, 100, &reader, &bytes, &bench->error), MK_OK);
    assert_int_equal(append(bench, 2001, 3000, 100), MK_OK);
    assert_int_equal(store_log_remove_through(bench->log, 9999, 0, &bench->error), MK_OK);

    assert_in_range(bytes, 1900 * 100, 1900 * 200);
    assert_int_equal(read_on(bench, reader, 100, 1999, 5000), 1899);
    store_log_reader_close(reader);
}

static void the_log_is_read_to_its_end_if_that_comes_before_what_was_asked_for(void **state)
{
    struct bench *bench = *state;
    struct store_log_reader *reader = NULL;
    uint64_t bytes = 0;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1000, 100), MK_OK);

    assert_int_equal(store_log_reader_open(bench->log, 1, &reader, &bytes, &bench->error), MK_OK);

    assert_int_equal(read_on(bench, reader, 1, 5000, 1 << 20), 999);
    store_log_reader_close(reader);
}

static void what_is_to_be_read_on_from_must_be_in_the_log(void **state)
{
    struct bench *bench = *state;
    struct store_log_reader *reader = NULL;
    uint64_t bytes = 0;
    log_open(bench);
    assert_int_equal(append(bench, 11, 20, 100), MK_OK);
    assert_int_equal(append(bench, ((mk_zxid)1 << 32) + 1, ((mk_zxid)1 << 32) + 5, 100), MK_OK);

    static const mk_zxid absent[] = {1, 10, 21, (mk_zxid)1 << 32, ((mk_zxid)1 << 32) + 6};
    for (size_t i = 0; i < MK_COUNT(absent); i++) {
        assert_int_equal(
            store_log_reader_open(bench->log, absent[i], &reader, &bytes, &bench->error),
            MK_NO_NODE);
    }
    assert_null(reader);
}

static void truncate_takes_back_the_newest_entries(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK);

    assert_int_equal(store_log_truncate(bench->log, 2000, &bench->error), MK_OK);
    assert_holds(bench, 1, 2000);
    assert_int_equal(store_log_truncate(bench->log, 700, &bench->error), MK_OK);
    assert_holds(bench, 1, 700);
    assert_int_equal(append(bench, 701, 703, 100), MK_OK);

    log_close(bench);
    log_open(bench);
    assert_holds(bench, 1, 703);
    assert_int_equal(store_log_truncate(bench->log, 451, &bench->error), MK_OK); /* a whole one */
    assert_holds(bench, 1, 451);
    assert_int_equal(store_log_truncate(bench->log, 0, &bench->error), MK_OK);
    assert_int_equal(store_log_last(bench->log), 0);
}

static void reset_empties_the_log_and_allows_a_gap(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1000, 100), MK_OK);

    assert_int_equal(store_log_reset(bench->log, 5000, &bench->error), MK_OK);
    assert_int_equal(store_log_last(bench->log), 0);
    assert_int_equal(append(bench, 5003, 5004, 100), MK_OK);

    log_close(bench);
    log_open(bench);
    assert_holds(bench, 5003, 5004);
}

/* ---- Threads ---- */

struct helper {
    struct bench *bench;
    atomic_bool stop;
};

static void *prewrite_run(void *context)
{
    struct helper *helper = context;
    struct mk_error error;

    while (!atomic_load(&helper->stop)) {
        MK_ASSERT(store_log_prewrite(helper->bench->log, &error) == MK_OK);
    }
    return NULL;
}

static void *remove_run(void *context)
{
    struct helper *helper = context;
    struct mk_error error;

    while (!atomic_load(&helper->stop)) {
        mk_zxid last = store_log_last(helper->bench->log);
        struct replayed replayed = {0};
        MK_ASSERT(store_log_replay(helper->bench->log, last - 100, replay_visit, &replayed,
                                   &error) == MK_OK);
        MK_ASSERT(replayed.count >= (size_t)(last < 100 ? last : 100));
        MK_ASSERT(store_log_remove_through(helper->bench->log, last - 1000, 0, &error) == MK_OK);
    }
    return NULL;
}

static void other_threads_may_prewrite_replay_and_remove_meanwhile(void **state)
{
    struct bench *bench = *state;
    struct helper helper = {.bench = bench};
    pthread_t prewriter;
    pthread_t remover;
    bench->options.sync = false;
    log_open(bench);
    assert_int_equal(pthread_create(&prewriter, NULL, prewrite_run, &helper), 0);
    assert_int_equal(pthread_create(&remover, NULL, remove_run, &helper), 0);

    for (mk_zxid zxid = 1; zxid <= 20000; zxid += 10) {
        assert_int_equal(append(bench, zxid, zxid + 9, 100), MK_OK);
    }

    atomic_store(&helper.stop, true);
    pthread_join(prewriter, NULL);
    pthread_join(remover, NULL);
    log_close(bench);
    log_open(bench);
    assert_int_equal(store_log_last(bench->log), 20000);
    assert_int_equal(replay(bench, 19000).count, 1000);
}

/* ---- Torn tails ---- */

static void a_torn_tail_is_cut_and_what_was_before_it_stays(void **state)
{
    struct bench *bench = *state;
    struct mk_buf bytes = {0};
    log_open(bench);
    assert_int_equal(append(bench, 1, 5, 100), MK_OK);
    assert_int_equal(append(bench, 6, 6, 5000), MK_OK);
    log_close(bench);
    scratch_read(&bench->scratch, "log.1", &bytes);
    memset(bytes.data + 4096, 0, bytes.len - 4096); /* a page and what is behind it never arrived */
    scratch_write(&bench->scratch, "log.1", mk_buf_view(&bytes));

    log_open(bench);
    assert_holds(bench, 1, 5);
    assert_int_equal(append(bench, 6, 7, 200), MK_OK);

    log_close(bench);
    log_open(bench);
    assert_holds(bench, 1, 7);
    mk_buf_free(&bytes);
}

/* A log of some batches that were acknowledged, and one more that was being written. */
struct crash {
    struct mk_buf before; /* the file when the last of them was acknowledged */
    struct mk_buf after;  /* with all that was being written */
    mk_zxid acknowledged;
    mk_zxid written;
    size_t acknowledged_bytes;
    size_t acknowledged_last_at; /* where the last acknowledged record begins */
};

static void crash_make(struct bench *bench, struct mk_random *random, size_t len_max,
                       struct crash *crash)
{
    uint64_t batches = 1 + mk_random_below(random, 6);
    log_open(bench);
    assert_int_equal(store_log_reset(bench->log, 0, &bench->error), MK_OK);
    crash->written = 0;
    crash->acknowledged_bytes = 16;
    for (uint64_t i = 0; i <= batches; i++) {
        mk_zxid first = crash->written + 1;
        size_t len = (size_t)mk_random_below(random, len_max);
        crash->acknowledged = crash->written;
        crash->written = first + (mk_zxid)mk_random_below(random, 8);
        if (i == batches) {
            scratch_read(&bench->scratch, "log.1", &crash->before);
        } else {
            crash->acknowledged_bytes += (size_t)(crash->written - first + 1) * (13 + 32 + len);
            crash->acknowledged_last_at = crash->acknowledged_bytes - (13 + 32 + len);
        }
        assert_int_equal(append(bench, first, crash->written, len), MK_OK);
    }
    log_close(bench);
    scratch_read(&bench->scratch, "log.1", &crash->after);
    assert_int_equal(crash->before.len, crash->after.len);
}

/* What a crash may leave of it: each sector, or each page, old or new. */
static void crash_tear(struct crash *crash, struct mk_random *random)
{
    size_t unit = mk_random_chance(random, 500) ? 512 : 4096;
    uint32_t lost_per_mille = (uint32_t)mk_random_below(random, 1000);

    for (size_t at = 0; at < crash->after.len; at += unit) {
        if (mk_random_chance(random, lost_per_mille)) {
            memcpy(crash->after.data + at, crash->before.data + at, unit);
        }
    }
}

static void crash_free(struct crash *crash)
{
    mk_buf_free(&crash->before);
    mk_buf_free(&crash->after);
}

static void however_the_last_batch_is_torn_the_acknowledged_ones_stay(void **state)
{
    struct bench *bench = *state;
    struct crash crash = {0};
    bench->options.sync = false; /* Nothing here depends on it. */

    for (uint64_t seed = 0; seed < CRASHES_COUNT; seed++) {
        struct mk_random random;
        mk_random_seed(&random, seed);
        crash_make(bench, &random, 1500, &crash);
        crash_tear(&crash, &random);
        scratch_write(&bench->scratch, "log.1", mk_buf_view(&crash.after));

        log_open(bench);
        mk_zxid last = store_log_last(bench->log);
        if (last < crash.acknowledged || last > crash.written) {
            fail_msg("seed %d: entries up to %d were acknowledged, %d are left", (int)seed,
                     (int)crash.acknowledged, (int)last);
        }
        assert_int_equal(append(bench, last + 1, last + 3, 700), MK_OK);
        log_close(bench);
        log_open(bench);
        assert_holds(bench, 1, last + 3);
        log_close(bench);
    }
    crash_free(&crash);
}

/* ---- Damage ---- */

/* Invert one bit before `end`, but not in the header's dbid, which nobody reads. */
static size_t damage(struct bench *bench, struct mk_random *random, size_t end)
{
    size_t at = (size_t)mk_random_below(random, end - 8);

    at = at < 8 ? at : at + 8;
    scratch_flip(&bench->scratch, "log.1", at, (uint8_t)(1u << mk_random_below(random, 8)));
    return at;
}

static void one_damaged_bit_of_what_later_batches_follow_is_found(void **state)
{
    struct bench *bench = *state;
    struct crash crash = {0};
    bench->options.sync = false;

    for (uint64_t seed = 0; seed < CRASHES_COUNT; seed++) {
        struct mk_random random;
        mk_random_seed(&random, seed);
        crash_make(bench, &random, 1500, &crash);
        (void)damage(bench, &random, crash.acknowledged_bytes);

        log_open_refused(bench, "is damaged at byte");

        scratch_write(&bench->scratch, "log.1", mk_buf_view(&crash.after));
    }
    crash_free(&crash);
}

/* Not in the last acknowledged record, where rule 4 applies, and with entries of which none holds a
 * sector of zeros: see the end of disk_segment.c's head comment. */
static void a_damaged_bit_is_found_even_if_the_last_batch_is_torn(void **state)
{
    struct bench *bench = *state;
    struct crash crash = {0};
    bench->options.sync = false;

    for (uint64_t seed = 0; seed < CRASHES_COUNT; seed++) {
        struct mk_random random;
        mk_random_seed(&random, seed);
        crash_make(bench, &random, 400, &crash);
        crash_tear(&crash, &random);
        scratch_write(&bench->scratch, "log.1", mk_buf_view(&crash.after));
        size_t at = damage(bench, &random, crash.acknowledged_last_at);

        bench->log = store_log_open(bench->scratch.path, &bench->options, &bench->error);
        if (bench->log != NULL) {
            fail_msg("seed %d: byte %d is damaged, %d were acknowledged, %d are left", (int)seed,
                     (int)at, (int)crash.acknowledged, (int)store_log_last(bench->log));
        }
        assert_non_null(strstr(bench->error.text, "is damaged at byte"));
        scratch_write(&bench->scratch, "log.1", MK_BYTES(""));
    }
    crash_free(&crash);
}

static void a_missing_segment_is_found(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 2000, 100), MK_OK);
    log_close(bench);
    scratch_unlink(&bench->scratch, "log.1c4");

    log_open_refused(bench, "entry 0x1c4 should come, but it is missing");
}

static void a_tail_that_is_torn_before_the_last_segment_is_damage(void **state)
{
    struct bench *bench = *state;
    struct mk_buf bytes = {0};
    log_open(bench);
    assert_int_equal(append(bench, 1, 600, 100), MK_OK);
    log_close(bench);
    scratch_read(&bench->scratch, "log.1", &bytes);
    bytes.len -= 4096;
    scratch_write(&bench->scratch, "log.1", mk_buf_view(&bytes));

    log_open_refused(bench, "moonkeeper repair --rejoin");
    mk_buf_free(&bytes);
}

static void a_renamed_segment_is_found(void **state)
{
    struct bench *bench = *state;
    struct mk_buf bytes = {0};
    log_open(bench);
    assert_int_equal(append(bench, 5, 6, 100), MK_OK);
    log_close(bench);
    scratch_read(&bench->scratch, "log.5", &bytes);
    scratch_write(&bench->scratch, "log.7", mk_buf_view(&bytes));
    scratch_unlink(&bench->scratch, "log.5");

    log_open_refused(bench, "which is not the one in its name");
    mk_buf_free(&bytes);
}

static void a_segment_with_nothing_in_it_is_dropped(void **state)
{
    struct bench *bench = *state;
    struct mk_buf bytes = {0};
    log_open(bench);
    assert_int_equal(append(bench, 1, 3, 100), MK_OK);
    assert_int_equal(store_log_prewrite(bench->log, &bench->error), MK_OK);
    log_close(bench);
    scratch_read(&bench->scratch, "next", &bytes);
    scratch_write(&bench->scratch, "log.4",
                  mk_buf_view(&bytes)); /* a crash before its first entry */

    log_open(bench);

    assert_false(scratch_has(&bench->scratch, "log.4"));
    assert_int_equal(append(bench, 4, 5, 100), MK_OK);
    assert_holds(bench, 1, 5);
    mk_buf_free(&bytes);
}

/* ---- The disk fails ---- */

static void a_failed_sync_is_never_tried_again(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 1, 10), MK_OK);

    sync_errno = EIO;
    assert_int_equal(append(bench, 2, 2, 10), MK_IO);
    assert_non_null(strstr(bench->error.text, "cannot sync "));
    assert_non_null(strstr(bench->error.text, "/log.1: Input/output error; "));
    sync_errno = 0;
    int syncs = syncs_count;
    assert_int_equal(append(bench, 3, 3, 10), MK_IO);

    assert_int_equal(syncs_count, syncs);
    assert_int_equal(store_log_last(bench->log), 1);
}

static void a_full_disk_says_so_and_the_log_opens_again_when_there_is_space(void **state)
{
    struct bench *bench = *state;
    log_open(bench);
    assert_int_equal(append(bench, 1, 400, 100), MK_OK);

    write_errno = ENOSPC;
    assert_int_equal(store_log_prewrite(bench->log, &bench->error), MK_NO_SPACE);
    assert_false(scratch_has(&bench->scratch, "next.tmp"));
    assert_int_equal(append(bench, 401, 500, 100), MK_NO_SPACE);
    assert_non_null(strstr(bench->error.text, "free some space"));
    write_errno = 0;
    log_close(bench);

    log_open(bench);
    assert_holds(bench, 1, 400);
    assert_int_equal(append(bench, 401, 500, 100), MK_OK);
}

static void without_sync_nothing_is_synced(void **state)
{
    struct bench *bench = *state;
    bench->options.sync = false;
    int syncs = syncs_count;

    log_open(bench);
    assert_int_equal(append(bench, 1, 600, 100), MK_OK);

    assert_int_equal(syncs_count, syncs);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_new_log_is_empty),
        LOG_TEST(entries_are_there_after_reopening),
        LOG_TEST(replay_starts_after_a_zxid_and_stops_when_told),
        LOG_TEST(an_epoch_may_begin_with_any_counter),
        LOG_TEST(a_file_is_named_after_its_first_entry_and_holds_zookeepers_format),
        LOG_TEST(one_batch_is_one_write_and_one_sync),
        LOG_TEST(a_full_segment_is_followed_by_the_one_written_beforehand),
        LOG_TEST(without_a_segment_written_beforehand_it_makes_a_small_one),
        LOG_TEST(an_entry_larger_than_a_segment_gets_one_of_its_size),
        LOG_TEST(a_segment_written_beforehand_survives_a_restart),
        LOG_TEST(segments_that_hold_nothing_newer_are_removed_but_never_the_current_one),
        LOG_TEST(as_much_of_the_log_as_asked_for_is_kept_whatever_is_superfluous),
        LOG_TEST(the_log_is_read_a_piece_at_a_time_while_it_grows_and_is_shortened),
        LOG_TEST(the_log_is_read_to_its_end_if_that_comes_before_what_was_asked_for),
        LOG_TEST(what_is_to_be_read_on_from_must_be_in_the_log),
        LOG_TEST(truncate_takes_back_the_newest_entries),
        LOG_TEST(reset_empties_the_log_and_allows_a_gap),
        LOG_TEST(other_threads_may_prewrite_replay_and_remove_meanwhile),
        LOG_TEST(a_torn_tail_is_cut_and_what_was_before_it_stays),
        LOG_TEST(however_the_last_batch_is_torn_the_acknowledged_ones_stay),
        LOG_TEST(one_damaged_bit_of_what_later_batches_follow_is_found),
        LOG_TEST(a_damaged_bit_is_found_even_if_the_last_batch_is_torn),
        LOG_TEST(a_missing_segment_is_found),
        LOG_TEST(a_tail_that_is_torn_before_the_last_segment_is_damage),
        LOG_TEST(a_renamed_segment_is_found),
        LOG_TEST(a_segment_with_nothing_in_it_is_dropped),
        LOG_TEST(a_failed_sync_is_never_tried_again),
        LOG_TEST(a_full_disk_says_so_and_the_log_opens_again_when_there_is_space),
        LOG_TEST(without_sync_nothing_is_synced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
