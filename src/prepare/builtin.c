/* The server's own recipe, `recipe`, which deploys the others: recipe.lua, beside this file. Its policy
 * is there; here is what it may see and do, and when the server itself calls it.
 *
 *   recipes are new to a tree: prepare_catalogue() -> the znodes -> recipe.upgrade of each -> over
 *   recipe.deploy, .rollback, .upgrade:  a call as any other, with effects below TREE_RECIPES_PATH
 *   recipe.remove:  marks what calls wait on, and waits -> prepare_builtin_due(): each of those calls
 *                   ends -> prepare_builtin_ended(): recipe.ended, the mark goes, recipe.remove wakes
 *
 * A successor finds the marks in the tree, and goes on. */
#include <string.h>

#include "prepare/context.h"
#include "prepare/recipe_lua.h"

#define NAME "recipe"
#define ENDING_PATH TREE_RECIPES_PATH "/.ending"
/* Data of TREE_RECIPES_PATH while the catalogue is being installed. */
#define INSTALLING "installing"
/* A source and its escapes in JSON have to fit, as one string and in sum. */
#define STRING_BYTES_MAX ((uint64_t)1024 * 1024)
/* Calls looked at in one go, and gos in one look: what a look may take of a turn, some 100 us. */
#define LOOK_CALLS 64
#define LOOKS_MAX 4
/* Of one identity, and of all of them together, in history and log. */
#define WHO_ONE_BYTES_MAX 64
#define WHO_BYTES_MAX 256

/* ---- Life ---- */

void prepare_builtin_init(struct prepare *prepare)
{
    struct recipe_options options = {
        .alloc_bytes_max = STRING_BYTES_MAX,
        .result_bytes_max = STRING_BYTES_MAX,
        .log = prepare->log,
        .deployment = true,
    };
    struct mk_error error;

    if (!prepare->options.recipes) {
        return;
    }
    prepare->builtin.engine = recipe_engine_new(&options);
    prepare->builtin.version =
        recipe_version_load(prepare->builtin.engine, MK_BYTES(NAME),
                            mk_bytes_of(recipe_lua, sizeof(recipe_lua)), &error);
    MK_ASSERT(prepare->builtin.version != NULL); /* a test has seen it load */
    recipe_version_hash(mk_bytes_of(recipe_lua, sizeof(recipe_lua)), prepare->builtin.hash);
    prepare_builtin_lead(prepare);
}

/* An earlier server may have left something. */
void prepare_builtin_lead(struct prepare *prepare)
{
    prepare->builtin.removing = true;
    prepare->builtin.removing_turn = false;
    prepare->builtin.installed = 0;
    prepare->builtin.ended = (struct store_call_place){0};
}

void prepare_builtin_deinit(struct prepare *prepare)
{
    recipe_engine_free(prepare->builtin.engine);
    mk_buf_free(&prepare->builtin.audit);
}

bool prepare_builtin_is(struct mk_bytes operation)
{
    return mk_bytes_starts(operation, MK_BYTES(NAME "."));
}

struct recipe_engine *prepare_engine_of(const struct prepare *prepare,
                                        const struct recipe_version *version)
{
    return version == prepare->builtin.version ? prepare->builtin.engine : prepare->engine;
}

void prepare_builtin_audit(struct prepare *prepare, struct prepared *prepared)
{
    if (prepared->transaction) {
        mk_buf_append_bytes(&prepared->audit, mk_buf_view(&prepare->builtin.audit));
    }
    prepare->builtin.audit.len = 0;
}

/* ---- What it sees ---- */

static struct host *host_of(struct recipe_host *base)
{
    return MK_CONTAINER(base, struct host, base);
}

static enum mk_status builtin_read(struct recipe_host *base, struct mk_bytes path,
                                   struct recipe_znode *out)
{
    struct store_znode znode;
    enum mk_status status =
        store_znode_read(host_of(base)->step->prepare->view, path, true, &znode);

    if (status == MK_OK) {
        *out = (struct recipe_znode){
            .czxid = znode.stat.czxid,
            .mzxid = znode.stat.mzxid,
            .version = znode.stat.version,
            .children_count = znode.children_count,
            .data_length = znode.data_length,
            .data = znode.data,
        };
    }
    return status;
}

