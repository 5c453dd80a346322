/* Fast leader election, as section 3 of ZooKeeper's quorum protocol has it. */
#include "unit/cmocka.h"

#include "story.h"

static const struct story_options THREE = {
    .id = 2, .voters = 3, .accepted = 1, .current = 1, .logged = Z(1, 5)};
static const struct story_options THREE_AND_OBSERVER = {
    .id = 2, .voters = 3, .observers = 1, .accepted = 1, .current = 1, .logged = Z(1, 5)};

static void a_server_votes_for_itself_first_and_tells_the_voters(void **state)
{
    struct story story = story_begin(&THREE_AND_OBSERVER);

    (void)state;

    does(&story, "role looking\n"
                 "notify 1 looking 2 1.5 round 1 epoch 1\n"
                 "notify 3 looking 2 1.5 round 1 epoch 1\n");
    story_end(&story);
}

static void a_vote_with_a_later_epoch_is_better_even_if_its_log_is_shorter(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 1), 1, 2});

    does(&story, "notify 1 looking 1 1.1 round 1 epoch 2\n"
                 "notify 3 looking 1 1.1 round 1 epoch 2\n");
    story_end(&story);
}

static void of_equal_epochs_the_longer_log_is_better(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 6), 1, 1});

    does(&story, "notify 1 looking 1 1.6 round 1 epoch 1\n"
                 "notify 3 looking 1 1.6 round 1 epoch 1\n");
    story_end(&story);
}

static void of_equal_histories_the_larger_id_is_better(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 5), 1, 1});
    skips(&story);
    assert_int_equal(story.zab->election.proposal.leader, 2);

    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(1, 5), 1, 1});
    does(&story, "notify 1 looking 3 1.5 round 1 epoch 1\n"
                 "notify 3 looking 3 1.5 round 1 epoch 1\n");
    story_end(&story);
}

static void a_later_round_begins_again_with_the_own_vote(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(1, 9), 1, 1});
    skips(&story);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 4), 6, 1});

    does(&story, "notify 1 looking 2 1.5 round 6 epoch 1\n"
                 "notify 3 looking 2 1.5 round 6 epoch 1\n");
    story_end(&story);
}

static void who_is_in_an_older_round_is_told_the_own_vote(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 4), 6, 1});
    skips(&story);

    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(1, 9), 2, 1});

    does(&story, "notify 3 looking 2 1.5 round 6 epoch 1\n");
    story_end(&story);
}

/* It was told before, perhaps, while it still followed a leader. */
static void who_votes_for_less_is_told_the_own_vote(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 4), 1, 1});

    does(&story, "notify 1 looking 2 1.5 round 1 epoch 1\n");
    story_end(&story);
}

static void a_quorum_waits_for_a_better_vote_and_then_it_is_decided(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    passes(&story, 199);
    does(&story, "");

    passes(&story, 1);

    does(&story, "notify 1 looking 2 1.5 round 1 epoch 1\n" /* 200 ms: it is said again */
                 "notify 3 looking 2 1.5 round 1 epoch 1\n"
                 "role leading 2\n");
    story_end(&story);
}

static void a_better_vote_in_that_time_is_adopted(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    passes(&story, 150);
    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(1, 7), 1, 1});
    skips(&story);

    passes(&story, 100);

    assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
    story_end(&story);
}

static void if_all_have_voted_nobody_is_waited_for(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    hears(&story, 3, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});

    does(&story, "role leading 2\n");
    story_end(&story);
}

static void nobody_waits_for_the_vote_of_a_server_that_is_not_there(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    zab_reachable(story.zab, 3, false);
    does(&story, ""); /* no quorum yet */

    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});

    does(&story, "role leading 2\n");
    story_end(&story);
}

static void the_wait_ends_when_whoever_is_waited_for_is_gone(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    passes(&story, 50);
    does(&story, "");

    zab_reachable(story.zab, 3, false);

    does(&story, "role leading 2\n");
    story_end(&story);
}

static void a_server_that_is_back_is_waited_for(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    zab_reachable(story.zab, 3, false);
    zab_reachable(story.zab, 3, true);

    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});

    does(&story, "");
    story_end(&story);
}

/* It would be followed in vain. */
static void whoever_is_voted_for_and_is_not_there_does_not_make_it_shorter(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 9), 1, 1});
    skips(&story);

    zab_reachable(story.zab, 1, false);
    zab_reachable(story.zab, 3, false);

    does(&story, "");
    story_end(&story);
}

