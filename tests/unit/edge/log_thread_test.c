/* When a batch is made durable on the loop's own thread, and when it is not. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "edge/log_thread.h"
#include "unit/cmocka.h"

#define SLOW_SYNC_MS 20
#define HELD_OFF_MS 10000

static bool disk_is_slow;
static int syncs_count;

/* Stands in for libc's: this process has no other use for it. */
int fdatasync(int fd)
{
    struct timespec slow = {.tv_nsec = SLOW_SYNC_MS * 1000000L};

    (void)fd;
    syncs_count++;
    return disk_is_slow ? nanosleep(&slow, NULL) : 0;
}

struct bench {
    char directory[64];
    uv_loop_t loop;
    struct store_log *log;
    struct log_thread *thread;
    mk_zxid zxid;
    int synced_count; /* batches that came back from the thread */
};

static void on_synced(void *context, struct server_batch *batch)
{
    struct bench *bench = context;

    mk_buf_free(&batch->bytes);
    bench->synced_count++;
}

static void bench_init(struct bench *bench)
{
    struct mk_error error = {""};

    memset(bench, 0, sizeof(*bench));
    strcpy(bench->directory, "log_thread_test.XXXXXX");
    assert_non_null(mkdtemp(bench->directory));
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    bench->log =
        store_log_open(bench->directory,
                       &(struct store_log_options){
                           .segment_bytes = 1 << 16, .segment_first_bytes = 1 << 16, .sync = true},
                       &error);
    assert_string_equal(error.text, "");
    bench->thread = log_thread_start(&(struct log_thread_options){
        .loop = &bench->loop,
        .store_log = bench->log,
        .sync_warning_ms = 60000,
        .on_synced = on_synced,
        .context = bench,
    });
    disk_is_slow = false;
}

static void bench_deinit(struct bench *bench)
{
    log_thread_stop(bench->thread);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    store_log_close(bench->log);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", bench->directory);
    assert_int_equal(system(command), 0);
}

static struct server_batch batch_next(struct bench *bench)
{
    struct server_batch batch = {.last = ++bench->zxid, .count = 1};
    struct mk_bytes session = MK_BYTES("\0\0\0\0\0\0\0\1\0\0\0\0");
    uint8_t zxid[8];

    mk_store_u64(zxid, (uint64_t)bench->zxid);
    size_t entry = store_log_entry_begin(&batch.bytes);
    mk_buf_append_bytes(&batch.bytes, session); /* TxnHeader: session, cxid, zxid, time, type */
    mk_buf_append(&batch.bytes, zxid, sizeof(zxid));
    mk_buf_append_bytes(&batch.bytes, MK_BYTES("\0\0\0\0\0\0\0\0\377\377\377\377"));
    store_log_entry_end(&batch.bytes, entry);
    return batch;
}

/* Whether the loop's own thread did it. */
static bool append_now(struct bench *bench, mk_ms now_ms)
{
    struct server_batch batch = batch_next(bench);
    bool done = log_thread_append_now(bench->thread, &batch, now_ms);

    if (!done) {
        bench->zxid--;
    }
    mk_buf_free(&batch.bytes);
    return done;
}

static void after_a_slow_sync_the_loop_leaves_syncs_to_the_thread_for_ten_seconds(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);

    disk_is_slow = true;
    assert_true(append_now(&bench, 1000));
    assert_true(log_thread_took_ms(bench.thread) >= SLOW_SYNC_MS);

    int syncs_before = syncs_count;
    assert_false(append_now(&bench, 1001));
    assert_false(append_now(&bench, 1000 + HELD_OFF_MS - 1));
    assert_int_equal(syncs_count, syncs_before);
    assert_true(append_now(&bench, 1000 + HELD_OFF_MS));
    assert_false(append_now(&bench, 1000 + HELD_OFF_MS + 1)); /* it was as slow again */
    assert_int_equal(syncs_count, syncs_before + 1);
    bench_deinit(&bench);
}

static void a_slow_sync_on_the_thread_holds_nothing_up(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    disk_is_slow = true;
    struct server_batch batch = batch_next(&bench);

    log_thread_append(bench.thread, &batch);
    assert_false(log_thread_idle(bench.thread));
    while (bench.synced_count == 0) {
        uv_run(&bench.loop, UV_RUN_ONCE);
    }

    assert_true(log_thread_idle(bench.thread));
    assert_true(append_now(&bench, 1000));
    bench_deinit(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_slow_sync_the_loop_leaves_syncs_to_the_thread_for_ten_seconds),
        cmocka_unit_test(a_slow_sync_on_the_thread_holds_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
