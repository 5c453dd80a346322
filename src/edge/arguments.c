/* The command line, and the file that it names. The file comes first, wherever --config stands: what
 * is given by hand overrides what is written down. */
#include "edge/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

const char edge_help[] =
    "Example: moonkeeperd --data /var/lib/moonkeeper --port 2181\n"
    "\n"
    "Moonkeeper is a coordination server: ZooKeeper's znodes, watches and sessions for any\n"
    "ZooKeeper client, and recipes (locks, elections, queues) that run inside the server.\n"
    "\n"
    "usage: moonkeeperd [--config FILE] [--data DIR] [--port N] [--address A]\n"
    "                   [--option KEY=VALUE]...\n"
    "\n"
    "  --config FILE       options as in zoo.cfg; moonkeeper.cfg explains each of them\n"
    "  --data DIR          where everything is kept, created if missing     [./data]\n"
    "  --port N            listen on this port; 0: one that is free         [2181]\n"
    "  --address A         listen on this address only                      [all]\n"
    "  --option KEY=VALUE  any option of the file, for example --option cacheSize=1G\n"
    "  --check             say whether options and recipes are valid, and end\n"
    "  --rejoin            put aside what this member of an ensemble holds, and end: at its next "
    "start\n"
    "                      it gets everything from the leader, and does not vote before\n"
    "  --restore BACKUP    make of the backup the data of this server, and end\n"
    "  --version           print the version\n"
    "  --help              print this\n"
    "\n"
    "Log lines go to standard error. SIGTERM and SIGINT stop in order.\n"
    "Exit codes: 0 stopped in order; 1 the disk or the system failed; 2 an argument or option\n"
    "is not valid; 3 the data directory cannot be used, or another process has it; 4 the address\n"
    "or port cannot be listened on; 5 stored data is damaged.\n";

enum mk_status options_file_read(const char *path, struct mk_buf *out, struct mk_error *error)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        mk_error_set(error, "%s cannot be opened: %s", path, strerror(errno));
        return MK_IO;
    }
    size_t count = 0;
    do {
        mk_buf_reserve(out, 4096);
        count = fread(out->data + out->len, 1, 4096, file);
        out->len += count;
    } while (count > 0 && out->len <= FILE_BYTES_MAX);
    bool failed = ferror(file) != 0;
    (void)fclose(file);

    if (failed) {
        mk_error_set(error, "%s cannot be read: is it a file?", path);
        return MK_IO;
    }
    if (out->len > FILE_BYTES_MAX) {
        mk_error_set(error, "%s is larger than %zu bytes: is it the right file?", path,
                     FILE_BYTES_MAX);
        return MK_BAD_ARGUMENTS;
    }
    return MK_OK;
}

static enum mk_status config_apply(struct edge_options *options, const char *path,
                                   struct mk_error *error)
{
    struct mk_buf text = {0};
    struct mk_property property = {{0}, {0}};
    struct mk_error reason = {""};
    enum mk_status status = options_file_read(path, &text, error);
    if (status != MK_OK) {
        goto done;
    }

    mk_buf_put_u8(&text, '\0');
    options->file_text = options_text(options, (const char *)text.data);
    text.len--;
    struct mk_properties properties = mk_properties_of(mk_buf_view(&text));
    while (status == MK_OK) {
        status = mk_properties_next(&properties, &property);
        if (status == MK_MALFORMED) {
            mk_error_set(&reason, "a broken escape, or a NUL byte");
        } else if (status == MK_OK) {
            status = option_set(options, (const char *)property.key.data,
                                (const char *)property.value.data, &reason);
        }
    }
    if (status == MK_END) {
        status = MK_OK;
    } else {
        mk_error_set(error, "%s line %u: %.400s", path, properties.line, reason.text);
    }

done:
    mk_property_free(&property);
    mk_buf_free(&text);
    return status;
}

/* Arguments that stand for an option. */
static const struct {
    const char *argument;
    const char *option;
} shortcuts[] = {
    {"--data", "dataDir"}, {"--port", "clientPort"}, {"--address", "clientPortAddress"}};

