/* reindex.h - looks whether the index of a segment that has ended is whole, and makes it anew if it
 * is not.
 *
 * An index ends too early when writing it was broken off or has failed; what is wrong in it ends it
 * too (index.h). So it is right if no frame behind its last entry should have had one: only those
 * are read: but of a segment of which frames were dropped, where that may be nearly all, its being
 * there is enough unless it is doubted (packer.c makes it). Waits for the disk. */
#ifndef MODULES_JOURNAL_REINDEX_H
#define MODULES_JOURNAL_REINDEX_H
#include "modules/journal/places.h"

/* 1: it has been made anew. 0: it is right, or the segment is damaged and its readers will tell.
 * -ENOENT: there is no such segment. -ENOKEY, -EKEYREJECTED, -ENOSPC, -EIO, … */
int journal_reindex(struct os *os, const struct journal_places *places, uint64_t number,
                    bool is_doubted);
#endif
