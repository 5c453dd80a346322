#include "unit/cmocka.h"

#include "alone.h"
#include "story.h"

static const struct story_options LEADER = {
    .id = 3, .voters = 3, .observers = 1, .accepted = 4, .current = 3, .logged = Z(3, 5)};

static void the_first_proposal_of_an_epoch_has_counter_one(void **state)
{
    struct zab *zab = alone_new(1, 0x100000007);
    mk_zxid zxid;

    (void)state;

    assert_true(zab_next(zab, &zxid));

    assert_int_equal(zxid, 0x200000001);
    zab_free(zab);
}

static void a_proposal_commits_when_the_log_has_it_and_not_before(void **state)
{
    struct zab *zab = alone_new(0, 0);
    struct zab_action action;

    (void)state;
    zab_propose(zab, 0x100000001);
    zab_propose(zab, 0x100000002);
    assert_false(zab_action(zab, &action));
    assert_int_equal(zab_committed(zab), 0x100000000);

    zab_logged(zab, 0x100000001);

    assert_true(zab_action(zab, &action));
    assert_int_equal(action.kind, ZAB_COMMIT);
    assert_int_equal(action.zxid, 0x100000001);
    assert_int_equal(zab_committed(zab), 0x100000001);
    zab_free(zab);
}

/* ZOOKEEPER-1277: the counter ran into the epoch's bits. */
static void an_epoch_without_zxids_left_ends_when_all_of_it_is_committed(void **state)
{
    struct zab *zab = alone_new(0, 0);
    struct zab_action action;
    mk_zxid zxid;

    (void)state;
    zab->proposed = zab->logged = zab->durable = zab->committed = 0x1fffffffd;
    assert_true(zab_next(zab, &zxid));
    assert_int_equal(zxid, 0x1fffffffe);
    zab_propose(zab, zxid);
    assert_false(zab_next(zab, &zxid));
    zab_tick(zab, 1000);
    assert_true(zab_established(zab));

    zab_logged(zab, 0x1fffffffe);
    while (zab_action(zab, &action)) {
        if (action.kind == ZAB_STORE_EPOCHS) {
            zab_epochs_stored(zab);
        }
    }

    assert_true(zab_next(zab, &zxid));
    assert_int_equal(zxid, 0x200000001);
    zab_free(zab);
}

/* ---- A leader with followers ---- */

static void a_proposal_commits_when_a_quorum_has_it(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    zab_propose(story.zab, Z(5, 2));
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 1));
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 2));
    does(&story, "");

    zab_logged(story.zab, Z(5, 1));
    does(&story, "commit 5.1\n");
    zab_logged(story.zab, Z(5, 2));
    does(&story, "commit 5.2\n");
    story_end(&story);
}

/* Who has the proposal without the epoch would lose an election to who has the epoch without it.
 * ZOOKEEPER-4685: such acknowledgements come before NEWLEADER's from servers before 3.8.5. */
static void an_acknowledgement_counts_once_newleader_is_acknowledged_too(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    zab_learner_lost(story.zab, one);
    struct zab_learner *two = comes(&story);
    learner_is(&story, two, 2, false, 4);
    learner_promises(&story, two, Z(3, 5), 3);
    skips(&story);
    zab_learner_synchronised(story.zab, two);
    zab_logged(story.zab, Z(5, 1));
    skips(&story);

    learner_says(&story, two, JUTE_PACKET_ACK, Z(5, 1));
    does(&story, "");

    learner_says(&story, two, JUTE_PACKET_ACK, Z(5, 0));
    does(&story, "send 2 UPTODATE -1\n"
                 "commit 5.1\n");
    story_end(&story);
}

/* Its log may be cut when it is synchronised again: what it had acknowledged need not be there. */
static void what_was_acknowledged_over_an_older_connection_does_not_count(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 1));
    zab_learner_lost(story.zab, one);
    one = comes(&story);
    learner_is(&story, one, 1, false, 5);
    zab_logged(story.zab, Z(5, 1));
    learner_promises(&story, one, Z(5, 1), -1);
    skips(&story);
    zab_learner_synchronised(story.zab, one);
    skips(&story);
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 0));
    does(&story, "send 1 UPTODATE -1\n");

    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 1));

    does(&story, "commit 5.1\n");
    story_end(&story);
}

static void an_acknowledgement_of_what_was_not_proposed_is_left(void **state)
{
    static const mk_zxid ZXIDS[] = {Z(5, 2), Z(4, 1), Z(6, 1), -1};

    (void)state;
    for (size_t i = 0; i < MK_COUNT(ZXIDS); i++) {
        struct story story = story_begin(&LEADER);
        struct zab_learner *one = established(&story, 1);
        zab_propose(story.zab, Z(5, 1));
        learner_says(&story, one, JUTE_PACKET_ACK, ZXIDS[i]);
        does(&story, "drop 1: it acknowledges what was not proposed\n");
        story_end(&story);
    }
}

static void followers_are_pinged_every_half_tick_with_the_last_zxid(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    (void)established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    passes(&story, 1000);
    does(&story, "send 1 PING 5.1\n");

    passes(&story, 999);
    does(&story, "");
    passes(&story, 1);
    does(&story, "send 1 PING 5.1\n");
    story_end(&story);
}

