/* options.c - the rows of options.def as a table, and values by directive. */
#include "server/config/config_internal.h"
#include "server/config/checks.h"
#include "modules/journal/journal.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

static const struct option_word access_words[] = { { "no", CONFIG_ACCESS_NO },
                                                   { "yes", CONFIG_ACCESS_YES },
                                                   { "local", CONFIG_ACCESS_LOCAL },
                                                   { 0 } };
static const struct option_word loglevel_words[] = { { "debug", CONFIG_LOG_DEBUG },
                                                     { "verbose", CONFIG_LOG_VERBOSE },
                                                     { "notice", CONFIG_LOG_NOTICE },
                                                     { "warning", CONFIG_LOG_WARNING },
                                                     { 0 } };
static const struct option_word fsync_words[] = { { "everysec", CONFIG_FSYNC_EVERYSEC },
                                                  { "always", CONFIG_FSYNC_ALWAYS },
                                                  { "no", CONFIG_FSYNC_NO },
                                                  { 0 } };
static const struct option_word codec_words[] = { { "none", JOURNAL_CODEC_NONE },
                                                  { "lz4", JOURNAL_CODEC_LZ4 },
                                                  { "zstd", JOURNAL_CODEC_ZSTD },
                                                  { 0 } };
/* Of the others only the words matter: nothing here acts on their values. */
static const struct option_word eviction_words[] = {
    { "volatile-lru", 0 },   { "volatile-lfu", 1 }, { "volatile-random", 2 },
    { "volatile-ttl", 3 },   { "allkeys-lru", 4 },  { "allkeys-lfu", 5 },
    { "allkeys-random", 6 }, { "noeviction", 7 },   { 0 }
};
static const struct option_word supervised_words[] = {
    { "upstart", 0 }, { "systemd", 1 }, { "auto", 2 }, { "no", 3 }, { 0 }
};
static const struct option_word tls_auth_words[] = {
    { "no", 0 }, { "yes", 1 }, { "optional", 2 }, { 0 }
};
static const struct option_word acl_pubsub_words[] = { { "allchannels", 0 },
                                                       { "resetchannels", 1 },
                                                       { 0 } };
static const struct option_word endpoint_words[] = {
    { "ip", 0 }, { "hostname", 1 }, { "unknown-endpoint", 2 }, { 0 }
};
static const struct option_word oom_words[] = {
    { "no", 0 }, { "yes", 1 }, { "relative", 1 }, { "absolute", 2 }, { 0 }
};
static const struct option_word propagation_words[] = {
    { "ignore", 0 }, { "panic", 1 }, { "panic-on-replicas", 2 }, { 0 }
};
static const struct option_word diskless_load_words[] = {
    { "disabled", 0 }, { "on-empty-db", 1 }, { "swapdb", 2 }, { 0 }
};
static const struct option_word sanitize_words[] = {
    { "no", 0 }, { "yes", 1 }, { "clients", 2 }, { 0 }
};
static const struct option_word shutdown_words[] = { { "default", 0 },
                                                     { "save", CONFIG_SHUTDOWN_SAVE },
                                                     { "nosave", CONFIG_SHUTDOWN_NOSAVE },
                                                     { "now", CONFIG_SHUTDOWN_NOW },
                                                     { "force", CONFIG_SHUTDOWN_FORCE },
                                                     { 0 } };
static const struct option_word facility_words[] = {
    { "user", 0 },   { "local0", 1 }, { "local1", 2 }, { "local2", 3 }, { "local3", 4 },
    { "local4", 5 }, { "local5", 6 }, { "local6", 7 }, { "local7", 8 }, { 0 }
};

#define ROW(row_name, field, text, row_kind)                                                       \
    .name = (row_name), .default_text = (text), .kind = &(row_kind),                               \
    .offset = offsetof(struct config, field)
static const struct option options[] = {
#define BOOLEAN(name_, field, text, flags_)                                                        \
    { ROW(name_, field, text, kind_boolean), .flags = (flags_), .unit = "" },
#define INTEGER(name_, field, text, least_, greatest_, unit_, flags_)                              \
    { ROW(name_, field, text, kind_integer), .least = (least_), .greatest = (greatest_),           \
      .flags = (flags_), .unit = (unit_) },
#define HERTZ(name_, field, text, least_, greatest_, flags_)                                       \
    { ROW(name_, field, text, kind_hertz), .least = (least_), .greatest = (greatest_),             \
      .flags = (flags_), .unit = "hertz" },
#define OCTAL(name_, field, text, least_, greatest_, flags_)                                       \
    { ROW(name_, field, text, kind_octal), .least = (least_), .greatest = (greatest_),             \
      .flags = (flags_), .unit = "" },
#define MEMORY(name_, field, text, least_, greatest_, flags_)                                      \
    { ROW(name_, field, text, kind_memory), .least = (least_), .greatest = (greatest_),            \
      .flags = (flags_), .unit = "bytes" },
#define SPAN(name_, field, text, least_, greatest_, flags_)                                        \
    { ROW(name_, field, text, kind_span), .least = (least_), .greatest = (greatest_),              \
      .flags = (flags_), .unit = "milliseconds" },
#define MEMORY_OR_PERCENT(name_, field, text, flags_)                                              \
    { ROW(name_, field, text, kind_memory_or_percent), .flags = (flags_), .unit = "bytes" },
#define ENUM(name_, field, text, words_, flags_)                                                   \
    { ROW(name_, field, text, kind_enum), .words = (words_), .flags = (flags_), .unit = "" },
#define FLAGS(name_, field, text, words_, flags_)                                                  \
    { ROW(name_, field, text, kind_flags), .words = (words_), .flags = (flags_), .unit = "" },
#define NOTIFY(name_, field, text, flags_)                                                         \
    { ROW(name_, field, text, kind_notify), .flags = (flags_), .unit = "" },
#define TEXT(name_, field, text, check, flags_)                                                    \
    { ROW(name_, field, text, kind_text), .check_text = (check), .flags = (flags_), .unit = "" },
#define WORDS(name_, field, text, check, flags_)                                                   \
    { ROW(name_, field, text, kind_words), .check_words = (check), .flags = (flags_), .unit = "" },
#define PERCENTILES(name_, field, text, flags_)                                                    \
    { ROW(name_, field, text, kind_percentiles), .flags = (flags_), .unit = "" },
#define OUTPUT_LIMITS(name_, field, text, flags_)                                                  \
    { ROW(name_, field, text, kind_output_limits), .flags = (flags_), .unit = "bytes" },
#include "server/config/options.def"
};
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static const struct alias {
    const char *alias, *name;
} aliases[] = {
#define ALIAS(alias_, name_) { (alias_), (name_) },
#include "server/config/options.def"
};
enum { ALIAS_COUNT = sizeof(aliases) / sizeof(aliases[0]) };

