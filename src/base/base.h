/* The floor that every room stands on: bytes, buffers, arenas, maps, a timer heap, status codes,
 * assertions and the log. No policy, nothing of ZooKeeper, no clock, file, socket or thread.
 *
 * Memory: mk_alloc() and its kin abort rather than return NULL; nothing here can fail halfway. */
#ifndef MK_BASE_H
#define MK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t mk_zxid;    /* epoch << 32 | counter; compared signed */
typedef int64_t mk_ms;      /* milliseconds; of which clock, the name says */
typedef int64_t mk_session; /* a session id; 0 is none */

#define MK_MUST_USE __attribute__((warn_unused_result))
#ifdef __clang__ /* gcc knows it for functions only, so clang finds what was forgotten */
#define MK_MUST_USE_TYPE MK_MUST_USE
#else
#define MK_MUST_USE_TYPE
#endif
#define MK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MK_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MK_CONTAINER(pointer, type, field) \
    ((type *)(void *)&((char *)(pointer))[-(ptrdiff_t)offsetof(type, field)])

/* ---- Assertions: on in every build; the process dies before it can lie. ---- */

#define MK_ASSERT(condition) \
    ((condition) ? (void)0 : mk_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void mk_assert_failed(const char *condition, const char *file, int line);

/* ---- Status: answers (expected, cheap), then failures (the world broke). One table. ---- */

#define MK_STATUS_TABLE(X)                                                        \
    X(MK_OK, "ok")                                                                \
    /* Answers: the protocol's vocabulary. */                                     \
    X(MK_NO_NODE, "no such znode")                                                \
    X(MK_NODE_EXISTS, "the znode exists already")                                 \
    X(MK_BAD_VERSION, "the version is not the expected one")                      \
    X(MK_NOT_EMPTY, "the znode has children")                                     \
    X(MK_NO_AUTH, "the caller's identities do not permit it")                     \
    X(MK_NO_CHILDREN_FOR_EPHEMERALS, "an ephemeral znode cannot have children")   \
    X(MK_BAD_ARGUMENTS, "an argument is not valid")                               \
    X(MK_INVALID_ACL, "the ACL is not valid")                                     \
    X(MK_AUTH_FAILED, "authentication failed")                                    \
    X(MK_SESSION_EXPIRED, "the session has expired")                              \
    X(MK_SESSION_MOVED, "the session has moved to another connection")            \
    X(MK_EPHEMERAL_ON_LOCAL_SESSION, "a local session cannot own ephemerals")     \
    X(MK_NO_WATCHER, "there is no such watch")                                    \
    X(MK_NOT_READ_ONLY, "the server is read-only")                                \
    X(MK_QUOTA_EXCEEDED, "a hard quota would be exceeded")                        \
    X(MK_RECONFIG_DISABLED, "reconfiguration is switched off")                    \
    X(MK_RECONFIG_IN_PROGRESS, "another reconfiguration is under way")            \
    X(MK_NEW_CONFIG_NO_QUORUM, "too few of the new members are up to date")       \
    X(MK_AUTH_REQUIRED, "the server demands authentication first")                \
    X(MK_RUNTIME_INCONSISTENCY, "an earlier operation of the transaction failed") \
    X(MK_UNIMPLEMENTED, "not implemented, or switched off")                       \
    X(MK_MALFORMED, "the bytes are not a valid record")                           \
    X(MK_OVERLOADED, "a limit on outstanding work is reached")                    \
    /* Answers between rooms, never sent. */                                      \
    X(MK_WOULD_BLOCK, "the answer needs the disk")                                \
    X(MK_END, "there is nothing further")                                         \
    /* Failures. */                                                               \
    X(MK_IO, "input or output failed")                                            \
    X(MK_NO_SPACE, "the disk is full")                                            \
    X(MK_CORRUPT, "stored data is damaged")                                       \
    X(MK_IN_USE, "another process uses it")

#define MK_STATUS_ENUM(name, text) name,
enum MK_MUST_USE_TYPE mk_status { MK_STATUS_TABLE(MK_STATUS_ENUM) MK_STATUS_COUNT };

/* The enumerator's name ("MK_NO_NODE") and its sentence ("no such znode"). */
const char *mk_status_name(enum mk_status status);
const char *mk_status_text(enum mk_status status);

/* What an operator reads about a failure: what, where, what to do now. */
struct mk_error {
    char text[512];
};
void mk_error_set(struct mk_error *error, const char *format, ...) MK_PRINTF(2, 3);

/* ---- Memory. Aborts when there is none; sizes above MK_ALLOC_MAX are bugs and assert. ---- */

#define MK_ALLOC_MAX ((size_t)1 << 40)
/* Whether memory that was let go may be kept by who had it, to be used again without malloc. Under
 * AddressSanitizer it may not: a use after that would look like any other. */
#if defined(__SANITIZE_ADDRESS__)
#define MK_MEMORY_REUSED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MK_MEMORY_REUSED 0
#endif
#endif
#ifndef MK_MEMORY_REUSED
#define MK_MEMORY_REUSED 1
#endif
void *mk_alloc(size_t size); /* uninitialised; free with mk_free() */
void *mk_alloc_zero(size_t count, size_t size);
void *mk_realloc(void *memory, size_t size);
void mk_free(void *memory); /* NULL is fine */

/* ---- Bytes: a borrowed view. data == NULL is jute's null, which is not the same as empty. ---- */

struct mk_bytes {
    const uint8_t *data;
    size_t len;
};
#define MK_BYTES_NULL ((struct mk_bytes){NULL, 0})
#define MK_BYTES(literal) ((struct mk_bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})

struct mk_bytes mk_bytes_of(const void *data, size_t len);  /* data must not be NULL */
struct mk_bytes mk_bytes_text(const char *text);            /* without its NUL */
bool mk_bytes_equal(struct mk_bytes a, struct mk_bytes b);  /* null equals null only */
int mk_bytes_compare(struct mk_bytes a, struct mk_bytes b); /* like memcmp, shorter first */
bool mk_bytes_starts(struct mk_bytes bytes, struct mk_bytes prefix);
uint64_t mk_bytes_hash(struct mk_bytes bytes); /* deterministic, the same in every process */
/* For tables whose keys a client chooses: who does not know the secret cannot choose some that
 * collide. With 0 it is the same as without. */
uint64_t mk_bytes_hash_secret(struct mk_bytes bytes, uint64_t secret);

/* ---- Buffer: owned, growing. Zero-initialise to init; mk_buf_free() to deinit. ---- */

struct mk_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};
void mk_buf_free(struct mk_buf *buf);                   /* and zero it, ready for reuse */
void mk_buf_reserve(struct mk_buf *buf, size_t extra);  /* room for `extra` more bytes */
uint8_t *mk_buf_grow(struct mk_buf *buf, size_t extra); /* len += extra; the new, uninit bytes */
void mk_buf_append(struct mk_buf *buf, const void *data, size_t len);
void mk_buf_append_bytes(struct mk_buf *buf, struct mk_bytes bytes);
void mk_buf_put_u8(struct mk_buf *buf, uint8_t value);
void mk_buf_put_u16(struct mk_buf *buf, uint16_t value); /* big-endian, as all below */
void mk_buf_put_i32(struct mk_buf *buf, int32_t value);
void mk_buf_put_u32(struct mk_buf *buf, uint32_t value);
void mk_buf_put_i64(struct mk_buf *buf, int64_t value);
void mk_buf_put_u64(struct mk_buf *buf, uint64_t value);
void mk_buf_put_field(struct mk_buf *buf, struct mk_bytes bytes);  /* i32 length (-1 null), bytes */
void mk_buf_put_decimal(struct mk_buf *buf, int64_t value);        /* as "%lld" */
void mk_buf_put_base64(struct mk_buf *buf, struct mk_bytes bytes); /* standard alphabet, padded */
void mk_buf_printf(struct mk_buf *buf, const char *format, ...) MK_PRINTF(2, 3);
struct mk_bytes mk_buf_view(const struct mk_buf *buf); /* valid until the buffer changes */

