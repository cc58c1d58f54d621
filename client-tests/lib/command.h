/* command.h - commands as RESP, built argument by argument. */
#ifndef CLIENT_TESTS_LIB_COMMAND_H
#define CLIENT_TESTS_LIB_COMMAND_H
#include "client-tests/lib/text.h"
#include <stdbool.h>

/* The head of a command of count arguments, its name included; command_add then adds each. */
void command_begin(struct text *command, int count);
void command_add(struct text *command, const void *bytes, size_t size);
void command_add_string(struct text *command, const char *string);
void command_add_number(struct text *command, long long number);
/* A whole command from a line as typed into redis-cli. False: unbalanced quotes, or empty. */
bool command_from_line(struct text *command, const char *line);
#endif
