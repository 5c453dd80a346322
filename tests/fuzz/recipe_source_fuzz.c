/* Any bytes as a recipe: whatever they are, they load or are refused, and every operation that they
 * declare runs and is cancelled to one of the four ends, within small budgets. Two engines agree on
 * all of it, byte for byte. */
#include "recipe/recipe.h"

#include <string.h>

/* A tree of a few znodes that is as it is: every effect succeeds and changes nothing. */
static enum mk_status host_read(struct recipe_host *host, struct mk_bytes path,
                                struct recipe_znode *out)
{
    (void)host;
    *out = (struct recipe_znode){.czxid = 1, .version = 2, .owner = 3, .data = MK_BYTES("data")};
    return path.len % 3 == 0 ? MK_NO_NODE : path.len % 7 == 0 ? MK_WOULD_BLOCK : MK_OK;
}

static enum mk_status host_children(struct recipe_host *host, const struct recipe_siblings *query,
                                    recipe_child_visit *visit, void *context)
{
    (void)host;
    (void)query;
    (void)(visit(context, MK_BYTES("lock-0000000001")) && visit(context, MK_BYTES("b")));
    return MK_OK;
}

static enum mk_status host_create(struct recipe_host *host, const struct recipe_create *create,
                                  struct mk_buf *path)
{
    (void)host;
    mk_buf_append_bytes(path, create->path);
    return create->path.len > 40 ? MK_NODE_EXISTS : MK_OK;
}

static enum mk_status host_set(struct recipe_host *host, struct mk_bytes path, struct mk_bytes data,
                               int32_t version, int32_t *version_now)
{
    (void)host;
    (void)path;
    (void)data;
    *version_now = version + 1;
    return version > 0 ? MK_BAD_VERSION : MK_OK;
}

static enum mk_status host_remove(struct recipe_host *host, struct mk_bytes path, int32_t version)
{
    (void)host;
    (void)version;
    return path.len % 2 == 0 ? MK_NO_NODE : MK_OK;
}

static enum mk_status host_session_alive(struct recipe_host *host, mk_session session, bool *alive)
{
    (void)host;
    *alive = session % 2 == 0;
    return MK_OK;
}

static const struct recipe_host_ops host_ops = {.read = host_read,
                                                .children = host_children,
                                                .create = host_create,
                                                .set = host_set,
                                                .remove = host_remove,
                                                .session_alive = host_session_alive};
static struct recipe_host host = {&host_ops};

static struct recipe_engine *engine_new(void)
{
    struct recipe_options options = {.instructions_max = 20000,
                                     .work_max = 256 * 1024,
                                     .memory_bytes_max = 1024 * 1024,
                                     .effects_max = 64};
    return recipe_engine_new(&options);
}

static bool buf_same(const struct mk_buf *a, const struct mk_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Whether the runs ended alike. A run that ended for want of memory may differ by an
 * instruction. */
static void runs_compare(const struct recipe_run *a, const struct recipe_run *b)
{
    MK_ASSERT(a->end == b->end);
    MK_ASSERT(a->end != RECIPE_FAILED || strcmp(a->error_name, b->error_name) == 0);
    MK_ASSERT(buf_same(&a->result, &b->result));
    MK_ASSERT(buf_same(&a->once_out, &b->once_out));
    MK_ASSERT(a->waits_count == b->waits_count && a->wake_at_ms == b->wake_at_ms);
    MK_ASSERT(buf_same(&a->wait_paths, &b->wait_paths));
}

static struct recipe_run run(struct recipe_engine *engine, struct recipe_version *version,
                             const char *name, const struct recipe_run *before, bool cancel)
{
    struct recipe_run run = {.version = version,
                             .operation = recipe_operation_find(version, mk_bytes_text(name)),
                             .may_park = true,
                             .cancel = cancel,
                             .zxid = 0x200000003,
                             .now_ms = 1234,
                             .session = 0x1000000000000001,
                             .host = &host};
    MK_ASSERT(run.operation != NULL);
    if (before != NULL) {
        run.once = mk_buf_view(&before->once_out);
    }
    recipe_run(engine, &run);
    return run;
}

/* Whatever the schema says of these, it says it twice. */
static void arguments_try(struct recipe_version *versions[2], const char *name)
{
    static const char *const texts[] = {"{}", "{\"n\":3}", "{\"l\":[\"1s\",2,\"x\"],\"n\":null}",
                                        "{\"path\":\"/a\",\"timeout\":\"5s\",\"n\":\"1\"}"};
    for (size_t i = 0; i < MK_COUNT(texts); i++) {
        enum mk_status status[2];
        struct mk_error errors[2];
        mk_ms timeout_ms[2];
        for (int j = 0; j < 2; j++) {
            const struct recipe_operation *operation =
                recipe_operation_find(versions[j], mk_bytes_text(name));
            errors[j].text[0] = '\0';
            status[j] = recipe_arguments_check(versions[j], operation, RECIPE_JSON,
                                               mk_bytes_text(texts[i]), &timeout_ms[j], &errors[j]);
        }
        MK_ASSERT(status[0] == status[1] && timeout_ms[0] == timeout_ms[1]);
        MK_ASSERT(strcmp(errors[0].text, errors[1].text) == 0);
        MK_ASSERT((status[0] == MK_OK) == (errors[0].text[0] == '\0'));
    }
}

static void operation_try(struct recipe_engine *engines[2], struct recipe_version *versions[2],
                          const char *name)
{
    struct recipe_run first[2];
    struct recipe_run second[2];
    for (int i = 0; i < 2; i++) {
        first[i] = run(engines[i], versions[i], name, NULL, false);
        second[i] = run(engines[i], versions[i], name, &first[i], true);
    }
    runs_compare(&first[0], &first[1]);
    runs_compare(&second[0], &second[1]);
    for (int i = 0; i < 2; i++) {
        recipe_run_deinit(&first[i]);
        recipe_run_deinit(&second[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"acquire", "release", "run", "get", "put", "a", "b", "x"};
    struct recipe_engine *engines[2] = {engine_new(), engine_new()};
    struct recipe_version *versions[2];
    struct mk_error errors[2];
    for (int i = 0; i < 2; i++) {
        versions[i] = recipe_version_load(
            engines[i], MK_BYTES("fuzz"),
            mk_bytes_of(data == NULL ? (const uint8_t *)"" : data, size), &errors[i]);
    }
    MK_ASSERT((versions[0] == NULL) == (versions[1] == NULL));
    MK_ASSERT(versions[0] != NULL || strcmp(errors[0].text, errors[1].text) == 0);
    for (size_t i = 0; i < MK_COUNT(names) && versions[0] != NULL; i++) {
        if (recipe_operation_find(versions[0], mk_bytes_text(names[i])) != NULL) {
            arguments_try(versions, names[i]);
            operation_try(engines, versions, names[i]);
        }
    }
    recipe_engine_free(engines[0]);
    recipe_engine_free(engines[1]);
    return 0;
}
