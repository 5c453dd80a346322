#include <inttypes.h>
#include <string.h>

#include "unit/cmocka.h"

#include "story.h"

static const char *const STATES[] = {"looking", "following", "leading", "observing"};
static const char *const ROLES[] = {"looking", "leading", "following", "observing"};
static const char *const PACKETS[] = {
    "?",     "REQUEST", "PROPOSAL",          "ACK",        "COMMIT",       "PING",     "REVALIDATE",
    "SYNC",  "INFORM",  "COMMITANDACTIVATE", "NEWLEADER",  "FOLLOWERINFO", "UPTODATE", "DIFF",
    "TRUNC", "SNAP",    "OBSERVERINFO",      "LEADERINFO", "ACKEPOCH",     "?"};

struct story story_begin(const struct story_options *options)
{
    struct zab_options zab = {.id = options->id,
                              .config = {.members_count = options->voters + options->observers,
                                         .text = MK_BYTES("members")},
                              .reconfig = options->reconfig,
                              .tick_ms = 2000,
                              .init_limit = 10,
                              .sync_limit = 5,
                              .finalize_ms = 200,
                              .notify_min_ms = 200,
                              .notify_max_ms = 60000};
    struct story story = {0};

    for (size_t i = 0; i < zab.config.members_count; i++) {
        uint32_t weight = i < MK_COUNT(options->weights) ? options->weights[i] : 1;
        zab.config.hierarchical |= weight > 0 && i < MK_COUNT(options->weights);
        zab.config.members[i] = (struct zab_member){
            .id = (int64_t)i + 1, .observer = i >= options->voters, .weight = weight};
    }
    story.zab = zab_new(&zab);
    zab_start(story.zab, options->accepted, options->current, options->logged, 0);
    return story;
}

void story_end(struct story *story)
{
    zab_free(story->zab);
    mk_buf_free(&story->text);
}

/* ---- What it does, in words ---- */

static void say_zxid(struct mk_buf *text, mk_zxid zxid)
{
    if (zxid < 0) {
        mk_buf_printf(text, " %" PRId64, zxid);
    } else {
        mk_buf_printf(text, " %" PRId64 ".%" PRId64, EPOCH_OF(zxid), (int64_t)COUNTER_OF(zxid));
    }
}

static void say_vote(struct mk_buf *text, const struct zab_action *action)
{
    const struct jute_notification *vote = &action->notification;

    mk_buf_printf(text, "notify %" PRId64 " %s", action->id, STATES[vote->state]);
    if (vote->leader == INT64_MIN) {
        mk_buf_printf(text, " nobody round %" PRId64, vote->round);
        return;
    }
    mk_buf_printf(text, " %" PRId64, vote->leader);
    say_zxid(text, vote->zxid);
    mk_buf_printf(text, " round %" PRId64 " epoch %" PRId64, vote->round, vote->peer_epoch);
}

static void say_send(struct mk_buf *text, const struct zab_action *action)
{
    const struct jute_packet *packet = &action->packet;

    if (action->learner == NULL) {
        mk_buf_printf(text, "send leader %s", PACKETS[packet->type]);
    } else {
        mk_buf_printf(text, "send %" PRId64 " %s", zab_learner_id(action->learner),
                      PACKETS[packet->type]);
    }
    say_zxid(text, packet->zxid);
    if (packet->type == JUTE_PACKET_ACKEPOCH) {
        struct mk_reader reader = mk_reader_of(packet->data);
        mk_buf_printf(text, " epoch %" PRId32, mk_read_i32(&reader));
    }
}

static void say_with_zxid(struct mk_buf *text, const char *word, mk_zxid zxid)
{
    mk_buf_printf(text, "%s", word);
    say_zxid(text, zxid);
}

static void say_config(struct mk_buf *text, const struct zab_config *config)
{
    for (size_t i = 0; i < config->members_count; i++) {
        mk_buf_printf(text, " %" PRId64 "%s", config->members[i].id,
                      config->members[i].observer ? "o" : "");
    }
    say_with_zxid(text, " as of", config->version);
}