/* "--name value" or "--name=value" at argv[*at]: moves *at to the last argument used. */
static bool argument_is(const char *name, int argc, char *const *argv, int *at, const char **value)
{
    size_t length = strlen(name);
    const char *argument = argv[*at];

    if (strncmp(argument, name, length) != 0) {
        return false;
    }
    if (argument[length] == '=') {
        *value = argument + length + 1;
        return true;
    }
    if (argument[length] != '\0') {
        return false;
    }
    *value = *at + 1 < argc ? argv[++*at] : NULL;
    return true;
}

static enum mk_status pair_apply(struct edge_options *options, const char *pair,
                                 struct mk_error *error)
{
    const char *equals = strchr(pair, '=');
    char key[128];

    if (equals == NULL || equals == pair || (size_t)(equals - pair) >= sizeof(key)) {
        mk_error_set(error, "--option %.200s: write it as KEY=VALUE", pair);
        return MK_BAD_ARGUMENTS;
    }
    memcpy(key, pair, (size_t)(equals - pair));
    key[equals - pair] = '\0';
    return option_set(options, key, equals + 1, error);
}

/* What an argument is, when it is one that takes a value: the option that it stands for, or itself. */
static const char *argument_find(int argc, char *const *argv, int *at, const char **value)
{
    if (argument_is("--config", argc, argv, at, value)) {
        return "--config";
    }
    if (argument_is("--option", argc, argv, at, value)) {
        return "--option";
    }
    for (size_t i = 0; i < MK_COUNT(shortcuts); i++) {
        if (argument_is(shortcuts[i].argument, argc, argv, at, value)) {
            return shortcuts[i].option;
        }
    }
    return NULL;
}

/* One argument, which may be two words; `configs`: whether this pass is the one for --config. */
static enum mk_status argument_apply(struct edge_options *options, int argc, char *const *argv,
                                     int *at, bool configs, struct mk_error *error)
{
    const char *argument = argv[*at];
    const char *value = NULL;

    if (strcmp(argument, "--check") == 0 || strcmp(argument, "--rejoin") == 0) {
        options->action = argument[2] == 'c' ? EDGE_CHECK : EDGE_REJOIN;
        return MK_OK;
    }
    if (argument_is("--restore", argc, argv, at, &value) && value != NULL) {
        options->action = EDGE_RESTORE;
        options->restore_from = options_text(options, value);
        return MK_OK;
    }
    const char *name = argument_find(argc, argv, at, &value);
    if (name == NULL) {
        mk_error_set(error, "unknown argument %.200s: moonkeeperd --help lists those there are",
                     argument);
        return MK_BAD_ARGUMENTS;
    }
    if (value == NULL) {
        mk_error_set(error, "%s needs a value after it", argument);
        return MK_BAD_ARGUMENTS;
    }
    if (strcmp(name, "--config") == 0) {
        return configs ? config_apply(options, value, error) : MK_OK;
    }
    if (configs) {
        return MK_OK;
    }
    return strcmp(name, "--option") == 0 ? pair_apply(options, value, error)
                                         : option_set(options, name, value, error);
}

static enum mk_status pass_apply(struct edge_options *options, int argc, char *const *argv,
                                 bool configs, struct mk_error *error)
{
    enum mk_status status = MK_OK;
    for (int at = 1; at < argc && status == MK_OK; at++) {
        status = argument_apply(options, argc, argv, &at, configs, error);
    }
    return status;
}

static bool asks_only(struct edge_options *options, int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->action = EDGE_SHOW_HELP;
            return true;
        }
        if (strcmp(argv[i], "--version") == 0) {
            options->action = EDGE_SHOW_VERSION;
            return true;
        }
    }
    return false;
}

enum mk_status edge_options_read(struct edge_options *options, int argc, char *const *argv,
                                 struct mk_error *error)
{
    if (asks_only(options, argc, argv)) {
        return MK_OK;
    }
    enum mk_status status = pass_apply(options, argc, argv, true, error);
    if (status == MK_OK) {
        status = pass_apply(options, argc, argv, false, error);
    }
    return status == MK_OK ? options_check(options, error) : status;
}
