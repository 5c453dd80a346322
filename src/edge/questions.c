/* Questions of the HTTP threads, answered in a turn of the loop.
 *
 *   HTTP thread: the question into the queue ─▶ rings ─▶ waits ─────────────────▶ has the facts
 *   loop:                                        takes it, gathers the facts ─▶ done
 *
 *   WAITING ──▶ TAKEN ──▶ DONE      A question lives on its asker's stack. Who has waited for too long
 *      └──────▶ given up            leaves only while it is WAITING: nobody looks at it then. */
#include "edge/loop.h"

#define ANSWER_NS_MAX UINT64_C(10000000000) /* a loop that is away for longer has other worries */

enum question_state { QUESTION_WAITING, QUESTION_TAKEN, QUESTION_DONE };

struct question {
    const struct admin_needs *needs;
    struct admin_facts *facts;
    enum question_state state;
    struct mk_link link;
};

struct questions {
    struct edge *edge;
    uv_async_t async;
    uv_mutex_t mutex; /* over what follows, and every question's state */
    uv_cond_t answered;
    struct mk_link waiting;
    bool closed; /* nobody answers any more */
};

/* ---- The loop's side ---- */

static struct question *question_take(struct questions *questions)
{
    struct question *question = NULL;

    uv_mutex_lock(&questions->mutex);
    if (!mk_list_empty(&questions->waiting)) {
        question = MK_CONTAINER(questions->waiting.next, struct question, link);
        mk_list_remove(&question->link);
        question->state = QUESTION_TAKEN;
    }
    uv_mutex_unlock(&questions->mutex);
    return question;
}

static void on_async(uv_async_t *async)
{
    struct questions *questions = async->data;
    struct question *question;

    turn_begin(questions->edge);
    while ((question = question_take(questions)) != NULL) {
        status_gather(questions->edge, NULL, question->needs, question->facts);
        uv_mutex_lock(&questions->mutex);
        question->state = QUESTION_DONE;
        uv_cond_broadcast(&questions->answered);
        uv_mutex_unlock(&questions->mutex);
    }
}

/* ---- The asker's side ---- */

bool questions_ask(void *context, const struct admin_needs *needs, struct admin_facts *facts)
{
    struct questions *questions = context;
    struct question question = {.needs = needs, .facts = facts};
    uint64_t due_ns = uv_hrtime() + ANSWER_NS_MAX;

    mk_list_init(&question.link);
    uv_mutex_lock(&questions->mutex);
    if (!questions->closed) {
        mk_list_append(&questions->waiting, &question.link);
        uv_async_send(&questions->async);
    }
    while (question.state != QUESTION_DONE) {
        uint64_t now_ns = uv_hrtime();
        if (question.state == QUESTION_WAITING && (questions->closed || now_ns >= due_ns)) {
            mk_list_remove(&question.link);
            break;
        }
        (void)uv_cond_timedwait(&questions->answered, &questions->mutex,
                                now_ns < due_ns ? due_ns - now_ns : ANSWER_NS_MAX);
    }
    bool done = question.state == QUESTION_DONE;
    uv_mutex_unlock(&questions->mutex);
    return done;
}

/* ---- Life ---- */

struct questions *questions_new(struct edge *edge)
{
    struct questions *questions = mk_alloc_zero(1, sizeof(*questions));

    questions->edge = edge;
    questions->async.data = questions;
    mk_list_init(&questions->waiting);
    int failed = uv_async_init(&edge->loop, &questions->async, on_async);
    failed |= uv_mutex_init(&questions->mutex);
    failed |= uv_cond_init(&questions->answered);
    MK_ASSERT(failed == 0); /* Only without memory or descriptors, at the start. */
    uv_unref((uv_handle_t *)&questions->async);
    return questions;
}

void questions_close(struct questions *questions)
{
    uv_mutex_lock(&questions->mutex);
    questions->closed = true;
    uv_cond_broadcast(&questions->answered);
    uv_mutex_unlock(&questions->mutex);
}

static void on_closed(uv_handle_t *handle)
{
    struct questions *questions = handle->data;

    uv_mutex_destroy(&questions->mutex);
    uv_cond_destroy(&questions->answered);
    mk_free(questions);
}

void questions_free(struct questions *questions)
{
    uv_close((uv_handle_t *)&questions->async, on_closed);
}