static const struct reason {
    const char *name, *reason;
} default_reasons[] = {
#define ONLY_DEFAULT(name_, reason_) { (name_), (reason_) },
#include "server/config/options.def"
}, refusals[] = {
#define REFUSED(name_, reason_) { (name_), (reason_) },
#include "server/config/options.def"
};

int config_refuse(struct config_error *out_error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(out_error->text, sizeof(out_error->text), format, arguments);
    va_end(arguments);
    return -EINVAL;
}

size_t option_count(void)
{
    return OPTION_COUNT;
}

const struct option *option_at(size_t index)
{
    assert(index < OPTION_COUNT);
    return &options[index];
}

size_t option_index(const struct option *option)
{
    assert(option >= options && option < options + OPTION_COUNT);
    return (size_t)(option - options);
}

static const struct option *find_exact(struct slice name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (slice_equal_nocase(name, slice_of_string(options[i].name))) return &options[i];
    }
    return NULL;
}

const struct option *option_find(struct slice name, const char **out_name)
{
    const struct option *option = find_exact(name);
    const char *found = option ? option->name : NULL;

    for (size_t i = 0; !option && i < ALIAS_COUNT; i++) {
        if (!slice_equal_nocase(name, slice_of_string(aliases[i].alias))) continue;
        option = find_exact(slice_of_string(aliases[i].name));
        found = aliases[i].alias;
        assert(option);
    }
    if (option && out_name) *out_name = found;
    return option;
}

const char *option_name_at(size_t index, const struct option **out_option)
{
    if (index < OPTION_COUNT) {
        *out_option = &options[index];
        return options[index].name;
    }
    index -= OPTION_COUNT;
    if (index >= ALIAS_COUNT) return NULL;
    *out_option = find_exact(slice_of_string(aliases[index].name));
    assert(*out_option);
    return aliases[index].alias;
}

const char *option_refusal(struct slice name)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (slice_equal_nocase(name, slice_of_string(refusals[i].name))) return refusals[i].reason;
    }
    return NULL;
}

void *option_value(struct config *config, const struct option *option)
{
    return (uint8_t *)config + option->offset;
}

const void *option_value_const(const struct config *config, const struct option *option)
{
    return (const uint8_t *)config + option->offset;
}

static const char *default_reason(const struct option *option)
{
    for (size_t i = 0; i < sizeof(default_reasons) / sizeof(default_reasons[0]); i++) {
        if (strcmp(default_reasons[i].name, option->name) == 0) return default_reasons[i].reason;
    }
    return NULL;
}

/* 0: value is option's default in whatever spelling. */
static int require_default(const struct option *option, const void *value,
                           struct config_error *error)
{
    const char *reason = default_reason(option);
    char *text = NULL;
    int rc;

    if (!reason) return 0;
    rc = option_print(option, value, false, &text);
    if (rc < 0) return rc;
    if (strcmp(text, option->default_text) != 0) rc = config_refuse(error, "%s", reason);
    free(text);
    return rc;
}

int option_parse(const struct option *option, const struct slice *words, size_t count,
                 const void *base, void *out_value, struct config_error *error)
{
    struct value_room room;
    int rc;

    assert(option->kind->size_bytes <= sizeof(room));
    if (!option->kind->takes_many_words && count != 1)
        return config_refuse(error, "wrong number of arguments");
    rc = option->kind->parse(option, words, count, base, &room, error);
    if (rc < 0) return rc;
    rc = require_default(option, &room, error);
    if (rc < 0)
        option_finish(option, &room);
    else
        memcpy(out_value, &room, option->kind->size_bytes);
    return rc;
}

int option_print(const struct option *option, const void *value, bool for_line, char **out_text)
{
    char *text = NULL;
    size_t size = 0;
    bool failed;
    FILE *out = open_memstream(&text, &size);

    if (!out) return -ENOMEM;
    (for_line ? option->kind->print_line : option->kind->print)(option, value, out);
    failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed) {
        free(text);
        return -ENOMEM;
    }
    *out_text = text;
    return 0;
}

void option_finish(const struct option *option, void *value)
{
    if (option->kind->finish) option->kind->finish(value);
}