struct visit {
    recipe_child_visit *visit;
    void *context;
};

static bool visit_child(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct visit *visit = context;

    (void)czxid;
    (void)position;
    return visit->visit(visit->context, name);
}

static enum mk_status builtin_children(struct recipe_host *base,
                                       const struct recipe_siblings *siblings,
                                       recipe_child_visit *visit, void *context)
{
    struct prepare *prepare = host_of(base)->step->prepare;
    struct visit adapter = {.visit = visit, .context = context};
    struct store_znode parent;
    struct store_children query = {
        .path = mk_arena_copy(&prepare->scraps, siblings->path),
        .by_creation = siblings->by_creation,
        .backwards = siblings->backwards,
        .from = siblings->from.data != NULL ? mk_arena_copy(&prepare->scraps, siblings->from)
                                            : MK_BYTES_NULL,
    };

    MK_ASSERT(!query.by_creation ||
              query.from.data == NULL); /* recipe.lua asks for no such thing */
    enum mk_status status = store_znode_read(prepare->view, query.path, false, &parent);
    return status == MK_OK ? store_children_each(prepare->view, &query, visit_child, &adapter)
                           : status;
}

static enum mk_status builtin_session_alive(struct recipe_host *base, mk_session session,
                                            bool *alive)
{
    int32_t timeout_ms;
    enum mk_status status =
        store_session_read(host_of(base)->step->prepare->view, session, &timeout_ms);

    *alive = status == MK_OK;
    return status == MK_NO_NODE ? MK_OK : status;
}

/* ---- What it does: in the server's own name, below TREE_RECIPES_PATH alone ---- */

static bool room_left(const struct call_step *step, size_t more)
{
    return step->out->len - step->start + more <= step->prepare->options.transaction_bytes_max;
}

static struct mk_bytes path_kept(struct call_step *step, struct mk_bytes path)
{
    MK_ASSERT(path.len > sizeof(TREE_RECIPES_PATH) &&
              tree_path_within(path, MK_BYTES(TREE_RECIPES_PATH)));
    return mk_arena_copy(&step->prepare->scraps, path);
}

static enum mk_status builtin_create(struct recipe_host *base, const struct recipe_create *wanted,
                                     struct mk_buf *path)
{
    struct call_step *step = host_of(base)->step;
    struct prepare *prepare = step->prepare;
    struct mk_bytes at = path_kept(step, wanted->path);
    struct mk_bytes data = mk_arena_copy(&prepare->scraps, wanted->data);
    struct jute_txn part;

    if (!room_left(step, data.len)) {
        return MK_OVERLOADED;
    }
    enum mk_status status = prepare_own_create(
        prepare, at, data, prepare_own_acl(prepare, TREE_READ, MK_BYTES(""), 0), 0, false, &part);
    if (status == MK_OK) {
        prepare_step_put(step, &part);
        mk_buf_append_bytes(path, at);
        prepare->builtin.removing |= tree_path_within(at, MK_BYTES(ENDING_PATH));
    }
    return status;
}

static enum mk_status builtin_set(struct recipe_host *base, struct mk_bytes path,
                                  struct mk_bytes data, int32_t version, int32_t *version_now)
{
    struct call_step *step = host_of(base)->step;
    struct jute_txn part;

    MK_ASSERT(version == -1);
    if (!room_left(step, data.len)) {
        return MK_OVERLOADED;
    }
    enum mk_status status = prepare_own_set_data(
        step->prepare, path_kept(step, path), mk_arena_copy(&step->prepare->scraps, data), &part);
    if (status == MK_OK) {
        prepare_step_put(step, &part);
        *version_now = part.version;
    }
    return status;
}

static enum mk_status builtin_remove(struct recipe_host *base, struct mk_bytes path,
                                     int32_t version)
{
    struct call_step *step = host_of(base)->step;
    struct jute_txn part;

    MK_ASSERT(version == -1);
    enum mk_status status = prepare_own_delete(step->prepare, path_kept(step, path), &part);
    if (status == MK_OK) {
        prepare_step_put(step, &part);
    }
    return status;
}