static void votes_are_repeated_ever_more_seldom_up_to_a_minute(void **state)
{
    struct story story = story_begin(&THREE);
    static const mk_ms PAUSES[] = {200,   400,   800,   1600,  3200, 6400,
                                   12800, 25600, 51200, 60000, 60000};

    (void)state;
    skips(&story);

    for (size_t i = 0; i < MK_COUNT(PAUSES); i++) {
        passes(&story, PAUSES[i] - 1);
        does(&story, "");
        passes(&story, 1);
        does(&story, "notify 1 looking 2 1.5 round 1 epoch 1\n"
                     "notify 3 looking 2 1.5 round 1 epoch 1\n");
    }
    story_end(&story);
}

/* ZOOKEEPER-1732, 1805: established servers tell different zxids and rounds, by right. */
static void a_newcomer_joins_a_leader_whose_followers_tell_other_zxids_and_rounds(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, Z(1, 2), 0, 4});
    does(&story, "");

    hears(&story, 3, JUTE_LEADING, (struct vote){3, Z(3, 9), 5, 4});

    does(&story, "role following 3\n"
                 "dial 3\n");
    story_end(&story);
}

static void established_servers_of_different_epochs_are_no_quorum(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, Z(1, 2), 0, 3});
    hears(&story, 3, JUTE_LEADING, (struct vote){3, Z(3, 9), 5, 4});

    does(&story, "");
    story_end(&story);
}

static void a_leader_that_does_not_say_so_itself_is_not_joined(void **state)
{
    struct story story =
        story_begin(&(struct story_options){.id = 2, .voters = 5, .accepted = 1, .current = 1});

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
    hears(&story, 4, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
    hears(&story, 5, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
    does(&story, "");

    hears(&story, 3, JUTE_FOLLOWING, (struct vote){1, 0, 4, 3});
    does(&story, "");
    story_end(&story);
}

/* ZOOKEEPER-1810: servers before 3.4.6 put no version into their votes. */
static void with_a_server_from_before_the_version_only_the_leader_is_compared(void **state)
{
    struct story story = story_begin(&THREE);
    struct jute_notification old = {
        .state = JUTE_FOLLOWING, .leader = 3, .zxid = Z(1, 2), .round = 0, .peer_epoch = 1};

    (void)state;
    skips(&story);
    zab_notified(story.zab, 1, &old, NULL);
    hears(&story, 3, JUTE_LEADING, (struct vote){3, Z(3, 9), 5, 4});

    does(&story, "role following 3\n"
                 "dial 3\n");
    story_end(&story);
}

static void a_follower_answers_who_looks_and_nobody_else(void **state)
{
    struct story story = story_begin(&THREE_AND_OBSERVER);

    (void)state;
    serves(&story, 3, 8);

    hears(&story, 1, JUTE_LOOKING, (struct vote){1, Z(1, 9), 12, 1});
    does(&story, "notify 1 following 3 0.0 round 7 epoch 8\n");
    hears(&story, 4, JUTE_LOOKING, (struct vote){INT64_MIN, INT64_MIN, 1, INT64_MIN});
    does(&story, "notify 4 following 3 0.0 round 7 epoch 8\n");
    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, 0, 7, 8});
    does(&story, "");
    story_end(&story);
}

/* ZOOKEEPER-1732: without it, who comes late never finds votes that agree. */
static void after_synchronisation_the_vote_tells_the_new_epoch(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    promises(&story, 3, 8);
    assert_int_equal(story.zab->election.current.peer_epoch, 0);
    story_end(&story);

    story = story_begin(&THREE);
    serves(&story, 3, 8);
    assert_int_equal(story.zab->election.current.peer_epoch, 8);
    story_end(&story);
}

static void an_observer_asks_the_voters_and_observes_whom_they_follow(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 4, .voters = 3, .observers = 1, .accepted = 1, .current = 1, .logged = Z(1, 5)});

    (void)state;
    does(&story, "role looking\n"
                 "notify 1 looking nobody round 1\n"
                 "notify 2 looking nobody round 1\n"
                 "notify 3 looking nobody round 1\n");
    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
    hears(&story, 3, JUTE_LEADING, (struct vote){3, 0, 5, 4});

    does(&story, "role observing 3\n"
                 "dial 3\n");
    story_end(&story);
}

static void an_observers_vote_counts_for_nobody(void **state)
{
    struct story story = story_begin(&THREE_AND_OBSERVER);

    (void)state;
    skips(&story);

    hears(&story, 4, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});

    does(&story, "notify 4 looking 2 1.5 round 1 epoch 1\n");
    passes(&story, 10000);
    skips(&story);
    assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
    story_end(&story);
}

