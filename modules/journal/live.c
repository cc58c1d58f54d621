#include "modules/journal/live.h"

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/futex.h"

void journal_live_wake(struct journal_waiters *waiters)
{
    if (!waiters) return;
    /* Of the store before and the load below, and a sleeper's flag and look at published, one side
     * sees the other: nobody sleeps through a frame. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&waiters->is_waiting, memory_order_relaxed) == 0) return;
    atomic_store_explicit(&waiters->is_waiting, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&waiters->wake_count, 1, memory_order_release);
    (void)futex_wake_all((uint32_t *)&waiters->wake_count); /* it cannot fail on mapped memory */
}

void journal_live_publish(struct journal_live *live, struct journal_waiters *waiters,
                          uint64_t position)
{
    atomic_store_explicit(&live->published, position, memory_order_release);
    journal_live_wake(waiters);
}

bool journal_live_advance(struct journal_live *live, uint64_t *expected, uint64_t position)
{
    return atomic_compare_exchange_strong_explicit(&live->published, expected, position,
                                                   memory_order_acq_rel, memory_order_acquire);
}

int journal_live_wait(const struct journal_live *live, struct journal_waiters *waiters,
                      uint64_t seen_boot, uint64_t seen, int64_t timeout_us)
{
    uint32_t wake_count = atomic_load_explicit(&waiters->wake_count, memory_order_acquire);

    atomic_store_explicit(&waiters->is_waiting, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&live->published, memory_order_acquire) != seen) return 0;
    if (atomic_load_explicit(&live->boot, memory_order_acquire) != seen_boot) return 0;
    return futex_wait((const uint32_t *)&waiters->wake_count, wake_count, timeout_us);
}

static uint32_t note_crc(uint64_t journal, uint64_t position)
{
    uint8_t bytes[16];

    store_u64le(bytes, journal);
    store_u64le(bytes + 8, position);
    return crc32c(0, bytes, sizeof(bytes));
}

static bool note_is_whole(const struct journal_synced_note *note, uint64_t journal)
{
    uint64_t position = atomic_load_explicit(&note->position, memory_order_relaxed);

    return note_crc(journal, position) == atomic_load_explicit(&note->crc32c, memory_order_relaxed);
}

static void store_note(struct journal_synced_note *note, uint64_t journal, uint64_t position)
{
    atomic_store_explicit(&note->position, position, memory_order_relaxed);
    atomic_store_explicit(&note->crc32c, note_crc(journal, position), memory_order_release);
}

void journal_live_note_synced(struct journal_live *live, uint64_t journal, uint64_t position)
{
    uint64_t known = journal_live_synced(live, journal);
    struct journal_synced_note *note = &live->synced[0];

    /* The note that is kept must be the one that counts. */
    if (note_is_whole(note, journal) && atomic_load(&note->position) == known) {
        note = &live->synced[1];
    }
    store_note(note, journal, position);
}

void journal_live_lower_synced(struct journal_live *live, uint64_t journal, uint64_t position)
{
    for (unsigned i = 0; i < 2; i++)
        store_note(&live->synced[i], journal, position);
}

uint64_t journal_live_synced(const struct journal_live *live, uint64_t journal)
{
    uint64_t synced = 0;

    for (unsigned i = 0; i < 2; i++) {
        uint64_t position = atomic_load_explicit(&live->synced[i].position, memory_order_relaxed);
        if (note_is_whole(&live->synced[i], journal) && position > synced) synced = position;
    }
    return synced;
}
