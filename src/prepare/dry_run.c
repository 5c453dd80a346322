/* What a call would do: its first run, looked over the shoulder, and undone.
 *
 *   begin -> run, each read and effect noted as the host is asked for it -> abort -> the report
 *
 * The run has the caller's rights and the budgets of any run, and sees what a call made now would see. It
 * is one run: what happens when a wait has ended it does not tell. The report is JSON:
 *
 *   {"outcome":"returned","result":…  |  "failed","error":…,"message":…  |  "waits","waits":[{"deleted":…}]
 *    "reads":[{"znode":…},{"children":…}],"effects":[{"create":…},{"set":…,"bytes":…},{"delete":…}],
 *    "instructions":…} */
#include <string.h>

#include "prepare/context.h"

/* Of reads and of effects each: what is beyond is counted. A report is one answer for people. */
#define NOTES_MAX 256
#define NOTES_BYTES_MAX ((size_t)64 * 1024)

struct notes {
    struct mk_buf text; /* one behind the other, with commas */
    size_t last_at;     /* where the last one begins */
    uint32_t count;
    uint32_t omitted;
};

struct watched_host {
    struct host host; /* the first: what the host's own functions are given */
    struct recipe_host_ops ops;
    const struct recipe_host_ops *inner;
    struct notes reads;
    struct notes effects;
};

static struct watched_host *watched(struct recipe_host *base)
{
    return MK_CONTAINER(base, struct watched_host, host.base);
}

/* ---- Notes ---- */

/* True: there is room, and `{"kind":"path"` has been written. */
static bool note_begin(struct notes *notes, const char *kind, struct mk_bytes path)
{
    if (notes->count == NOTES_MAX || notes->text.len + path.len > NOTES_BYTES_MAX) {
        notes->omitted++;
        return false;
    }
    if (notes->count > 0) {
        mk_buf_put_u8(&notes->text, ',');
    }
    notes->last_at = notes->text.len;
    notes->count++;
    mk_buf_printf(&notes->text, "{\"%s\":", kind);
    recipe_json_string(&notes->text, path);
    return true;
}

static void note(struct notes *notes, const char *kind, struct mk_bytes path)
{
    if (note_begin(notes, kind, path)) {
        mk_buf_put_u8(&notes->text, '}');
    }
}

/* A recipe looks at one znode several times: its data, its stat. One note is enough. */
static void note_read(struct notes *notes, const char *kind, struct mk_bytes path)
{
    size_t before_at = notes->last_at;
    size_t before_len = notes->text.len - before_at;
    uint32_t count = notes->count;

    note(notes, kind, path);
    size_t len = notes->text.len - notes->last_at;
    if (notes->count > count && count > 0 && len == before_len &&
        memcmp(notes->text.data + before_at, notes->text.data + notes->last_at, len) == 0) {
        notes->text.len = before_at + before_len;
        notes->last_at = before_at;
        notes->count = count;
    }
}

/* ---- The host, watched ---- */

static enum mk_status watched_read(struct recipe_host *base, struct mk_bytes path,
                                   struct recipe_znode *out)
{
    struct watched_host *host = watched(base);

    note_read(&host->reads, "znode", path);
    return host->inner->read(base, path, out);
}

static enum mk_status watched_children(struct recipe_host *base,
                                       const struct recipe_siblings *query,
                                       recipe_child_visit *visit, void *context)
{
    struct watched_host *host = watched(base);

    note_read(&host->reads, "children", query->path);
    return host->inner->children(base, query, visit, context);
}

static enum mk_status watched_create(struct recipe_host *base, const struct recipe_create *create,
                                     struct mk_buf *path)
{
    struct watched_host *host = watched(base);
    size_t start = path->len;
    enum mk_status status = host->inner->create(base, create, path);

    if (status == MK_OK) {
        note(&host->effects, "create", mk_bytes_of(path->data + start, path->len - start));
    }
    return status;
}

static enum mk_status watched_set(struct recipe_host *base, struct mk_bytes path,
                                  struct mk_bytes data, int32_t version, int32_t *version_now)
{
    struct watched_host *host = watched(base);
    enum mk_status status = host->inner->set(base, path, data, version, version_now);

    if (status == MK_OK && note_begin(&host->effects, "set", path)) {
        mk_buf_printf(&host->effects.text, ",\"bytes\":%zu}", data.len);
    }
    return status;
}

static enum mk_status watched_remove(struct recipe_host *base, struct mk_bytes path,
                                     int32_t version)
{
    struct watched_host *host = watched(base);
    enum mk_status status = host->inner->remove(base, path, version);

    if (status == MK_OK) {
        note(&host->effects, "delete", path);
    }
    return status;
}

