/* import_skipped.c - what an import has left out, in words. */
#include <stdio.h>

#include "server/transfer/import.h"

struct reason {
    const char *what;
    uint64_t count;
};

static void tell_commands(const struct import_summary *summary,
                          void (*each)(void *context, const char *what, uint64_t count),
                          void *context)
{
    for (unsigned i = 0; i < summary->unknown_count; i++) {
        char what[IMPORT_NAME_BYTES + 16];

        (void)snprintf(what, sizeof(what), "command %s", summary->unknown[i].name);
        each(context, what, summary->unknown[i].count);
    }
}

void import_each_skipped(const struct import_summary *summary,
                         void (*each)(void *context, const char *what, uint64_t count),
                         void *context)
{
    const struct reason reasons[] = {
        { "expired keys", summary->expired },
        { "existing keys", summary->existing },
        { "sets", summary->kinds[RDB_SET] },
        { "hashes", summary->kinds[RDB_HASH] },
        { "sorted sets", summary->kinds[RDB_ZSET] },
        { "module values", summary->kinds[RDB_MODULE] },
        { "of other databases", summary->other_databases },
        { "too long names", summary->long_names },
        { "too long strings", summary->long_values },
        { "too long elements", summary->long_elements },
        { "too long entries", summary->long_entries },
        { "too long names in streams", summary->long_names_inside },
        { "groups' pending entries, which were too many", summary->pending_too_many },
        { "too long commands", summary->long_commands },
        { "functions", summary->functions },
        { "module data", summary->module_data },
        { "keys replaced by what is not here", summary->replaced },
        { "torn bytes at the end", summary->torn_bytes },
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].count > 0) each(context, reasons[i].what, reasons[i].count);
    }
    tell_commands(summary, each, context);
}
