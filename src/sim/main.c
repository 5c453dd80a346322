/* moonkeeper-sim: run seeds. The only file of sim that knows files, the terminal and signals. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

static const char usage[] =
    "moonkeeper-sim --seed 7                    run one seed; the same seed is the same run\n"
    "\n"
    "usage: moonkeeper-sim [--seed N | --seeds A..B] [OPTION...]\n"
    "\n"
    "  --servers N       an ensemble of N, from 3 to 7 (one server, alone)\n"
    "  --minutes M       one seed after the other, from --seed on, for so long\n"
    "  --steps N         how long each run is busy, in events (20000)\n"
    "  --log FILE        write a line for each event (one seed)\n"
    "  --recipes DIR     where lock.lua is (recipes)\n"
    "  --sabotage NAME   put a bug in, to see it found; `list` lists them\n"
    "  --scenario FILE   tell the story in FILE, and what comes of it now; compare the two\n"
    "  --verbose         a line for each seed\n"
    "\n"
    "Exit code: 0 all passed, 1 one failed, 2 wrong usage.\n";

struct arguments {
    uint64_t seed_first, seed_last;
    uint64_t steps;
    uint64_t minutes; /* 0: until the last seed */
    int servers;
    const char *log;
    const char *recipes;
    const char *scenario;
    enum sim_sabotage sabotage;
    bool verbose;
};

/* Where a run is, for the handler of the signal by which an assertion ends the process: a handler
 * gets no argument, and may do no more than write(). */
static volatile uint64_t dying_step;
static char dying_words[256]; /* how to replay it */
static struct arguments arguments;

static void put_replay(char *out, size_t size, uint64_t seed)
{
    const char *sabotage = sim_sabotage_name(arguments.sabotage);
    bool any = arguments.sabotage != SIM_SABOTAGE_NONE;

    char servers[32] = "";
    if (arguments.servers > 1) {
        (void)snprintf(servers, sizeof(servers), " --servers %d", arguments.servers);
    }
    (void)snprintf(out, size,
                   "to replay it:\n  ./dev sim%s --seed %llu --steps %llu%s%s --log sim.log\n",
                   servers, (unsigned long long)seed, (unsigned long long)arguments.steps,
                   any ? " --sabotage " : "", any ? sabotage : "");
}

static void print_replay(uint64_t seed, uint64_t step)
{
    char words[256];

    put_replay(words, sizeof(words), seed);
    fprintf(stderr, "seed %llu failed at step %llu; %s", (unsigned long long)seed,
            (unsigned long long)step, words);
}

static void died(int signal_number)
{
    char step[32] = "died at step                  ; ";
    char *at = step + 30;

    for (uint64_t rest = dying_step; rest > 0; rest /= 10) {
        *--at = (char)('0' + rest % 10);
    }
    ssize_t written = write(STDERR_FILENO, step, sizeof(step));
    written += write(STDERR_FILENO, dying_words, strlen(dying_words));
    (void)written;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void write_line(void *context, const char *line)
{
    FILE *file = context;

    fputs(line, file);
    fputc('\n', file);
}

/* ---- Arguments ---- */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (end == text || *end != '\0') {
        fprintf(stderr, "moonkeeper-sim: %s is not a number\n", text);
        exit(2);
    }
    return value;
}

static void parse_seeds(char *text)
{
    char *dots = strstr(text, "..");

    if (dots == NULL) {
        fprintf(stderr, "moonkeeper-sim: --seeds takes a range, as in 1..100\n");
        exit(2);
    }
    *dots = '\0';
    arguments.seed_first = number(text);
    arguments.seed_last = number(dots + 2);
}

static void parse_servers(const char *text)
{
    uint64_t servers = number(text);

    if (servers != 1 && (servers < 3 || servers > SIM_SERVERS_MAX)) {
        fprintf(stderr, "moonkeeper-sim: --servers takes 1, or 3 to %d\n", SIM_SERVERS_MAX);
        exit(2);
    }
    arguments.servers = (int)servers;
}

