/* live.h - what a journal's writer tells its readers while it runs, in memory that both map.
 *
 * The second page of `meta` belongs to the writer; readers map it read-only. It is in memory order
 * (a journal is not moved between machines of different byte order) and is nobody's only witness:
 * after a loss of power it may be older or newer than the frames, so `published` counts only under
 * the boot of the kernel that it was stored under, and each synced note carries its checksum.
 *
 * `waiters` is a file of its own: whoever falls asleep leaves a flag there. What stands in it can
 * cost others a wake-up and no more; but who may write it can cut it, and a touch beyond its end is
 * a signal. So it is writable for the writer's user only, and other readers poll. */
#ifndef MODULES_JOURNAL_LIVE_H
#define MODULES_JOURNAL_LIVE_H
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_PAGE_BYTES = 4096, JOURNAL_LINE_BYTES = 64 };

struct journal_synced_note {
    _Atomic uint64_t position; /* stored by the writer after the sync that it tells of */
    _Atomic uint32_t crc32c;   /* of position, seeded by the journal; stored after it */
    uint32_t zero;
};

struct journal_live {
    /* Stored last by a writer that opens the journal (release): published is true from then on. */
    _Alignas(JOURNAL_LINE_BYTES) _Atomic uint64_t boot;
    /* Every frame below is complete. Stored with release after the frames; only grows. */
    _Atomic uint64_t published;
    /* Written in turn, so that one is whole whenever the power goes. */
    _Alignas(JOURNAL_LINE_BYTES) struct journal_synced_note synced[2];
    /* Of several writers. At or before the first place that nobody has claimed; moved on by whoever
     * finds a frame there, and only to what follows that. */
    _Alignas(JOURNAL_LINE_BYTES) _Atomic uint64_t tail;
    /* Not 0: a sync has failed, with that error; nobody may sync until recovery. */
    _Atomic int32_t sync_error;
};
static_assert(sizeof(struct journal_live) <= JOURNAL_PAGE_BYTES, "a page");
static_assert(offsetof(struct journal_live, published) == 8, "shared by programs");
static_assert(offsetof(struct journal_live, synced) == 64, "shared by programs");
static_assert(offsetof(struct journal_live, tail) == 128, "shared by programs");

struct journal_waiters {
    /* 1: somebody sleeps, or is about to. Stored by readers, taken back by the writer. */
    _Alignas(JOURNAL_LINE_BYTES) _Atomic uint32_t is_waiting;
    /* Readers sleep on it; the writer counts it up to wake them. */
    _Atomic uint32_t wake_count;
};
static_assert(offsetof(struct journal_waiters, wake_count) == 4, "shared by programs");

/* Stores a new published position and wakes who sleeps. waiters may be NULL. */
void journal_live_publish(struct journal_live *live, struct journal_waiters *waiters,
                          uint64_t position);
/* The same for several writers: moves published from what is expected there to what follows it.
 * False: somebody else did, and *expected is what they made of it. Wakes nobody. */
bool journal_live_advance(struct journal_live *live, uint64_t *expected, uint64_t position);
/* Wakes who sleeps for what has been published. waiters may be NULL. */
void journal_live_wake(struct journal_waiters *waiters);
/* Sleeps until boot or the published position are not what was seen any more, or timeout_us is over
 * (futex.h); may return early. 0, -ETIMEDOUT or -EINTR. */
int journal_live_wait(const struct journal_live *live, struct journal_waiters *waiters,
                      uint64_t seen_boot, uint64_t seen, int64_t timeout_us);
/* Notes that everything below position is on the device. */
void journal_live_note_synced(struct journal_live *live, uint64_t journal, uint64_t position);
/* Forgets all notes but that. */
void journal_live_lower_synced(struct journal_live *live, uint64_t journal, uint64_t position);
/* The greatest position that a whole note tells of; 0: none does. */
uint64_t journal_live_synced(const struct journal_live *live, uint64_t journal);
#endif
