/* The base in RocksDB: what is below the tables, one checkpoint after another.
 *
 * RocksDB's write path is not used at all: no write-ahead log, no memtable. A checkpoint is written
 * as one sorted file beside the database (`checkpoint.tmp`), synced, and ingested: RocksDB links it
 * under a name of its own, syncs it and the directory, and adds it to its MANIFEST with a sync.
 * That last step makes all its rows visible, at once. A crash before it leaves a file that the next
 * open removes; so the database always is some whole checkpoint.
 *
 * What is ingested overlaps what is there and lands on level 0; one background thread merges
 * levels. Memory: blocks, indexes and filters live in one bounded cache; files beyond
 * `open_files_max` are closed again. Opening reads the MANIFEST and no tables. */
#include <dirent.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/disk_files.h"
#include "store/keys.h"
#include "store/store.h"

#define CHECKPOINT_NAME "checkpoint.tmp"
#define BLOOM_BITS_PER_KEY 10.0
#define BLOCK_BYTES 4096 /* a read that misses the cache reads one of them */
/* Neighbours in an index share most of their bytes: only one of so many is written out. */
#define INDEX_RESTART_KEYS 8
/* A merge starts at so many files on level 0; each costs a read that finds nothing a filter probe.
 * */
#define CACHE_SHARD_BITS 2
#define LEVEL0_FILES 8
#define FILE_BYTES ((uint64_t)64 << 20)
/* A merge hands its output to the disk in such pieces, so that the log's syncs, on the same disk,
 * never wait behind a whole file. */
#define MERGE_SYNC_BYTES ((uint64_t)1 << 20)
#define MANIFEST_BYTES_MAX ((size_t)4 << 20)
#define READ_TIER_CACHE_ONLY 1

struct rocks {
    struct store_base base;
    struct disk_place place;
    char *checkpoint_path;
    rocksdb_options_t *options;
    rocksdb_options_t *checkpoint_options; /* of the files that a checkpoint writes */
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;        /* may block */
    rocksdb_readoptions_t *read_cached; /* may not */
    rocksdb_envoptions_t *env_options;
    rocksdb_ingestexternalfileoptions_t *ingest_options;
    rocksdb_t *db;
};

struct store_base_iter {
    rocksdb_iterator_t *rocks;
    bool backwards;
};

/* ---- Failures. RocksDB's C interface has no codes, only Status::ToString(). ---- */

static bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum mk_status text_status(const char *text)
{
    if (text_starts(text, "Result incomplete")) {
        return MK_WOULD_BLOCK;
    }
    if (text_starts(text, "Corruption")) {
        return MK_CORRUPT;
    }
    if (strstr(text, "No space left") != NULL || strstr(text, "File too large") != NULL) {
        return MK_NO_SPACE;
    }
    if (strstr(text, "/LOCK") != NULL) {
        return MK_IN_USE;
    }
    return MK_IO;
}

static const char *status_advice(enum mk_status status)
{
    switch (status) {
    case MK_CORRUPT:
        return "restore a copy of the data directory (`moonkeeper repair --rejoin`, for a member "
               "of "
               "an ensemble, is not there yet)";
    case MK_NO_SPACE: return "free some space on that disk, then start again";
    case MK_IN_USE:
        return "another process has it open: stop that one, or use a dataDir of its own";
    default: return "read the kernel's log and check the directory's permissions, then start again";
    }
}

/* Takes `text`. */
static enum mk_status rocks_failure(const struct rocks *rocks, const char *verb, char *text,
                                    struct mk_error *error)
{
    enum mk_status status = text_status(text);

    if (error != NULL) {
        mk_error_set(error, "cannot %s the state in %s: %.240s; %s", verb, rocks->place.path, text,
                     status_advice(status));
    }
    rocksdb_free(text);
    return status;
}

/* ---- Reading ---- */

