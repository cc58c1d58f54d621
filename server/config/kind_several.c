/* kind_several.c - types whose values are several words: lists, sets of flags, percentiles, limits
 * by class. */
#include "server/config/config_internal.h"
#include "modules/base/number.h"
#include "server/config/checks.h"
#include "server/config/parse.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static bool is_one_empty_word(const struct slice *words, size_t count)
{
    return count == 1 && words[0].size == 0;
}

/* ---- lists of words ------------------------------------------------------------------------- */

static void words_finish(void *value)
{
    struct config_words *list = value;

    for (size_t i = 0; i < list->count; i++)
        free(list->words[i]);
    free(list->words);
    *list = (struct config_words){ 0 };
}

static int words_append(struct config_words *list, struct slice word)
{
    char *text = malloc(word.size + 1);

    if (!text) return -ENOMEM;
    if (word.size > 0) memcpy(text, word.bytes, word.size);
    text[word.size] = 0;
    list->words[list->count++] = text;
    return 0;
}

/* One empty word empties the list, whatever it is to be added to. */
static int words_parse(const struct option *option, const struct slice *words, size_t count,
                       const void *base, void *out_value, struct config_error *error)
{
    const struct config_words *old = base;
    struct config_words list = { 0 };
    size_t old_count = old ? old->count : 0;
    int rc;

    for (size_t i = 0; i < count; i++) {
        if (words[i].size > 0 && memchr(words[i].bytes, 0, words[i].size))
            return config_refuse(error, "argument must not contain a zero byte");
    }
    rc = option->check_words(option, words, count, error);
    if (rc < 0) return rc;
    if (is_one_empty_word(words, count)) old_count = count = 0;
    rc = -ENOMEM;
    list.words = calloc(old_count + count + 1, sizeof(*list.words));
    if (!list.words) goto out;
    for (size_t i = 0; i < old_count; i++) {
        rc = words_append(&list, slice_of_string(old->words[i]));
        if (rc < 0) goto out;
    }
    for (size_t i = 0; i < count; i++) {
        rc = words_append(&list, words[i]);
        if (rc < 0) goto out;
    }
    memcpy(out_value, &list, sizeof(list));
    list = (struct config_words){ 0 };
    rc = 0;
out:
    words_finish(&list);
    return rc;
}

static void words_print(const struct option *option, const void *value, FILE *out)
{
    const struct config_words *list = value;

    (void)option;
    for (size_t i = 0; i < list->count; i++)
        (void)fprintf(out, "%s%s", i ? " " : "", list->words[i]);
}

static void words_print_line(const struct option *option, const void *value, FILE *out)
{
    const struct config_words *list = value;

    (void)option;
    if (list->count == 0) (void)fputs("\"\"", out);
    for (size_t i = 0; i < list->count; i++) {
        const struct slice word = slice_of_string(list->words[i]);

        if (i > 0) (void)fputc(' ', out);
        if (parse_needs_quotes(word))
            parse_write_quoted(word, out);
        else
            (void)fputs(list->words[i], out);
    }
}

const struct kind kind_words = { .size_bytes = sizeof(struct config_words),
                                 .takes_many_words = true,
                                 .parse = words_parse,
                                 .print = words_print,
                                 .print_line = words_print_line,
                                 .finish = words_finish };

/* ---- sets of flags -------------------------------------------------------------------------- */

static int flags_parse(const struct option *option, const struct slice *words, size_t count,
                       const void *base, void *out_value, struct config_error *error)
{
    const int both = CONFIG_SHUTDOWN_SAVE | CONFIG_SHUTDOWN_NOSAVE;
    int flags = 0;

    if (count == 0) return config_refuse(error, "wrong number of arguments");
    for (size_t i = 0; i < count; i++) {
        int flag;
        int rc = kind_enum.parse(option, &words[i], 1, base, &flag, error);

        if (rc < 0) return rc;
        flags |= flag;
    }
    if ((flags & both) == both)
        return config_refuse(error,
                             "shutdown options SAVE and NOSAVE can't be used simultaneously");
    memcpy(out_value, &flags, sizeof(flags));
    return 0;
}

