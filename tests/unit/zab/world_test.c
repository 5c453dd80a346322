/* Any number of servers, any schedule, any faults: what Zab promises holds at every step, and when
 * the faults have gone there is a leader whom everybody follows.
 *
 *   zab_world_test              the seeds of a test run
 *   zab_world_test FIRST LAST   those; the seed of a failure is said */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/cmocka.h"

#include "world.h"

static uint64_t seed_first = 1;
static uint64_t seed_last = 300;

static struct world_options running; /* for the last words */

static struct {
    uint64_t worlds, steps, crashes, committed, serves, differences, truncations, snapshots,
        forgotten;
} totals;

static void say_seed(int signal_number)
{
    char text[160];
    int length =
        snprintf(text, sizeof text,
                 "seed %llu: %zu voters, %zu observers%s%s; replay: zab_world_test %llu %llu\n",
                 (unsigned long long)running.seed, running.voters, running.observers,
                 running.hierarchical ? ", hierarchical" : "",
                 running.java ? ", some as originals lead" : "", (unsigned long long)running.seed,
                 (unsigned long long)running.seed);

    (void)!write(2, text, (size_t)length);
    (void)signal(signal_number, SIG_DFL);
}

static void count(const struct world *world)
{
    totals.worlds++;
    totals.steps += world->steps;
    totals.crashes += world->crashes;
    totals.committed += world->committed_count;
    totals.serves += world->serves;
    totals.differences += world->differences;
    totals.truncations += world->truncations;
    totals.snapshots += world->snapshots;
    totals.forgotten += world->forgotten;
}

static void run(const struct world_options *options)
{
    running = *options;
    struct world *world = world_new(options);
    uint64_t steps = 500 + mk_random_below(&world->random, 4000);

    world->crash_per_mille = (uint32_t)mk_random_below(&world->random, 40);
    for (size_t i = 0; i < world->count; i++) {
        if (mk_random_chance(&world->random, 900)) {
            machine_start(&world->machines[i]);
        }
    }
    while (world->steps < steps) {
        world_step(world);
    }
    MK_ASSERT(world_heal(world)); /* 18: a leader serves everybody */
    count(world);
    world_free(world);
}

/* A world in which nothing happens proves nothing. */
static void the_worlds_were_not_quiet(void **state)
{
    (void)state;
    (void)fprintf(
        stderr,
        "worlds=%llu steps=%llu crashes=%llu committed=%llu serves=%llu diffs=%llu truncs=%llu "
        "snaps=%llu forgets=%llu\n",
        (unsigned long long)totals.worlds, (unsigned long long)totals.steps,
        (unsigned long long)totals.crashes, (unsigned long long)totals.committed,
        (unsigned long long)totals.serves, (unsigned long long)totals.differences,
        (unsigned long long)totals.truncations, (unsigned long long)totals.snapshots,
        (unsigned long long)totals.forgotten);
    if (totals.worlds < 100) {
        return; /* a few seeds are being looked at */
    }
    assert_true(totals.committed > totals.worlds);
    assert_true(totals.serves > 2 * totals.worlds);
    assert_true(totals.differences > totals.worlds / 2);
    assert_true(totals.snapshots > totals.worlds / 10);
    assert_true(totals.truncations > totals.worlds / 20);
}

static void run_seeds(size_t voters, size_t observers, bool hierarchical, bool java)
{
    for (uint64_t seed = seed_first; seed <= seed_last; seed++) {
        struct world_options options = {.seed = seed,
                                        .voters = voters,
                                        .observers = observers,
                                        .hierarchical = hierarchical,
                                        .java = java};
        run(&options);
    }
}

static void one_server_agrees_with_itself(void **state)
{
    (void)state;
    run_seeds(1, 0, false, false);
}

static void one_voter_and_its_observers_agree(void **state)
{
    (void)state;
    run_seeds(1, 2, false, false);
}

static void two_servers_agree(void **state)
{
    (void)state;
    run_seeds(2, 0, false, false);
}

static void three_servers_agree(void **state)
{
    (void)state;
    run_seeds(3, 0, false, false);
}

static void three_servers_and_an_observer_agree(void **state)
{
    (void)state;
    run_seeds(3, 1, false, false);
}

static void servers_of_which_some_lead_as_originals_do_agree(void **state)
{
    (void)state;
    run_seeds(3, 1, false, true);
}

static void five_servers_agree(void **state)
{
    (void)state;
    run_seeds(5, 0, false, false);
}

static void seven_servers_in_three_groups_agree(void **state)
{
    (void)state;
    run_seeds(7, 0, true, false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_agrees_with_itself),
        cmocka_unit_test(one_voter_and_its_observers_agree),
        cmocka_unit_test(two_servers_agree),
        cmocka_unit_test(three_servers_agree),
        cmocka_unit_test(three_servers_and_an_observer_agree),
        cmocka_unit_test(servers_of_which_some_lead_as_originals_do_agree),
        cmocka_unit_test(five_servers_agree),
        cmocka_unit_test(seven_servers_in_three_groups_agree),
        cmocka_unit_test(the_worlds_were_not_quiet),
    };

    if (argc == 3) {
        seed_first = strtoull(argv[1], NULL, 10);
        seed_last = strtoull(argv[2], NULL, 10);
    }
    (void)signal(SIGABRT, say_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
