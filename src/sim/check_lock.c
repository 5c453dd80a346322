/* Locks, by the grants of lock.acquire: one holder, the first who asked, with a fence that grows. */
#include <string.h>

#include "sim/check.h"

static bool contains(struct mk_bytes bytes, const char *text)
{
    return bytes.len > 0 && memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

bool sim_lock_contends(struct mk_bytes path, struct mk_bytes lock)
{
    struct mk_bytes name = {path.data + lock.len, path.len - lock.len};

    return contains(name, "lock-") || contains(name, "__lock__");
}

const struct sim_znode *sim_lock_first(const struct sim_check *check, struct mk_bytes lock)
{
    const struct sim_model *model = &check->model;
    const struct sim_znode *first = NULL;

    for (size_t i = sim_model_rank(model, lock); i < model->znodes_count; i++) {
        const struct sim_znode *znode = model->znodes[i];
        if (!mk_bytes_starts(znode->path, lock)) {
            break;
        }
        if (sim_path_child_of(znode->path, lock) && sim_lock_contends(znode->path, lock) &&
            (first == NULL || znode->born < first->born)) {
            first = znode;
        }
    }
    return first;
}

static struct sim_lock *lock_of(struct sim_check *check, struct mk_bytes path)
{
    for (size_t i = 0; i < check->locks_count; i++) {
        if (mk_bytes_equal(check->locks[i].path, path)) {
            return &check->locks[i];
        }
    }
    check->locks =
        sim_grown(check->locks, check->locks_count, &check->locks_cap, sizeof(*check->locks));
    struct sim_lock *lock = &check->locks[check->locks_count++];
    *lock = (struct sim_lock){.path = sim_copy_of(path), .ticket = sim_copy_of(MK_BYTES(""))};
    return lock;
}

static const char *grant_wrong(struct sim_check *check, const struct sim_lock *lock,
                               const struct sim_znode *ticket, mk_zxid fence, mk_session session)
{
    if (ticket == NULL) {
        return "its ticket is not there";
    }
    if (sim_owner_session(&check->model, ticket->owner) != session ||
        sim_model_session(&check->model, session) == NULL) {
        return "its ticket is not of a session that lives";
    }
    const struct sim_znode *before = sim_model_find(&check->model, lock->ticket);
    if (before != NULL && before->born == lock->born && before != ticket) {
        return "somebody else holds it";
    }
    if (sim_lock_first(check, lock->path) != ticket) {
        return "somebody else asked first";
    }
    if (fence != check->model.zxid) {
        return "the fence is not the zxid of the grant";
    }
    if (fence <= lock->fence || ticket->born <= lock->born) {
        return "the fence does not grow, or it was granted before";
    }
    return NULL;
}

void sim_lock_granted(struct sim_check *check, struct mk_bytes path, mk_zxid fence,
                      mk_session session)
{
    struct sim_lock *lock = lock_of(check, sim_path_parent(path));
    const struct sim_znode *ticket = sim_model_find(&check->model, path);
    const char *wrong = grant_wrong(check, lock, ticket, fence, session);

    check->stats.grants++;
    if (wrong != NULL) {
        sim_check_fail(check, "the grant of %.*s to session 0x%llx with fence 0x%llx: %s",
                       (int)path.len, (const char *)path.data, (unsigned long long)session,
                       (unsigned long long)fence, wrong);
        return;
    }
    lock->fence = fence;
    lock->born = ticket->born;
    sim_free_bytes(lock->ticket);
    lock->ticket = sim_copy_of(path);
}

bool sim_lock_is_granted(const struct sim_check *check, const struct sim_znode *ticket)
{
    for (size_t i = 0; i < check->locks_count; i++) {
        if (check->locks[i].born == ticket->born) {
            return true;
        }
    }
    return false;
}

void sim_locks_deinit(struct sim_check *check)
{
    for (size_t i = 0; i < check->locks_count; i++) {
        sim_free_bytes(check->locks[i].path);
        sim_free_bytes(check->locks[i].ticket);
    }
    mk_free(check->locks);
}
