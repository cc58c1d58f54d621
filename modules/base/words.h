/* words.h - a line of words, some of them quoted: inline commands, configuration files.
 *
 * Words are parted by white space. A word or its end may be quoted: within "..." \n \r \t \a \b and
 * \xHH are read, and a backslash before any other byte stands for that byte; within '...' only \'
 * is. A closing quote must end the word. As Redis reads them. Pure functions; any thread. */
#ifndef MODULES_BASE_WORDS_H
#define MODULES_BASE_WORDS_H
#include "modules/base/slice.h"

/* Decoded words are written into scratch, which has room for line.size + 1 bytes: each with a zero
 * behind it, which its size does not count. The number of words; -E2BIG: more than capacity.
 * -EINVAL: a quote is open at the end, or something else than white space follows it. */
int words_split(struct slice line, uint8_t *scratch, struct slice *out_words, uint32_t capacity);
#endif
