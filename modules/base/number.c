#include "modules/base/number.h"
#include "modules/base/checked.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLOAT_TEXT_BYTES_MAX = 5120 - 1 }; /* Redis's own bound, minus its terminating zero */

bool number_parse_uint64(struct slice text, uint64_t *out_value)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > NUMBER_INT64_BYTES_MAX) return false;
    if (text.bytes[0] == '0' && text.size > 1) return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.bytes[i] - '0';
        if (digit > 9) return false;
        /* 19 digits always fit: only the twentieth needs looking at. */
        if (i < 19) {
            value = value * 10 + digit;
        } else if (!checked_mul_u64(value, 10, &value) || !checked_add_u64(value, digit, &value)) {
            return false;
        }
    }
    *out_value = value;
    return true;
}

bool number_parse_int64(struct slice text, int64_t *out_value)
{
    uint64_t magnitude;
    bool is_negative = text.size > 0 && text.bytes[0] == '-';
    if (is_negative) text = slice_of(text.bytes + 1, text.size - 1);
    if (!number_parse_uint64(text, &magnitude)) return false;
    if (is_negative) {
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) return false;
        *out_value = (int64_t)(0 - magnitude);
    } else {
        if (magnitude > INT64_MAX) return false;
        *out_value = (int64_t)magnitude;
    }
    return true;
}

/* The C library wants a terminating zero, and skips leading space, which Redis refuses. */
static bool copy_float_text(struct slice text, char copy[FLOAT_TEXT_BYTES_MAX + 1])
{
    if (text.size == 0 || text.size > FLOAT_TEXT_BYTES_MAX) return false;
    if (isspace(text.bytes[0])) return false;
    memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    return true;
}

bool number_parse_double(struct slice text, double *out_value)
{
    char copy[FLOAT_TEXT_BYTES_MAX + 1];
    char *end;
    double value;
    if (!copy_float_text(text, copy)) return false;
    errno = 0;
    value = strtod(copy, &end);
    if ((size_t)(end - copy) != text.size || isnan(value)) return false;
    if (errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO)) return false;
    *out_value = value;
    return true;
}

bool number_parse_long_double(struct slice text, long double *out_value)
{
    char copy[FLOAT_TEXT_BYTES_MAX + 1];
    char *end;
    long double value;
    if (!copy_float_text(text, copy)) return false;
    errno = 0;
    value = strtold(copy, &end);
    if ((size_t)(end - copy) != text.size || isnan(value)) return false;
    if (errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO)) return false;
    *out_value = value;
    return true;
}

struct unit {
    const char *name; /* NULL: the end */
    uint64_t factor;
};

static const struct unit memory_units[] = {
    { "", 1 },
    { "b", 1 },
    { "k", 1000 },
    { "kb", 1024 },
    { "m", 1000 * 1000 },
    { "mb", 1024 * 1024 },
    { "g", 1000000000 },
    { "gb", 1024 * 1024 * 1024 },
    { NULL, 0 },
};

static const struct unit span_units[] = {
    { "", 1 },          { "ms", 1 },          { "s", 1000 },
    { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 86400 * 1000 },
    { NULL, 0 },
};

/* Digits, and one of these units. */
static bool parse_with_unit(struct slice text, const struct unit *units, uint64_t *out_value)
{
    uint64_t value = 0;
    struct slice unit;
    size_t digits = 0;

    for (; digits < text.size && isdigit(text.bytes[digits]); digits++) {
        if (!checked_mul_u64(value, 10, &value)) return false;
        if (!checked_add_u64(value, (uint64_t)text.bytes[digits] - '0', &value)) return false;
    }
    if (digits == 0) return false;
    unit = slice_of(text.bytes + digits, text.size - digits);
    for (; units->name; units++) {
        if (slice_equal_nocase(unit, slice_of_string(units->name)))
            return checked_mul_u64(value, units->factor, out_value);
    }
    return false;
}