/* ---- The library `deployment` ---- */

static enum mk_status deploy_may(struct recipe_host *base)
{
    struct host *host = host_of(base);
    struct store_znode root;

    if (host->step->call.chroot.len > 0) {
        return MK_NO_AUTH; /* what is below a chroot does not reach the server's recipes */
    }
    enum mk_status status =
        store_znode_read(host->step->prepare->view, MK_BYTES(TREE_RECIPES_PATH), false, &root);
    return status == MK_OK ? prepare_may(host->step->prepare, &host->changer, root.acl, TREE_WRITE)
                           : status;
}

/* Names are the clients' to choose: whatever could be taken for something else in a line of a log
 * becomes '?'. */
static void put_plain(struct mk_buf *out, struct mk_bytes text)
{
    for (size_t i = 0; i < text.len && i < WHO_ONE_BYTES_MAX; i++) {
        uint8_t c = text.data[i];
        bool plain = c > ' ' && c < 0x7f && c != ',' && c != '"' && c != '\\' && c != '=';
        mk_buf_put_u8(out, plain ? c : '?');
    }
}

/* "ip:10.0.0.7,digest:ann": of a digest, the name alone. */
static void deploy_who(struct recipe_host *base, struct mk_buf *out)
{
    struct mk_reader reader = mk_reader_of(host_of(base)->changer.identities);
    int32_t count = mk_read_i32(&reader);
    size_t start = out->len;

    for (int32_t i = 0; i < count && out->len - start < WHO_BYTES_MAX; i++) {
        struct mk_bytes scheme = mk_read_field(&reader);
        struct mk_bytes id = mk_read_field(&reader);
        if (reader.failed) {
            return;
        }
        mk_buf_append(out, ",", i > 0 ? 1 : 0);
        put_plain(out, scheme);
        id = tree_identity_display(scheme, id);
        mk_buf_append(out, ":", id.len > 0 ? 1 : 0);
        put_plain(out, id);
    }
}

static struct recipe_version *deploy_check(struct recipe_host *base, struct mk_bytes name,
                                           struct mk_bytes source, struct mk_error *error)
{
    return recipe_version_load(host_of(base)->step->prepare->engine, name, source, error);
}

static enum mk_status deploy_waiting(struct recipe_host *base, struct mk_bytes name,
                                     struct mk_bytes hash, int64_t *calls)
{
    struct mk_buf operations = {0};

    mk_buf_append_bytes(&operations, name);
    mk_buf_put_u8(&operations, '.');
    enum mk_status status = store_running_count(host_of(base)->step->prepare->view,
                                                mk_buf_view(&operations), hash, calls);
    mk_buf_free(&operations);
    return status;
}

static bool deploy_catalogue(struct recipe_host *base, size_t index, struct mk_bytes *name,
                             struct mk_bytes *source)
{
    const struct prepare_options *options = &host_of(base)->step->prepare->options;

    if (index >= options->catalogue_count) {
        return false;
    }
    *name = options->catalogue[index].name;
    *source = options->catalogue[index].source;
    return true;
}

static enum mk_status deploy_figures(struct recipe_host *base, struct mk_bytes name,
                                     struct mk_bytes hash, size_t index, struct recipe_figures *out)
{
    struct prepare *prepare = host_of(base)->step->prepare;
    struct recipe_version *version;
    struct mk_error why;
    enum mk_status status =
        prepare_step_version(prepare, mk_arena_copy(&prepare->scraps, name), hash, &version, &why);

    if (status != MK_OK) {
        return status == MK_WOULD_BLOCK || status >= MK_IO ? status : MK_END;
    }
    const struct recipe_operation *operation = recipe_operation_at(version, index);
    if (operation == NULL) {
        return MK_END;
    }
    struct mk_buf full = {0};
    mk_buf_printf(&full, "%.*s.%s", (int)name.len, (const char *)name.data, operation->name);
    const struct figures *figures = prepare_figures_find(prepare, mk_buf_view(&full));
    mk_buf_put_u8(&full, '\0'); /* behind it is the version */
    *out = (struct recipe_figures){.name = operation->name};
    if (figures != NULL) {
        out->calls = figures->calls;
        out->failures = figures->failures;
        out->instructions = figures->instructions;
        out->effects = figures->effects;
        out->run_ms = figures->run_ms;
        out->latency_avg_ms = (uint64_t)mk_summary_average(&figures->latency_ms);
        out->latency_max_ms = figures->latency_ms.max;
    }
    status = store_running_count(prepare->view, mk_buf_view(&full), MK_BYTES_NULL, &out->waiting);
    mk_buf_free(&full);
    return status;
}

