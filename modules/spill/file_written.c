#include "modules/spill/file_written.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

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
    log->entries[log->count++] = (struct written){ .ref = *ref, .number = number };
}

uint64_t written_bytes(const struct written_log *log, size_t begin, size_t end)
{
    uint64_t bytes = 0;

    for (size_t i = begin; i < end; i++) {
        if (log->entries[i].ref.generation != 0)
            bytes += spill_extent_bytes(log->entries[i].ref.size_bytes);
    }
    return bytes;
}