bool number_parse_memory(struct slice text, uint64_t *out_bytes)
{
    return parse_with_unit(text, memory_units, out_bytes);
}

bool number_parse_span(struct slice text, uint64_t *out_ms)
{
    return parse_with_unit(text, span_units, out_ms);
}

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

static size_t digit_count(uint64_t value)
{
    static const uint64_t powers[] = { 0u,
                                       10u,
                                       100u,
                                       1000u,
                                       10000u,
                                       100000u,
                                       1000000u,
                                       10000000u,
                                       100000000u,
                                       1000000000u,
                                       10000000000u,
                                       100000000000u,
                                       1000000000000u,
                                       10000000000000u,
                                       100000000000000u,
                                       1000000000000000u,
                                       10000000000000000u,
                                       100000000000000000u,
                                       1000000000000000000u,
                                       10000000000000000000u };
    /* 1233 / 4096 is a little above log10(2): a first guess that is at most one too large. */
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1), guess = bits * 1233 >> 12;

    return guess + 1u - (value < powers[guess]);
}

/* Of a number below 10^8, with zeros in front; no pair waits for the one behind it. */
static void put_eight_digits(char *text, uint32_t value)
{
    uint32_t high = value / 10000, low = value % 10000;

    memcpy(text, digit_pairs + high / 100 * 2, 2);
    memcpy(text + 2, digit_pairs + high % 100 * 2, 2);
    memcpy(text + 4, digit_pairs + low / 100 * 2, 2);
    memcpy(text + 6, digit_pairs + low % 100 * 2, 2);
}

/* The number of digits is known first, so they are written where they belong. */
size_t number_format_uint64(char *text, uint64_t value)
{
    size_t size = digit_count(value);
    char *p = text + size;
    uint32_t first;

    for (; value >= 100000000; value /= 100000000) {
        p -= 8;
        put_eight_digits(p, (uint32_t)(value % 100000000));
    }
    for (first = (uint32_t)value; first >= 100; first /= 100) {
        p -= 2;
        memcpy(p, digit_pairs + first % 100 * 2, 2);
    }
    if (first >= 10)
        memcpy(p - 2, digit_pairs + first * 2, 2);
    else
        p[-1] = (char)('0' + first);
    return size;
}

size_t number_format_int64(char *text, int64_t value)
{
    if (value >= 0) return number_format_uint64(text, (uint64_t)value);
    text[0] = '-';
    return 1 + number_format_uint64(text + 1, 0 - (uint64_t)value);
}

static size_t put_word(char *text, struct slice word)
{
    memcpy(text, word.bytes, word.size);
    return word.size;
}

size_t number_format_double(char *text, double value)
{
    const double exact_limit = 4503599627370496.0; /* 2^52: below, every whole number is exact */
    char copy[NUMBER_DOUBLE_BYTES_MAX + 1];
    int size;
    if (isnan(value)) return put_word(text, SLICE_LITERAL("nan"));
    if (isinf(value)) return put_word(text, slice_of_string(value > 0 ? "inf" : "-inf"));
    if (value == 0) return put_word(text, slice_of_string(signbit(value) ? "-0" : "0"));
    if (value > -exact_limit && value < exact_limit && value == (double)(int64_t)value) {
        return number_format_int64(text, (int64_t)value);
    }
    size = snprintf(copy, sizeof(copy), "%.17g", value);
    assert(size > 0 && (size_t)size < sizeof(copy));
    memcpy(text, copy, (size_t)size);
    return (size_t)size;
}

size_t number_format_human(char *text, long double value)
{
    size_t size;
    int written;
    assert(isfinite(value));
    written = snprintf(text, NUMBER_HUMAN_BYTES_MAX, "%.17Lf", value);
    assert(written > 0 && written < NUMBER_HUMAN_BYTES_MAX);
    size = (size_t)written;
    /* There is always a point with 17 places behind it. */
    while (text[size - 1] == '0')
        size--;
    if (text[size - 1] == '.') size--;
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        size = 1;
    }
    return size;
}