static void deploy_audit(struct recipe_host *base, struct mk_bytes line)
{
    mk_buf_append_bytes(&host_of(base)->step->prepare->builtin.audit, line);
}

void prepare_builtin_host(struct host *host)
{
    static const struct recipe_deploy_ops deploy = {
        .may = deploy_may,
        .who = deploy_who,
        .check = deploy_check,
        .waiting = deploy_waiting,
        .catalogue = deploy_catalogue,
        .figures = deploy_figures,
        .audit = deploy_audit,
    };
    static const struct recipe_host_ops ops = {
        .read = builtin_read,
        .children = builtin_children,
        .create = builtin_create,
        .set = builtin_set,
        .remove = builtin_remove,
        .session_alive = builtin_session_alive,
        .deploy = &deploy,
    };
    host->base.ops = &ops;
}

/* ---- Called by the server itself ---- */

/* Of the operations that the server calls in its own name, as nobody's call: super, without a session. */
struct own_call {
    const char *operation; /* "upgrade" */
    const char *argument;
    struct mk_bytes value;
};

static struct mk_bytes own_arguments(struct prepare *prepare, const struct own_call *own)
{
    struct mk_buf json = {0};

    mk_buf_put_u8(&json, '{');
    recipe_json_string(&json, mk_bytes_text(own->argument));
    mk_buf_put_u8(&json, ':');
    recipe_json_string(&json, own->value);
    mk_buf_put_u8(&json, '}');
    struct mk_bytes arguments = mk_arena_copy(&prepare->scraps, mk_buf_view(&json));
    mk_buf_free(&json);
    return arguments;
}

static struct mk_bytes own_identities(struct prepare *prepare)
{
    struct mk_buf buf = {0};

    mk_buf_put_i32(&buf, 1);
    mk_buf_put_field(&buf, MK_BYTES("super"));
    mk_buf_put_field(&buf, MK_BYTES(""));
    struct mk_bytes identities = mk_arena_copy(&prepare->scraps, mk_buf_view(&buf));
    mk_buf_free(&buf);
    return identities;
}

/* MK_OK: one transaction. MK_END: it failed, which is in the log, and changed nothing. */
static enum mk_status own_call(struct prepare *prepare, const struct prepare_at *at,
                               const struct own_call *own, struct mk_buf *out)
{
    struct call_step step = {.prepare = prepare, .at = *at, .number = at->zxid, .out = out};
    struct host host;
    enum mk_status status = MK_OK;

    step.who.identities = own_identities(prepare);
    step.call.identities = step.who.identities;
    step.call.operation = MK_BYTES(NAME ".");
    prepare_host_init(&host, &step, false);
    struct recipe_run run = {
        .version = prepare->builtin.version,
        .operation = recipe_operation_find(prepare->builtin.version, mk_bytes_text(own->operation)),
        .format = RECIPE_JSON,
        .arguments = own_arguments(prepare, own),
        .once = MK_BYTES(""),
        .zxid = at->zxid,
        .now_ms = at->time_ms,
        .host = &host.base,
    };
    MK_ASSERT(run.operation != NULL);
    prepare_step_begin(&step);
    recipe_run(prepare->builtin.engine, &run);
    if (run.end == RECIPE_RETURNED) {
        prepare_step_commit(&step);
    } else {
        prepare_step_abort(&step);
        status = run.end == RECIPE_UNANSWERED ? run.unanswered : MK_END;
    }
    if (status == MK_END) {
        mk_log(prepare->log, MK_LOG_ERROR, "recipe.%s failed  %s=%.*s error=%s message=%.*s",
               own->operation, own->argument, (int)own->value.len, (const char *)own->value.data,
               run.error_name, (int)run.message.len,
               run.message.len > 0 ? (const char *)run.message.data : "");
    }
    recipe_run_deinit(&run);
    return status;
}

