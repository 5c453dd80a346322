/* Gives each file of a folder to a fuzzer's entry point, once: the corpus as a test, in builds
 * without libFuzzer. A folder that does not exist holds no files. */
#include "base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return; /* A folder, or gone: not an input. */
    }
    struct mk_buf input = {0};
    size_t got;
    do {
        mk_buf_reserve(&input, 65536);
        got = fread(input.data + input.len, 1, 65536, file);
        input.len += got;
    } while (got > 0);
    fclose(file);

    /* An allocation of exactly the input's size, so that a read past its end is seen. */
    uint8_t *exact = mk_alloc(input.len);
    if (input.len > 0) {
        memcpy(exact, input.data, input.len);
    }
    LLVMFuzzerTestOneInput(exact, input.len);
    mk_free(exact);
    mk_buf_free(&input);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    int count = 0;
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
            replay_file(path);
            count++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    printf("ok - %d inputs replayed\n", count);
    return 0;
}