static void flags_print(const struct option *option, const void *value, FILE *out)
{
    const int flags = *(const int *)value;
    bool is_first = true;

    for (const struct option_word *word = option->words; word->word; word++) {
        if (word->value != 0 ? (flags & word->value) == 0 : flags != 0) continue;
        (void)fprintf(out, "%s%s", is_first ? "" : " ", word->word);
        is_first = false;
    }
}

const struct kind kind_flags = { .size_bytes = sizeof(int),
                                 .takes_many_words = true,
                                 .parse = flags_parse,
                                 .print = flags_print,
                                 .print_line = flags_print };

/* In the order in which they are shown. */
static const struct {
    uint8_t letter;
    int flag;
} notify_letters[] = {
    { 'g', CONFIG_NOTIFY_GENERIC },  { '$', CONFIG_NOTIFY_STRING },
    { 'l', CONFIG_NOTIFY_LIST },     { 's', CONFIG_NOTIFY_SET },
    { 'h', CONFIG_NOTIFY_HASH },     { 'z', CONFIG_NOTIFY_ZSET },
    { 'x', CONFIG_NOTIFY_EXPIRED },  { 'e', CONFIG_NOTIFY_EVICTED },
    { 't', CONFIG_NOTIFY_STREAM },   { 'd', CONFIG_NOTIFY_MODULE },
    { 'n', CONFIG_NOTIFY_NEW },      { 'K', CONFIG_NOTIFY_KEYSPACE },
    { 'E', CONFIG_NOTIFY_KEYEVENT }, { 'm', CONFIG_NOTIFY_MISS },
};

static int notify_flag(uint8_t letter)
{
    if (letter == 'A') return CONFIG_NOTIFY_ALL;
    for (size_t i = 0; i < sizeof(notify_letters) / sizeof(notify_letters[0]); i++) {
        if (notify_letters[i].letter == letter) return notify_letters[i].flag;
    }
    return 0;
}

