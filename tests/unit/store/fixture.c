#include "fixture.h"

#include "store/waits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void open_store(struct fixture *fixture)
{
    static const struct store_options options = {
        .cache_bytes = 1 << 20,
        .overlay_bytes = 1 << 20,
        .overlay_bytes_max = 4 << 20,
        .hash_seed = 3,
    };
    struct mk_error error;
    store_base_memory_ref(fixture->base);
    fixture->store = store_open(fixture->base, &options, &error);
    assert_non_null(fixture->store);
    fixture->view = store_committed(fixture->store);
    fixture->zxid = store_applied(fixture->store);
}

void fixture_open(struct fixture *fixture)
{
    fixture->base = store_base_memory(NULL, 0);
    open_store(fixture);
}

void fixture_open_base(struct fixture *fixture)
{
    open_store(fixture);
}

void fixture_close(struct fixture *fixture)
{
    store_check(fixture->store);
    store_close(fixture->store);
    fixture->base->ops->close(fixture->base);
}

void fixture_reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    open_store(fixture);
}

void fixture_speculate(struct fixture *fixture)
{
    fixture->view = store_speculative(fixture->store);
}

void begin(struct fixture *fixture)
{
    fixture->zxid++;
    store_begin(fixture->view, fixture->zxid, fixture->zxid * 1000);
}

void end(struct fixture *fixture)
{
    store_end(fixture->view);
}

enum mk_status try_create(struct fixture *fixture, const struct store_create *create)
{
    struct store_znode znode;
    begin(fixture);
    enum mk_status status = store_znode_create(fixture->view, create, &znode);
    end(fixture);
    return status;
}

static struct mk_bytes bytes_of(const char *text)
{
    return text == NULL ? MK_BYTES_NULL : mk_bytes_text(text);
}

void create(struct fixture *fixture, const char *path, const char *data)
{
    struct store_create create = {
        .path = mk_bytes_text(path), .data = bytes_of(data), .parent_cversion = -1};
    enum mk_status status = try_create(fixture, &create);
    assert_int_equal(status, MK_OK);
}

void create_ephemeral(struct fixture *fixture, const char *path, mk_session session)
{
    struct store_create create = {
        .path = mk_bytes_text(path), .owner = session, .parent_cversion = -1};
    enum mk_status status = try_create(fixture, &create);
    assert_int_equal(status, MK_OK);
}

enum mk_status try_delete(struct fixture *fixture, const char *path)
{
    begin(fixture);
    enum mk_status status = store_znode_delete(fixture->view, mk_bytes_text(path));
    end(fixture);
    return status;
}

void delete (struct fixture *fixture, const char *path)
{
    enum mk_status status = try_delete(fixture, path);
    assert_int_equal(status, MK_OK);
}

void set_bytes(struct fixture *fixture, const char *path, struct mk_bytes data)
{
    struct store_znode znode;
    begin(fixture);
    enum mk_status status =
        store_znode_set_data(fixture->view, mk_bytes_text(path), data, 1, &znode);
    end(fixture);
    assert_int_equal(status, MK_OK);
}

void set_data(struct fixture *fixture, const char *path, const char *data, int32_t version)
{
    struct store_znode znode;
    begin(fixture);
    enum mk_status status =
        store_znode_set_data(fixture->view, mk_bytes_text(path), bytes_of(data), version, &znode);
    end(fixture);
    assert_int_equal(status, MK_OK);
}

void checkpoint(struct fixture *fixture)
{
    struct mk_error error;
    struct store_checkpoint *checkpoint = store_checkpoint_start(fixture->store);
    assert_non_null(checkpoint);
    enum mk_status status = store_checkpoint_write(checkpoint, &error);
    assert_int_equal(status, MK_OK);
    store_checkpoint_done(fixture->store, checkpoint);
}

struct store_znode look(struct fixture *fixture, const char *path)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(fixture->view, mk_bytes_text(path), true, &znode);
    if (status != MK_OK) {
        print_error("%s: %s\n", path, mk_status_name(status));
    }
    assert_int_equal(status, MK_OK);
    return znode;
}

