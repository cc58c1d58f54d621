/* handle.h - what the users of a deque hold: a small list itself, or where the grown one is.
 *
 * A list of a few short elements is one packed run (chunk.h) in an allocation that fits it. It has
 * no descriptor and is never evicted: what would be left of it in memory takes more than it does.
 * It counts as index, like the descriptors. A list that outgrows SMALL_BYTES_MAX, is changed in the
 * middle or shared by a snapshot becomes a `struct deque`, whose first chunk takes the run over,
 * and stays one.
 *
 * One thread (the store's owner). */
#ifndef MODULES_SPILL_HANDLE_H
#define MODULES_SPILL_HANDLE_H
#include <assert.h>

#include "modules/spill/deque_internal.h"

/* What a list on disk takes: its deque and the descriptor of its root. */
enum { SMALL_BYTES_MAX = 192 };

struct spill_deque {
    struct deque *grown; /* NULL: small */
    struct spill_store *store;
    uint8_t *run;                 /* small: NULL when capacity is 0 */
    uint8_t begin, end, capacity; /* elements fill run[begin, end) */
    uint8_t element_count;        /* at least two bytes each */
    uint8_t element_bytes;
    uint8_t epoch; /* small: the low bits of the store's when a checkpoint saw it last */
};
static_assert(sizeof(struct spill_deque) <= 32, "a small list must be small");
static_assert(SMALL_BYTES_MAX <= UINT8_MAX, "offsets are bytes");
#endif
