/* Which sets of members are a quorum: more than half of the voters; or, hierarchically, more than
 * half of the weight in more than half of the groups. Any two quorums share a voter: all of Zab
 * rests on it. */
#include "zab/internal.h"

#define BIT(index) ((uint64_t)1 << (index))

uint64_t zab_voters(const struct zab_options *options)
{
    uint64_t voters = 0;

    for (size_t i = 0; i < options->members_count; i++) {
        if (!options->members[i].observer) {
            voters |= BIT(i);
        }
    }
    return voters;
}

static bool majority(const struct zab_options *options, uint64_t set)
{
    int voters = __builtin_popcountll(zab_voters(options));

    return __builtin_popcountll(set) > voters / 2;
}

/* Of one group: more than half of its weight. */
static bool group_won(const struct zab_options *options, uint64_t set, int64_t group,
                      uint64_t *weight)
{
    uint64_t won = 0;

    *weight = 0;
    for (size_t i = 0; i < options->members_count; i++) {
        const struct zab_member *member = &options->members[i];
        if (member->observer || member->group != group) {
            continue;
        }
        *weight += member->weight;
        won += (set & BIT(i)) != 0 ? member->weight : 0;
    }
    return won > *weight / 2;
}

static bool group_first(const struct zab_options *options, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (!options->members[i].observer &&
            options->members[i].group == options->members[index].group) {
            return false;
        }
    }
    return !options->members[index].observer;
}

bool zab_quorum(const struct zab_options *options, uint64_t set)
{
    size_t groups = 0;
    size_t won = 0;

    set &= zab_voters(options);
    if (!options->hierarchical) {
        return majority(options, set);
    }
    for (size_t i = 0; i < options->members_count; i++) {
        uint64_t weight;
        if (!group_first(options, i)) {
            continue;
        }
        bool group = group_won(options, set, options->members[i].group, &weight);
        groups += weight > 0; /* a group without weight has no say */
        won += weight > 0 && group;
    }
    return won > groups / 2;
}

size_t zab_member_index(const struct zab_options *options, int64_t id)
{
    for (size_t i = 0; i < options->members_count; i++) {
        if (options->members[i].id == id) {
            return i;
        }
    }
    return MEMBER_NONE;
}

size_t zab_voter_index(const struct zab_options *options, int64_t id)
{
    size_t index = zab_member_index(options, id);

    return index != MEMBER_NONE && !options->members[index].observer ? index : MEMBER_NONE;
}

bool zab_may_lead(const struct zab_options *options, int64_t id)
{
    size_t index = zab_voter_index(options, id);

    return index != MEMBER_NONE && (!options->hierarchical || options->members[index].weight > 0);
}
