/* import_commands.c - commands of an append-only file, sent as they stand there, but for those that
 * the server does not have: within a MULTI one such would undo all others. */
#include <errno.h>
#include <stdio.h>

#include "modules/base/number.h"
#include "server/transfer/import_internal.h"

static void count_unknown(struct import_summary *summary, struct slice name)
{
    char text[IMPORT_NAME_BYTES];
    unsigned i;

    (void)snprintf(text, sizeof(text), "%.*s", (int)(name.size < 31 ? name.size : 31),
                   (const char *)name.bytes);
    for (i = 0; text[i] != '\0'; i++) {
        text[i] = (char)ascii_lower((uint8_t)text[i]);
        if (text[i] < '!' || text[i] > '~') text[i] = '?';
    }
    for (i = 0; i < summary->unknown_count; i++) {
        if (strcmp(summary->unknown[i].name, text) == 0) break;
    }
    if (i == IMPORT_NAMES_MAX) {
        i = IMPORT_NAMES_MAX - 1;
        strcpy(text, "others");
    }
    strcpy(summary->unknown[i].name, text);
    summary->unknown[i].count++;
    if (i == summary->unknown_count) summary->unknown_count++;
}

/* SELECT is followed here: what belongs to a database that is not here must not go into another. */
static int select_database(struct import *import, const struct slice *arguments, uint32_t count)
{
    uint64_t database;

    import->skips_database = count != 2 || !number_parse_uint64(arguments[1], &database) ||
                             database >= import->options.database_count;
    return import->skips_database ? 0 : import_select(import, database);
}

static bool is_too_long(const struct import *import, const struct slice *arguments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (arguments[i].size > import->options.value_bytes_max) return true;
    }
    return false;
}

static bool is_bracket(struct slice name)
{
    return slice_is(name, "MULTI") || slice_is(name, "EXEC");
}

static int begin_commands(struct import *import)
{
    if (import->has_commands) return 0;
    import->has_commands = true;
    return import_end_keys(import);
}

int import_long_command(void *context, struct slice name)
{
    struct import *import = context;

    (void)name;
    import->summary.long_commands++;
    return 0;
}

int import_command(void *context, struct slice *arguments, uint32_t argument_count)
{
    struct import *import = context;
    struct import_summary *summary = &import->summary;
    int rc;

    if (atomic_load_explicit(&import->is_canceled, memory_order_relaxed)) return -ECANCELED;
    rc = begin_commands(import);
    if (rc < 0) return rc;
    if (slice_is(arguments[0], "SELECT")) return select_database(import, arguments, argument_count);
    if (is_bracket(arguments[0])) {
        import->is_in_multi = slice_is(arguments[0], "MULTI");
    } else {
        if (!import->options.is_run(import->options.context, arguments[0])) {
            count_unknown(summary, arguments[0]);
            return import->skips_database ? 0
                                          : import_drop_replaced(import, arguments, argument_count);
        }
        if (import->skips_database) {
            summary->other_databases++;
            return 0;
        }
        if (is_too_long(import, arguments, argument_count)) {
            summary->long_commands++;
            return import_drop_too_long(import, arguments, argument_count);
        }
        rc = import_drop_target(import, arguments, argument_count);
        if (rc < 0) return rc;
        rc = import_put_off(import, arguments, argument_count);
        if (rc < 0) return rc;
        summary->commands++;
        import_count(import);
    }
    rc = feed_begin(import->feed, argument_count);
    for (uint32_t i = 0; i < argument_count && rc == 0; i++)
        rc = feed_argument(import->feed, arguments[i]);
    return rc < 0 ? rc : import_look_at_copy(import, arguments);
}
