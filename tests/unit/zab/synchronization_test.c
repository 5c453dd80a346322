/* Synchronization: what a log lacks, and the order in which it is taken. */
#include "unit/cmocka.h"

#include "story.h"

static const struct story_options LEADER = {
    .id = 3, .voters = 3, .observers = 1, .accepted = 4, .current = 3, .logged = Z(3, 5)};
static const struct story_options FOLLOWER = {
    .id = 1, .voters = 3, .accepted = 4, .current = 3, .logged = Z(3, 5)};

/* ---- What is lacking: sections 6.2 and 6.3 ---- */

struct kept {
    const mk_zxid *zxids;
    size_t count;
};

static mk_zxid at_or_after(void *context, mk_zxid zxid)
{
    const struct kept *kept = context;

    for (size_t i = 0; i < kept->count; i++) {
        if (kept->zxids[i] >= zxid) {
            return kept->zxids[i];
        }
    }
    return 0;
}

static mk_zxid before(void *context, mk_zxid zxid)
{
    const struct kept *kept = context;

    for (size_t i = kept->count; i > 0; i--) {
        if (kept->zxids[i - 1] < zxid) {
            return kept->zxids[i - 1];
        }
    }
    return 0;
}

/* Epoch 2 had five transactions, of which the first is not kept; epoch 3 none; 4 and 6 some. */
static const mk_zxid KEPT[] = {Z(2, 2), Z(2, 3), Z(2, 4), Z(2, 5), Z(4, 1), Z(4, 2), Z(6, 1)};

static void plan_is(mk_zxid last, mk_zxid peer, int32_t type, mk_zxid header, mk_zxid send_after)
{
    struct kept kept = {KEPT, MK_COUNT(KEPT)};
    struct zab_history history = {.min = KEPT[0],
                                  .max = KEPT[MK_COUNT(KEPT) - 1],
                                  .at_or_after = at_or_after,
                                  .before = before,
                                  .context = &kept};
    struct zab_sync plan = zab_sync_plan(&history, last, peer);

    assert_int_equal(plan.type, type);
    assert_int_equal(plan.header, header);
    assert_int_equal(plan.send_after, send_after);
}

static void who_has_all_gets_an_empty_difference(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(6, 1), JUTE_PACKET_DIFF, Z(6, 1), Z(6, 1));
    plan_is(Z(7, 0), Z(7, 0), JUTE_PACKET_DIFF, Z(7, 0), Z(7, 0));
}

static void who_is_behind_gets_what_follows(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(2, 3), JUTE_PACKET_DIFF, Z(6, 1), Z(2, 3));
    plan_is(Z(6, 1), Z(2, 2), JUTE_PACKET_DIFF, Z(6, 1), Z(2, 2));
    plan_is(Z(7, 0), Z(6, 1), JUTE_PACKET_DIFF, Z(6, 1), Z(6, 1));
}

static void who_is_ahead_in_the_last_epoch_is_cut_back(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(6, 3), JUTE_PACKET_TRUNC, Z(6, 1), Z(6, 1));
}