void mk_store_u32(uint8_t *at, uint32_t value); /* big-endian, unaligned */
void mk_store_u64(uint8_t *at, uint64_t value);
uint32_t mk_load_u32(const uint8_t *at);
uint64_t mk_load_u64(const uint8_t *at);

/* ---- Reader: a total cursor over bytes. A read past the end yields 0 or null and sets `failed`,
 * which stays; so a decoder reads all its fields and looks once, at the end. ---- */

struct mk_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};
struct mk_reader mk_reader_of(struct mk_bytes bytes);
size_t mk_reader_left(const struct mk_reader *reader);
uint8_t mk_read_u8(struct mk_reader *reader);
uint16_t mk_read_u16(struct mk_reader *reader);
int32_t mk_read_i32(struct mk_reader *reader);
uint32_t mk_read_u32(struct mk_reader *reader);
int64_t mk_read_i64(struct mk_reader *reader);
uint64_t mk_read_u64(struct mk_reader *reader);
struct mk_bytes mk_read_bytes(struct mk_reader *reader, size_t len); /* exactly `len`, borrowed */
struct mk_bytes mk_read_field(struct mk_reader *reader); /* i32 length; -1 null; < -1 fails */

/* ---- Properties: the syntax of Java's properties files. A cursor over text; nothing is read. ---- */

struct mk_properties {
    struct mk_reader text;
    unsigned line; /* of the entry last returned; from 1 */
    unsigned next_line;
};
struct mk_property {
    struct mk_buf key;   /* unescaped; NUL-terminated behind `len` */
    struct mk_buf value; /* likewise, and trimmed, as ZooKeeper does it */
};
struct mk_properties mk_properties_of(struct mk_bytes text);
/* The next entry, into buffers that are reused and that mk_property_free() frees. MK_END: no more.
 * MK_MALFORMED: an escape is broken, or something stands for NUL; properties->line says where. */
enum mk_status mk_properties_next(struct mk_properties *properties, struct mk_property *out);
void mk_property_free(struct mk_property *property);

/* ---- Arena: scraps of one step, all freed at once. ---- */