/* ---- The catalogue, when recipes are new to a tree ---- */

static enum mk_status put_part(struct call_step *step, enum mk_status status,
                               const struct jute_txn *part)
{
    if (status == MK_OK) {
        prepare_step_put(step, part);
    }
    return status;
}

/* Everybody may call and read; who else may do what is in `recipeAdmin`. */
static enum mk_status put_roots(struct call_step *step)
{
    struct prepare *prepare = step->prepare;
    struct mk_bytes calls_acl = prepare_own_acl(prepare, TREE_READ | TREE_CREATE, MK_BYTES(""), 0);
    struct mk_bytes recipes_acl = prepare_own_acl(prepare, TREE_READ, prepare->options.recipe_admin,
                                                  prepare->options.recipe_admin_count);
    struct jute_txn part;
    struct store_znode znode;
    enum mk_status status =
        store_znode_read(prepare->view, MK_BYTES(TREE_CALLS_PATH), false, &znode);

    if (status == MK_NO_NODE) {
        status = prepare_own_create(prepare, MK_BYTES(TREE_CALLS_PATH), MK_BYTES(""), calls_acl, 0,
                                    false, &part);
        status = put_part(step, status, &part);
    }
    if (status == MK_OK) {
        status = prepare_own_create(prepare, MK_BYTES(TREE_RECIPES_PATH), MK_BYTES(INSTALLING),
                                    recipes_acl, 0, false, &part);
    }
    return put_part(step, status, &part);
}

static enum mk_status put_installed(struct call_step *step)
{
    struct jute_txn part;
    enum mk_status status =
        prepare_own_set_data(step->prepare, MK_BYTES(TREE_RECIPES_PATH), MK_BYTES(""), &part);

    return put_part(step, status, &part);
}

static enum mk_status own_step(struct prepare *prepare, const struct prepare_at *at,
                               enum mk_status (*put)(struct call_step *step), struct mk_buf *out)
{
    struct call_step step = {.prepare = prepare, .at = *at, .out = out};

    prepare_step_begin(&step);
    enum mk_status status = put(&step);
    if (status == MK_OK) {
        prepare_step_commit(&step);
    } else {
        prepare_step_abort(&step);
    }
    return status;
}

/* One that an earlier server has installed already is taken once more, and changes nothing. */
static enum mk_status install_next(struct prepare *prepare, const struct prepare_at *at,
                                   struct mk_buf *out)
{
    enum mk_status status = MK_END;

    while (status == MK_END && prepare->builtin.installed < prepare->options.catalogue_count) {
        struct own_call upgrade = {
            .operation = "upgrade",
            .argument = "name",
            .value = prepare->options.catalogue[prepare->builtin.installed].name,
        };
        status = own_call(prepare, at, &upgrade, out);
        prepare->builtin.installed += status == MK_OK || status == MK_END ? 1 : 0;
    }
    return status;
}

enum mk_status prepare_catalogue(struct prepare *prepare, const struct prepare_at *at,
                                 struct mk_buf *out, struct prepared *prepared)
{
    struct store_znode root;

    mk_arena_reset(&prepare->scraps);
    prepared->transaction = true;
    enum mk_status status =
        store_znode_read(prepare->view, MK_BYTES(TREE_RECIPES_PATH), true, &root);
    if (status == MK_NO_NODE) {
        return own_step(prepare, at, put_roots, out);
    }
    if (status != MK_OK || !mk_bytes_equal(root.data, MK_BYTES(INSTALLING))) {
        return status == MK_OK ? MK_END : status;
    }
    status = install_next(prepare, at, out);
    if (status == MK_END) {
        status = own_step(prepare, at, put_installed, out);
    }
    prepare_builtin_audit(prepare, prepared);
    return status;
}

/* ---- Versions that are being removed ---- */

bool prepare_removing(const struct prepare *prepare)
{
    return prepare->builtin.removing;
}

struct first_child {
    struct prepare *prepare;
    struct mk_bytes name; /* in the scraps; null: there is none */
};