static int notify_parse(const struct option *option, const struct slice *words, size_t count,
                        const void *base, void *out_value, struct config_error *error)
{
    int flags = 0;

    (void)option;
    (void)count;
    (void)base;
    for (size_t i = 0; i < words[0].size; i++) {
        const int flag = notify_flag(words[0].bytes[i]);

        if (flag == 0)
            return config_refuse(error, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        flags |= flag;
    }
    memcpy(out_value, &flags, sizeof(flags));
    return 0;
}

static void notify_print(const struct option *option, const void *value, FILE *out)
{
    int flags = *(const int *)value;

    (void)option;
    if ((flags & CONFIG_NOTIFY_ALL) == CONFIG_NOTIFY_ALL) {
        (void)fputc('A', out);
        flags &= ~CONFIG_NOTIFY_ALL;
    }
    for (size_t i = 0; i < sizeof(notify_letters) / sizeof(notify_letters[0]); i++) {
        if (flags & notify_letters[i].flag) (void)fputc(notify_letters[i].letter, out);
    }
}

static void notify_print_line(const struct option *option, const void *value, FILE *out)
{
    (void)fputc('"', out);
    notify_print(option, value, out);
    (void)fputc('"', out);
}

const struct kind kind_notify = { .size_bytes = sizeof(int),
                                  .parse = notify_parse,
                                  .print = notify_print,
                                  .print_line = notify_print_line };

/* ---- percentiles ---------------------------------------------------------------------------- */

static int percentiles_parse(const struct option *option, const struct slice *words, size_t count,
                             const void *base, void *out_value, struct config_error *error)
{
    struct config_percentiles list = { 0 };

    (void)base;
    if (is_one_empty_word(words, count)) count = 0;
    if (count > CONFIG_PERCENTILES_MAX)
        return config_refuse(error, "%s takes at most %d parameters", option->name,
                             CONFIG_PERCENTILES_MAX);
    for (size_t i = 0; i < count; i++) {
        double value;

        if (!number_parse_double(words[i], &value))
            return config_refuse(error, "Invalid %s parameters", option->name);
        if (!(value >= 0 && value <= 100))
            return config_refuse(error, "%s parameters should sit between [0.0,100.0]",
                                 option->name);
        list.values[list.count++] = value;
    }
    memcpy(out_value, &list, sizeof(list));
    return 0;
}

/* Six decimals at most, trailing zeros cut. */
static void percentiles_print(const struct option *option, const void *value, FILE *out)
{
    const struct config_percentiles *list = value;

    (void)option;
    for (size_t i = 0; i < list->count; i++) {
        char text[32];
        size_t size = (size_t)snprintf(text, sizeof(text), "%.6f", list->values[i]);

        while (text[size - 1] == '0')
            size--;
        if (text[size - 1] == '.') size--;
        (void)fprintf(out, "%s%.*s", i ? " " : "", (int)size, text);
    }
}

static void percentiles_print_line(const struct option *option, const void *value, FILE *out)
{
    const struct config_percentiles *list = value;

    if (list->count == 0)
        (void)fputs("\"\"", out);
    else
        percentiles_print(option, value, out);
}

const struct kind kind_percentiles = { .size_bytes = sizeof(struct config_percentiles),
                                       .takes_many_words = true,
                                       .parse = percentiles_parse,
                                       .print = percentiles_print,
                                       .print_line = percentiles_print_line };

/* ---- limits of output by class of client ------------------------------------------------------
 */

static const char *const class_names[CONFIG_CLASSES] = { "normal", "slave", "pubsub" };

/* -1: no such class. */
static int class_of(struct slice word)
{
    if (slice_is(word, "replica")) return 1;
    for (int i = 0; i < CONFIG_CLASSES; i++) {
        if (slice_equal_nocase(word, slice_of_string(class_names[i]))) return i;
    }
    return -1;
}

/* Classes that are not mentioned keep what base says. */
static int limits_parse(const struct option *option, const struct slice *words, size_t count,
                        const void *base, void *out_value, struct config_error *error)
{
    enum { WORDS_A_CLASS = 4 };
    struct config_output_limits limits = { 0 };

    (void)option;
    if (base) limits = *(const struct config_output_limits *)base;
    if (is_one_empty_word(words, count)) count = 0;
    if (count % WORDS_A_CLASS != 0)
        return config_refuse(error, "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < count; i += WORDS_A_CLASS) {
        const int class_ = class_of(words[i]);
        struct config_output_limit limit;
        int64_t seconds;

        if (class_ < 0)
            return config_refuse(error,
                                 "Invalid client class specified in buffer limit configuration.");
        if (!number_parse_memory(words[i + 1], &limit.hard_bytes) ||
            !number_parse_memory(words[i + 2], &limit.soft_bytes) ||
            !number_parse_int64(words[i + 3], &seconds) || seconds < 0 || seconds > INT32_MAX)
            return config_refuse(error,
                                 "Error in hard, soft or soft_seconds setting in buffer limit "
                                 "configuration.");
        limit.soft_seconds = (uint32_t)seconds;
        limits.classes[class_] = limit;
    }
    memcpy(out_value, &limits, sizeof(limits));
    return 0;
}

static void limits_print(const struct option *option, const void *value, FILE *out)
{
    const struct config_output_limits *limits = value;

    (void)option;
    for (size_t i = 0; i < CONFIG_CLASSES; i++) {
        const struct config_output_limit *limit = &limits->classes[i];

        (void)fprintf(out, "%s%s %" PRIu64 " %" PRIu64 " %" PRIu32, i ? " " : "", class_names[i],
                      limit->hard_bytes, limit->soft_bytes, limit->soft_seconds);
    }
}

const struct kind kind_output_limits = { .size_bytes = sizeof(struct config_output_limits),
                                         .takes_many_words = true,
                                         .names_parts = true,
                                         .parse = limits_parse,
                                         .print = limits_print,
                                         .print_line = limits_print };
