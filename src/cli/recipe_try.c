/* moonkeeper recipe test, explore: a recipe tried on this machine, without a server.
 *
 *   find what belongs to the recipe: its spec, its invariants
 *   find luajit, busted, and the Lua modules of this checkout or installation
 *   run them as a child; its end is ours
 *
 * The recipe runs in a LuaJIT of its own, with the testkit in it: should a test bring down the server
 * that it makes, it is the child that dies, and this program that says so. */
#include "cli/recipe.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define NUMBER_BYTES 24
#define ARGUMENTS_MAX 16 /* of a child */
#define SEEDS_DEFAULT 100
#define STEPS_DEFAULT 200
#define STEPS_MAX 100000 /* as lua/moonkeeper/explore.lua says */
#define SERVERS_MAX 5
#define SEED_MAX INT32_MAX
#define MINUTES_MAX (7 * 24 * 60)
#define EXPLORER "moonkeeper/explore/main.lua"

/* ---- Files ---- */

/* The folder of a file, and its name without ".lua". False: it is not a Lua file that can be read. */
static bool recipe_split(const char *file, char folder[PATH_BYTES], char name[PATH_BYTES])
{
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    size_t len = strlen(base);

    if (len <= 4 || strcmp(base + len - 4, ".lua") != 0 || strlen(file) >= PATH_BYTES ||
        access(file, R_OK) != 0) {
        return false;
    }
    (void)snprintf(name, PATH_BYTES, "%.*s", (int)len - 4, base);
    (void)snprintf(folder, PATH_BYTES, "%.*s", (int)(base - file), file);
    return true;
}

/* The folder beside `folder` that is called spec: "x/recipes/" -> "x/spec/". */
static void sibling_folder(const char *folder, char out[PATH_BYTES])
{
    size_t len = strlen(folder);
    size_t last = len > 0 ? len - 1 : 0; /* where the last component begins */

    while (last > 0 && folder[last - 1] != '/') {
        last--;
    }
    bool named = len > 0 && folder[last] != '.' && folder[last] != '/';
    (void)snprintf(out, PATH_BYTES, "%.*s%sspec/", (int)(named ? last : len), folder,
                   named ? "" : "../");
}

/* NAME_spec.lua or NAME_invariants.lua: beside the recipe, or in ../spec. */
static int companion_find(const char *command, const char *file, const char *kind,
                          char out[PATH_BYTES])
{
    char folder[PATH_BYTES];
    char beside[PATH_BYTES];
    char name[PATH_BYTES];

    if (!recipe_split(file, folder, name)) {
        return cli_usage(command, "%s is not a recipe (NAME.lua) that can be read", file);
    }
    sibling_folder(folder, beside);
    const char *const places[] = {folder, beside};
    for (size_t i = 0; i < MK_COUNT(places); i++) {
        int len = snprintf(out, PATH_BYTES, "%s%s_%s.lua", places[i], name, kind);
        if (len < PATH_BYTES && access(out, R_OK) == 0) {
            return CLI_OK;
        }
    }
    return cli_usage(command, "there is no %s_%s.lua in %s, nor in %s", name, kind,
                     *folder != '\0' ? folder : ".", beside);
}

struct modules {
    char lua[PATH_BYTES];     /* the folder that holds moonkeeper/testkit.lua */
    char library[PATH_BYTES]; /* the folder that holds moonkeeper_testkit.so */
};

static bool folder_holds(char folder[PATH_BYTES], const char *self, const char *below,
                         const char *file)
{
    char path[PATH_BYTES];

    return snprintf(folder, PATH_BYTES, "%s/%s", self, below) < PATH_BYTES &&
           snprintf(path, PATH_BYTES, "%s/%s", folder, file) < PATH_BYTES &&
           access(path, R_OK) == 0;
}

/* Those of the checkout in which this program was built, else of its installation; seen from where
 * the program lies, since both may have been moved. */
