/* drop.h - the bytes of a segment without those of frames that nobody needs any more.
 *
 *   0      4        8         16    24
 *   +------+--------+---------+-----+----------- - - -
 *   | word | crc32c | 0       | 0   | zeros            of such a frame: JOURNAL_SEALED (format.h)
 *   +------+--------+---------+-----+----------- - - -
 *
 * Which they are is marked, then the bytes are gone through from the front. Nothing here waits. One
 * thread at a time. */
#ifndef MODULES_JOURNAL_DROP_H
#define MODULES_JOURNAL_DROP_H
#include "modules/journal/format.h"

struct journal_drop {
    uint32_t seed;       /* of the segment's checksums */
    uint64_t size_bytes; /* of the segment */
    uint64_t *starts;    /* a bit for each 8 bytes: a frame that is dropped begins there */
    /* The last one that began in what was gone through: it may reach beyond. 0: none. */
    uint64_t last;
    uint32_t last_payload_bytes;
};

/* For a segment of so many bytes. -ENOMEM. */
int journal_drop_init(struct journal_drop *drop, uint32_t seed, uint64_t size_bytes);
void journal_drop_finish(struct journal_drop *drop); /* also of one that is all zero */
/* A data frame begins at offset, and is dropped. Each once. */
void journal_drop_mark(struct journal_drop *drop, uint64_t offset);
/* Takes what is dropped out of size bytes that lie at offset, behind those of the call before, or
 * at 0. Both are multiples of 8, but for the size at the segment's end. */
void journal_drop_apply(struct journal_drop *drop, uint8_t *bytes, size_t size, uint64_t offset);
#endif
