/* import_replaced.c - keys that a command of an append-only file gives a value which does not come
 * in. What they held before must not stay as if nothing had happened: it goes.
 *
 *   a command that is left out and replaces a key (SUNIONSTORE, RESTORE, ...)   DEL key, counted
 *   SET of a string that is too long                                            DEL key
 *   RENAME, COPY: what they name first may be of a type that is not here. In the file they have
 *   succeeded, so what the second held has gone in any case                     DEL key, and the
 *                                                                               command
 *
 * RENAME then fails, and is told among the commands that failed. COPY answers 0: the answer is
 * waited for, but not within MULTI, where there is none yet. */
#include "modules/base/number.h"
#include "server/transfer/import_internal.h"

/* Where the name of the key is that is replaced; or where options begin, one of which names it. */
static const struct replacing {
    const char *name;
    uint32_t index;
    bool is_option;
} table[] = {
    { .name = "SUNIONSTORE", .index = 1 },
    { .name = "SINTERSTORE", .index = 1 },
    { .name = "SDIFFSTORE", .index = 1 },
    { .name = "ZUNIONSTORE", .index = 1 },
    { .name = "ZINTERSTORE", .index = 1 },
    { .name = "ZDIFFSTORE", .index = 1 },
    { .name = "ZRANGESTORE", .index = 1 },
    { .name = "GEOSEARCHSTORE", .index = 1 },
    { .name = "RESTORE", .index = 1 },
    { .name = "BITOP", .index = 2 },
    { .name = "SORT", .index = 2, .is_option = true },
    { .name = "GEORADIUS", .index = 6, .is_option = true },
    { .name = "GEORADIUSBYMEMBER", .index = 5, .is_option = true },
};

static bool is_word(struct slice argument, const char *word)
{
    return slice_equal_nocase(argument, slice_of_string(word));
}

/* The last one counts. A pattern may be the word itself. */
static uint32_t find_option(const struct slice *arguments, uint32_t begin, uint32_t count)
{
    uint32_t key = 0;

    for (uint32_t i = begin; i + 1 < count; i++) {
        if (is_word(arguments[i], "STORE") || is_word(arguments[i], "STOREDIST"))
            key = ++i;
        else if (is_word(arguments[i], "BY") || is_word(arguments[i], "GET"))
            i++;
    }
    return key;
}

static uint32_t find_key(const struct replacing *row, const struct slice *arguments, uint32_t count)
{
    if (row->is_option) return find_option(arguments, row->index, count);
    return row->index < count ? row->index : 0;
}

static int drop(struct import *import, struct slice name)
{
    int rc;

    if (name.size > import->options.value_bytes_max) return 0; /* it cannot be here */
    rc = feed_begin(import->feed, 2);
    if (rc == 0) rc = feed_argument(import->feed, SLICE_LITERAL("DEL"));
    return rc < 0 ? rc : feed_argument(import->feed, name);
}

int import_drop_replaced(struct import *import, const struct slice *arguments, uint32_t count)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t key;

        if (!is_word(arguments[0], table[i].name)) continue;
        key = find_key(&table[i], arguments, count);
        if (key == 0) return 0;
        import->summary.replaced++;
        return drop(import, arguments[key]);
    }
    return 0;
}

int import_drop_too_long(struct import *import, const struct slice *arguments, uint32_t count)
{
    return slice_is(arguments[0], "SET") && count > 2 ? drop(import, arguments[1]) : 0;
}

/* COPY source destination [DB database] [REPLACE] */
static uint64_t copy_database(const struct import *import, const struct slice *arguments,
                              uint32_t count, uint64_t here)
{
    uint64_t database = here;

    for (uint32_t i = 3; i + 1 < count; i++) {
        if (slice_is(arguments[i], "DB") && !number_parse_uint64(arguments[i + 1], &database))
            return here; /* it fails there */
    }
    return database < import->options.database_count ? database : here;
}

static bool is_copy(struct slice name)
{
    return slice_is(name, "COPY");
}

int import_drop_target(struct import *import, const struct slice *arguments, uint32_t count)
{
    uint64_t here = import->database < 0 ? 0 : (uint64_t)import->database, there = here;
    bool is_rename = slice_is(arguments[0], "RENAME") || slice_is(arguments[0], "RENAMENX");
    int rc;

    if (count < 3 || (!is_rename && !is_copy(arguments[0]))) return 0;
    if (!is_rename) there = copy_database(import, arguments, count, here);
    if (there == here && slice_equal(arguments[1], arguments[2])) return 0;
    rc = there == here ? 0 : import_select(import, there);
    if (rc == 0) rc = drop(import, arguments[2]);
    if (rc == 0 && there != here) rc = import_select(import, here);
    return rc;
}

int import_look_at_copy(struct import *import, const struct slice *arguments)
{
    uint64_t errors;
    int rc;

    if (!is_copy(arguments[0]) || import->is_in_multi) return 0;
    errors = feed_replies(import->feed)->error_count;
    rc = feed_wait(import->feed);
    if (rc == 0 && feed_replies(import->feed)->last_integer == 0 &&
        feed_replies(import->feed)->error_count == errors)
        import->summary.replaced++;
    return rc;
}
