/* The recipes that lie beside the server: DIRECTORY/<name>.lua, each a recipe of that name. They are
 * read once, at the start; whether and when they enter the tree is the core's affair. */
#include "edge/options.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECIPE_BYTES_MAX \
    ((size_t)256 * 1024) /* A transaction has to hold it, and half as much again. */
#define RECIPES_MAX 1000
#define NAME_MAX_BYTES 64
#define SUFFIX ".lua"

/* A recipe's name begins the name of its operations: lock.acquire. Letters, digits, _ and -. */
static bool name_of(const char *file, size_t *length)
{
    size_t bytes = strlen(file);
    if (bytes <= strlen(SUFFIX) || strcmp(file + bytes - strlen(SUFFIX), SUFFIX) != 0) {
        return false;
    }
    *length = bytes - strlen(SUFFIX);
    if (*length > NAME_MAX_BYTES || !isalpha((unsigned char)file[0])) {
        return false;
    }
    for (size_t i = 0; i < *length; i++) {
        if (!isalnum((unsigned char)file[i]) && file[i] != '_' && file[i] != '-') {
            return false;
        }
    }
    return true;
}

static int recipe_filter(const struct dirent *entry)
{
    size_t length = 0;
    return name_of(entry->d_name, &length);
}

static bool is_directory(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* The folder of the program, without its name. */
static bool program_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length <= 0) {
        return false;
    }
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    *(slash != NULL ? slash : folder) = '\0';
    return true;
}

/* Where an installation has them, then where a checkout does: <prefix>/sbin/moonkeeperd belongs to
 * <prefix>/share, build/release/moonkeeperd to the folder beside build. Last, ./recipes. */
static bool directory_find(char *path, size_t size)
{
    static const char *const beside[] = {"/../share/moonkeeper/recipes", "/../../recipes"};
    char program[4096];
    bool known = program_folder(program, sizeof(program));

    for (size_t i = 0; i < MK_COUNT(beside) && known; i++) {
        int bytes = snprintf(path, size, "%s%s", program, beside[i]);
        if (bytes > 0 && (size_t)bytes < size && is_directory(path)) {
            return true;
        }
    }
    (void)snprintf(path, size, "recipes");
    return is_directory(path);
}

static enum mk_status recipe_read(struct edge_options *options, const char *directory,
                                  const char *file, struct server_recipe *out,
                                  struct mk_error *error)
{
    char path[4096];
    size_t name_bytes = 0;
    bool named = name_of(file, &name_bytes);
    MK_ASSERT(named);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, file) >= sizeof(path)) {
        mk_error_set(error, "%.200s/%.200s: the path is too long", directory, file);
        return MK_IO;
    }

    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        mk_error_set(error, "recipe %s cannot be opened: %s", path, strerror(errno));
        return MK_IO;
    }
    uint8_t *source = mk_alloc(RECIPE_BYTES_MAX + 1);
    size_t bytes = fread(source, 1, RECIPE_BYTES_MAX + 1, stream);
    bool failed = ferror(stream) != 0;
    (void)fclose(stream);
    if (failed || bytes > RECIPE_BYTES_MAX) {
        mk_error_set(error, "recipe %s %s", path,
                     failed ? "cannot be read" : "is larger than 256 KiB");
        mk_free(source);
        return MK_IO;
    }
    out->name = mk_arena_copy(&options->texts, mk_bytes_of(file, name_bytes));
    out->source = mk_arena_copy(&options->texts, mk_bytes_of(source, bytes));
    mk_free(source);
    return MK_OK;
}

static void entries_free(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
}

static enum mk_status directory_read(struct edge_options *options, const char *directory,
                                     struct mk_error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, recipe_filter, alphasort);
    enum mk_status status = MK_OK;

    if (count < 0 || count > RECIPES_MAX) {
        mk_error_set(error,
                     "the recipes in %s cannot be listed: %s: correct recipeDir, or set"
                     " recipes=off",
                     directory, count < 0 ? strerror(errno) : "there are more than 1000");
        status = MK_IO;
        goto done;
    }
    struct server_recipe *recipes =
        mk_arena_alloc(&options->texts, ((size_t)count + 1) * sizeof(*recipes));
    for (int i = 0; i < count && status == MK_OK; i++) {
        status = recipe_read(options, directory, entries[i]->d_name, &recipes[i], error);
    }
    if (status == MK_OK) {
        options->server.catalogue = recipes;
        options->server.catalogue_count = (size_t)count;
    }

done:
    entries_free(entries, count);
    return status;
}

enum mk_status edge_catalogue_read(struct edge_options *options, struct mk_error *error)
{
    char found[4096];

    if (!options->server.recipes) {
        return MK_OK;
    }
    if (options->recipe_dir == NULL) {
        if (!directory_find(found, sizeof(found))) {
            return MK_OK;
        }
        options->recipe_dir = options_text(options, found);
    }
    return directory_read(options, options->recipe_dir, error);
}