static void watched_init(struct watched_host *host, struct call_step *step, bool reads_only)
{
    *host = (struct watched_host){.reads = {.count = 0}};
    prepare_host_init(&host->host, step, reads_only);
    host->inner = host->host.base.ops;
    host->ops = *host->inner;
    host->ops.read = watched_read;
    host->ops.children = watched_children;
    host->ops.create = watched_create;
    host->ops.set = watched_set;
    host->ops.remove = watched_remove;
    host->host.base.ops = &host->ops;
}

/* ---- The report ---- */

static void put_waits(struct mk_buf *out, const struct recipe_run *run)
{
    static const char *const words[] = {[RECIPE_WAIT_CREATED] = "created",
                                        [RECIPE_WAIT_DELETED] = "deleted",
                                        [RECIPE_WAIT_CHANGED] = "changed",
                                        [RECIPE_WAIT_CHILDREN] = "children",
                                        [RECIPE_WAIT_CHILDREN_ALL] = "children"};

    mk_buf_append_bytes(out, MK_BYTES("\"waits\",\"waits\":["));
    for (int32_t i = 0; i < run->waits_count; i++) {
        const struct recipe_wait *wait = &run->waits[i];
        mk_buf_printf(out, "%s{\"%s\":", i > 0 ? "," : "", words[wait->kind]);
        recipe_json_string(out, mk_bytes_of(run->wait_paths.data + wait->path_at, wait->path_len));
        mk_buf_put_u8(out, '}');
    }
    mk_buf_put_u8(out, ']');
    if (run->wake_at_ms > 0) {
        mk_buf_printf(out, ",\"runs_again_at\":%lld", (long long)run->wake_at_ms);
    }
}

static void put_outcome(struct mk_buf *out, const struct recipe_run *run)
{
    mk_buf_append_bytes(out, MK_BYTES("{\"outcome\":"));
    switch (run->end) {
    case RECIPE_RETURNED:
        mk_buf_append_bytes(out, MK_BYTES("\"returned\",\"result\":"));
        mk_buf_append_bytes(out, mk_buf_view(&run->result));
        break;
    case RECIPE_FAILED:
        mk_buf_append_bytes(out, MK_BYTES("\"failed\",\"error\":"));
        recipe_json_string(out, mk_bytes_text(run->error_name));
        mk_buf_append_bytes(out, MK_BYTES(",\"message\":"));
        recipe_json_string(out, mk_buf_view(&run->message));
        break;
    case RECIPE_PARKED: put_waits(out, run); break;
    case RECIPE_UNANSWERED: MK_ASSERT(!"there is something to report"); break;
    }
}

static void put_notes(struct mk_buf *out, const char *name, const struct notes *notes)
{
    mk_buf_printf(out, ",\"%s\":[", name);
    mk_buf_append_bytes(out, mk_buf_view(&notes->text));
    mk_buf_put_u8(out, ']');
    if (notes->omitted > 0) {
        mk_buf_printf(out, ",\"%s_omitted\":%u", name, notes->omitted);
    }
}

static void put_report(struct mk_buf *body, const struct recipe_run *run,
                       const struct watched_host *host)
{
    struct mk_buf report = {0};

    put_outcome(&report, run);
    put_notes(&report, "reads", &host->reads);
    put_notes(&report, "effects", &host->effects);
    mk_buf_printf(&report, ",\"instructions\":%llu}", (unsigned long long)run->instructions);
    mk_buf_put_field(body, MK_BYTES_NULL);
    mk_buf_put_field(body, MK_BYTES_NULL);
    mk_buf_put_field(body, mk_buf_view(&report));
    mk_buf_free(&report);
}

enum mk_status prepare_dry_run(struct call_step *step, struct recipe_version *version,
                               const struct recipe_operation *operation, struct mk_buf *body)
{
    struct watched_host host;
    struct recipe_run run = {
        .version = version,
        .operation = operation,
        .may_park = true,
        .format = RECIPE_JSON,
        .arguments = step->call.arguments,
        .once = MK_BYTES(""),
        .zxid = step->at.zxid,
        .now_ms = step->at.time_ms,
        .session = step->call.session,
        .host = &host.host.base,
    };

    watched_init(&host, step, operation->reads_only);
    prepare_step_begin(step);
    recipe_run(prepare_engine_of(step->prepare, version), &run);
    prepare_step_abort(step);
    enum mk_status status = run.end == RECIPE_UNANSWERED ? run.unanswered : MK_OK;
    if (status == MK_OK) {
        put_report(body, &run, &host);
    }
    mk_buf_free(&host.reads.text);
    mk_buf_free(&host.effects.text);
    recipe_run_deinit(&run);
    return status;
}
