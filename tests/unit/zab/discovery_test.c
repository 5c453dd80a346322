/* Discovery: an epoch that a quorum has promised itself to, and a leader with all its history. */
#include "unit/cmocka.h"

#include "story.h"

static const struct story_options LEADER = {
    .id = 3, .voters = 3, .observers = 1, .accepted = 4, .current = 3, .logged = Z(3, 5)};
static const struct story_options FOLLOWER = {
    .id = 1, .voters = 3, .accepted = 4, .current = 3, .logged = Z(3, 5)};

/* ---- The leader ---- */

/* ZOOKEEPER-1291: it told others an epoch that it had not recorded itself. */
static void the_epoch_is_above_all_that_were_promised_and_durable_before_it_is_said(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    struct zab_learner *one = comes(&story);
    learner_is(&story, one, 1, false, 6);
    does(&story, "store 7 3\n");

    zab_epochs_stored(story.zab);

    does(&story, "send 1 LEADERINFO 7.0\n");
    story_end(&story);
}

static void an_observer_alone_does_not_make_an_epoch(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    learner_is(&story, comes(&story), 4, true, 9);
    does(&story, "");

    learner_is(&story, comes(&story), 1, false, 4);

    does(&story, "store 10 3\n"); /* but what it has seen is not used again */
    story_end(&story);
}

static void who_comes_when_the_epoch_is_made_is_told_it_at_once(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    learner_is(&story, comes(&story), 1, false, 4);
    skips(&story);
    zab_epochs_stored(story.zab);
    skips(&story);

    learner_is(&story, comes(&story), 2, false, 2);

    does(&story, "send 2 LEADERINFO 5.0\n");
    story_end(&story);
}

static struct zab_learner *offered(struct story *story, int64_t id)
{
    leads(story, id);
    struct zab_learner *learner = comes(story);
    learner_is(story, learner, id, false, 4);
    skips(story);
    zab_epochs_stored(story->zab);
    skips(story);
    return learner;
}

static void a_quorum_of_acknowledgements_makes_it_the_current_epoch(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = offered(&story, 1);
    learner_promises(&story, one, Z(3, 2), 3);
    does(&story, "store 5 5\n");

    zab_epochs_stored(story.zab);

    does(&story, "synchronise 1 3.2\n");
    story_end(&story);
}

static void who_has_promised_the_epoch_before_is_not_counted(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = offered(&story, 1);

    learner_promises(&story, one, Z(3, 2), -1);

    does(&story, "");
    story_end(&story);
}

static void who_may_have_lost_its_history_is_not_counted(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = offered(&story, 1);

    learner_promises(&story, one, -1, 3);

    does(&story, "");
    story_end(&story);
}

static void a_follower_with_more_history_is_left_while_that_may_be_committed(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = offered(&story, 1);

    learner_promises(&story, one, Z(3, 6), 3);

    does(&story, "drop 1: it has more history than this leader\n");
    story_end(&story);
}

static void a_later_epoch_is_more_history_than_a_longer_log(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = offered(&story, 1);

    learner_promises(&story, one, Z(2, 1), 4);

    does(&story, "drop 1: it has more history than this leader\n");
    story_end(&story);
}

static void a_late_follower_with_more_history_is_cut_back(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    (void)established(&story, 1);
    struct zab_learner *two = comes(&story);
    learner_is(&story, two, 2, false, 4);
    does(&story, "send 2 LEADERINFO 5.0\n");

    learner_promises(&story, two, Z(4, 9), 4);

    does(&story, "synchronise 2 4.9\n");
    story_end(&story);
}

/* A later current epoch must not become durable on top of a log that is not. */
static void the_leaders_own_history_is_durable_before_its_epoch(void **state)
{
    struct story story = story_begin(&FOLLOWER);
    struct vote vote = {1, Z(3, 6), 0, 3};

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 6));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(3, 6)); /* is with the disk when the leader dies */
    zab_leader_lost(story.zab, "the connection broke");
    skips(&story);
    vote.round = story.zab->election.round;
    hears(&story, 2, JUTE_LOOKING, vote);
    hears(&story, 3, JUTE_LOOKING, vote);
    struct zab_learner *two = comes(&story);
    learner_is(&story, two, 2, false, 5);
    skips(&story);
    zab_epochs_stored(story.zab);
    learner_promises(&story, two, Z(3, 5), 3);
    does(&story, "send 2 LEADERINFO 6.0\n");

    zab_logged(story.zab, Z(3, 6));

    does(&story, "store 6 6\n");
    story_end(&story);
}