struct mk_arena {
    struct mk_arena_block *blocks;
};
void *mk_arena_alloc(struct mk_arena *arena, size_t size); /* aligned to 16, uninitialised */
struct mk_bytes mk_arena_copy(struct mk_arena *arena, struct mk_bytes bytes); /* null stays null */
void mk_arena_reset(struct mk_arena *arena); /* keeps one block for reuse */
void mk_arena_free(struct mk_arena *arena);

/* ---- Maps: open addressing, deterministic. Values are never NULL. Iteration order depends on
 * nothing but the operations made. Do not add or remove while iterating. ---- */

struct mk_map_u64 { /* u64 -> pointer */
    struct mk_map_u64_slot *slots;
    size_t count;
    size_t capacity;
    size_t tombs;
};
void *mk_map_u64_get(const struct mk_map_u64 *map, uint64_t key);        /* or NULL */
void *mk_map_u64_put(struct mk_map_u64 *map, uint64_t key, void *value); /* the old, or NULL */
void *mk_map_u64_remove(struct mk_map_u64 *map, uint64_t key);           /* the old, or NULL */
bool mk_map_u64_next(const struct mk_map_u64 *map, size_t *cursor, uint64_t *key, void **value);
void mk_map_u64_free(struct mk_map_u64 *map);

struct mk_map_bytes { /* bytes -> pointer; keys are borrowed and must live as long as their entry */
    struct mk_map_bytes_slot *slots;
    size_t count;
    size_t capacity;
    size_t tombs;
    uint64_t secret; /* of the hash; to be set while the map is empty, if at all */
};
void *mk_map_bytes_get(const struct mk_map_bytes *map, struct mk_bytes key);
void *mk_map_bytes_put(struct mk_map_bytes *map, struct mk_bytes key, void *value);
void *mk_map_bytes_remove(struct mk_map_bytes *map, struct mk_bytes key);
bool mk_map_bytes_next(const struct mk_map_bytes *map, size_t *cursor, struct mk_bytes *key,
                       void **value);
void mk_map_bytes_free(struct mk_map_bytes *map);

/* ---- Timer heap: what is due first. Entries are embedded in the caller's structs. ---- */

struct mk_timer {
    mk_ms due;
    uint64_t order; /* ties: first added, first due */
    size_t index;   /* position in the heap + 1; 0 = not in it */
};
struct mk_timers {
    struct mk_timer **heap;
    size_t count;
    size_t cap;
    uint64_t added;
};
void mk_timers_set(struct mk_timers *timers, struct mk_timer *timer, mk_ms due); /* add or move */
void mk_timers_cancel(struct mk_timers *timers, struct mk_timer *timer);         /* if it is in */
struct mk_timer *mk_timers_first(const struct mk_timers *timers);                /* or NULL */
void mk_timers_free(struct mk_timers *timers);

/* ---- Doubly linked list, embedded. A list head is a link that points at itself. ---- */

struct mk_link {
    struct mk_link *prev;
    struct mk_link *next;
};
void mk_list_init(struct mk_link *head);
bool mk_list_empty(const struct mk_link *head);
void mk_list_append(struct mk_link *head, struct mk_link *link);
void mk_list_remove(struct mk_link *link); /* and leave it pointing at itself */

/* ---- Summaries: what is observed often, in a few words. All zeros is an empty one. ---- */

struct mk_summary {
    uint64_t count, sum, min, max; /* min and max are 0 while there is nothing */
};
void mk_summary_add(struct mk_summary *summary, uint64_t value);
void mk_summary_merge(struct mk_summary *into, const struct mk_summary *other);
double mk_summary_average(const struct mk_summary *summary); /* 0.0 of nothing */

/* A summary that knows quantiles: exact below 16, to an eighth of the value up to 2^24. */
#define MK_SPREAD_BUCKETS 176
struct mk_spread {
    struct mk_summary all;
    uint64_t buckets[MK_SPREAD_BUCKETS];
};
void mk_spread_add(struct mk_spread *spread, uint64_t value);
uint64_t mk_spread_quantile(const struct mk_spread *spread, uint32_t per_mille);

/* ---- Random numbers from a seed (xoshiro256**), for the simulator and tests. ---- */

struct mk_random {
    uint64_t state[4];
};
void mk_random_seed(struct mk_random *random, uint64_t seed);
uint64_t mk_random_next(struct mk_random *random);
uint64_t mk_random_below(struct mk_random *random, uint64_t bound); /* bound > 0 */
bool mk_random_chance(struct mk_random *random, uint32_t per_mille);

/* ---- Log: a sentence, then key=value. Where it goes, the caller was told. ---- */

enum mk_log_level { MK_LOG_ERROR, MK_LOG_WARN, MK_LOG_INFO, MK_LOG_DEBUG };
struct mk_log {
    enum mk_log_level level; /* the most verbose that is written */
    void (*write)(void *context, enum mk_log_level level, const char *line);
    void *context;
};
void mk_log(const struct mk_log *log, enum mk_log_level level, const char *format, ...)
    MK_PRINTF(3, 4); /* log may be NULL: nothing is written; a line is cut at 1,023 bytes */

#endif
