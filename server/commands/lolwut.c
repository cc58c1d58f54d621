/* lolwut.c - LOLWUT: a sluice, and the version. The water stands as high as the lists' memory is
 * full; what runs below it is what went to disk. */
#include <stdio.h>

#include "modules/base/number.h"
#include "modules/spill/store.h"
#include "server/commands/command.h"
#include "server/commands/handlers.h"
#include "server/commands/server.h"
#include "server/observe/info_version.h"

enum { POND_ROWS = 5, POND_COLUMNS = 24, STREAM_COLUMNS = 16, ART_BYTES = 1024 };

/* How many rows of the pond are under water: one as soon as there is anything. */
static int water_rows(const struct spill_store_info *info)
{
    uint64_t row_bytes = info->memory_budget_bytes / POND_ROWS + 1;
    uint64_t rows = info->memory_bytes / row_bytes + (info->memory_bytes % row_bytes > 0);

    return rows > POND_ROWS ? POND_ROWS : (int)rows;
}

static size_t draw(char *art, size_t size, const struct spill_store_info *info)
{
    int water = water_rows(info);
    size_t used = 0;

    for (int row = 0; row < POND_ROWS; row++) {
        int depth = water - (POND_ROWS - 1 - row); /* 1: the surface, above 1: below it */
        bool is_bottom = row == POND_ROWS - 1;
        const char *stream = is_bottom && info->disk_used_bytes > 0 ? "~-" : "  ";

        art[used++] = '|';
        for (int i = 0; i < POND_COLUMNS; i++) {
            art[used++] = (char)(depth < 1 ? ' ' : depth == 1 ? "~-"[i % 2] : '=');
        }
        used += (size_t)snprintf(art + used, size - used, "%s", is_bottom ? "[ ]" : "[#]");
        for (int i = 0; i < STREAM_COLUMNS; i++) {
            art[used++] = stream[i % 2];
        }
        art[used++] = '\n';
    }
    return used;
}

/* LOLWUT [VERSION version]: other versions of the picture there are not yet. */
int lolwut_lolwut(struct call *call)
{
    char art[ART_BYTES];
    struct spill_store_info info;
    int64_t version;
    size_t used;

    if (call->argument_count > 2 && slice_is(call->arguments[1], "VERSION") &&
        !call_integer(call, 2, &version))
        return 0;
    spill_store_info(call->server->store, &info);
    used = draw(art, sizeof(art), &info);
    used += (size_t)snprintf(art + used, sizeof(art) - used,
                             "\nelements: %llu, lists: %llu, bytes on disk: %llu\n\n"
                             "Sluice ver. " SLUICE_VERSION "\n",
                             (unsigned long long)info.element_count,
                             (unsigned long long)info.deque_count,
                             (unsigned long long)info.disk_used_bytes);
    reply_verbatim(call->reply, "txt", slice_of(art, used));
    return 0;
}