static void a_leader_whom_nobody_follows_gives_up_after_the_limit(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    passes(&story, 19999);
    does(&story, "");

    passes(&story, 1);

    does(&story, "role looking: not enough followers came in time\n"
                 "notify 1 looking 3 3.5 round 2 epoch 3\n"
                 "notify 2 looking 3 3.5 round 2 epoch 3\n");
    story_end(&story);
}

static void a_voter_promised_to_a_later_epoch_gets_a_new_one(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    (void)established(&story, 1);

    learner_is(&story, comes(&story), 2, false, 6);

    does(&story,
         "drop 1: this server leads no more\n"
         "drop 2: this server leads no more\n"
         "role looking: a voter has promised itself to a later epoch: a new one lets it in\n"
         "notify 1 looking 3 3.5 round 2 epoch 5\n"
         "notify 2 looking 3 3.5 round 2 epoch 5\n");
    story_end(&story);
}

static void what_is_no_greeting_is_left(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    learner_says(&story, comes(&story), JUTE_PACKET_FOLLOWERINFO, Z(4, 0));
    does(&story, "drop -1: it does not say who it is\n");
    learner_is(&story, comes(&story), 3, false, 4);
    does(&story, "drop -1: it has the id of this server\n");
    learner_is(&story, comes(&story), 4, false, 4);
    does(&story, "drop -1: it is not one of the voters\n");
    learner_is(&story, comes(&story), 1, false, 0x7ffffffe);
    does(&story, "drop -1: its accepted epoch is out of range\n");
    learner_is(&story, comes(&story), 1, false, -1);
    does(&story, "drop -1: its accepted epoch is out of range\n");
    learner_says(&story, comes(&story), JUTE_PACKET_ACKEPOCH, Z(4, 0));
    does(&story, "drop -1: its acknowledgement of the epoch is not in order\n");
    learner_says(&story, comes(&story), JUTE_PACKET_ACK, Z(4, 0));
    does(&story, "drop -1: it acknowledges what it was not sent\n");
    learner_says(&story, comes(&story), JUTE_PACKET_REQUEST, -1);
    does(&story, "drop -1: it forwards requests before it is up to date\n");
    learner_says(&story, comes(&story), JUTE_PACKET_SNAP, 1);
    does(&story, "drop -1: it sends what a learner does not send\n");
    story_end(&story);
}

static void who_does_not_say_who_it_is_is_left_whatever_else_it_says(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    struct zab_learner *stranger = comes(&story);
    for (int i = 0; i < 9; i++) {
        learner_says(&story, one, JUTE_PACKET_PING, 0);
        learner_says(&story, stranger, JUTE_PACKET_PING, 0);
        passes(&story, 1000);
        skips(&story);
    }

    passes(&story, 1000);

    does(&story, "send 1 PING 5.0\n"
                 "drop -1: it has been silent for too long\n");
    story_end(&story);
}

static void who_has_said_who_it_is_waits_for_others_as_long_as_they_may_take(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    struct zab_learner *late = comes(&story);
    learner_is(&story, late, 2, false, 2);
    does(&story, "send 2 LEADERINFO 5.0\n");

    for (int i = 0; i < 29; i++) {
        learner_says(&story, one, JUTE_PACKET_PING, 0);
        passes(&story, 1000);
        skips(&story);
    }

    assert_non_null(zab_learner_next(story.zab, zab_learner_next(story.zab, NULL)));
    story_end(&story);
}

static void a_second_connection_of_a_follower_replaces_the_first(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    learner_is(&story, comes(&story), 4, true, 4);
    skips(&story);

    learner_is(&story, comes(&story), 4, true, 4);

    does(&story, "drop 4: it has connected again\n");
    story_end(&story);
}

/* ---- The learner ---- */

static void a_promise_is_durable_before_it_is_given(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 3);
    leader_says_epoch(&story, 5);
    does(&story, "store 5 3\n");

    zab_epochs_stored(story.zab);

    does(&story, "send leader ACKEPOCH 3.5 epoch 3\n");
    story_end(&story);
}

static void a_promise_is_given_once(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 3);

    leader_says_epoch(&story, 4);

    does(&story, "send leader ACKEPOCH 3.5 epoch -1\n");
    story_end(&story);
}

static void a_leader_of_an_older_epoch_is_not_followed(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 2);

    leader_says_epoch(&story, 3);

    does(&story, "hang up\n"
                 "role looking: the leader's epoch is older than one that was promised to another\n"
                 "notify 2 looking 1 3.5 round 8 epoch 3\n"
                 "notify 3 looking 1 3.5 round 8 epoch 3\n");
    story_end(&story);
}

