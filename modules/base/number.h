/* number.h - numbers as clients and configuration files write them.
 *
 * Parsing accepts exactly what Redis accepts, because clients rely on what is refused too. False:
 * not such a number, *out_value is untouched. Formatting writes no terminating zero and returns the
 * number of bytes. Pure functions (LC_NUMERIC must be "C"); any thread. */
#ifndef MODULES_BASE_NUMBER_H
#define MODULES_BASE_NUMBER_H
#include "modules/base/slice.h"

enum {
    NUMBER_INT64_BYTES_MAX = 20,   /* "-9223372036854775808" */
    NUMBER_DOUBLE_BYTES_MAX = 32,  /* 17 digits, sign, point, exponent */
    NUMBER_HUMAN_BYTES_MAX = 5120, /* a long double near its maximum, written out */
};

/* Canonical decimal only: no plus, space or leading zero, and "-0" is refused. What is accepted is
 * what number_format_int64 would write: such a string can be stored as its number. */
bool number_parse_int64(struct slice text, int64_t *out_value);
bool number_parse_uint64(struct slice text, uint64_t *out_value);

/* Decimal, exponent, hexadecimal, "inf", "infinity" in any case. Refused: NaN, leading or trailing
 * space, what overflows to infinity or underflows to zero. */
bool number_parse_double(struct slice text, double *out_value);
bool number_parse_long_double(struct slice text, long double *out_value);

/* "64mb", "1g", "10k", "123": k, m, g are powers of 1000, kb, mb, gb of 1024, b and nothing are
 * bytes; any case. */
bool number_parse_memory(struct slice text, uint64_t *out_bytes);
/* A length of time: "7d", "12h", "30m", "10s", "500ms", "500": nothing is ms; any case. */
bool number_parse_span(struct slice text, uint64_t *out_ms);

/* text has room for NUMBER_INT64_BYTES_MAX. */
size_t number_format_int64(char *text, int64_t value);
size_t number_format_uint64(char *text, uint64_t value);

/* As RESP2 shows a score: up to 17 significant digits, whole numbers without exponent as long as
 * they are exact, "inf", "-inf", "nan". text has room for NUMBER_DOUBLE_BYTES_MAX. */
size_t number_format_double(char *text, double value);
/* As INCRBYFLOAT shows its result: 17 places, trailing zeros cut, never an exponent. value is
 * finite. text has room for NUMBER_HUMAN_BYTES_MAX. */
size_t number_format_human(char *text, long double value);
#endif
