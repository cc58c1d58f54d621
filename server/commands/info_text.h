/* info_text.h - a text that grows line by line. */
#ifndef SERVER_COMMANDS_INFO_TEXT_H
#define SERVER_COMMANDS_INFO_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct info_text {
    char *bytes; /* the user frees it */
    size_t size, capacity;
    bool is_out_of_memory; /* what was added since is not in it */
};

void info_add(struct info_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* 1536 as "1.50K". */
void info_human(uint64_t bytes, char *text, size_t size);
#endif