/* The original cuts here: but what was before the epoch's first transaction may be different. */
static void who_is_ahead_in_an_epoch_of_which_nothing_is_known_gets_a_snapshot(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(7, 1), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
    plan_is(Z(6, 1), Z(7, 0), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
}

static void who_has_more_of_an_older_epoch_gets_a_snapshot(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(2, 6), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
    plan_is(Z(6, 1), Z(3, 1), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
}

static void who_ends_with_the_beginning_of_a_known_epoch_gets_what_follows(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(4, 0), JUTE_PACKET_DIFF, Z(6, 1), Z(4, 0));
    plan_is(Z(6, 1), Z(6, 0), JUTE_PACKET_DIFF, Z(6, 1), Z(6, 0));
}

/* The original sends a difference: but the snapshot that began that epoch may hold what was never
 * committed, and nothing here shows that it does not. */
static void who_ends_with_the_beginning_of_an_unknown_epoch_gets_a_snapshot(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(3, 0), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
    plan_is(Z(6, 1), Z(5, 0), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
}

static void who_is_further_behind_than_what_is_kept_gets_a_snapshot(void **state)
{
    (void)state;
    plan_is(Z(6, 1), Z(2, 1), JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
    plan_is(Z(6, 1), 0, JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
    plan_is(Z(6, 1), -1, JUTE_PACKET_SNAP, Z(6, 1), Z(6, 1));
}

/* ZOOKEEPER-4352: with nothing kept, its boundary was taken for 0. */
static void with_nothing_kept_all_others_get_a_snapshot(void **state)
{
    struct zab_history history = {0};

    (void)state;
    assert_int_equal(zab_sync_plan(&history, 0, 0).type, JUTE_PACKET_DIFF);
    assert_int_equal(zab_sync_plan(&history, Z(1, 0), 0).type, JUTE_PACKET_SNAP);
    assert_int_equal(zab_sync_plan(&history, Z(1, 5), Z(1, 6)).type, JUTE_PACKET_SNAP);
    assert_int_equal(zab_sync_plan(&history, 0, -1).type, JUTE_PACKET_SNAP);
}

/* ---- The learner ---- */

/* ZOOKEEPER-1282, 3911, 4643: the epoch at UPTODATE; nothing durable; the epoch before history. */
static void history_then_epoch_are_durable_before_newleader_is_acknowledged(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 7));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(3, 6));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(3, 6));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(3, 7));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(3, 7));
    does(&story, "append 3.6\nappend 3.7\n");
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    does(&story, "");
    zab_logged(story.zab, Z(3, 6));
    does(&story, "");
    zab_logged(story.zab, Z(3, 7));
    does(&story, "store 5 5\n");

    zab_epochs_stored(story.zab);

    does(&story, "send leader ACK 5.0\n");
    leader_says(&story, JUTE_PACKET_UPTODATE, -1);
    does(&story, "send leader ACK 5.0\nserve epoch 5 3.7\n");
    story_end(&story);
}

/* ZOOKEEPER-4394: a COMMIT in between was for a proposal that nobody remembered. 4646: an ACK
 * overtook the write. */
static void what_comes_before_uptodate_is_acknowledged_and_committed_after_it(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 5));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 1));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(5, 2));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(5, 1));
    zab_logged(story.zab, Z(5, 1));
    does(&story, "append 5.1\nappend 5.2\nstore 5 5\n");
    zab_epochs_stored(story.zab);
    does(&story, "send leader ACK 5.0\n");

    leader_says(&story, JUTE_PACKET_UPTODATE, -1);

    does(&story, "send leader ACK 5.0\n"
                 "serve epoch 5 5.1\n"
                 "send leader ACK 5.1\n");
    zab_logged(story.zab, Z(5, 2));
    does(&story, "send leader ACK 5.2\n");
    leader_says(&story, JUTE_PACKET_COMMIT, Z(5, 2));
    does(&story, "commit 5.2\n");
    story_end(&story);
}

/* ZOOKEEPER-1324: NEWLEADER came twice. */
static void a_second_newleader_means_nothing(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 5));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    skips(&story);
    zab_epochs_stored(story.zab);
    does(&story, "send leader ACK 5.0\n");

    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));

    does(&story, "");
    story_end(&story);
}

/* ZOOKEEPER-3701: a cut that failed went unnoticed. */
static void a_cut_is_durable_before_newleader_is_acknowledged(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_TRUNC, Z(3, 2));
    does(&story, "truncate 3.2\n");
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(4, 1));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(4, 1));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    does(&story, "append 4.1\n");
    zab_logged(story.zab, Z(3, 5)); /* was on its way when the cut was asked for */
    does(&story, "");

    zab_truncated(story.zab);
    does(&story, "");
    zab_logged(story.zab, Z(4, 1));

    does(&story, "store 5 5\n");
    story_end(&story);
}

