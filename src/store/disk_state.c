/* Another state in the place of the one on disk. What a crash may leave, and what it is then:
 *
 *   state  state.new  state.old
 *     x        ?          ?      `state`; the rest goes
 *              x          x      replace was between its renames: `state.new` was finished
 *                         x      cannot be; `state.old`
 *              x                 it was never finished, on a server that had no state yet: none
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/disk_files.h"
#include "store/store.h"

#define STATE "state"
#define STATE_NEW "state.new"
#define STATE_OLD "state.old"

static bool is_there(const struct disk_place *place, const char *name)
{
    return faccessat(place->fd, name, F_OK, 0) == 0;
}

static enum mk_status move(const struct disk_place *place, const char *from, const char *to,
                           struct mk_error *error)
{
    if (renameat(place->fd, from, place->fd, to) != 0) {
        return disk_failure(place, "rename", from, error);
    }
    return disk_place_sync(place, error);
}

static enum mk_status gone(const struct disk_place *place, const char *name, struct mk_error *error)
{
    disk_tree_remove(place->fd, name);
    if (is_there(place, name)) {
        return disk_failure(place, "remove", name, error);
    }
    return MK_OK;
}

enum mk_status store_state_settle(const char *directory, struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_open(&place, directory, true, error);
    if (status != MK_OK) {
        return status;
    }
    if (!is_there(&place, STATE) && is_there(&place, STATE_OLD)) {
        bool finished = is_there(&place, STATE_NEW);
        status = move(&place, finished ? STATE_NEW : STATE_OLD, STATE, error);
    }
    if (status == MK_OK) {
        status = gone(&place, STATE_NEW, error);
    }
    if (status == MK_OK) {
        status = gone(&place, STATE_OLD, error);
    }
    disk_place_close(&place);
    return status;
}

enum mk_status store_state_replace(const char *directory, struct mk_error *error)
{
    struct disk_place place;
    enum mk_status status = disk_place_open(&place, directory, true, error);
    if (status != MK_OK) {
        return status;
    }
    if (is_there(&place, STATE)) {
        status = gone(&place, STATE_OLD, error);
        if (status == MK_OK) {
            status = move(&place, STATE, STATE_OLD, error);
        }
    }
    if (status == MK_OK) {
        status = move(&place, STATE_NEW, STATE, error);
    }
    if (status == MK_OK) {
        status = gone(&place, STATE_OLD, error);
    }
    disk_place_close(&place);
    return status;
}
