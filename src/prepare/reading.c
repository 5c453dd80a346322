/* Calls of operations that declare reads_only, by opcode 700: they see what is committed, change
 * nothing, leave no record and no result, and whoever asks again is told what is true then.
 *
 * Here, too: what a call was answered that ended in a transaction of another server's.
 *
 * Everything that a recipe's host looks at it looks up in prepare's view. That is the one to read from
 * for as long as such a call runs, and no other function of the door can be entered meanwhile. */
#include "prepare/context.h"

static struct store_view *view_set(struct prepare *prepare, struct store_view *view)
{
    struct store_view *before = prepare->view;

    prepare->view = view;
    return before;
}

enum mk_status prepare_call_reads(struct prepare *prepare, struct mk_bytes operation)
{
    struct call_target target = {0};
    struct mk_error why;

    mk_arena_reset(&prepare->scraps);
    if (!prepare->options.recipes || prepare->paused) {
        return MK_END;
    }
    enum mk_status status = prepare_call_target(prepare, operation, &target, &why);
    if (status == MK_OK) {
        return target.operation->reads_only ? MK_OK : MK_END;
    }
    return status == MK_WOULD_BLOCK || status >= MK_IO ? status : MK_END;
}

static enum mk_status run(struct call_step *step, const struct call_target *target,
                          struct mk_buf *body)
{
    struct host host;
    struct recipe_run run = {
        .version = target->version,
        .operation = target->operation,
        .format = step->call.format == JUTE_CALL_MSGPACK ? RECIPE_MSGPACK : RECIPE_JSON,
        .arguments = step->call.arguments,
        .once = MK_BYTES(""),
        .zxid = step->at.zxid,
        .now_ms = step->at.time_ms,
        .session = step->call.session,
        .host = &host.base,
    };
    enum mk_status status = MK_OK;

    prepare_host_init(&host, step, true);
    prepare_figures_run(step, prepare_engine_of(step->prepare, target->version), &run);
    if (run.end == RECIPE_UNANSWERED) {
        status = run.unanswered;
    } else {
        bool returned = run.end == RECIPE_RETURNED;
        prepare_figures_read(step, !returned);
        MK_ASSERT(run.end != RECIPE_PARKED); /* call:wait refuses */
        mk_buf_put_field(body, returned ? MK_BYTES_NULL : mk_bytes_text(run.error_name));
        mk_buf_put_field(body, returned ? MK_BYTES_NULL : mk_buf_view(&run.message));
        mk_buf_put_field(body, returned ? mk_buf_view(&run.result) : MK_BYTES_NULL);
    }
    recipe_run_deinit(&run);
    return status;
}

static enum mk_status check(struct call_step *step, struct call_target *target,
                            struct mk_error *why)
{
    struct prepare *prepare = step->prepare;
    mk_ms timeout_ms;
    enum recipe_format format =
        step->call.format == JUTE_CALL_MSGPACK ? RECIPE_MSGPACK : RECIPE_JSON;
    enum mk_status status = prepare_call_target(prepare, step->call.operation, target, why);

    if (status == MK_UNIMPLEMENTED || (status == MK_OK && !target->operation->reads_only)) {
        return MK_END;
    }
    if (status != MK_OK) {
        return status;
    }
    mk_error_set(why, "the ACL of " TREE_CALLS_PATH " does not let the caller call");
    status = prepare_call_may(prepare, &step->who, MK_BYTES(TREE_CALLS_PATH));
    status = status == MK_NO_NODE ? MK_UNIMPLEMENTED : status;
    if (status == MK_OK && !prepare_call_chroot(&step->call.chroot)) {
        mk_error_set(why, "the chroot is not a path");
        status = MK_BAD_ARGUMENTS;
    }
    if (status == MK_OK) {
        status = recipe_arguments_check(target->version, target->operation, format,
                                        step->call.arguments, &timeout_ms, why);
    }
    return status;
}

enum mk_status prepare_call_read(struct prepare *prepare, struct store_view *view, mk_ms time_ms,
                                 const struct prepare_who *who, const struct jute_request *request,
                                 struct mk_buf *body)
{
    struct call_target target = {0};
    struct mk_error why;
    /* What is proposed and changes nothing is not in a view: that may be older than what is applied. */
    mk_zxid applied = store_applied(prepare->store);
    mk_zxid seen = store_view_zxid(view);
    struct call_step step = {
        .prepare = prepare,
        .at = {.zxid = seen > applied ? seen : applied, .time_ms = time_ms},
        .who = *who,
        .call =
            {
                .session = who->session,
                .identities = who->identities,
                .format = request->format,
                .operation = request->operation,
                .chroot = request->chroot,
                .arguments = request->data,
            },
    };
    struct store_view *speculative = view_set(prepare, view);

    mk_arena_reset(&prepare->scraps);
    enum mk_status status = prepare->paused ? MK_END : check(&step, &target, &why);
    if (status == MK_OK) {
        status = run(&step, &target, body);
    } else if (status != MK_END && status != MK_WOULD_BLOCK && status < MK_IO) {
        prepare_call_refuse(body, status, &why);
        status = MK_OK;
    }
    (void)view_set(prepare, speculative);
    return status;
}

enum mk_status prepare_call_answered(struct prepare *prepare, struct store_view *view,
                                     mk_session session, int64_t call_id, struct mk_bytes *body)
{
    struct store_view *speculative = view_set(prepare, view);
    struct prepare_results results;

    mk_arena_reset(&prepare->scraps);
    enum mk_status status = prepare_results_read(prepare, session, call_id, call_id - 1, &results);
    (void)view_set(prepare, speculative);
    *body = results.body;
    return status == MK_OK && results.body.data == NULL ? MK_NO_NODE : status;
}