static enum mk_status rocks_get(struct store_base *base, struct mk_bytes key, bool may_block,
                                struct mk_buf *value)
{
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);
    char *text = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(rocks->db, may_block ? rocks->read : rocks->read_cached,
                           (const char *)key.data, key.len, &text);
    if (text != NULL) {
        return rocks_failure(rocks, "read", text, NULL);
    }
    if (slice == NULL) {
        return MK_NO_NODE;
    }
    size_t len;
    const char *data = rocksdb_pinnableslice_value(slice, &len);
    mk_buf_append(value, data, len);
    rocksdb_pinnableslice_destroy(slice);
    return MK_OK;
}

static struct store_base_iter *rocks_iter_new(struct store_base *base, bool may_block)
{
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);
    struct store_base_iter *iter = mk_alloc(sizeof(*iter));

    iter->rocks = rocksdb_create_iterator(rocks->db, may_block ? rocks->read : rocks->read_cached);
    iter->backwards = false;
    return iter;
}

static enum mk_status iter_status(const struct store_base_iter *iter)
{
    if (rocksdb_iter_valid(iter->rocks)) {
        return MK_OK;
    }
    char *text = NULL;
    rocksdb_iter_get_error(iter->rocks, &text);
    if (text == NULL) {
        return MK_END;
    }
    enum mk_status status = text_status(text);
    rocksdb_free(text);
    return status;
}

static struct mk_bytes rocks_iter_key(const struct store_base_iter *iter)
{
    size_t len;
    const char *data = rocksdb_iter_key(iter->rocks, &len);
    return mk_bytes_of(data, len);
}

static struct mk_bytes rocks_iter_value(const struct store_base_iter *iter)
{
    size_t len;
    const char *data = rocksdb_iter_value(iter->rocks, &len);
    return mk_bytes_of(data, len);
}

static enum mk_status rocks_iter_step(struct store_base_iter *iter)
{
    if (iter->backwards) {
        rocksdb_iter_prev(iter->rocks);
    } else {
        rocksdb_iter_next(iter->rocks);
    }
    return iter_status(iter);
}

static enum mk_status rocks_iter_seek(struct store_base_iter *iter, struct mk_bytes key,
                                      bool backwards)
{
    iter->backwards = backwards;
    if (!backwards) {
        rocksdb_iter_seek(iter->rocks, (const char *)key.data, key.len);
        return iter_status(iter);
    }
    rocksdb_iter_seek_for_prev(iter->rocks, (const char *)key.data, key.len); /* the last <= key */
    enum mk_status status = iter_status(iter);
    if (status == MK_OK && mk_bytes_equal(rocks_iter_key(iter), key)) {
        return rocks_iter_step(iter);
    }
    return status;
}

static void rocks_iter_free(struct store_base_iter *iter)
{
    rocksdb_iter_destroy(iter->rocks);
    mk_free(iter);
}

static uint64_t rocks_memory_bytes(struct store_base *base)
{
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);
    uint64_t readers = 0; /* what table readers hold outside the cache */

    if (rocksdb_property_int(rocks->db, "rocksdb.estimate-table-readers-mem", &readers) != 0) {
        readers = 0;
    }
    return rocksdb_cache_get_usage(rocks->cache) + readers;
}

/* ---- Checkpoints ---- */

/* `*text` is set on failure, as RocksDB does it. */
static void checkpoint_rows_write(rocksdb_sstfilewriter_t *writer, const struct store_rows *rows,
                                  size_t *count, char **text)
{
    const void *cursor = NULL;
    struct mk_bytes key;
    struct mk_bytes value;

    *count = 0;
    while (*text == NULL && store_rows_next(rows, &cursor, &key, &value)) {
        (*count)++;
        if (value.data == NULL) {
            rocksdb_sstfilewriter_delete(writer, (const char *)key.data, key.len, text);
        } else {
            rocksdb_sstfilewriter_put(writer, (const char *)key.data, key.len,
                                      (const char *)value.data, value.len, text);
        }
    }
}