static void a_cut_below_what_is_committed_is_refused_for_good(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    serves(&story, 3, 5);
    zab_leader_lost(story.zab, "the connection broke");
    skips(&story);
    promises(&story, 2, 6);

    leader_says(&story, JUTE_PACKET_TRUNC, Z(3, 4));

    does(&story, "hang up\n"
                 "fail: the leader wants the log cut below what has been committed here: "
                 "empty this server with `moonkeeper repair --rejoin`\n");
    story_end(&story);
}

static void a_cut_above_the_log_is_a_reason_to_leave(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);

    leader_says(&story, JUTE_PACKET_TRUNC, Z(3, 6));

    assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
    story_end(&story);
}

static void no_vote_is_given_while_the_log_is_being_cut(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_TRUNC, Z(3, 2));
    zab_leader_lost(story.zab, "the connection broke");
    does(&story, "truncate 3.2\n"
                 "hang up\n"
                 "role looking: the connection broke\n");

    zab_truncated(story.zab);

    does(&story, "notify 2 looking 1 3.2 round 8 epoch 3\n"
                 "notify 3 looking 1 3.2 round 8 epoch 3\n");
    story_end(&story);
}

static void a_snapshot_replaces_the_history(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_SNAP, Z(4, 8));
    does(&story, "install 4.8\n");
    zab_installed(story.zab, Z(4, 8));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(4, 9));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(4, 9));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    zab_logged(story.zab, Z(4, 9));
    does(&story, "append 4.9\nstore 5 5\n");
    zab_epochs_stored(story.zab);
    leader_says(&story, JUTE_PACKET_UPTODATE, -1);

    does(&story, "send leader ACK 5.0\n"
                 "send leader ACK 5.0\n"
                 "serve epoch 5 4.9\n");
    story_end(&story);
}

/* ZOOKEEPER-1549, 1551 and their kin: an original's snapshot holds some of what follows. */
static void transactions_through_the_zxid_of_a_snapshot_are_not_logged_behind_it(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_SNAP, Z(4, 8));
    skips(&story);
    zab_installed(story.zab, Z(4, 8));
    for (int counter = 7; counter <= 9; counter++) {
        leader_says(&story, JUTE_PACKET_PROPOSAL, Z(4, counter));
        leader_says(&story, JUTE_PACKET_COMMIT, Z(4, counter));
    }
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));

    does(&story, "append 4.9\n");
    zab_logged(story.zab, Z(4, 9));
    does(&story, "store 5 5\n");
    story_end(&story);
}

static void a_ping_before_the_history_is_taken_is_not_answered(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 5));
    leader_says(&story, JUTE_PACKET_PING, Z(3, 5));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));
    leader_says(&story, JUTE_PACKET_PING, Z(3, 5));
    does(&story, "store 5 5\n");
    zab_epochs_stored(story.zab);

    leader_says(&story, JUTE_PACKET_PING, Z(3, 5));

    does(&story, "send leader ACK 5.0\nsend leader PING 3.5\n");
    story_end(&story);
}

static void a_snapshot_behind_which_nothing_new_comes_is_all_of_the_history(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_SNAP, Z(4, 8));
    skips(&story);
    zab_installed(story.zab, Z(4, 8));
    leader_says(&story, JUTE_PACKET_PROPOSAL, Z(4, 8));
    leader_says(&story, JUTE_PACKET_COMMIT, Z(4, 8));
    leader_says(&story, JUTE_PACKET_NEWLEADER, Z(5, 0));

    does(&story, "store 5 5\n");
    story_end(&story);
}

/* The snapshot of a leader that is not established ends where it has applied: what its log has
 * above follows, and may be committed. Until it has come again, this server is none that has it. */
static void a_server_that_forgets_for_a_snapshot_does_not_vote_until_it_is_synchronised(
    void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_SNAP, Z(3, 1));
    does(&story, "install 3.1 forgets\n");
    zab_installed(story.zab, Z(3, 1));

    zab_leader_lost(story.zab, "the connection broke");

    does(&story, "hang up\n"
                 "role looking: the connection broke\n"
                 "notify 2 looking 1 -1 round 8 epoch 3\n"
                 "notify 3 looking 1 -1 round 8 epoch 3\n");
    story_end(&story);
}