static void a_server_that_may_have_lost_its_history_joins_a_leader_but_elects_none(void **state)
{
    struct story story = story_begin(&(struct story_options){.id = 2, .voters = 3, .logged = -1});

    (void)state;
    skips(&story);
    hears(&story, 1, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    hears(&story, 3, JUTE_LOOKING, (struct vote){2, Z(1, 5), 1, 1});
    does(&story, "");

    hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
    hears(&story, 3, JUTE_LEADING, (struct vote){3, 0, 5, 4});
    does(&story, "role following 3\n"
                 "dial 3\n");
    story_end(&story);
}

static void the_vote_of_a_server_without_history_is_ignored(void **state)
{
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    hears(&story, 3, JUTE_LOOKING, (struct vote){3, -1, 1, 9});

    does(&story, "");
    story_end(&story);
}

static void a_server_of_weight_zero_is_never_elected(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 2, .voters = 3, .accepted = 1, .current = 1, .weights = {1, 1, 0}});

    (void)state;
    skips(&story);

    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(9, 9), 1, 9});

    does(&story, "");
    story_end(&story);
}

static void votes_for_who_is_not_a_voter_are_ignored(void **state)
{
    struct story story = story_begin(&THREE_AND_OBSERVER);

    (void)state;
    skips(&story);

    hears(&story, 3, JUTE_LOOKING, (struct vote){4, Z(9, 9), 1, 9});
    hears(&story, 3, JUTE_LOOKING, (struct vote){77, Z(9, 9), 1, 9});
    hears(&story, 3, JUTE_LOOKING, (struct vote){3, Z(9, 9), INT64_MAX, 9});

    does(&story, "");
    story_end(&story);
}

static void a_leader_that_cannot_be_followed_is_not_asked_without_a_pause(void **state)
{
    static const mk_ms PAUSES[] = {0, 100, 200, 400};
    struct story story = story_begin(&THREE);

    (void)state;
    skips(&story);

    for (size_t i = 0; i < MK_COUNT(PAUSES); i++) {
        hears(&story, 1, JUTE_FOLLOWING, (struct vote){3, 0, 5, 4});
        hears(&story, 3, JUTE_LEADING, (struct vote){3, 0, 5, 4});
        if (PAUSES[i] > 0) {
            passes(&story, PAUSES[i] - 1);
            assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
            passes(&story, 1);
        }
        assert_int_equal(zab_role(story.zab), ZAB_FOLLOWING);
        zab_dialled(story.zab, false);
        skips(&story);
    }
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_votes_for_itself_first_and_tells_the_voters),
        cmocka_unit_test(a_vote_with_a_later_epoch_is_better_even_if_its_log_is_shorter),
        cmocka_unit_test(of_equal_epochs_the_longer_log_is_better),
        cmocka_unit_test(of_equal_histories_the_larger_id_is_better),
        cmocka_unit_test(a_later_round_begins_again_with_the_own_vote),
        cmocka_unit_test(who_is_in_an_older_round_is_told_the_own_vote),
        cmocka_unit_test(who_votes_for_less_is_told_the_own_vote),
        cmocka_unit_test(a_quorum_waits_for_a_better_vote_and_then_it_is_decided),
        cmocka_unit_test(a_better_vote_in_that_time_is_adopted),
        cmocka_unit_test(if_all_have_voted_nobody_is_waited_for),
        cmocka_unit_test(nobody_waits_for_the_vote_of_a_server_that_is_not_there),
        cmocka_unit_test(the_wait_ends_when_whoever_is_waited_for_is_gone),
        cmocka_unit_test(a_server_that_is_back_is_waited_for),
        cmocka_unit_test(whoever_is_voted_for_and_is_not_there_does_not_make_it_shorter),
        cmocka_unit_test(votes_are_repeated_ever_more_seldom_up_to_a_minute),
        cmocka_unit_test(a_newcomer_joins_a_leader_whose_followers_tell_other_zxids_and_rounds),
        cmocka_unit_test(established_servers_of_different_epochs_are_no_quorum),
        cmocka_unit_test(a_leader_that_does_not_say_so_itself_is_not_joined),
        cmocka_unit_test(with_a_server_from_before_the_version_only_the_leader_is_compared),
        cmocka_unit_test(a_follower_answers_who_looks_and_nobody_else),
        cmocka_unit_test(after_synchronisation_the_vote_tells_the_new_epoch),
        cmocka_unit_test(an_observer_asks_the_voters_and_observes_whom_they_follow),
        cmocka_unit_test(an_observers_vote_counts_for_nobody),
        cmocka_unit_test(a_server_that_may_have_lost_its_history_joins_a_leader_but_elects_none),
        cmocka_unit_test(the_vote_of_a_server_without_history_is_ignored),
        cmocka_unit_test(a_server_of_weight_zero_is_never_elected),
        cmocka_unit_test(votes_for_who_is_not_a_voter_are_ignored),
        cmocka_unit_test(a_leader_that_cannot_be_followed_is_not_asked_without_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