static enum mk_status rocks_ingest(struct store_base *base, const struct store_rows *rows,
                                   struct mk_error *error)
{
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);
    char *text = NULL;
    size_t count = 0;
    rocksdb_sstfilewriter_t *writer =
        rocksdb_sstfilewriter_create(rocks->env_options, rocks->checkpoint_options);

    rocksdb_sstfilewriter_open(writer, rocks->checkpoint_path, &text);
    if (text == NULL) {
        checkpoint_rows_write(writer, rows, &count, &text);
    }
    if (text == NULL && count > 0) {
        rocksdb_sstfilewriter_finish(writer, &text); /* syncs the file */
    }
    rocksdb_sstfilewriter_destroy(writer);
    if (text == NULL && count > 0) {
        const char *paths[] = {rocks->checkpoint_path};
        rocksdb_ingest_external_file(rocks->db, paths, 1, rocks->ingest_options, &text);
    }
    if (text == NULL && count > 0) {
        return MK_OK; /* RocksDB has moved the file. */
    }

    struct mk_error ignored; /* The first failure is the one to report. */
    (void)!disk_name_remove(&rocks->place, CHECKPOINT_NAME, &ignored);
    return text == NULL ? MK_OK : rocks_failure(rocks, "write a checkpoint of", text, error);
}

/* ---- Opening and closing ---- */

static void rocks_close(struct store_base *base)
{
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);

    if (rocks->db != NULL) {
        rocksdb_cancel_all_background_work(rocks->db, 0); /* a merge is repeated, not waited for */
        rocksdb_close(rocks->db);
    }
    rocksdb_ingestexternalfileoptions_destroy(rocks->ingest_options);
    rocksdb_envoptions_destroy(rocks->env_options);
    rocksdb_readoptions_destroy(rocks->read_cached);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_options_destroy(rocks->checkpoint_options);
    rocksdb_options_destroy(rocks->options);
    rocksdb_cache_destroy(rocks->cache);
    mk_free(rocks->checkpoint_path);
    disk_place_close(&rocks->place);
    mk_free(rocks);
}

/* Filters are for rows that are looked up by their key. Half of all rows never are: those of `order`
 * and `ephemeral` are scanned only. So a filter has "prefixes", and a looked-up row's is its key. */
static unsigned char is_looked_up(void *context, const char *key, size_t len)
{
    (void)context;
    return len > 0 && key[0] != KEY_ORDER && key[0] != KEY_EPHEMERAL;
}

static char *whole_key(void *context, const char *key, size_t len, size_t *prefix_len)
{
    (void)context;
    *prefix_len = len;
    return (char *)(uintptr_t)key;
}

/* RocksDB does not ask any more whether something is a prefix; the others belong to no context. */
static unsigned char is_prefix(void *context, const char *prefix, size_t len)
{
    return is_looked_up(context, prefix, len);
}

static const char *looked_up_name(void *context)
{
    (void)context;
    return "moonkeeper.looked-up"; /* in every file: another rule needs another name */
}

static void nothing_to_free(void *context)
{
    (void)context;
}

