/* kind_single.c - types whose values are one word: booleans, numbers, sizes, words, text. */
#include "server/config/config_internal.h"
#include "modules/base/number.h"
#include "server/config/parse.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- booleans ------------------------------------------------------------------------------- */

static int boolean_parse(const struct option *option, const struct slice *words, size_t count,
                         const void *base, void *out_value, struct config_error *error)
{
    bool value = slice_is(words[0], "yes");

    (void)option;
    (void)count;
    (void)base;
    if (!value && !slice_is(words[0], "no"))
        return config_refuse(error, "argument must be 'yes' or 'no'");
    memcpy(out_value, &value, sizeof(value));
    return 0;
}

static void boolean_print(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    (void)fputs(*(const bool *)value ? "yes" : "no", out);
}

const struct kind kind_boolean = { .size_bytes = sizeof(bool),
                                   .parse = boolean_parse,
                                   .print = boolean_print,
                                   .print_line = boolean_print };

/* ---- numbers -------------------------------------------------------------------------------- */

static int integer_parse(const struct option *option, const struct slice *words, size_t count,
                         const void *base, void *out_value, struct config_error *error)
{
    const int64_t greatest = (int64_t)option->greatest;
    int64_t value;

    (void)count;
    (void)base;
    assert(option->greatest <= INT64_MAX);
    if (!number_parse_int64(words[0], &value))
        return config_refuse(error, "argument couldn't be parsed into an integer");
    if (value < option->least || value > greatest)
        return config_refuse(error,
                             "argument must be between %" PRId64 " and %" PRId64 " inclusive",
                             option->least, greatest);
    memcpy(out_value, &value, sizeof(value));
    return 0;
}

static void integer_print(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    (void)fprintf(out, "%" PRId64, *(const int64_t *)value);
}

const struct kind kind_integer = { .size_bytes = sizeof(int64_t),
                                   .parse = integer_parse,
                                   .print = integer_print,
                                   .print_line = integer_print };

/* A hint: what is out of reach is taken as the nearest that is not, as in Redis. */
static int hertz_parse(const struct option *option, const struct slice *words, size_t count,
                       const void *base, void *out_value, struct config_error *error)
{
    enum { HERTZ_MIN = 1, HERTZ_MAX = 500 };
    int64_t value = 0;
    int rc = integer_parse(option, words, count, base, &value, error);

    if (rc < 0) return rc;
    if (value < HERTZ_MIN) value = HERTZ_MIN;
    if (value > HERTZ_MAX) value = HERTZ_MAX;
    memcpy(out_value, &value, sizeof(value));
    return 0;
}

const struct kind kind_hertz = { .size_bytes = sizeof(int64_t),
                                 .parse = hertz_parse,
                                 .print = integer_print,
                                 .print_line = integer_print };

static int octal_parse(const struct option *option, const struct slice *words, size_t count,
                       const void *base, void *out_value, struct config_error *error)
{
    uint32_t value = 0;
    bool is_octal = words[0].size > 0 && words[0].size <= 10; /* 30 bits */

    (void)count;
    (void)base;
    for (size_t i = 0; is_octal && i < words[0].size; i++) {
        uint8_t c = words[0].bytes[i];

        is_octal = c >= '0' && c <= '7';
        value = value * 8 + (uint32_t)(c - '0');
    }
    if (!is_octal) return config_refuse(error, "argument couldn't be parsed as an octal number");
    if (value < option->least || value > option->greatest)
        return config_refuse(error,
                             "argument must be between %" PRIo64 " and %" PRIo64 " inclusive",
                             (uint64_t)option->least, option->greatest);
    memcpy(out_value, &value, sizeof(value));
    return 0;
}

static void octal_print(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    (void)fprintf(out, "%" PRIo32, *(const uint32_t *)value);
}

const struct kind kind_octal = { .size_bytes = sizeof(uint32_t),
                                 .parse = octal_parse,
                                 .print = octal_print,
                                 .print_line = octal_print };

/* ---- sizes ---------------------------------------------------------------------------------- */

/* Of a size, or a length of time. */
static int put_bounded(const struct option *option, uint64_t value, void *out_value,
                       struct config_error *error)
{
    if (value < (uint64_t)option->least || value > option->greatest)
        return config_refuse(error,
                             "argument must be between %" PRId64 " and %" PRIu64 " inclusive",
                             option->least, option->greatest);
    memcpy(out_value, &value, sizeof(value));
    return 0;
}

static int memory_parse(const struct option *option, const struct slice *words, size_t count,
                        const void *base, void *out_value, struct config_error *error)
{
    uint64_t value;

    (void)count;
    (void)base;
    if (!number_parse_memory(words[0], &value))
        return config_refuse(error, "argument must be a memory value");
    return put_bounded(option, value, out_value, error);
}

static void memory_print(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    (void)fprintf(out, "%" PRIu64, *(const uint64_t *)value);
}

/* In the largest unit that holds it exactly. */
static void write_size(uint64_t bytes, FILE *out)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = { { "gb", 30 }, { "mb", 20 }, { "kb", 10 } };

    for (size_t i = 0; bytes > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if ((bytes & (((uint64_t)1 << units[i].shift) - 1)) != 0) continue;
        (void)fprintf(out, "%" PRIu64 "%s", bytes >> units[i].shift, units[i].suffix);
        return;
    }
    (void)fprintf(out, "%" PRIu64, bytes);
}