/* ZOOKEEPER-2872, 3642: a snapshot that broke off left half a state. */
static void a_snapshot_that_breaks_off_leaves_what_was_there(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_SNAP, Z(4, 8));
    zab_leader_lost(story.zab, "the connection broke");
    does(&story, "install 4.8\n"
                 "hang up\n"
                 "role looking: the connection broke\n");

    zab_installed(story.zab, Z(3, 5));

    does(&story, "notify 2 looking 1 3.5 round 8 epoch 3\n"
                 "notify 3 looking 1 3.5 round 8 epoch 3\n");
    story_end(&story);
}

/* ZOOKEEPER-4925: a leader propagated a log with a hole in it. */
static void a_gap_in_the_history_is_a_reason_to_leave(void **state)
{
    static const mk_zxid NEXT[] = {Z(3, 7), Z(3, 5), Z(4, 2), Z(6, 1), Z(2, 1)};

    (void)state;
    for (size_t i = 0; i < MK_COUNT(NEXT); i++) {
        struct story story = story_begin(&FOLLOWER);
        promises(&story, 3, 5);
        leader_says(&story, JUTE_PACKET_DIFF, Z(3, 9));
        leader_says(&story, JUTE_PACKET_PROPOSAL, NEXT[i]);
        assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
        story_end(&story);
    }
}

static void what_comes_out_of_turn_is_a_reason_to_leave(void **state)
{
    static const int32_t TYPES[] = {JUTE_PACKET_NEWLEADER, JUTE_PACKET_UPTODATE,
                                    JUTE_PACKET_PROPOSAL, JUTE_PACKET_PING, 99};

    (void)state;
    for (size_t i = 0; i < MK_COUNT(TYPES); i++) {
        struct story story = story_begin(&FOLLOWER);
        promises(&story, 3, 5);
        leader_says(&story, TYPES[i], Z(5, 0));
        assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
        story_end(&story);
    }
    struct story story = story_begin(&FOLLOWER);
    promises(&story, 3, 5);
    leader_says(&story, JUTE_PACKET_DIFF, Z(3, 5));
    leader_says(&story, JUTE_PACKET_UPTODATE, -1);
    assert_int_equal(zab_role(story.zab), ZAB_LOOKING);
    story_end(&story);
}

static void a_change_of_the_members_is_refused_for_good(void **state)
{
    struct story story = story_begin(&FOLLOWER);

    (void)state;
    serves(&story, 3, 5);

    leader_says(&story, JUTE_PACKET_COMMIT_AND_ACTIVATE, Z(5, 1));

    does(&story, "hang up\n"
                 "fail: the leader changes the ensemble's members, which this server does not: set "
                 "reconfigEnabled=true here, too\n");
    story_end(&story);
}

/* ---- The leader ---- */

/* Both epochs are stored by then; the follower has been sent what it lacks. */
static struct zab_learner *synchronised(struct story *story, int64_t id)
{
    struct zab_learner *learner = comes(story);

    learner_is(story, learner, id, false, 4);
    skips(story);
    if (story->zab->storing_now) {
        zab_epochs_stored(story->zab);
        skips(story);
    }
    learner_promises(story, learner, Z(3, 5), 3);
    skips(story);
    if (story->zab->storing_now) {
        zab_epochs_stored(story->zab);
        skips(story);
    }
    zab_learner_synchronised(story->zab, learner);
    return learner;
}

static void newleader_comes_behind_the_history_and_its_quorum_establishes(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    struct zab_learner *one = synchronised(&story, 1);
    assert_true(zab_learner_registered(one));
    does(&story, "send 1 NEWLEADER 5.0\n");

    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 0));

    does(&story, "serve epoch 5 3.5\n"
                 "send 1 UPTODATE -1\n");
    assert_true(zab_learner_serving(one));
    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 0)); /* of UPTODATE */
    does(&story, "");
    story_end(&story);
}