bool absent(struct fixture *fixture, const char *path)
{
    struct store_znode znode;
    enum mk_status status = store_znode_read(fixture->view, mk_bytes_text(path), true, &znode);
    assert_true(status == MK_OK || status == MK_NO_NODE);
    return status == MK_NO_NODE;
}

struct text {
    char text[4096];
    size_t len;
};

static bool append_name(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct text *text = context;
    (void)czxid;
    (void)position;
    text->len += (size_t)snprintf(text->text + text->len, sizeof(text->text) - text->len, "%.*s ",
                                  (int)name.len, (const char *)name.data);
    return true;
}

const char *list(struct fixture *fixture, const struct store_children *query)
{
    static struct text text;
    text.text[0] = 0;
    text.len = 0;
    enum mk_status status = store_children_each(fixture->view, query, append_name, &text);
    assert_int_equal(status, MK_OK);
    return text.text;
}

const char *names_of(struct fixture *fixture, const char *path)
{
    struct store_children query = {.path = mk_bytes_text(path)};
    return list(fixture, &query);
}

void assert_text(struct mk_bytes bytes, const char *expected)
{
    assert_non_null(bytes.data);
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

/* ---- Queues of calls: all of it, where the door tells only the first ---- */

struct listed {
    char text[256];
    size_t len;
};

static void list_call(struct listed *listed, mk_zxid call)
{
    char number[32];
    snprintf(number, sizeof(number), " %d ", (int)call);
    listed->text[0] = ' '; /* so that every number stands between two */
    listed->len = listed->len == 0 ? 1 : listed->len;
    if (strstr(listed->text, number) == NULL) {
        listed->len += (size_t)snprintf(listed->text + listed->len,
                                        sizeof(listed->text) - listed->len, "%s", number + 1);
    }
}

static void list_broken(struct fixture *fixture, const struct waits_queued *queued,
                        struct listed *listed)
{
    struct mk_arena *arena = &fixture->store->scraps;
    uint8_t kind = (uint8_t)queued->kind;
    struct mk_bytes low = key_below(arena, KEY_AWAITED, queued->path, 0, mk_bytes_of(&kind, 1));
    struct store_znode znode;
    const struct store_znode *now;
    enum mk_status status = waits_look(fixture->view, queued->path, &znode, &now);
    assert_int_equal(status, MK_OK);
    struct rows_cursor cursor;
    status = rows_cursor_open(&cursor, fixture->view,
                              (struct range){low, key_after_prefix(arena, low), false});
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        if (!waits_hold(queued->kind, (mk_zxid)mk_load_u64(cursor.value.data), now)) {
            list_call(listed, (mk_zxid)mk_load_u64(cursor.key.data + cursor.key.len - 8));
        }
    }
    rows_cursor_close(&cursor);
    assert_int_equal(status, MK_END);
}

static const char *list_queue(struct fixture *fixture, enum key_kind queue)
{
    static struct listed listed;
    listed = (struct listed){.len = 0};
    rows_enter(fixture->view);
    struct mk_arena *arena = &fixture->store->scraps;
    struct mk_bytes prefix = key_path(arena, queue, MK_BYTES(""));
    struct rows_cursor cursor;
    enum mk_status status = rows_cursor_open(
        &cursor, fixture->view, (struct range){prefix, key_after_prefix(arena, prefix), false});
    for (; status == MK_OK; status = rows_cursor_step(&cursor)) {
        struct waits_queued queued;
        assert_true(waits_queued_decode(cursor.value, &queued));
        if (queued.call != 0) {
            list_call(&listed, queued.call);
        } else {
            list_broken(fixture, &queued, &listed);
        }
    }
    rows_cursor_close(&cursor);
    assert_int_equal(status, MK_END);
    return listed.len == 0 ? "" : listed.text + 1;
}

const char *ready(struct fixture *fixture)
{
    return list_queue(fixture, KEY_READY);
}

const char *gone(struct fixture *fixture)
{
    return list_queue(fixture, KEY_GONE);
}
