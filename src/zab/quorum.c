/* Which sets of members are a quorum: more than half of the voters; or, hierarchically, more than
 * half of the weight in more than half of the groups. Any two quorums share a voter: all of Zab
 * rests on it. */
#include "zab/internal.h"

const struct zab_member *zab_member_find(const struct zab_config *config, int64_t id)
{
    for (size_t i = 0; i < config->members_count; i++) {
        if (config->members[i].id == id) {
            return &config->members[i];
        }
    }
    return NULL;
}

bool zab_votes_in(const struct zab_config *config, int64_t id)
{
    const struct zab_member *member = zab_member_find(config, id);

    return member != NULL && !member->observer;
}

static bool majority(const struct zab_config *config, const struct ids *set)
{
    size_t voters = 0;
    size_t votes = 0;

    for (size_t i = 0; i < config->members_count; i++) {
        const struct zab_member *member = &config->members[i];
        voters += !member->observer;
        votes += !member->observer && ids_have(set, member->id);
    }
    return votes > voters / 2;
}

/* Of one group: more than half of its weight. */
static bool group_won(const struct zab_config *config, const struct ids *set, int64_t group,
                      uint64_t *weight)
{
    uint64_t won = 0;

    *weight = 0;
    for (size_t i = 0; i < config->members_count; i++) {
        const struct zab_member *member = &config->members[i];
        if (member->observer || member->group != group) {
            continue;
        }
        *weight += member->weight;
        won += ids_have(set, member->id) ? member->weight : 0;
    }
    return won > *weight / 2;
}

static bool group_first(const struct zab_config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (!config->members[i].observer &&
            config->members[i].group == config->members[index].group) {
            return false;
        }
    }
    return !config->members[index].observer;
}

bool zab_quorum(const struct zab_config *config, const struct ids *set)
{
    size_t groups = 0;
    size_t won = 0;

    if (!config->hierarchical) {
        return majority(config, set);
    }
    for (size_t i = 0; i < config->members_count; i++) {
        uint64_t weight;
        if (!group_first(config, i)) {
            continue;
        }
        bool group = group_won(config, set, config->members[i].group, &weight);
        groups += weight > 0; /* a group without weight has no say */
        won += weight > 0 && group;
    }
    return won > groups / 2;
}
