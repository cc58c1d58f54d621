/* What a journal tells of itself. */
#include "modules/journal/journal_internal.h"

uint64_t journal_appended(const struct journal *journal)
{
    return journal_here(journal);
}

uint64_t journal_published(const struct journal *journal)
{
    return journal->published;
}

uint64_t journal_synced(const struct journal *journal)
{
    return journal->synced;
}

int journal_error(const struct journal *journal)
{
    return journal->error;
}

static uint64_t reserved_bytes(const struct journal *journal)
{
    uint64_t room = atomic_load_explicit(&journal->active->room_end, memory_order_acquire);
    uint64_t bytes = room > journal->offset ? room - journal->offset : 0;

    if (journal->room_kind == JOURNAL_ROOM_NONE || journal->is_in_memory) return 0;
    if (journal->next) {
        bytes += atomic_load_explicit(&journal->next->room_end, memory_order_acquire);
    }
    return bytes;
}

uint64_t journal_mapped_bytes(const struct journal *journal)
{
    if (journal->is_in_memory || journal->way != JOURNAL_MAPPED || !journal->active->map) return 0;
    return journal->offset + reserved_bytes(journal);
}

void journal_get_info(const struct journal *journal, struct journal_info *out_info)
{
    static const struct journal_jobs none;
    const struct tend_job *tend = journal->jobs ? &journal->jobs->tend : &none.tend;

    *out_info = (struct journal_info){
        .settings = journal->meta.settings,
        .id = journal->meta.journal,
        .way = journal->way,
        .is_without_reserve = journal->room_kind == JOURNAL_ROOM_NONE,
        .start = journal_segment_start(journal->first_segment),
        .appended = journal_here(journal),
        .published = journal->published,
        .synced = journal->synced,
        .last_time_ms = journal->last_time_ms,
        .last_seq = journal->last_seq,
        .segment_count = journal->active->number - journal->first_segment + 1,
        .reserved_bytes = reserved_bytes(journal),
        .buffered_bytes = journal->buffered_bytes,
        .memory_bytes = journal->is_in_memory ? journal->active->size_bytes : 0,
        .append_count = journal->append_count,
        .append_bytes = journal->append_bytes,
        .sync_count = journal->sync_count,
        .roll_count = journal->roll_count,
        .stall_count = journal->stall_count,
        .index_error_count = journal->index_error_count,
        .packed_count = tend->packed_count,
        .moved_count = tend->moved_count,
        .damaged_count = tend->damaged_count,
        .reindexed_count = tend->reindexed_count,
        .is_resting = journal->is_resting,
        .tend_error = tend->error,
        .error = journal->error,
        .room_error = journal->room_error,
        .write_error = journal->write_error,
        .damage = journal->damage,
    };
}