static void memory_print_line(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    write_size(*(const uint64_t *)value, out);
}

const struct kind kind_memory = { .size_bytes = sizeof(uint64_t),
                                  .parse = memory_parse,
                                  .print = memory_print,
                                  .print_line = memory_print_line };

static int share_parse(const struct option *option, const struct slice *words, size_t count,
                       const void *base, void *out_value, struct config_error *error)
{
    const struct slice word = words[0];
    const bool is_percent = word.size > 0 && word.bytes[word.size - 1] == '%';
    struct config_share share = { 0 };
    int64_t percent;

    (void)option;
    (void)count;
    (void)base;
    if (is_percent) {
        if (!number_parse_int64(slice_of(word.bytes, word.size - 1), &percent) || percent < 0)
            return config_refuse(error, "argument must be a memory or percent value");
        if (percent > 100)
            return config_refuse(error, "percentage argument must be less or equal to %d", 100);
        share.percent = (uint32_t)percent;
    } else if (!number_parse_memory(word, &share.bytes)) {
        return config_refuse(error, "argument must be a memory or percent value");
    }
    memcpy(out_value, &share, sizeof(share));
    return 0;
}

static void share_print(const struct option *option, const void *value, FILE *out)
{
    const struct config_share *share = value;

    (void)option;
    if (share->percent > 0)
        (void)fprintf(out, "%" PRIu32 "%%", share->percent);
    else
        (void)fprintf(out, "%" PRIu64, share->bytes);
}

const struct kind kind_memory_or_percent = { .size_bytes = sizeof(struct config_share),
                                             .parse = share_parse,
                                             .print = share_print,
                                             .print_line = share_print };

/* ---- lengths of time ------------------------------------------------------------------------ */

static int span_parse(const struct option *option, const struct slice *words, size_t count,
                      const void *base, void *out_value, struct config_error *error)
{
    uint64_t value;

    (void)count;
    (void)base;
    if (!number_parse_span(words[0], &value))
        return config_refuse(error, "argument must be a time: a number with ms, s, m, h or d");
    return put_bounded(option, value, out_value, error);
}

static void span_print_line(const struct option *option, const void *value, FILE *out)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };
    uint64_t ms = *(const uint64_t *)value;

    (void)option;
    for (size_t i = 0; ms > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms % units[i].ms != 0) continue;
        (void)fprintf(out, "%" PRIu64 "%s", ms / units[i].ms, units[i].suffix);
        return;
    }
    (void)fprintf(out, "%" PRIu64, ms);
}

const struct kind kind_span = { .size_bytes = sizeof(uint64_t),
                                .parse = span_parse,
                                .print = memory_print,
                                .print_line = span_print_line };

/* ---- one of several words ------------------------------------------------------------------- */

static int enum_parse(const struct option *option, const struct slice *words, size_t count,
                      const void *base, void *out_value, struct config_error *error)
{
    char list[400] = "";
    size_t used = 0;

    (void)count;
    (void)base;
    for (const struct option_word *word = option->words; word->word; word++) {
        int length;

        if (slice_equal_nocase(words[0], slice_of_string(word->word))) {
            memcpy(out_value, &word->value, sizeof(word->value));
            return 0;
        }
        length = snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", word->word);
        assert(length > 0 && (size_t)length < sizeof(list) - used); /* of our own words */
        used += (size_t)length;
    }
    return config_refuse(error, "argument(s) must be one of the following: %s", list);
}

static void enum_print(const struct option *option, const void *value, FILE *out)
{
    const struct option_word *word = option->words;

    while (word->word && word->value != *(const int *)value)
        word++;
    assert(word->word);
    (void)fputs(word->word, out);
}

const struct kind kind_enum = {
    .size_bytes = sizeof(int), .parse = enum_parse, .print = enum_print, .print_line = enum_print
};

/* ---- text ----------------------------------------------------------------------------------- */

static int text_parse(const struct option *option, const struct slice *words, size_t count,
                      const void *base, void *out_value, struct config_error *error)
{
    char *text;
    int rc;

    (void)count;
    (void)base;
    if (words[0].size > 0 && memchr(words[0].bytes, 0, words[0].size))
        return config_refuse(error, "argument must not contain a zero byte");
    text = malloc(words[0].size + 1);
    if (!text) return -ENOMEM;
    if (words[0].size > 0) memcpy(text, words[0].bytes, words[0].size);
    text[words[0].size] = 0;
    rc = option->check_text(option, &text, error);
    if (rc < 0)
        free(text);
    else
        memcpy(out_value, &text, sizeof(text));
    return rc;
}

static void text_print(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    (void)fputs(*(char *const *)value, out);
}

static void text_print_line(const struct option *option, const void *value, FILE *out)
{
    (void)option;
    parse_write_quoted(slice_of_string(*(char *const *)value), out);
}

static void text_finish(void *value)
{
    free(*(char **)value);
}

const struct kind kind_text = { .size_bytes = sizeof(char *),
                                .parse = text_parse,
                                .print = text_print,
                                .print_line = text_print_line,
                                .finish = text_finish };
