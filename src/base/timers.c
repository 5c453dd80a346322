/* A binary heap ordered by (due, order). Each timer knows its place, so that moving and cancelling
 * one is O(log n) without a search. */
#include "base/base.h"

static bool timer_before(const struct mk_timer *a, const struct mk_timer *b)
{
    if (a->due != b->due) {
        return a->due < b->due;
    }
    return a->order < b->order;
}

static void heap_place(struct mk_timers *timers, size_t at, struct mk_timer *timer)
{
    timers->heap[at] = timer;
    timer->index = at + 1;
}

static void heap_up(struct mk_timers *timers, size_t at, struct mk_timer *timer)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!timer_before(timer, timers->heap[parent])) {
            break;
        }
        heap_place(timers, at, timers->heap[parent]);
        at = parent;
    }
    heap_place(timers, at, timer);
}

static void heap_down(struct mk_timers *timers, size_t at, struct mk_timer *timer)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count &&
            timer_before(timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (!timer_before(timers->heap[child], timer)) {
            break;
        }
        heap_place(timers, at, timers->heap[child]);
        at = child;
    }
    heap_place(timers, at, timer);
}

/* Put `timer` where it belongs, starting from the free place `at`. */
static void heap_settle(struct mk_timers *timers, size_t at, struct mk_timer *timer)
{
    if (at > 0 && timer_before(timer, timers->heap[(at - 1) / 2])) {
        heap_up(timers, at, timer);
    } else {
        heap_down(timers, at, timer);
    }
}

void mk_timers_set(struct mk_timers *timers, struct mk_timer *timer, mk_ms due)
{
    timer->due = due;
    timer->order = timers->added++;
    if (timer->index != 0) {
        MK_ASSERT(timer->index <= timers->count);
        MK_ASSERT(timers->heap[timer->index - 1] == timer);
        heap_settle(timers, timer->index - 1, timer);
        return;
    }

    if (timers->count == timers->cap) {
        timers->cap = timers->cap == 0 ? 16 : timers->cap * 2;
        timers->heap = mk_realloc(timers->heap, timers->cap * sizeof(timers->heap[0]));
    }
    timers->count++;
    heap_up(timers, timers->count - 1, timer);
}

void mk_timers_cancel(struct mk_timers *timers, struct mk_timer *timer)
{
    if (timer->index == 0) {
        return;
    }
    size_t at = timer->index - 1;
    MK_ASSERT(at < timers->count);
    MK_ASSERT(timers->heap[at] == timer);

    timer->index = 0;
    timers->count--;
    struct mk_timer *last = timers->heap[timers->count];
    if (last != timer) {
        heap_settle(timers, at, last);
    }
}

struct mk_timer *mk_timers_first(const struct mk_timers *timers)
{
    return timers->count == 0 ? NULL : timers->heap[0];
}

void mk_timers_free(struct mk_timers *timers)
{
    for (size_t i = 0; i < timers->count; i++) {
        timers->heap[i]->index = 0; /* so that its owner may still cancel it, to no effect */
    }
    mk_free(timers->heap);
    *timers = (struct mk_timers){0};
}
