/* What every base promises, as tests: run over the memory base and over RocksDB alike. */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include "store/store.h"

struct contract_factory {
    void *context;
    /* Before each test: from now on open() finds nothing. */
    void (*reset)(void *context);
    /* What was ingested before the last close() is there again. */
    struct store_base *(*open)(void *context);
};

/* Run them all, as a cmocka group; the number of failures. */
int contract_run(const char *group, const struct contract_factory *factory);

#endif
