/* log_writer DIRECTORY COUNT: a log as the server writes it, over several segments and many
 * batches: a session, COUNT persistent znodes /n<i> under it, and a change of each. A real
 * ZooKeeper reads it. */
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

#define TYPE_CREATE_SESSION (-10)
#define TYPE_CREATE 1
#define TYPE_SET_DATA 5
#define SESSION 0x100000000000001

struct writer {
    struct store_log *log;
    struct mk_buf batch;
    mk_zxid zxid;
    struct mk_error error;
};

static size_t txn_begin(struct writer *writer, int32_t type)
{
    size_t entry = store_log_entry_begin(&writer->batch);

    writer->zxid++;
    mk_buf_put_i64(&writer->batch, SESSION);
    mk_buf_put_i32(&writer->batch, 1);
    mk_buf_put_i64(&writer->batch, writer->zxid);
    mk_buf_put_i64(&writer->batch, 1700000000000);
    mk_buf_put_i32(&writer->batch, type);
    return entry;
}

static void path_put(struct writer *writer, int i)
{
    char path[32];

    snprintf(path, sizeof(path), "/n%d", i);
    mk_buf_put_field(&writer->batch, mk_bytes_text(path));
}

static void create_put(struct writer *writer, int i)
{
    size_t entry = txn_begin(writer, TYPE_CREATE);

    path_put(writer, i);
    mk_buf_put_field(&writer->batch, MK_BYTES("first"));
    mk_buf_put_i32(&writer->batch, 1); /* one ACL: world, anyone, all */
    mk_buf_put_i32(&writer->batch, 31);
    mk_buf_put_field(&writer->batch, MK_BYTES("world"));
    mk_buf_put_field(&writer->batch, MK_BYTES("anyone"));
    mk_buf_put_u8(&writer->batch, 0);      /* not ephemeral */
    mk_buf_put_i32(&writer->batch, i + 1); /* the parent's cversion */
    store_log_entry_end(&writer->batch, entry);
}

static void set_data_put(struct writer *writer, int i)
{
    uint8_t data[500] = {0};
    size_t entry = txn_begin(writer, TYPE_SET_DATA);

    path_put(writer, i);
    mk_buf_put_field(&writer->batch, mk_bytes_of(data, sizeof(data)));
    mk_buf_put_i32(&writer->batch, 1);
    store_log_entry_end(&writer->batch, entry);
}

static void batch_append(struct writer *writer)
{
    if (store_log_append(writer->log, writer->batch.data, writer->batch.len, &writer->error) !=
            MK_OK ||
        store_log_prewrite(writer->log, &writer->error) != MK_OK) {
        fprintf(stderr, "%s\n", writer->error.text);
        exit(1);
    }
    writer->batch.len = 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: log_writer DIRECTORY COUNT\n");
        return 2;
    }
    struct store_log_options options = {
        .segment_bytes = 256 << 10, .segment_first_bytes = 64 << 10, .sync = true};
    struct writer writer = {.zxid = (mk_zxid)1 << 32};
    int count = atoi(argv[2]);
    writer.log = store_log_open(argv[1], &options, &writer.error);
    if (writer.log == NULL) {
        fprintf(stderr, "%s\n", writer.error.text);
        return 1;
    }

    size_t entry = txn_begin(&writer, TYPE_CREATE_SESSION);
    mk_buf_put_i32(&writer.batch, 30000);
    store_log_entry_end(&writer.batch, entry);
    batch_append(&writer);
    for (int i = 0; i < count; i++) {
        create_put(&writer, i);
        set_data_put(&writer, i);
        if (i % 7 == 0) {
            batch_append(&writer);
        }
    }
    batch_append(&writer);
    printf("0x%llx\n", (unsigned long long)writer.zxid);

    mk_buf_free(&writer.batch);
    store_log_close(writer.log);
    return 0;
}
