#include "modules/spill/file_kept.h"

#include <assert.h>

#include "modules/spill/file_internal.h"
#include "modules/spill/format.h"
#include "modules/spill/space_kept.h"

static struct spill_run run_of(const struct spill_ref *ref)
{
    return (struct spill_run){
        .first = ref->position_bytes / SPILL_BLOCK_BYTES,
        .count = spill_extent_bytes(ref->size_bytes) / SPILL_BLOCK_BYTES,
    };
}

int spill_file_keep(struct spill_file *file, const struct spill_ref *ref)
{
    struct spill_run run = run_of(ref);

    if (spill_extent_is_shared(ref->size_bytes)) {
        return spill_space_keep_shared(file->space, run.first);
    }
    spill_space_keep(file->space, run);
    return 0;
}

void spill_file_unkeep(struct spill_file *file, const struct spill_ref *ref)
{
    struct spill_run run = run_of(ref);

    if (spill_extent_is_shared(ref->size_bytes)) {
        spill_space_unkeep_shared(file->space, run.first);
        return;
    }
    spill_space_unkeep(file->space, run);
}

int spill_file_persist(struct spill_file *file)
{
    int rc = spill_space_keep_books(file->space);

    if (rc == 0) file->is_persistent = true;
    return rc;
}

/* What is just being written is no extent yet: its room was taken all the same. */
static void leave_out(struct spill_file *file, const struct spill_write *write)
{
    for (; write; write = write->next) {
        for (unsigned i = 0; i < write->item_count; i++)
            spill_file_unkeep(file, &write->items[i].ref);
        for (unsigned i = 0; i < write->piece_count; i++)
            spill_space_unkeep(file->space, write->pieces[i]);
    }
}

int spill_file_begin(struct spill_file *file)
{
    int rc = spill_file_persist(file);

    if (rc == 0) rc = spill_space_begin(file->space);
    if (rc < 0) return rc;
    leave_out(file, file->writes.first);
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        if (file->slots[i].is_busy) leave_out(file, file->slots[i].write);
    }
    if (file->trim.kind == TRIM_PUNCH) spill_space_unkeep(file->space, file->trim.run);
    return 0;
}

void spill_file_complete(struct spill_file *file)
{
    spill_space_complete(file->space);
}

void spill_file_abort(struct spill_file *file, bool may_exist)
{
    spill_space_abort(file->space, may_exist);
}

bool spill_file_settle(struct spill_file *file)
{
    return spill_space_settle(file->space);
}

bool spill_file_is_settling(const struct spill_file *file)
{
    return spill_space_is_settling(file->space);
}

int spill_file_pin(struct spill_file *file)
{
    return spill_space_pin(file->space);
}

void spill_file_unpin(struct spill_file *file)
{
    spill_space_unpin(file->space);
}

const char *spill_file_path(const struct spill_file *file)
{
    return file->path;
}

bool spill_file_may_hold(const struct spill_file *file, const struct spill_ref *ref)
{
    uint64_t bytes = spill_extent_bytes(ref->size_bytes), at = ref->position_bytes;
    bool is_shared = spill_extent_is_shared(ref->size_bytes);
    uint64_t unit = is_shared ? (uint64_t)SPILL_SHARED_ALIGN : (uint64_t)SPILL_BLOCK_BYTES;

    if (ref->size_bytes == 0 || at % unit != 0) return false;
    if (is_shared && at % SPILL_BLOCK_BYTES + bytes > SPILL_BLOCK_BYTES) return false;
    if (at / SPILL_BLOCK_BYTES >= spill_space_end(file->space)) return false;
    for (uint64_t offset = 0; offset < bytes; offset += SPILL_BLOCK_BYTES) {
        if (!spill_space_is_used(file->space, (at + offset) / SPILL_BLOCK_BYTES)) return false;
    }
    return true;
}

uint64_t spill_file_deferred_bytes(const struct spill_file *file)
{
    return spill_space_deferred(file->space) * SPILL_BLOCK_BYTES;
}

const struct spill_space *spill_file_space(const struct spill_file *file)
{
    return file->space;
}
