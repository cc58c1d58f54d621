#include "bench/lib/element.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { FILLER_SHIFTS = 64 }; /* neighbours differ in all of their bytes, not just in the number */

static uint8_t filler[ELEMENT_BYTES_MAX + FILLER_SHIFTS];
static pthread_once_t filler_once = PTHREAD_ONCE_INIT;

static void make_filler(void)
{
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (uint8_t)random_next(&state);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    /* xorshift, then a multiplication: Marsaglia 2003, Vigna 2016. */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

static void write_digits(uint64_t number, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = ELEMENT_DIGITS - 1; i >= 0; i--) {
        out[i] = (uint8_t)digits[number & 15];
        number >>= 4;
    }
}

void element_write(uint64_t number, uint8_t *out, size_t size)
{
    uint8_t digits[ELEMENT_DIGITS];

    assert(size <= ELEMENT_BYTES_MAX);
    pthread_once(&filler_once, make_filler);
    write_digits(number, digits);
    if (size < ELEMENT_DIGITS) {
        memcpy(out, digits + ELEMENT_DIGITS - size, size);
        return;
    }
    memcpy(out, digits, ELEMENT_DIGITS);
    memcpy(out + ELEMENT_DIGITS, filler + number % FILLER_SHIFTS, size - ELEMENT_DIGITS);
}

bool element_is(uint64_t number, size_t size, const uint8_t *bytes, size_t bytes_size)
{
    uint8_t digits[ELEMENT_DIGITS];

    if (bytes_size != size) return false;
    pthread_once(&filler_once, make_filler);
    write_digits(number, digits);
    if (size < ELEMENT_DIGITS) return memcmp(bytes, digits + ELEMENT_DIGITS - size, size) == 0;
    return memcmp(bytes, digits, ELEMENT_DIGITS) == 0 &&
           memcmp(bytes + ELEMENT_DIGITS, filler + number % FILLER_SHIFTS, size - ELEMENT_DIGITS) ==
               0;
}

size_t element_size(uint64_t number, size_t size_min, size_t size_max)
{
    uint64_t state = number + 1;

    if (size_min == size_max) return size_min;
    (void)random_next(&state); /* the first of neighbouring starts are alike */
    return size_min + random_next(&state) % (size_max - size_min + 1);
}
