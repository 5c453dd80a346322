#include "unit/store/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

void scratch_make(struct scratch *scratch)
{
    const char *parent = getenv("TMPDIR");

    snprintf(scratch->path, sizeof(scratch->path), "%s/mk_store_XXXXXX",
             parent != NULL ? parent : "/tmp");
    MK_ASSERT(mkdtemp(scratch->path) != NULL);
}

static void directory_remove(const char *path)
{
    DIR *directory = opendir(path);
    MK_ASSERT(directory != NULL);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char name[512];
        MK_ASSERT(snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < (int)sizeof(name));
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlink(name) != 0) {
            directory_remove(name);
        }
    }
    closedir(directory);
    MK_ASSERT(rmdir(path) == 0);
}

void scratch_remove(struct scratch *scratch)
{
    directory_remove(scratch->path);
}

static void scratch_path(const struct scratch *scratch, const char *name, char path[128])
{
    MK_ASSERT(snprintf(path, 128, "%s/%s", scratch->path, name) < 128);
}

void scratch_unlink(const struct scratch *scratch, const char *name)
{
    char path[128];
    scratch_path(scratch, name, path);
    MK_ASSERT(unlink(path) == 0);
}

bool scratch_has(const struct scratch *scratch, const char *name)
{
    char path[128];
    scratch_path(scratch, name, path);
    return access(path, F_OK) == 0;
}

void scratch_read(const struct scratch *scratch, const char *name, struct mk_buf *bytes)
{
    char path[128];
    scratch_path(scratch, name, path);
    FILE *file = fopen(path, "rb");
    MK_ASSERT(file != NULL);
    struct stat stat;
    MK_ASSERT(fstat(fileno(file), &stat) == 0);

    size_t size = (size_t)stat.st_size;
    bytes->len = 0;
    MK_ASSERT(size == 0 || fread(mk_buf_grow(bytes, size), 1, size, file) == size);
    fclose(file);
}

void scratch_write(const struct scratch *scratch, const char *name, struct mk_bytes bytes)
{
    char path[128];
    scratch_path(scratch, name, path);
    FILE *file = fopen(path, "wb");
    MK_ASSERT(file != NULL);
    MK_ASSERT(bytes.len == 0 || fwrite(bytes.data, 1, bytes.len, file) == bytes.len);
    MK_ASSERT(fclose(file) == 0);
}

void scratch_flip(const struct scratch *scratch, const char *name, size_t at, uint8_t mask)
{
    char path[128];
    scratch_path(scratch, name, path);
    FILE *file = fopen(path, "r+b");
    MK_ASSERT(file != NULL);
    MK_ASSERT(fseek(file, (long)at, SEEK_SET) == 0);
    int byte = fgetc(file);
    MK_ASSERT(byte != EOF);
    MK_ASSERT(fseek(file, (long)at, SEEK_SET) == 0);
    MK_ASSERT(fputc(byte ^ mask, file) != EOF);
    MK_ASSERT(fclose(file) == 0);
}

static uint8_t entry_byte(mk_zxid zxid, size_t i)
{
    /* Some entries are mostly zeros, which is what a sector that was never written looks like. */
    return zxid % 3 == 0 ? 0 : (uint8_t)((uint64_t)zxid * 31 + i * 7 + 1);
}

void scratch_entry_put(struct mk_buf *batch, mk_zxid zxid, size_t len)
{
    size_t entry = store_log_entry_begin(batch);
    mk_buf_put_i64(batch, 0x1000); /* clientId, cxid, zxid, time, type: setData */
    mk_buf_put_i32(batch, 1);
    mk_buf_put_i64(batch, zxid);
    mk_buf_put_i64(batch, 1700000000000);
    mk_buf_put_i32(batch, 5);
    uint8_t *body = mk_buf_grow(batch, len);
    for (size_t i = 0; i < len; i++) {
        body[i] = entry_byte(zxid, i);
    }
    store_log_entry_end(batch, entry);
}

bool scratch_entry_valid(mk_zxid zxid, struct mk_bytes entry)
{
    bool valid = entry.len >= 32 && (mk_zxid)mk_load_u64(entry.data + 12) == zxid;
    for (size_t i = 32; valid && i < entry.len; i++) {
        valid = entry.data[i] == entry_byte(zxid, i - 32);
    }
    return valid;
}
