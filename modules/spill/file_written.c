#include "modules/spill/file_written.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/spill/format.h"

enum { CAPACITY_MIN = 64 };

void written_finish(struct written_log *log)
{
    free(log->entries);
    *log = (struct written_log){ 0 };
}

int written_expect(struct written_log *log, size_t count)
{
    size_t wanted = log->count + log->expected + count, capacity = log->capacity;
    struct written *entries;

    if (wanted > capacity) {
        if (capacity == 0) capacity = CAPACITY_MIN;
        while (capacity < wanted)
            capacity *= 2;
        entries = realloc(log->entries, capacity * sizeof(*entries));
        if (!entries) return -ENOMEM;
        log->entries = entries;
        log->capacity = capacity;
    }
    log->expected += count;
    return 0;
}

void written_give_up(struct written_log *log, size_t count)
{
    assert(log->expected >= count);
    log->expected -= count;
}

void written_add(struct written_log *log, const struct spill_ref *ref, uint64_t number)
{
    assert(log->expected > 0 && log->count < log->capacity);
    log->expected--;
    log->entries[log->count] = (struct written){ .ref = *ref, .number = number };
    log->bytes += spill_extent_bytes(log->entries[log->count++].ref.size_bytes);
}

static uint64_t bytes_of(const struct written *entry)
{
    return spill_extent_bytes(entry->ref.size_bytes);
}

void written_drop(struct written_log *log, struct written *entry)
{
    if (entry->ref.generation == 0) return;
    log->bytes -= bytes_of(entry);
    if (entry < log->entries + log->suspect_count) log->suspect_bytes -= bytes_of(entry);
    entry->ref.generation = 0;
}

void written_suspect_all(struct written_log *log)
{
    log->suspect_count = log->syncing_end = log->count;
    log->suspect_bytes = log->bytes;
}

void written_remove_synced(struct written_log *log)
{
    for (size_t i = 0; i < log->syncing_end; i++)
        written_drop(log, &log->entries[i]);
    assert(log->suspect_bytes == 0);
    log->count -= log->syncing_end;
    if (log->count > 0)
        memmove(log->entries, log->entries + log->syncing_end, log->count * sizeof(*log->entries));
    log->suspect_count = log->syncing_end = 0;
}
