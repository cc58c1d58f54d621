/* source.h - where a reader finds the bytes of one segment: a plain file is mapped, what is packed
 * is read block by block into a window.
 *
 * One thread at a time. Functions wait for the disk. */
#ifndef MODULES_JOURNAL_SOURCE_H
#define MODULES_JOURNAL_SOURCE_H
#include "modules/journal/packed.h"
#include "modules/journal/places.h"
#include "modules/journal/segment.h"

struct journal_source {
    struct os *os;
    uint64_t number;
    uint32_t seed;
    uint64_t limit;                  /* no frame reaches beyond: the capacity, or what is packed */
    struct journal_segment *segment; /* mapped, or */
    struct journal_packed *packed;   /* read into window */
    uint8_t *window;
    size_t window_capacity, window_size;
    uint64_t window_offset;
};

/* -ENOENT: the segment is nowhere. -EBADMSG, -EPROTONOSUPPORT: its header. -ENOMEM, … */
int journal_source_open(struct os *os, const struct journal_places *places, uint64_t number,
                        struct journal_source **out_source);
void journal_source_close(struct journal_source *source); /* accepts NULL */
/* Views the plain bytes [offset, offset + size), size > 0, good until the next call. -EBADMSG: the
 * file does not hold them, or they are damaged. */
int journal_source_view(struct journal_source *source, uint64_t offset, uint64_t size,
                        const uint8_t **out_bytes);
#endif
