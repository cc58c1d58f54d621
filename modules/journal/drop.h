/* drop.h - the bytes of a segment without those of frames that nobody needs any more.
 *
 * Such frames that lie side by side are a **run**, and each of them tells where the run ends: who
 * comes to the first one passes over all at once, and who stands at another one, too.
 *
 *   |<-------------------- a run -------------------->|
 *   +------+--------+---+---+-------+--------+-------+-----------
 *   | word | crc32c | 0 | 0 | zeros | header | zeros | a frame that stays, or END
 *   +------+--------+---+---+-------+--------+-------+-----------
 *      size: up to the run's end        likewise        JOURNAL_SEALED (format.h), both
 *
 * Sealed frames that are there already, of runs that were dropped before perhaps, are a part of
 * runs: their headers are stored anew, and what they cover stays as it is, for headers lie in it.
 *
 * What goes is told frame by frame, then the bytes are gone through from the front. Nothing here
 * waits. One thread at a time. */
#ifndef MODULES_JOURNAL_DROP_H
#define MODULES_JOURNAL_DROP_H
#include "modules/journal/format.h"

struct journal_drop_run {
    uint32_t begin, end; /* offsets */
};

struct journal_drop {
    uint32_t seed; /* of the segment's checksums */
    struct journal_drop_run *runs;
    size_t count, capacity;
    /* Going through: the run that is gone through or comes next, and where its next frame begins.
     */
    size_t at;
    uint64_t next;
    /* The last frame that began in what was gone through: it may reach beyond. What is zeroed of
     * it, and what it tells. */
    uint64_t last, last_end;
    uint32_t last_payload_bytes;
};

void journal_drop_init(struct journal_drop *drop, uint32_t seed);
void journal_drop_finish(struct journal_drop *drop); /* also of one that is all zero */
/* A frame at offset that takes so many bytes is dropped, or sealed. In the order of their offsets,
 * each once. -ENOMEM. */
int journal_drop_add(struct journal_drop *drop, uint64_t offset, uint64_t frame_bytes);
/* Takes what is dropped out of size bytes that lie at offset, behind those of the call before, or
 * at 0. Both are multiples of 8, but for the size at the segment's end. -EIO: these are not the
 * bytes that the frames were told of; part of them has changed. */
int journal_drop_apply(struct journal_drop *drop, uint8_t *bytes, size_t size, uint64_t offset);
#endif
