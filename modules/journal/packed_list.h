/* packed_list.h - which segments of a journal are packed, and what they take.
 *
 * Functions wait for the disk, but for finish. One thread at a time. */
#ifndef MODULES_JOURNAL_PACKED_LIST_H
#define MODULES_JOURNAL_PACKED_LIST_H
#include "modules/journal/places.h"

struct journal_packed_list {
    struct journal_packed_segment *segments; /* in any order */
    size_t count, capacity;
};

/* Into one that is all zero; also after an error it is to be finished. What is half made does not
 * count, nor does what goes or comes meanwhile. -ENOMEM, or the error of reading. */
int journal_packed_list_load(struct os *os, const struct journal_places *places,
                             struct journal_packed_list *list);
void journal_packed_list_finish(struct journal_packed_list *list);
#endif
