/* index.h - where in a segment to begin looking for an id: one entry every 64 KiB of frames.
 *
 * In the file N.idx, one behind the other, in the order of the frames:
 *
 *   0        4        8         16    24
 *   +--------+--------+---------+-----+
 *   | offset | crc32c | time_ms | seq |   of the first data frame there; crc32c covers the others,
 *   +--------+--------+---------+-----+   seeded as the segment's frames
 *
 * It is a hint: whatever the file holds, what counts is the entries from the front on that are
 * right and grow. With none, a search begins at the segment's first frame. The writer collects
 * entries in memory and I/O threads write them, so a failure here stops nobody. */
#ifndef MODULES_JOURNAL_INDEX_H
#define MODULES_JOURNAL_INDEX_H
#include "modules/journal/format.h"

struct os;

enum { JOURNAL_INDEX_STEP_BYTES = 64 << 10, JOURNAL_INDEX_ENTRY_BYTES = 24 };

struct journal_index_entry {
    uint32_t offset;
    uint64_t time_ms, seq;
};

struct journal_index {
    struct journal_index_entry *entries;
    size_t count, capacity;
    uint64_t due; /* a frame that begins before this gets no entry */
};

void journal_index_finish(struct journal_index *index); /* frees; also of one that is all zero */
void journal_index_clear(struct journal_index *index);  /* no entries; keeps its memory */
/* *to, which has none or others, has the same entries then. -ENOMEM: some of them. */
int journal_index_copy(struct journal_index *to, const struct journal_index *from);
/* Tells of a data frame, in order. An entry is made when it lies far enough from the last one, and
 * left out when there is no memory. */
void journal_index_add(struct journal_index *index, uint64_t offset, uint64_t time_ms,
                       uint64_t seq);
/* The offset of the last entry whose id is not greater; 0: there is none. */
uint64_t journal_index_find_id(const struct journal_index *index, uint64_t time_ms, uint64_t seq);
/* The offset of the last entry that lies before that one; 0: there is none. */
uint64_t journal_index_find_before(const struct journal_index *index, uint64_t offset);
bool journal_index_equal(const struct journal_index *a, const struct journal_index *b);

/* Writes entries [from, count) to the file, which is made when missing; from 0 also cuts what is
 * behind. Waits for the disk. */
int journal_index_write(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                        const struct journal_index *index, size_t from);
/* The same for all of it, beside what is there, which stays if that fails; what has taken its place
 * is on the device, its name not yet. */
int journal_index_replace(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                          const struct journal_index *index);
/* 0 also when there is none. */
int journal_index_remove(struct os *os, const char *path, uint64_t segment);
/* False also when that cannot be found out. */
bool journal_index_is_there(struct os *os, const char *path, uint64_t segment);
/* Adds what counts of the file to an index that is empty. 0 also when there is no file. -ENOMEM, or
 * the error of reading. Waits for the disk. */
int journal_index_load(struct os *os, const char *path, uint64_t segment, uint32_t seed,
                       struct journal_index *index);
#endif
