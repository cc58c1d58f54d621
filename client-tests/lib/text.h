/* text.h - bytes that grow: replies, logs, commands under construction.
 *
 * A zeroed struct text is empty. bytes[size] is always a zero once something was added, so that the
 * contents can be printed. Running out of memory ends the program: a test has no use for less. */
#ifndef CLIENT_TESTS_LIB_TEXT_H
#define CLIENT_TESTS_LIB_TEXT_H
#include <stdarg.h>
#include <stddef.h>

struct text {
    char *bytes;
    size_t size, capacity; /* size < capacity, or both 0 */
};

void text_add(struct text *text, const void *bytes, size_t size);
void text_add_string(struct text *text, const char *string);
__attribute__((format(printf, 2, 3))) void text_format(struct text *text, const char *format, ...);
/* bytes as redis-cli shows a string: in double quotes, with escapes. */
void text_add_quoted(struct text *text, const char *bytes, size_t size);
/* As text_add_quoted, but the middle of what is longer than shown_max is left out and counted. */
void text_add_shortened(struct text *text, const char *bytes, size_t size, size_t shown_max);
/* So many bytes that mean nothing. */
void text_add_filler(struct text *text, size_t size);
/* Room for size more bytes behind text->bytes + text->size; the caller then raises text->size. */
char *text_reserve(struct text *text, size_t size);
/* Forgets the contents, keeps the memory. */
void text_clear(struct text *text);
/* Frees the memory; text is empty again. */
void text_finish(struct text *text);
/* The contents as a string, "" when nothing was ever added; good until the next change. */
const char *text_string(const struct text *text);
/* Adds a whole file. 0 or -errno. */
int text_add_file(struct text *text, const char *path);
#endif
