/* glob.h - patterns of KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACLs.
 *
 *     *  any bytes, none too      ?  one byte           \x  x itself
 *     [abc] [a-z] [^abc]  one byte that is, or is not, among them
 *
 * Bytes, not characters. Oddities are those of Redis, on which users' patterns may rely: a class
 * that is never closed ends with the pattern; "[]" matches nothing and "[^]" any byte; a backslash
 * that ends the pattern matches itself; ranges may be written backwards and compare bytes as
 * signed; the empty text is matched by the empty pattern only, not by "*". Pure functions; any
 * thread. */
#ifndef MODULES_BASE_GLOB_H
#define MODULES_BASE_GLOB_H
#include "modules/base/slice.h"

enum glob_case { GLOB_MATCH_CASE, GLOB_IGNORE_CASE /* of ASCII letters */ };

/* Steps that one match may take: patterns with many stars are somebody's attack on a server that
 * serves everybody from one thread. One step looks at one byte of the pattern. */
enum { GLOB_STEPS_MAX = 1000000 };

/* A match that would take more steps counts as none. */
bool glob_match(struct slice pattern, struct slice text, enum glob_case letter_case);

/* The same with a budget for many matches of a pattern: *steps is lowered by what was used and
 * stays at 0 when it ran out; then the result is false. */
bool glob_match_budgeted(struct slice pattern, struct slice text, enum glob_case letter_case,
                         uint64_t *steps);
#endif