static void say_members(struct mk_buf *text, const struct zab *zab)
{
    const struct zab_config *next = zab_config_next(zab);

    mk_buf_printf(text, "members");
    say_config(text, zab_config(zab));
    if (next != NULL) {
        mk_buf_printf(text, ", next");
        say_config(text, next);
    }
}

static void say(const struct zab *zab, struct mk_buf *text, const struct zab_action *action)
{
    switch (action->kind) {
    case ZAB_NOTIFY: say_vote(text, action); break;
    case ZAB_ROLE:
        mk_buf_printf(text, "role %s", ROLES[action->role]);
        if (action->id >= 0) {
            mk_buf_printf(text, " %" PRId64, action->id);
        }
        if (action->why != NULL) {
            mk_buf_printf(text, ": %s", action->why);
        }
        break;
    case ZAB_DIAL: mk_buf_printf(text, "dial %" PRId64, action->id); break;
    case ZAB_HANG_UP: mk_buf_printf(text, "hang up"); break;
    case ZAB_DROP:
        mk_buf_printf(text, "drop %" PRId64 ": %s", zab_learner_id(action->learner), action->why);
        break;
    case ZAB_SEND: say_send(text, action); break;
    case ZAB_STORE_EPOCHS:
        mk_buf_printf(text, "store %" PRId64 " %" PRId64, action->accepted, action->current);
        break;
    case ZAB_SYNCHRONISE:
        mk_buf_printf(text, "synchronise %" PRId64, action->id);
        say_zxid(text, action->zxid);
        break;
    case ZAB_TRUNCATE: say_with_zxid(text, "truncate", action->zxid); break;
    case ZAB_INSTALL:
        say_with_zxid(text, "install", action->zxid);
        mk_buf_printf(text, "%s", action->forgets ? " forgets" : "");
        break;
    case ZAB_MEMBERS: say_members(text, zab); break;
    case ZAB_APPEND: say_with_zxid(text, "append", action->zxid); break;
    case ZAB_COMMIT:
        say_with_zxid(text, "commit", action->zxid);
        if (action->activates) {
            mk_buf_printf(text, " activates, %" PRId64 " leads", action->id);
        }
        break;
    case ZAB_SERVE:
        mk_buf_printf(text, "serve epoch %" PRId64, action->epoch);
        say_zxid(text, action->zxid);
        break;
    case ZAB_FAIL: mk_buf_printf(text, "fail: %s", action->why); break;
    }
    mk_buf_put_u8(text, '\n');
}

void does(struct story *story, const char *expected)
{
    struct zab_action action;

    story->text.len = 0;
    while (zab_action(story->zab, &action)) {
        say(story->zab, &story->text, &action);
    }
    zab_check(story->zab);
    mk_buf_put_u8(&story->text, 0);
    assert_string_equal((const char *)story->text.data, expected);
}

void skips(struct story *story)
{
    struct zab_action action;

    while (zab_action(story->zab, &action)) {
    }
    zab_check(story->zab);
}

/* ---- Events ---- */

void passes(struct story *story, mk_ms ms)
{
    story->now += ms;
    zab_tick(story->zab, story->now);
}

void hears(struct story *story, int64_t from, int32_t state, struct vote vote)
{
    struct jute_notification notification = {.state = state,
                                             .leader = vote.leader,
                                             .zxid = vote.zxid,
                                             .round = vote.round,
                                             .peer_epoch = vote.peer_epoch,
                                             .version = JUTE_NOTIFICATION_VERSION};

    zab_notified(story->zab, from, &notification, NULL);
}

void leader_says(struct story *story, int32_t type, mk_zxid zxid)
{
    struct jute_packet packet = JUTE_PACKET(type, zxid);

    zab_leader_packet(story->zab, &packet, NULL);
}

void leader_says_epoch(struct story *story, int64_t epoch)
{
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_LEADERINFO, EPOCH_BEGIN(epoch));

    packet.data = MK_BYTES("\0\1\0\0");
    zab_leader_packet(story->zab, &packet, NULL);
}

