/* Private to cli: what the program says about itself, on standard output. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

void help_print(void);
/* About one command; CLI_USAGE, said: there is no such command. */
int help_topic_print(const char *name);

#endif
