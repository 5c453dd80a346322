/* One server by hand: events go in, and what it does is compared, line by line, with this:
 *
 *   notify 2 looking 3 1.5 round 1 epoch 1     a vote for server 3, whose log ends with zxid 1.5
 *   role following 3 | role looking: WHY
 *   dial 3 | hang up | drop 2: WHY
 *   send 2 NEWLEADER 2.0 | send leader ACK 2.0 | send leader ACKEPOCH 1.5 epoch 1
 *   store 2 1                                  the accepted epoch, the current one
 *   synchronise 2 1.5 | truncate 1.3 | install 1.9 [forgets] | append 1.4
 *   commit 1.4 | serve epoch 2 1.9 | fail: WHY
 */
#ifndef TESTS_ZAB_STORY_H
#define TESTS_ZAB_STORY_H

#include "zab/internal.h"

#define Z(epoch, counter) (((mk_zxid)(epoch) << 32) | (counter))

struct story_options {
    int64_t id;
    size_t voters; /* ids from 1 */
    size_t observers;
    int64_t accepted, current;
    mk_zxid logged;
    uint32_t weights[4]; /* any of them: hierarchical, one group */
    bool reconfig;
};

struct story {
    struct zab *zab;
    struct mk_buf text;
    mk_ms now;
};

struct story story_begin(const struct story_options *options);
void story_end(struct story *story);

/* All that it does now, in these words; "" is nothing. */
void does(struct story *story, const char *expected);
/* Whatever it does now is not the point. */
void skips(struct story *story);

void passes(struct story *story, mk_ms ms);
void hears(struct story *story, int64_t from, int32_t state, struct vote vote);
void leader_says(struct story *story, int32_t type, mk_zxid zxid);
void leader_says_epoch(struct story *story, int64_t epoch); /* LEADERINFO */

struct zab_learner *comes(struct story *story); /* a connection */
void learner_says(struct story *story, struct zab_learner *learner, int32_t type, mk_zxid zxid);
void learner_is(struct story *story, struct zab_learner *learner, int64_t id, bool observer,
                int64_t accepted);
void learner_promises(struct story *story, struct zab_learner *learner, mk_zxid zxid,
                      int32_t current);

/* To a state that is not the point; what is done on the way is skipped. */
void follows(struct story *story, int64_t leader);                 /* FOLLOWERINFO is sent */
void promises(struct story *story, int64_t leader, int64_t epoch); /* ACKEPOCH, too */
void serves(struct story *story, int64_t leader, int64_t epoch);   /* with an empty DIFF */
void leads(struct story *story, int64_t supporter);                /* elected */
/* Elected, and established in `epoch` with that follower, whose log is as long as its own. */
struct zab_learner *established(struct story *story, int64_t supporter);

#endif