static bool modules_find(struct modules *modules)
{
    static const struct {
        const char *lua, *library;
    } places[] = {{"../../lua", "."}, {CLI_MODULES_FROM_BIN, CLI_LIBRARIES_FROM_BIN}};
    char self[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    for (size_t i = 0; i < MK_COUNT(places); i++) {
        if (folder_holds(modules->lua, self, places[i].lua, EXPLORER) &&
            folder_holds(modules->library, self, places[i].library, "moonkeeper_testkit.so")) {
            return true;
        }
    }
    return false;
}

static bool program_there(const char *name)
{
    const char *at = getenv("PATH");
    char path[PATH_BYTES];

    while (at != NULL && *at != '\0') {
        size_t part = strcspn(at, ":");
        int len = snprintf(path, sizeof(path), "%.*s/%s", (int)part, at, name);
        if (part > 0 && len < PATH_BYTES && access(path, X_OK) == 0) {
            return true;
        }
        at += part + (at[part] == ':' ? 1 : 0);
    }
    return false;
}

/* ---- The child ---- */

/* Lua looks in `folder` first, then where it would have looked. */
static bool search_path_set(const char *variable, const char *folder, const char *pattern)
{
    const char *before = getenv(variable);
    char path[2 * PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/%s;%s", folder, pattern,
                       before != NULL && *before != '\0' ? before : ";");

    return len > 0 && len < (int)sizeof(path) && setenv(variable, path, 1) == 0;
}

static int ready(const struct cli *cli, const char *command, struct modules *modules)
{
    if (!program_there("luajit")) {
        return cli_fail(cli, CLI_FAILED, command, NULL,
                        "luajit is not there; on Debian: apt install luajit");
    }
    if (!modules_find(modules)) {
        return cli_fail(cli, CLI_FAILED, command, NULL,
                        "the Lua modules are neither in this checkout, which has to be built, "
                        "nor in this installation");
    }
    if (!search_path_set("LUA_PATH", modules->lua, "?.lua;") ||
        !search_path_set("LUA_CPATH", modules->library, "?.so;")) {
        return cli_fail(cli, CLI_FAILED, command, NULL, "LUA_PATH or LUA_CPATH is too long");
    }
#ifdef CLI_PRELOAD
    (void)setenv("LD_PRELOAD", CLI_PRELOAD, 1); /* what this build's modules need beneath them */
#endif
    return CLI_OK;
}

/* `arguments` end with a NULL. */
static int child_run(const struct cli *cli, const char *command, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX]; /* execvp() does not promise to leave them as they are */
    char message[128];
    size_t count = 0;
    int status = 0;

    do {
        MK_ASSERT(count < ARGUMENTS_MAX);
        memcpy(&argv[count], &arguments[count], sizeof(argv[0]));
    } while (arguments[count++] != NULL);
    pid_t child = fork();

    if (child == 0) {
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    if (child < 0) {
        return cli_fail(cli, CLI_FAILED, command, NULL, strerror(errno));
    }
    (void)signal(SIGINT, SIG_IGN); /* Ctrl-C reaches the child as well, and its end is ours */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGINT) {
        (void)snprintf(message, sizeof(message), "the server in it died: %s",
                       strsignal(WTERMSIG(status)));
        (void)cli_fail(cli, CLI_FAILED, command, NULL, message);
    }
    if (WIFSIGNALED(status)) {
        return CLI_SIGNALLED + WTERMSIG(status);
    }
    return WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAILED;
}

/* ---- test ---- */

int recipe_test(struct cli *cli, int argc, char **argv)
{
    struct modules modules;
    char spec[PATH_BYTES];
    char folder[PATH_BYTES];
    char name[PATH_BYTES];

    if (argc != 2 || argv[1][0] == '-') {
        return cli_usage(argv[0], "usage: moonkeeper recipe test FILE");
    }
    int code = companion_find(argv[0], argv[1], "spec", spec);
    if (code == CLI_OK && !program_there("busted")) {
        code = cli_fail(cli, CLI_FAILED, argv[0], NULL,
                        "busted is not there; on Debian: apt install lua-busted");
    }
    if (code == CLI_OK) {
        code = ready(cli, argv[0], &modules);
    }
    if (code != CLI_OK || !recipe_split(argv[1], folder, name)) {
        return code;
    }
    /* A spec that does not say which recipes its world has means this one and those beside it. */
    (void)setenv("MOONKEEPER_RECIPES", *folder != '\0' ? folder : ".", 0);
    const char *const arguments[] = {"busted", "--lua=luajit",
                                     cli->json ? "--output=json" : "--output=TAP", spec, NULL};
    return child_run(cli, argv[0], arguments);
}

/* ---- explore ---- */

struct exploration {
    char invariants[PATH_BYTES];
    long first, last; /* seeds */
    long steps;
    long minutes; /* 0: as many seeds as were asked for */
    long servers;
};

