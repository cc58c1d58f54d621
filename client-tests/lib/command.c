#include "client-tests/lib/command.h"
#include <hiredis/sds.h>
#include <stdio.h>
#include <string.h>

void command_begin(struct text *command, int count)
{
    text_format(command, "*%d\r\n", count);
}

void command_add(struct text *command, const void *bytes, size_t size)
{
    text_format(command, "$%zu\r\n", size);
    text_add(command, bytes, size);
    text_add(command, "\r\n", 2);
}

void command_add_string(struct text *command, const char *string)
{
    command_add(command, string, strlen(string));
}

void command_add_number(struct text *command, long long number)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%lld", number);
    command_add_string(command, digits);
}

bool command_from_line(struct text *command, const char *line)
{
    int count = 0;
    sds *items = sdssplitargs(line, &count);

    if (items && count > 0) {
        command_begin(command, count);
        for (int i = 0; i < count; i++)
            command_add(command, items[i], sdslen(items[i]));
    }
    if (items) sdsfreesplitres(items, count);
    return items && count > 0;
}
