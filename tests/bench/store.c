/* The store alone, with many children under one parent: what an operation costs in CPU time, over the
 * memory base, so that only our own tables are measured.
 *
 *     bench_store [CHILDREN]      1,000,000 by default
 *
 * Every operation is a transaction of its own in the committed view, in random order of the children
 * unless said otherwise. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/store.h"

#define PARENT "/app"
#define PATH_BYTES 32
#define PROBES_MAX 100000 /* of what is not done once for each child */

struct bench {
    struct store *store;
    struct store_view *view;
    mk_zxid zxid;
    size_t count;
    uint32_t *order; /* a random permutation of the children */
    char path[PATH_BYTES];
};

static double cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static struct mk_bytes path_of(struct bench *bench, size_t number)
{
    snprintf(bench->path, sizeof(bench->path), PARENT "/item-%010zu", number);
    return mk_bytes_text(bench->path);
}

static void expect(enum mk_status status, const char *what)
{
    if (status != MK_OK) {
        fprintf(stderr, "bench_store: %s: %s\n", what, mk_status_text(status));
        exit(1);
    }
}

static void report(const char *what, double began_ns, size_t count)
{
    printf("%-34s %9.0f ns\n", what, (cpu_ns() - began_ns) / (double)count);
}

static void create(struct bench *bench, struct mk_bytes path)
{
    struct store_create create = {
        .path = path, .data = MK_BYTES("twenty bytes of data"), .parent_cversion = -1};
    struct store_znode znode;

    store_begin(bench->view, ++bench->zxid, 1);
    expect(store_znode_create(bench->view, &create, &znode), "create");
    store_end(bench->view);
}

static void bench_writes(struct bench *bench)
{
    struct store_znode znode;
    double began_ns = cpu_ns();

    for (size_t i = 0; i < bench->count; i++) {
        create(bench, path_of(bench, i));
    }
    report("create, in order", began_ns, bench->count);
    printf("%-34s %9.0f bytes\n", "memory, each",
           (double)store_memory_bytes(bench->store) / (double)bench->count);
    began_ns = cpu_ns();
    for (size_t i = 0; i < bench->count; i++) {
        store_begin(bench->view, ++bench->zxid, 1);
        expect(store_znode_set_data(bench->view, path_of(bench, bench->order[i]),
                                    MK_BYTES("twenty other bytes.."), 1, &znode),
               "set");
        store_end(bench->view);
    }
    report("set", began_ns, bench->count);
}

struct page {
    int left;
};

static bool page_take(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct page *page = context;

    (void)name;
    (void)czxid;
    (void)position;
    return --page->left > 0;
}

static void bench_listing(struct bench *bench, const char *what, int page_count, bool backwards)
{
    size_t probes = bench->count < PROBES_MAX ? bench->count : PROBES_MAX;
    double began_ns = cpu_ns();

    for (size_t i = 0; i < probes; i++) {
        struct mk_bytes from = path_of(bench, bench->order[i]);
        struct store_children query = {
            .path = MK_BYTES(PARENT),
            .backwards = backwards,
            .from = page_count == 1 && !backwards ? MK_BYTES_NULL : tree_path_name(from),
        };
        struct page page = {.left = page_count};
        expect(store_children_each(bench->view, &query, page_take, &page), what);
    }
    report(what, began_ns, probes);
}

static void bench_reads(struct bench *bench)
{
    struct store_znode znode;
    double began_ns = cpu_ns();

    for (size_t i = 0; i < bench->count; i++) {
        struct mk_bytes path = path_of(bench, bench->order[i]);
        expect(store_znode_read(bench->view, path, true, &znode), "get");
    }
    report("get", began_ns, bench->count);
    bench_listing(bench, "first child", 1, false);
    bench_listing(bench, "child before another", 1, true);
    bench_listing(bench, "page of 100 behind a child", 100, false);
}

static void bench_deletes(struct bench *bench)
{
    double began_ns = cpu_ns();

    for (size_t i = 0; i < bench->count; i++) {
        store_begin(bench->view, ++bench->zxid, 1);
        expect(store_znode_delete(bench->view, path_of(bench, bench->order[i])), "delete");
        store_end(bench->view);
    }
    report("delete", began_ns, bench->count);
}

int main(int argc, char **argv)
{
    struct bench bench = {.count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000};
    struct store_options options = {.cache_bytes = (uint64_t)1 << 30,
                                    .overlay_bytes = (uint64_t)8 << 30,
                                    .overlay_bytes_max = (uint64_t)16 << 30};
    struct mk_error error;
    struct mk_random random;

    if (argc > 2 || bench.count == 0 || bench.count > 100000000) {
        fprintf(stderr, "usage: bench_store [CHILDREN, 1 to 100000000]\n");
        return 2;
    }
    bench.store = store_open(store_base_memory(NULL, 0), &options, &error);
    if (bench.store == NULL) {
        fprintf(stderr, "bench_store: %s\n", error.text);
        return 1;
    }
    bench.view = store_committed(bench.store);
    bench.order = mk_alloc(bench.count * sizeof(*bench.order));
    mk_random_seed(&random, 1);
    for (size_t i = 0; i < bench.count; i++) {
        size_t j = (size_t)mk_random_below(&random, i + 1);
        bench.order[i] = bench.order[j];
        bench.order[j] = (uint32_t)i;
    }
    create(&bench, MK_BYTES(PARENT));
    bench_writes(&bench);
    bench_reads(&bench);
    bench_deletes(&bench);
    mk_free(bench.order);
    store_close(bench.store);
    return 0;
}