/* Two would-be leaders choose one epoch: whoever is second in storing it gets no promise. */
static void a_promise_that_was_being_stored_for_another_is_not_given_twice(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 3);
    leader_says_epoch(&story, 5);
    does(&story, "store 5 3\n");
    zab_leader_lost(story.zab, "the connection broke");
    skips(&story);
    passes(&story, 100);
    follows(&story, 2);

    leader_says_epoch(&story, 5);
    zab_epochs_stored(story.zab);

    does(&story, "send leader ACKEPOCH 3.5 epoch -1\n");
    story_end(&story);
}

static void a_leader_that_hangs_up_at_once_is_dialled_six_times_more(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 3);
    for (mk_ms pause_ms = 10; pause_ms <= 320; pause_ms *= 2) {
        zab_leader_lost(story.zab, "it hung up");
        passes(&story, pause_ms - 1);
        does(&story, "");
        passes(&story, 1);
        does(&story, "dial 3\n");
        zab_dialled(story.zab, true);
        does(&story, "send leader FOLLOWERINFO 4.0\n");
    }

    zab_leader_lost(story.zab, "it hung up");

    does(&story, "hang up\n"
                 "role looking: it hung up\n"
                 "notify 2 looking 1 3.5 round 8 epoch 3\n"
                 "notify 3 looking 1 3.5 round 8 epoch 3\n");
    story_end(&story);
}

static void a_leader_that_says_nothing_is_left_after_the_limit(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    follows(&story, 3);
    passes(&story, 19999);
    does(&story, "");

    passes(&story, 1);

    does(&story, "hang up\n"
                 "role looking: the leader has been silent for too long\n"
                 "notify 2 looking 1 3.5 round 8 epoch 3\n"
                 "notify 3 looking 1 3.5 round 8 epoch 3\n");
    story_end(&story);
}

static void what_is_no_epoch_is_a_reason_to_leave(void **state)
{
    static const int64_t EPOCHS[] = {-1, 0, 0x7fffffff};

    (void)state;
    for (size_t i = 0; i < MK_COUNT(EPOCHS); i++) {
        struct story story = story_begin(&FOLLOWER);
        follows(&story, 3);
        leader_says_epoch(&story, EPOCHS[i]);
        assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
        story_end(&story);
    }
}

static void an_observer_follows_an_older_epoch_than_it_once_accepted(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 4, .voters = 3, .observers = 1, .accepted = 9, .current = 3, .logged = Z(3, 5)});

    (void)state;
    follows(&story, 3);

    leader_says_epoch(&story, 5);

    does(&story, "send leader ACKEPOCH 3.5 epoch -1\n");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_epoch_is_above_all_that_were_promised_and_durable_before_it_is_said),
        cmocka_unit_test(an_observer_alone_does_not_make_an_epoch),
        cmocka_unit_test(who_comes_when_the_epoch_is_made_is_told_it_at_once),
        cmocka_unit_test(a_quorum_of_acknowledgements_makes_it_the_current_epoch),
        cmocka_unit_test(who_has_promised_the_epoch_before_is_not_counted),
        cmocka_unit_test(who_may_have_lost_its_history_is_not_counted),
        cmocka_unit_test(a_follower_with_more_history_is_left_while_that_may_be_committed),
        cmocka_unit_test(a_later_epoch_is_more_history_than_a_longer_log),
        cmocka_unit_test(a_late_follower_with_more_history_is_cut_back),
        cmocka_unit_test(the_leaders_own_history_is_durable_before_its_epoch),
        cmocka_unit_test(a_leader_whom_nobody_follows_gives_up_after_the_limit),
        cmocka_unit_test(a_voter_promised_to_a_later_epoch_gets_a_new_one),
        cmocka_unit_test(what_is_no_greeting_is_left),
        cmocka_unit_test(who_does_not_say_who_it_is_is_left_whatever_else_it_says),
        cmocka_unit_test(who_has_said_who_it_is_waits_for_others_as_long_as_they_may_take),
        cmocka_unit_test(a_second_connection_of_a_follower_replaces_the_first),
        cmocka_unit_test(a_promise_is_durable_before_it_is_given),
        cmocka_unit_test(a_promise_is_given_once),
        cmocka_unit_test(a_leader_of_an_older_epoch_is_not_followed),
        cmocka_unit_test(a_promise_that_was_being_stored_for_another_is_not_given_twice),
        cmocka_unit_test(a_leader_that_hangs_up_at_once_is_dialled_six_times_more),
        cmocka_unit_test(a_leader_that_says_nothing_is_left_after_the_limit),
        cmocka_unit_test(what_is_no_epoch_is_a_reason_to_leave),
        cmocka_unit_test(an_observer_follows_an_older_epoch_than_it_once_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