static void cache_init(struct rocks *rocks, uint64_t cache_bytes)
{
    /* Few shards: each must hold several of the largest blocks, or those are read again and again.
     * */
    rocksdb_lru_cache_options_t *cache = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(cache, cache_bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(cache, CACHE_SHARD_BITS);
    rocks->cache = rocksdb_cache_create_lru_opts(cache);
    rocksdb_lru_cache_options_destroy(cache);
}

/* What a merge writes has its index and its filter in partitions: a lookup brings a few KiB of them
 * in, not a file's whole. A checkpoint is small, is looked into by nearly every lookup, and there are
 * few: theirs are whole, and stay in memory while the file is on level 0, so that asking one of them
 * takes no look at the cache. */
static void options_tables(const struct rocks *rocks, rocksdb_options_t *options, bool partitions)
{
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();

    rocksdb_block_based_options_set_block_cache(tables, rocks->cache);
    rocksdb_block_based_options_set_block_size(tables, BLOCK_BYTES);
    rocksdb_block_based_options_set_filter_policy(
        tables, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY)); /* taken */
    rocksdb_block_based_options_set_whole_key_filtering(tables, 0);
    rocksdb_options_set_prefix_extractor(
        options, rocksdb_slicetransform_create(NULL, nothing_to_free, whole_key, is_looked_up,
                                               is_prefix, looked_up_name)); /* taken */
    rocksdb_block_based_options_set_format_version(tables, 5);
    rocksdb_block_based_options_set_index_block_restart_interval(tables, INDEX_RESTART_KEYS);
    if (partitions) {
        rocksdb_block_based_options_set_index_type(
            tables, rocksdb_block_based_table_index_type_two_level_index_search);
        rocksdb_block_based_options_set_partition_filters(tables, 1);
        rocksdb_block_based_options_set_metadata_block_size(tables, BLOCK_BYTES);
        rocksdb_block_based_options_set_pin_top_level_index_and_filter(tables, 1);
    }
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(tables, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(tables, 1);
    rocksdb_options_set_block_based_table_factory(options, tables);
    rocksdb_block_based_options_destroy(tables);
}

static void options_merging(rocksdb_options_t *options)
{
    rocksdb_options_set_max_background_jobs(options, 2); /* one merge; no flush ever runs */
    rocksdb_options_set_max_subcompactions(options, 1);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, LEVEL0_FILES);
    rocksdb_universal_compaction_options_t *universal =
        rocksdb_universal_compaction_options_create();
    rocksdb_universal_compaction_options_set_size_ratio(universal, 10);
    rocksdb_universal_compaction_options_set_max_size_amplification_percent(universal, 200);
    rocksdb_options_set_universal_compaction_options(options, universal);
    rocksdb_universal_compaction_options_destroy(universal);
    rocksdb_options_set_compaction_style(options, rocksdb_universal_compaction);
    rocksdb_options_set_target_file_size_base(options, FILE_BYTES);
    rocksdb_options_set_bytes_per_sync(options, MERGE_SYNC_BYTES);
}

static void rocks_options_init(struct rocks *rocks, const struct store_disk_options *disk)
{
    rocks->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(rocks->options, 1);
    rocksdb_options_set_max_open_files(rocks->options, disk->open_files_max);
    rocksdb_options_set_skip_stats_update_on_db_open(rocks->options, 1);
    rocksdb_options_set_max_manifest_file_size(rocks->options, MANIFEST_BYTES_MAX);
    rocksdb_options_set_keep_log_file_num(rocks->options, 2);
    rocksdb_options_set_max_log_file_size(rocks->options, (size_t)1 << 20);
    rocksdb_options_set_info_log_level(rocks->options, 2); /* warnings */
    rocksdb_options_set_stats_dump_period_sec(rocks->options, 0);
    rocksdb_options_set_stats_persist_period_sec(rocks->options, 0);
    options_merging(rocks->options);
    cache_init(rocks, disk->cache_bytes);
    options_tables(rocks, rocks->options, true);
    /* A third of what a checkpoint costs would be compressing rows that a merge writes again soon. */
    rocks->checkpoint_options = rocksdb_options_create_copy(rocks->options);
    rocksdb_options_set_compression(rocks->checkpoint_options, rocksdb_no_compression);
    options_tables(rocks, rocks->checkpoint_options, false);

    rocks->read = rocksdb_readoptions_create();
    rocks->read_cached = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(rocks->read_cached, READ_TIER_CACHE_ONLY);
    rocksdb_readoptions_set_total_order_seek(rocks->read, 1); /* scans do not stop at a "prefix" */
    rocksdb_readoptions_set_total_order_seek(rocks->read_cached, 1);
    rocks->env_options = rocksdb_envoptions_create();
    rocks->ingest_options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(rocks->ingest_options, 1);
}

