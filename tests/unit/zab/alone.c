#include "alone.h"

struct zab *alone_new(int64_t accepted, mk_zxid logged)
{
    struct zab_options options = {
        .id = 1,
        .config = {.members = {{.id = 1, .weight = 1}}, .members_count = 1},
        .tick_ms = 2000,
        .init_limit = 10,
        .sync_limit = 5,
        .finalize_ms = 200,
        .notify_min_ms = 200,
        .notify_max_ms = 60000};
    struct zab *zab = zab_new(&options);
    struct zab_action action;

    zab_start(zab, accepted, accepted, logged, 0);
    while (zab_action(zab, &action)) {
        if (action.kind == ZAB_STORE_EPOCHS) {
            zab_epochs_stored(zab);
        }
    }
    MK_ASSERT(zab_established(zab));
    return zab;
}