static void parse_sabotage(const char *name)
{
    for (int i = 0; i < SIM_SABOTAGE_COUNT; i++) {
        if (strcmp(name, "list") == 0) {
            puts(sim_sabotage_name((enum sim_sabotage)i));
        } else if (strcmp(name, sim_sabotage_name((enum sim_sabotage)i)) == 0) {
            arguments.sabotage = (enum sim_sabotage)i;
            return;
        }
    }
    if (strcmp(name, "list") == 0) {
        exit(0);
    }
    fprintf(stderr, "moonkeeper-sim: there is no sabotage %s; --sabotage list lists them\n", name);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},     {"seeds", required_argument, NULL, 'S'},
        {"steps", required_argument, NULL, 'n'},    {"log", required_argument, NULL, 'l'},
        {"recipes", required_argument, NULL, 'r'},  {"sabotage", required_argument, NULL, 'x'},
        {"minutes", required_argument, NULL, 'M'},  {"servers", required_argument, NULL, 'm'},
        {"scenario", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    int option;

    arguments = (struct arguments){
        .seed_first = 1, .seed_last = 1, .steps = 20000, .servers = 1, .recipes = "recipes"};
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's': arguments.seed_first = arguments.seed_last = number(optarg); break;
        case 'S': parse_seeds(optarg); break;
        case 'M':
            arguments.minutes = number(optarg);
            arguments.seed_last = UINT64_MAX;
            break;
        case 'm': parse_servers(optarg); break;
        case 'n': arguments.steps = number(optarg); break;
        case 'l': arguments.log = optarg; break;
        case 'r': arguments.recipes = optarg; break;
        case 'x': parse_sabotage(optarg); break;
        case 't': arguments.scenario = optarg; break;
        case 'v': arguments.verbose = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

/* ---- Recipes ---- */

static char *read_file(const char *directory, const char *name, size_t *len)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s%s", directory, name);
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 18);

    if (file == NULL || text == NULL) {
        fprintf(stderr, "moonkeeper-sim: %s cannot be read\n", path);
        exit(2);
    }
    *len = fread(text, 1, 1 << 18, file);
    fclose(file);
    return text;
}

