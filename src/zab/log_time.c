/* Log time: what transaction headers say. Deadlines and ctimes hang on it, so it never steps back
 * and never leaps, whatever the wall clock does. */
#include "zab/internal.h"

void zab_time_seen(struct zab *zab, mk_ms time_ms)
{
    if (time_ms > zab->time_ms) {
        zab->time_ms = time_ms;
    }
}

mk_ms zab_time(struct zab *zab, mk_ms monotonic_ms, mk_ms wall_ms)
{
    if (!zab->time_known) {
        /* The first reading of this process: wall time, unless the log is ahead of it already. */
        zab->time_known = true;
        zab->time_monotonic_ms = monotonic_ms;
        zab_time_seen(zab, wall_ms);
        return zab->time_ms;
    }
    MK_ASSERT(monotonic_ms >= zab->time_monotonic_ms);

    mk_ms elapsed_ms = monotonic_ms - zab->time_monotonic_ms;
    mk_ms steer_ms = elapsed_ms / 10;
    if (steer_ms == 0 && elapsed_ms < 10) {
        /* Too short to steer by whole milliseconds: keep the reading until ten have passed. */
        return zab->time_ms + elapsed_ms;
    }
    mk_ms straight_ms = zab->time_ms + elapsed_ms;
    mk_ms error_ms = wall_ms - straight_ms;
    if (error_ms > steer_ms) {
        error_ms = steer_ms;
    } else if (error_ms < -steer_ms) {
        error_ms = -steer_ms;
    }
    zab->time_ms = straight_ms + error_ms;
    zab->time_monotonic_ms = monotonic_ms;
    return zab->time_ms;
}