static bool take_first(void *context, struct mk_bytes name, mk_zxid czxid, uint32_t position)
{
    struct first_child *first = context;

    (void)czxid;
    (void)position;
    first->name = mk_arena_copy(&first->prepare->scraps, name);
    return false;
}

/* The first mark: "lock.<version>". MK_END: there is none. */
static enum mk_status mark_first(struct prepare *prepare, struct mk_bytes *mark)
{
    struct first_child first = {.prepare = prepare, .name = MK_BYTES_NULL};
    struct store_children query = {.path = MK_BYTES(ENDING_PATH)};
    struct store_znode znode;
    enum mk_status status = store_znode_read(prepare->view, query.path, false, &znode);

    if (status == MK_OK) {
        status = store_children_each(prepare->view, &query, take_first, &first);
    }
    *mark = first.name;
    if (status == MK_NO_NODE || (status == MK_OK && first.name.data == NULL)) {
        return MK_END;
    }
    return status;
}

struct look {
    struct store_call_place places[LOOK_CALLS];
    uint32_t count;
};

static bool gather_place(void *context, struct store_call_place place)
{
    struct look *look = context;

    look->places[look->count++] = place;
    return look->count < LOOK_CALLS;
}

/* Go on looking for a call of `version` of the recipe whose operations begin with `operations`: another
 * recipe may have the same source. MK_END: not among these. */
static enum mk_status look_further(struct prepare *prepare, struct mk_bytes operations,
                                   struct mk_bytes version, mk_zxid *call)
{
    struct builtin *builtin = &prepare->builtin;
    struct look look = {.count = 0};
    enum mk_status status = store_calls_each(prepare->view, builtin->ended, gather_place, &look);

    for (uint32_t i = 0; status == MK_OK && i < look.count; i++) {
        struct tree_call record;
        enum mk_status read = prepare_call_look(prepare, look.places[i].call, &record);
        if (read == MK_WOULD_BLOCK || read >= MK_IO) {
            return read;
        }
        builtin->ended = look.places[i];
        if (read == MK_OK && mk_bytes_starts(record.operation, operations) &&
            mk_bytes_equal(record.version, version)) {
            *call = look.places[i].call;
            return MK_OK;
        }
    }
    if (status == MK_OK && look.count < LOOK_CALLS) {
        builtin->ended = (struct store_call_place){0}; /* from the beginning, for the next mark */
    }
    return status == MK_OK ? MK_END : status;
}

enum mk_status prepare_builtin_due(struct prepare *prepare, mk_zxid *call, bool *more)
{
    struct mk_bytes mark;
    int64_t count = 0;

    *call = 0;
    if (!prepare->builtin.removing) {
        return MK_END;
    }
    enum mk_status status = mark_first(prepare, &mark);
    const uint8_t *dot = status == MK_OK ? memchr(mark.data, '.', mark.len) : NULL;
    if (dot == NULL) {
        prepare->builtin.removing = status != MK_OK && status != MK_END;
        return status == MK_OK ? MK_END : status;
    }
    size_t name_len = (size_t)(dot - mark.data);
    struct mk_bytes version = mk_bytes_of(dot + 1, mark.len - name_len - 1);
    struct mk_bytes operations = mk_bytes_of(mark.data, name_len + 1);
    status = store_running_count(prepare->view, operations, version, &count);
    if (status != MK_OK || count == 0) {
        return status;
    }
    status = MK_END;
    for (int i = 0; i < LOOKS_MAX && status == MK_END; i++) {
        status = look_further(prepare, operations, version, call);
    }
    *more = status == MK_END;
    return status;
}

enum mk_status prepare_builtin_ended(struct prepare *prepare, const struct prepare_at *at,
                                     struct mk_buf *out)
{
    struct own_call ended = {.operation = "ended", .argument = "marker"};
    enum mk_status status = mark_first(prepare, &ended.value);

    if (status == MK_OK) {
        status = own_call(prepare, at, &ended, out);
        /* Whatever is wrong with the mark, it would be wrong again at once. */
        prepare->builtin.removing = status != MK_END;
    }
    return status;
}