/* ---- Running ---- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool in_time(double start)
{
    return arguments.minutes == 0 || seconds_now() - start < 60.0 * (double)arguments.minutes;
}

static void add(struct sim_report *sum, const struct sim_report *report)
{
    sum->steps += report->steps;
    sum->virtual_ms += report->virtual_ms;
    sum->requests += report->requests;
    sum->transactions += report->transactions;
    sum->events += report->events;
    sum->grants += report->grants;
    sum->crashes += report->crashes;
    sum->breaks += report->breaks;
    sum->stalls += report->stalls;
    sum->slow_syncs += report->slow_syncs;
    sum->wall_jumps += report->wall_jumps;
    sum->failed_reads += report->failed_reads;
    sum->cuts += report->cuts;
    sum->pauses += report->pauses;
    sum->elections += report->elections;
    sum->truncations += report->truncations;
    sum->snapshots += report->snapshots;
}

static uint64_t faults(const struct sim_report *report)
{
    return report->crashes + report->breaks + report->stalls + report->slow_syncs +
           report->wall_jumps + report->failed_reads + report->cuts + report->pauses;
}

static void print_report(uint64_t seed, const struct sim_report *report)
{
    printf("seed %llu: %s steps=%llu virtual_ms=%llu requests=%llu replies=%llu events=%llu "
           "transactions=%llu errors=%llu expired=%llu reaped=%llu counts=%llu parked=%llu "
           "grants=%llu "
           "timeouts=%llu "
           "cancels=%llu crashes=%llu breaks=%llu stalls=%llu slow_syncs=%llu failed_syncs=%llu "
           "wall_jumps=%llu failed_reads=%llu loads=%llu checkpoints=%llu comparisons=%llu "
           "deployments=%llu passes=%llu dry_runs=%llu call_reads=%llu outlived=%llu gone=%llu "
           "elections=%llu truncations=%llu snapshots=%llu cuts=%llu pauses=%llu\n",
           (unsigned long long)seed, report->passed ? "passed" : "FAILED",
           (unsigned long long)report->steps, (unsigned long long)report->virtual_ms,
           (unsigned long long)report->requests, (unsigned long long)report->replies,
           (unsigned long long)report->events, (unsigned long long)report->transactions,
           (unsigned long long)report->errors, (unsigned long long)report->sessions_expired,
           (unsigned long long)report->reaped, (unsigned long long)report->counts,
           (unsigned long long)report->calls_parked, (unsigned long long)report->grants,
           (unsigned long long)report->timeouts, (unsigned long long)report->cancels,
           (unsigned long long)report->crashes, (unsigned long long)report->breaks,
           (unsigned long long)report->stalls, (unsigned long long)report->slow_syncs,
           (unsigned long long)report->failed_syncs, (unsigned long long)report->wall_jumps,
           (unsigned long long)report->failed_reads, (unsigned long long)report->loads,
           (unsigned long long)report->checkpoints, (unsigned long long)report->comparisons,
           (unsigned long long)report->deployments, (unsigned long long)report->passes,
           (unsigned long long)report->dry_runs, (unsigned long long)report->call_reads,
           (unsigned long long)report->outlived, (unsigned long long)report->gone,
           (unsigned long long)report->elections, (unsigned long long)report->truncations,
           (unsigned long long)report->snapshots, (unsigned long long)report->cuts,
           (unsigned long long)report->pauses);
}

static void print_sum(uint64_t seeds, const struct sim_report *sum, double took)
{
    printf("%llu seeds, %llu steps (%.0f a second), %llu requests, %llu transactions, %llu grants, "
           "%llu faults (%.0f a second), %.1f virtual hours in %.1f s",
           (unsigned long long)seeds, (unsigned long long)sum->steps, (double)sum->steps / took,
           (unsigned long long)sum->requests, (unsigned long long)sum->transactions,
           (unsigned long long)sum->grants, (unsigned long long)faults(sum),
           (double)faults(sum) / took, (double)sum->virtual_ms / 3600000.0, took);
    if (arguments.servers > 1) {
        printf("; %d servers: %llu elections, %llu truncations, %llu snapshots", arguments.servers,
               (unsigned long long)sum->elections, (unsigned long long)sum->truncations,
               (unsigned long long)sum->snapshots);
    }
    putchar('\n');
}

static bool run_seed(const struct sim_options *base, uint64_t seed, struct sim_report *sum)
{
    struct sim_options options = *base;
    struct sim_report report;

    options.seed = seed;
    put_replay(dying_words, sizeof(dying_words), seed);
    sim_run(&options, &report);
    add(sum, &report);
    if (arguments.verbose || arguments.seed_first == arguments.seed_last) {
        print_report(seed, &report);
        fflush(stdout);
    }
    if (!report.passed) {
        fprintf(stderr, "%s\n", report.failure);
        print_replay(seed, report.steps);
    }
    return report.passed;
}

static int tell_scenario(struct mk_bytes lock_source)
{
    size_t len;
    char *text = read_file(arguments.scenario, "", &len);
    struct sim_scenario_options options = {
        .text = mk_bytes_of(text, len),
        .lock_source = lock_source,
        .line = write_line,
        .context = stdout,
    };
    bool passed = sim_scenario(&options);

    free(text);
    return passed ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct sim_report sum = {0};
    size_t len;
    bool passed = true;

    parse(argc, argv);
    char *source = read_file(arguments.recipes, "/lock.lua", &len);
    if (arguments.scenario != NULL) {
        int code = tell_scenario(mk_bytes_of(source, len));
        free(source);
        return code;
    }
    struct sim_options options = {.steps = arguments.steps,
                                  .servers = arguments.servers,
                                  .sabotage = arguments.sabotage,
                                  .lock_source = mk_bytes_of(source, len),
                                  .step = &dying_step};
    FILE *log = NULL;
    if (arguments.log != NULL) {
        log = fopen(arguments.log, "w");
        if (log == NULL) {
            perror(arguments.log);
            return 2;
        }
        options.log = write_line;
        options.log_context = log;
    }
    signal(SIGABRT, died);
    double start = seconds_now();
    uint64_t seed = arguments.seed_first;
    for (; passed && seed <= arguments.seed_last && in_time(start); seed++) {
        passed = run_seed(&options, seed, &sum);
    }
    double took = seconds_now() - start;
    if (arguments.seed_last > arguments.seed_first) {
        print_sum(seed - arguments.seed_first, &sum, took);
    }
    if (log != NULL) {
        fclose(log);
    }
    free(source);
    return passed ? 0 : 1;
}