static void a_leader_out_of_touch_with_its_quorum_stops(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    (void)established(&story, 1);
    passes(&story, 9000);
    does(&story, "send 1 PING 5.0\n");

    passes(&story, 1000);

    does(&story, "drop 1: this server leads no more\n"
                 "role looking: a quorum of followers is out of touch\n"
                 "notify 1 looking 3 3.5 round 2 epoch 5\n"
                 "notify 2 looking 3 3.5 round 2 epoch 5\n");
    story_end(&story);
}

static void a_follower_that_answers_but_does_not_acknowledge_is_left(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    for (int i = 0; i < 11; i++) {
        passes(&story, 1000);
        does(&story, "send 1 PING 5.1\n");
        learner_says(&story, one, JUTE_PACKET_PING, Z(5, 1));
    }

    passes(&story, 1000);

    does(&story, "drop 1: it acknowledges proposals too slowly\n");
    story_end(&story);
}

static void who_comes_back_with_all_that_has_committed_has_nothing_to_acknowledge(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    struct zab_learner *one = established(&story, 1);
    zab_propose(story.zab, Z(5, 1));
    zab_logged(story.zab, Z(5, 1));
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 1));
    struct zab_learner *two = comes(&story);
    learner_is(&story, two, 2, false, 5);
    learner_promises(&story, two, Z(5, 1), -1);
    skips(&story);
    zab_learner_synchronised(story.zab, two);
    learner_says(&story, two, JUTE_PACKET_ACK, Z(5, 0));
    does(&story, "send 2 NEWLEADER 5.0\nsend 2 UPTODATE -1\n");

    for (int i = 0; i < 20; i++) {
        passes(&story, 1000);
        does(&story, "send 1 PING 5.1\nsend 2 PING 5.1\n");
        learner_says(&story, one, JUTE_PACKET_PING, Z(5, 1));
        learner_says(&story, two, JUTE_PACKET_PING, Z(5, 1));
    }

    assert_int_equal(zab_learner_acked(two), Z(5, 1));
    story_end(&story);
}

/* ---- A learner ---- */

static void a_commit_out_of_order_is_a_reason_to_leave(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 1, .voters = 3, .accepted = 4, .current = 3, .logged = Z(3, 5)});

    (void)state;
    serves(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 1));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 2));
    skips(&story);

    leader_says(&story, JUTE_PACKET_COMMIT, Z(5, 2));

    does(&story, "hang up\n"
                 "role looking: the leader commits out of order\n"
                 "notify 2 looking 1 5.2 round 8 epoch 5\n"
                 "notify 3 looking 1 5.2 round 8 epoch 5\n");
    story_end(&story);
}

static void every_proposal_is_acknowledged_when_it_is_durable(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 1, .voters = 3, .accepted = 4, .current = 3, .logged = Z(3, 5)});

    (void)state;
    serves(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 1));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 2));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 3));
    does(&story, "append 5.1\nappend 5.2\nappend 5.3\n");

    zab_logged(story.zab, Z(5, 2));

    does(&story, "send leader ACK 5.1\nsend leader ACK 5.2\n");
    story_end(&story);
}

static void an_observer_is_informed_and_acknowledges_nothing(void **state)
{
    struct story story = story_begin(&(struct story_options){
        .id = 4, .voters = 3, .observers = 1, .accepted = 4, .current = 3, .logged = Z(3, 5)});

    (void)state;
    serves(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 1));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(5, 1));
    does(&story, "");

    leader_says(&story, JUTE_PACKET_INFORM, Z(5, 1));
    zab_logged(story.zab, Z(5, 1));

    does(&story, "append 5.1\ncommit 5.1\n");
    leader_says(&story, JUTE_PACKET_PING, Z(5, 1));
    does(&story, "send leader PING 5.1\n");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_proposal_of_an_epoch_has_counter_one),
        cmocka_unit_test(a_proposal_commits_when_the_log_has_it_and_not_before),
        cmocka_unit_test(an_epoch_without_zxids_left_ends_when_all_of_it_is_committed),
        cmocka_unit_test(a_proposal_commits_when_a_quorum_has_it),
        cmocka_unit_test(an_acknowledgement_counts_once_newleader_is_acknowledged_too),
        cmocka_unit_test(what_was_acknowledged_over_an_older_connection_does_not_count),
        cmocka_unit_test(an_acknowledgement_of_what_was_not_proposed_is_left),
        cmocka_unit_test(followers_are_pinged_every_half_tick_with_the_last_zxid),
        cmocka_unit_test(a_leader_out_of_touch_with_its_quorum_stops),
        cmocka_unit_test(a_follower_that_answers_but_does_not_acknowledge_is_left),
        cmocka_unit_test(who_comes_back_with_all_that_has_committed_has_nothing_to_acknowledge),
        cmocka_unit_test(a_commit_out_of_order_is_a_reason_to_leave),
        cmocka_unit_test(every_proposal_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(an_observer_is_informed_and_acknowledges_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