struct zab_learner *comes(struct story *story)
{
    struct zab_learner *learner = zab_learner_new(story->zab, story);

    assert_non_null(learner);
    return learner;
}

void learner_says(struct story *story, struct zab_learner *learner, int32_t type, mk_zxid zxid)
{
    struct jute_packet packet = JUTE_PACKET(type, zxid);

    zab_learner_packet(story->zab, learner, &packet);
}

void learner_is(struct story *story, struct zab_learner *learner, int64_t id, bool observer,
                int64_t accepted)
{
    struct jute_learner_info info = {.id = id, .protocol_version = JUTE_PROTOCOL_VERSION};
    struct jute_packet packet = JUTE_PACKET(
        observer ? JUTE_PACKET_OBSERVERINFO : JUTE_PACKET_FOLLOWERINFO, EPOCH_BEGIN(accepted));
    struct mk_buf data = {0};

    jute_put_learner_info(&data, &info);
    packet.data = mk_buf_view(&data);
    zab_learner_packet(story->zab, learner, &packet);
    mk_buf_free(&data);
}

void learner_promises(struct story *story, struct zab_learner *learner, mk_zxid zxid,
                      int32_t current)
{
    struct jute_packet packet = JUTE_PACKET(JUTE_PACKET_ACKEPOCH, zxid);
    struct mk_buf data = {0};

    mk_buf_put_i32(&data, current);
    packet.data = mk_buf_view(&data);
    zab_learner_packet(story->zab, learner, &packet);
    mk_buf_free(&data);
}

/* ---- To a state ---- */

/* Two established servers are enough for an ensemble of three: no vote for oneself is needed. */
void follows(struct story *story, int64_t leader)
{
    int64_t id = story->zab->options.id;
    struct vote vote = {.leader = leader, .round = 7};

    skips(story);
    for (size_t i = 0; i < zab_config(story->zab)->members_count; i++) {
        const struct zab_member *member = &zab_config(story->zab)->members[i];
        if (member->id != id && !member->observer) {
            hears(story, member->id, member->id == leader ? JUTE_LEADING : JUTE_FOLLOWING, vote);
        }
    }
    skips(story);
    zab_dialled(story->zab, true);
    skips(story);
}

void promises(struct story *story, int64_t leader, int64_t epoch)
{
    follows(story, leader);
    leader_says_epoch(story, epoch);
    skips(story);
    if (story->zab->storing_now) {
        zab_epochs_stored(story->zab);
    }
    skips(story);
}

void serves(struct story *story, int64_t leader, int64_t epoch)
{
    promises(story, leader, epoch);
    leader_says(story, JUTE_PACKET_DIFF, story->zab->logged);
    leader_says(story, JUTE_PACKET_NEWLEADER, EPOCH_BEGIN(epoch));
    skips(story);
    zab_epochs_stored(story->zab);
    leader_says(story, JUTE_PACKET_UPTODATE, -1);
    skips(story);
}

void leads(struct story *story, int64_t supporter)
{
    struct vote vote = story->zab->election.proposal;

    skips(story);
    hears(story, supporter, JUTE_LOOKING, vote);
    passes(story, 200);
    skips(story);
    assert_int_equal(zab_role(story->zab), ZAB_LEADING);
}

struct zab_learner *established(struct story *story, int64_t supporter)
{
    leads(story, supporter);
    struct zab_learner *learner = comes(story);
    learner_is(story, learner, supporter, false, story->zab->wanted.accepted);
    skips(story);
    zab_epochs_stored(story->zab);
    skips(story);
    learner_promises(story, learner, story->zab->logged, (int32_t)story->zab->wanted.current);
    skips(story);
    zab_epochs_stored(story->zab);
    skips(story);
    zab_learner_synchronised(story->zab, learner);
    learner_says(story, learner, JUTE_PACKET_ACK, EPOCH_BEGIN(zab_epoch(story->zab)));
    skips(story);
    assert_true(zab_established(story->zab));
    return learner;
}
