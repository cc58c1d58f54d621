/* parse.h - lines of a configuration file to words, and words back to text.
 *
 * Pure functions; any thread. */
#ifndef SERVER_CONFIG_PARSE_H
#define SERVER_CONFIG_PARSE_H
#include "modules/base/slice.h"
#include <stdio.h>

/* The words of one line. */
struct parse_words {
    struct slice *words; /* each with a zero byte behind it, which its size does not count */
    size_t count;
    uint8_t *bytes; /* what the slices point into */
};

/* Splits line as modules/base/words.h says. 0: *out_words is the caller's to finish, with no words
 * for an empty line. -EINVAL: a quote is open at the end or followed by a letter. -ENOMEM. */
int parse_line(struct slice line, struct parse_words *out_words);
/* Frees what parse_line made and leaves no words; calling it again does nothing. */
void parse_words_finish(struct parse_words *words);

/* True: word would not come back from parse_line as it is, because it is empty or has white space,
 * quotes, backslashes or bytes that are not printable ASCII. */
bool parse_needs_quotes(struct slice word);
/* Writes word between double quotes such that parse_line reads the same bytes again. Errors are
 * left in out (ferror). */
void parse_write_quoted(struct slice word, FILE *out);
#endif
