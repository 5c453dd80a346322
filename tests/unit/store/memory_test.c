/* The base in memory keeps the contract, with and without stalls, and loses what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract.h"

struct factory {
    struct store_base *base;
    struct mk_random random;
    uint32_t stall_per_mille;
};

static void factory_reset(void *context)
{
    struct factory *factory = context;
    if (factory->base != NULL) {
        factory->base->ops->close(factory->base);
    }
    mk_random_seed(&factory->random, 1);
    factory->base = store_base_memory(&factory->random, factory->stall_per_mille);
}

static struct store_base *factory_open(void *context)
{
    struct factory *factory = context;
    store_base_memory_ref(factory->base);
    return factory->base;
}

static int contract_of(const char *group, uint32_t stall_per_mille)
{
    struct factory factory = {.stall_per_mille = stall_per_mille};
    struct contract_factory contract = {&factory, factory_reset, factory_open};
    int failed = contract_run(group, &contract);
    factory.base->ops->close(factory.base);
    return failed;
}

static void commit(struct store *store, mk_zxid zxid)
{
    struct store_view *view = store_committed(store);
    store_begin(view, zxid, 0);
    enum mk_status put = store_session_put(view, zxid, 1000);
    assert_int_equal(put, MK_OK);
    store_end(view);
    struct mk_error error;
    struct store_checkpoint *checkpoint = store_checkpoint_start(store);
    assert_non_null(checkpoint);
    enum mk_status status = store_checkpoint_write(checkpoint, &error);
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(store, checkpoint);
}

static void a_crash_loses_the_newest_checkpoints(void **state)
{
    struct store_options options = {.overlay_bytes = 1000, .overlay_bytes_max = 10000};
    struct mk_error error;
    struct store_base *base = store_base_memory(NULL, 0);
    store_base_memory_ref(base);
    struct store *store = store_open(base, &options, &error);
    for (mk_zxid zxid = 1; zxid <= 5; zxid++) {
        commit(store, zxid);
    }
    store_close(store);

    store_base_memory_lose(base, 2);
    store = store_open(base, &options, &error);

    assert_int_equal(store_applied(store), 3);
    assert_int_equal(store_totals(store)->sessions, 3);
    store_check(store);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_loses_the_newest_checkpoints),
    };
    int failed = cmocka_run_group_tests_name("losing checkpoints", tests, NULL, NULL);
    failed += contract_of("the memory base", 0);
    failed += contract_of("the memory base, one read in ten stalls", 100);
    failed += contract_of("the memory base, every read stalls first", 1000);
    return failed;
}