/* Builds of RocksDB differ in the compressions that they have; files say which one they use. */
static char *rocks_try(struct rocks *rocks, int compression)
{
    char *text = NULL;

    rocksdb_options_set_compression(rocks->options, compression);
    rocks->db = rocksdb_open(rocks->options, rocks->place.path, &text);
    return text;
}

/* RocksDB creates a write-ahead log at each open and removes it after the next flush. Here none is
 * ever written to or flushed, so they would pile up, one a start. */
static enum mk_status empty_logs_remove(struct rocks *rocks, struct mk_error *error)
{
    DIR *directory = opendir(rocks->place.path);
    if (directory == NULL) {
        return disk_failure(&rocks->place, "list", "", error);
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        const char *suffix = entry->d_name + strspn(entry->d_name, "0123456789");
        struct stat stat;
        if (suffix != entry->d_name && strcmp(suffix, ".log") == 0 &&
            fstatat(rocks->place.fd, entry->d_name, &stat, 0) == 0 && stat.st_size == 0) {
            (void)unlinkat(rocks->place.fd, entry->d_name, 0); /* if not now, next time */
        }
    }
    closedir(directory);
    return MK_OK;
}

static enum mk_status rocks_open(struct rocks *rocks, struct mk_error *error)
{
    enum mk_status status = disk_name_remove(&rocks->place, CHECKPOINT_NAME, error);
    if (status == MK_OK) {
        status = empty_logs_remove(rocks, error);
    }
    if (status != MK_OK) {
        return status;
    }
    char *text = rocks_try(rocks, rocksdb_lz4_compression);
    if (text != NULL && strstr(text, "not linked") != NULL) {
        rocksdb_free(text);
        text = rocks_try(rocks, rocksdb_no_compression);
    }
    return text == NULL ? MK_OK : rocks_failure(rocks, "open", text, error);
}

static const struct store_base_ops rocks_ops = {
    .get = rocks_get,
    .iter_new = rocks_iter_new,
    .iter_seek = rocks_iter_seek,
    .iter_step = rocks_iter_step,
    .iter_key = rocks_iter_key,
    .iter_value = rocks_iter_value,
    .iter_free = rocks_iter_free,
    .ingest = rocks_ingest,
    .memory_bytes = rocks_memory_bytes,
    .close = rocks_close,
};

/* Its files never change, so they are linked. */
enum mk_status disk_rocks_copy(struct store_base *base, const char *directory,
                               struct mk_error *error)
{
    MK_ASSERT(base->ops == &rocks_ops);
    struct rocks *rocks = MK_CONTAINER(base, struct rocks, base);
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(rocks->db, &text);

    if (text == NULL) {
        rocksdb_checkpoint_create(checkpoint, directory, UINT64_MAX /* no flush */, &text);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    return text == NULL ? MK_OK : rocks_failure(rocks, "back up", text, error);
}

struct store_base *store_base_rocks(const char *directory, const struct store_disk_options *options,
                                    struct mk_error *error)
{
    struct rocks *rocks = mk_alloc_zero(1, sizeof(*rocks));
    if (disk_place_make(&rocks->place, directory, true, error) != MK_OK) {
        mk_free(rocks);
        return NULL;
    }
    size_t size = strlen(directory) + sizeof("/" CHECKPOINT_NAME);
    rocks->base.ops = &rocks_ops;
    rocks->checkpoint_path = mk_alloc(size);
    MK_ASSERT((size_t)snprintf(rocks->checkpoint_path, size, "%s/%s", directory, CHECKPOINT_NAME) <
              size);
    rocks_options_init(rocks, options);
    if (rocks_open(rocks, error) != MK_OK) {
        rocks_close(&rocks->base);
        return NULL;
    }
    return &rocks->base;
}
