/* Keys of rows. The first byte is the kind; what follows makes ranges of what belongs together.
 *
 *   kind       rest of the key                     value
 *   child      path, its last '/' become NUL       stat, ACL, small data: znodes.c
 *   data       path                                data of more than ZNODE_INLINE_BYTES_MAX
 *   order      parent path, NUL, czxid, position   name
 *   session    id                                  timeout in ms
 *   ephemeral  session id, path                    -
 *   parked     session id, call id, call           -
 *   held       session id                          how many rows of parked have this session
 *   awaited    path, NUL, kind of wait, rank, call stamp; rank: calls.c
 *   count      path, NUL                           how many rows of awaited have this path
 *   broken     path, NUL, kind of wait             zxid, position: where in `ready` it is
 *   ready      zxid, position                      0, call; or kind of wait, path
 *   gone       zxid, position                      0, call
 *   woken      call                                `ready` or `gone`, zxid, position: where it is
 *   slowed     time in ms, call                    -
 *   deadline   time in ms, call                    -
 *   running    operation, NUL, version             how many calls run it, parked or ready
 *   reapable   why, zxid or time in ms, path       -
 *   quota      path                                which znodes it has, usage: quotas.c
 *   counting   path                                child key: what is before it is counted
 *   install    what, number                        install.c: an ACL; -. Only while there is one
 *   fact       name                                whatever it is
 *   meta       -                                   applied zxid, totals
 *
 * Numbers are big-endian. The child key puts every parent before its children, and the children of
 * "/a" side by side: "/a" is "\0a", "/a/b" is "/a\0b", "/" is "\0". All keys are allocated from the
 * arena given. */
#ifndef MK_STORE_KEYS_H
#define MK_STORE_KEYS_H

#include "base/base.h"

enum key_kind {
    KEY_AWAITED = 'a',
    KEY_BROKEN = 'b',
    KEY_CHILD = 'c',
    KEY_DATA = 'd',
    KEY_EPHEMERAL = 'e',
    KEY_FACT = 'f',
    KEY_GONE = 'g',
    KEY_HELD = 'h',
    KEY_INSTALL = 'i',
    KEY_COUNTING = 'k',
    KEY_SLOWED = 'l',
    KEY_META = 'm',
    KEY_AWAITED_COUNT = 'n',
    KEY_ORDER = 'o',
    KEY_PARKED = 'p',
    KEY_QUOTA = 'q',
    KEY_READY = 'r',
    KEY_SESSION = 's',
    KEY_DEADLINE = 't',
    KEY_RUNNING = 'v',
    KEY_WOKEN = 'w',
    KEY_REAPABLE = 'x',
};

/* The child key of `path`. False: no znode can have that path, so there is no row ("" is the
 * root). */
bool key_znode(struct mk_arena *arena, struct mk_bytes path, struct mk_bytes *key);
bool key_path_is_root(struct mk_bytes path);
/* Of a path for which key_znode() holds, the root excepted. The root's children have parent "". */
struct mk_bytes key_path_parent(struct mk_bytes path);
struct mk_bytes key_path_name(struct mk_bytes path);
/* The path of a child key, built in the arena; the name in it. */
struct mk_bytes key_znode_path(struct mk_arena *arena, struct mk_bytes key);

/* The kind, then `path`. Of the parent paths of `order` and `awaited`, the root's is "". */
struct mk_bytes key_path(struct mk_arena *arena, enum key_kind kind, struct mk_bytes path);
/* The kind, `path` (the root as ""), the byte `separator`, then `rest`. */
struct mk_bytes key_below(struct mk_arena *arena, enum key_kind kind, struct mk_bytes path,
                          uint8_t separator, struct mk_bytes rest);
struct mk_bytes key_order(struct mk_arena *arena, struct mk_bytes parent, mk_zxid czxid,
                          uint32_t position);
struct mk_bytes key_u64(struct mk_arena *arena, enum key_kind kind, uint64_t a);
struct mk_bytes key_u64_u64(struct mk_arena *arena, enum key_kind kind, uint64_t a, uint64_t b);
struct mk_bytes key_parked(struct mk_arena *arena, mk_session id, int64_t call_id, mk_zxid call);
struct mk_bytes key_ephemeral(struct mk_arena *arena, mk_session id, struct mk_bytes path);
struct mk_bytes key_awaited(struct mk_arena *arena, struct mk_bytes path, uint8_t wait,
                            uint64_t rank, mk_zxid call);
struct mk_bytes key_broken(struct mk_arena *arena, struct mk_bytes path, uint8_t wait);
struct mk_bytes key_reapable(struct mk_arena *arena, uint8_t why, int64_t order,
                             struct mk_bytes path);
/* KEY_READY or KEY_GONE. */
struct mk_bytes key_queued(struct mk_arena *arena, enum key_kind kind, mk_zxid zxid,
                           uint32_t position);

/* The first key after `key`, and the first after all that begin with `key`. */
struct mk_bytes key_after(struct mk_arena *arena, struct mk_bytes key);
struct mk_bytes key_after_prefix(struct mk_arena *arena, struct mk_bytes key);

#endif
