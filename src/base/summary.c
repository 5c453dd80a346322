/* Summaries and spreads: what is observed often and kept in a few words. */
#include "base/base.h"

#define EXACT 16     /* values below are buckets of their own */
#define EXACT_BITS 4 /* log2 of it */
#define STEPS_BITS 3 /* each power of two above is cut into 8 */

void mk_summary_add(struct mk_summary *summary, uint64_t value)
{
    if (summary->count == 0 || value < summary->min) {
        summary->min = value;
    }
    if (value > summary->max) {
        summary->max = value;
    }
    summary->sum += value;
    summary->count++;
}

void mk_summary_merge(struct mk_summary *into, const struct mk_summary *other)
{
    if (other->count == 0) {
        return;
    }
    if (into->count == 0 || other->min < into->min) {
        into->min = other->min;
    }
    if (other->max > into->max) {
        into->max = other->max;
    }
    into->sum += other->sum;
    into->count += other->count;
}

double mk_summary_average(const struct mk_summary *summary)
{
    return summary->count == 0 ? 0.0 : (double)summary->sum / (double)summary->count;
}

static size_t bucket_of(uint64_t value)
{
    if (value < EXACT) {
        return (size_t)value;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    size_t step = (size_t)(value >> (power - STEPS_BITS)) & ((1u << STEPS_BITS) - 1);
    size_t bucket = EXACT + ((size_t)(power - EXACT_BITS) << STEPS_BITS) + step;
    return bucket < MK_SPREAD_BUCKETS ? bucket : MK_SPREAD_BUCKETS - 1;
}

/* The least value that falls into it. */
static uint64_t bucket_value(size_t bucket)
{
    if (bucket < EXACT) {
        return bucket;
    }
    size_t above = bucket - EXACT;
    unsigned power = EXACT_BITS + (unsigned)(above >> STEPS_BITS);
    uint64_t step = above & ((1u << STEPS_BITS) - 1);
    return ((UINT64_C(1) << STEPS_BITS) + step) << (power - STEPS_BITS);
}

void mk_spread_add(struct mk_spread *spread, uint64_t value)
{
    mk_summary_add(&spread->all, value);
    spread->buckets[bucket_of(value)]++;
}

uint64_t mk_spread_quantile(const struct mk_spread *spread, uint32_t per_mille)
{
    MK_ASSERT(per_mille <= 1000);
    uint64_t rank = (spread->all.count * per_mille + 999) / 1000;
    uint64_t seen = 0;

    for (size_t i = 0; i < MK_SPREAD_BUCKETS && spread->all.count > 0; i++) {
        seen += spread->buckets[i];
        if (seen >= rank && spread->buckets[i] > 0) {
            uint64_t value = bucket_value(i);
            return value < spread->all.min ? spread->all.min : value;
        }
    }
    return spread->all.max;
}
