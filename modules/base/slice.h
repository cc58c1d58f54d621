/* slice.h - a view of bytes that somebody else owns.
 *
 * Whoever hands out a slice says how long it stays good. A slice of size 0 may have any pointer,
 * NULL included. Pure functions; any thread. */
#ifndef MODULES_BASE_SLICE_H
#define MODULES_BASE_SLICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *bytes;
    size_t size;
};

/* A slice of a string literal or array of known size, without the terminating zero. */
#define SLICE_LITERAL(text) ((struct slice){ (const uint8_t *)(text), sizeof(text) - 1 })

static inline struct slice slice_of(const void *bytes, size_t size)
{
    return (struct slice){ (const uint8_t *)bytes, size };
}

static inline struct slice slice_of_string(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

/* ASCII only, whatever the locale: command names, options and directives are ASCII. */
static inline uint8_t ascii_lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t)(c | 0x20) : c;
}

static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        if (ascii_lower(a.bytes[i]) != ascii_lower(b.bytes[i])) return false;
    }
    return true;
}

/* word is a literal in any case: slice_is(argument, "MAXLEN"). */
#define slice_is(slice, word) slice_equal_nocase((slice), SLICE_LITERAL(word))
#endif
