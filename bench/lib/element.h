/* element.h - list elements that say which they are, so that what comes back can be verified whole.
 *
 * Element number n of size s is always the same bytes: its number in hex, then a filler that
 * depends on the number. Pure functions; any thread. */
#ifndef BENCH_LIB_ELEMENT_H
#define BENCH_LIB_ELEMENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ELEMENT_DIGITS = 16, ELEMENT_BYTES_MAX = 1 << 20 };

/* Writes size bytes (at most ELEMENT_BYTES_MAX). Below 16 bytes only the last digits fit. */
void element_write(uint64_t number, uint8_t *out, size_t size);
/* Whether bytes are exactly element number of that size. */
bool element_is(uint64_t number, size_t size, const uint8_t *bytes, size_t bytes_size);
/* A size between the two, inclusive, that follows from the number. */
size_t element_size(uint64_t number, size_t size_min, size_t size_max);
/* The next of a sequence of well mixed numbers; any start but 0. */
uint64_t random_next(uint64_t *state);
#endif