static void an_observers_word_does_not_establish(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    struct zab_learner *observer = comes(&story);
    learner_is(&story, observer, 4, true, 4);
    struct zab_learner *one = synchronised(&story, 1);
    learner_promises(&story, observer, Z(3, 5), 3);
    skips(&story);
    zab_learner_synchronised(story.zab, observer);
    skips(&story);

    learner_says(&story, observer, JUTE_PACKET_ACK, Z(5, 0));
    does(&story, "");

    learner_says(&story, one, JUTE_PACKET_ACK, Z(5, 0));
    does(&story, "serve epoch 5 3.5\n"
                 "send 4 UPTODATE -1\n"
                 "send 1 UPTODATE -1\n");
    story_end(&story);
}

static void who_comes_late_is_up_to_date_with_its_own_word(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    (void)established(&story, 1);
    struct zab_learner *two = synchronised(&story, 2);
    does(&story, "send 2 NEWLEADER 5.0\n");

    learner_says(&story, two, JUTE_PACKET_ACK, Z(5, 0));

    does(&story, "send 2 UPTODATE -1\n");
    story_end(&story);
}

static void an_acknowledgement_of_another_epoch_is_left(void **state)
{
    struct story story = story_begin(&LEADER);

    (void)state;
    leads(&story, 1);
    struct zab_learner *one = synchronised(&story, 1);
    skips(&story);

    learner_says(&story, one, JUTE_PACKET_ACK, Z(4, 0));

    does(&story, "drop 1: it acknowledges another epoch than this one\n");
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_all_gets_an_empty_difference),
        cmocka_unit_test(who_is_behind_gets_what_follows),
        cmocka_unit_test(who_is_ahead_in_the_last_epoch_is_cut_back),
        cmocka_unit_test(who_is_ahead_in_an_epoch_of_which_nothing_is_known_gets_a_snapshot),
        cmocka_unit_test(who_has_more_of_an_older_epoch_gets_a_snapshot),
        cmocka_unit_test(who_ends_with_the_beginning_of_a_known_epoch_gets_what_follows),
        cmocka_unit_test(who_ends_with_the_beginning_of_an_unknown_epoch_gets_a_snapshot),
        cmocka_unit_test(who_is_further_behind_than_what_is_kept_gets_a_snapshot),
        cmocka_unit_test(with_nothing_kept_all_others_get_a_snapshot),
        cmocka_unit_test(history_then_epoch_are_durable_before_newleader_is_acknowledged),
        cmocka_unit_test(what_comes_before_uptodate_is_acknowledged_and_committed_after_it),
        cmocka_unit_test(a_second_newleader_means_nothing),
        cmocka_unit_test(a_cut_is_durable_before_newleader_is_acknowledged),
        cmocka_unit_test(a_cut_below_what_is_committed_is_refused_for_good),
        cmocka_unit_test(a_cut_above_the_log_is_a_reason_to_leave),
        cmocka_unit_test(no_vote_is_given_while_the_log_is_being_cut),
        cmocka_unit_test(a_snapshot_replaces_the_history),
        cmocka_unit_test(transactions_through_the_zxid_of_a_snapshot_are_not_logged_behind_it),
        cmocka_unit_test(a_ping_before_the_history_is_taken_is_not_answered),
        cmocka_unit_test(a_snapshot_behind_which_nothing_new_comes_is_all_of_the_history),
        cmocka_unit_test(
            a_server_that_forgets_for_a_snapshot_does_not_vote_until_it_is_synchronised),
        cmocka_unit_test(a_snapshot_that_breaks_off_leaves_what_was_there),
        cmocka_unit_test(a_gap_in_the_history_is_a_reason_to_leave),
        cmocka_unit_test(what_comes_out_of_turn_is_a_reason_to_leave),
        cmocka_unit_test(a_change_of_the_members_is_refused_for_good),
        cmocka_unit_test(newleader_comes_behind_the_history_and_its_quorum_establishes),
        cmocka_unit_test(an_observers_word_does_not_establish),
        cmocka_unit_test(who_comes_late_is_up_to_date_with_its_own_word),
        cmocka_unit_test(an_acknowledgement_of_another_epoch_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
