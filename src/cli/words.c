/* Four-letter words: four bytes on a connection of their own, a text back, the end. */
#include "cli/cli.h"
#include "client/client.h"

#include <stdio.h>
#include <string.h>

#define WORD_BYTES 4

static int answer_print(struct cli *cli, const char *command,
                        const struct moonkeeper_result *answer)
{
    const char *text = answer->data;

    if (answer->error == MOONKEEPER_CONNECTION_LOSS) {
        return cli_fail(cli, CLI_UNREACHABLE, command, NULL, answer->call_message);
    }
    if (answer->error != MOONKEEPER_OK) {
        return cli_fail(cli, CLI_LOST, command, NULL, answer->call_message);
    }
    if (answer->data_bytes == 0) {
        return cli_fail(cli, CLI_FAILED, command, NULL, "the server closed without an answer");
    }
    (void)fwrite(text, 1, answer->data_bytes, stdout);
    if (text[answer->data_bytes - 1] != '\n') {
        (void)putchar('\n'); /* "imok" has none */
    }
    return CLI_OK;
}

int cli_word(struct cli *cli, int argc, char **argv)
{
    struct moonkeeper_result answer;

    if (argc != 2 || strlen(argv[1]) != WORD_BYTES) {
        return cli_usage(argv[0], "usage: moonkeeper word WORD, of four letters");
    }
    (void)moonkeeper_word(cli->servers, argv[1], (int)cli->timeout_ms, &answer);
    int code = answer_print(cli, argv[0], &answer);
    moonkeeper_result_free(&answer);
    return code;
}