static bool number_read(const char *text, long min, long max, const char **end, long *out)
{
    char *after = NULL;

    errno = 0;
    *out = *text >= '0' && *text <= '9' ? strtol(text, &after, 10) : -1;
    if (after == NULL || errno != 0 || *out < min || *out > max) {
        return false;
    }
    *end = after;
    return true;
}

static bool number_only(const char *text, long min, long max, long *out)
{
    const char *end;

    return number_read(text, min, max, &end, out) && *end == '\0';
}

/* "7..90", or "7". */
static bool seeds_read(const char *text, struct exploration *exploration)
{
    const char *end;

    if (!number_read(text, 0, SEED_MAX, &end, &exploration->first)) {
        return false;
    }
    exploration->last = exploration->first;
    return *end == '\0' || (strncmp(end, "..", 2) == 0 &&
                            number_only(end + 2, exploration->first, SEED_MAX, &exploration->last));
}

static int option_read(const char *command, int option, struct exploration *exploration)
{
    switch (option) {
    case 'e':
        return seeds_read(optarg, exploration)
                   ? CLI_OK
                   : cli_usage(command, "%s is neither a seed nor seeds like 1..500", optarg);
    case 'n':
        return number_only(optarg, 1, STEPS_MAX, &exploration->steps)
                   ? CLI_OK
                   : cli_usage(command, "steps are 1 to %d", STEPS_MAX);
    case 'm':
        return number_only(optarg, 1, MINUTES_MAX, &exploration->minutes)
                   ? CLI_OK
                   : cli_usage(command, "minutes are 1 to %d", MINUTES_MAX);
    case 's':
        return number_only(optarg, 1, SERVERS_MAX, &exploration->servers)
                   ? CLI_OK
                   : cli_usage(command, "servers are 1 to %d", SERVERS_MAX);
    case 'i':
        (void)snprintf(exploration->invariants, PATH_BYTES, "%s", optarg);
        return access(optarg, R_OK) == 0 ? CLI_OK : cli_usage(command, "%s cannot be read", optarg);
    default: return cli_usage(command, "usage: moonkeeper recipe explore FILE [OPTION]...");
    }
}

/* Options may stand before and after FILE. */
static int options_read(int argc, char **argv, struct exploration *exploration, const char **file)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 'e'},
        {"seeds", required_argument, NULL, 'e'},
        {"steps", required_argument, NULL, 'n'},
        {"minutes", required_argument, NULL, 'm'},
        {"invariants", required_argument, NULL, 'i'},
        {"servers", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *exploration = (struct exploration){
        .first = 1, .last = SEEDS_DEFAULT, .steps = STEPS_DEFAULT, .servers = 1};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int code = option_read(argv[0], option, exploration);
        if (code != CLI_OK) {
            return code;
        }
    }
    if (optind != argc - 1) {
        return option_read(argv[0], '?', exploration);
    }
    *file = argv[optind];
    return exploration->invariants[0] != '\0'
               ? CLI_OK
               : companion_find(argv[0], *file, "invariants", exploration->invariants);
}

int recipe_explore(struct cli *cli, int argc, char **argv)
{
    struct exploration exploration;
    struct modules modules;
    const char *file = NULL;
    char program[PATH_BYTES + sizeof(EXPLORER)];
    char numbers[5][NUMBER_BYTES];

    int code = options_read(argc, argv, &exploration, &file);
    if (code == CLI_OK) {
        code = ready(cli, argv[0], &modules);
    }
    if (code != CLI_OK) {
        return code;
    }
    (void)snprintf(program, sizeof(program), "%s/" EXPLORER, modules.lua);
    (void)snprintf(numbers[0], NUMBER_BYTES, "%ld", exploration.first);
    (void)snprintf(numbers[1], NUMBER_BYTES, "%ld", exploration.last);
    (void)snprintf(numbers[2], NUMBER_BYTES, "%ld", exploration.steps);
    (void)snprintf(numbers[3], NUMBER_BYTES, "%ld", exploration.minutes);
    (void)snprintf(numbers[4], NUMBER_BYTES, "%ld", exploration.servers);
    const char *const arguments[] = {
        "luajit",   "-joff",    program,    file,       exploration.invariants,      numbers[0],
        numbers[1], numbers[2], numbers[3], numbers[4], cli->json ? "json" : "text", NULL};
    return child_run(cli, argv[0], arguments);
}
