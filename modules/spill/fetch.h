/* fetch.h - reading blocks back: for an operation that waits, ahead of need, and to take dropped
 * trees apart.
 *
 * An operation is tried; what the attempt misses is loaded and pinned, and it is tried again:
 *
 *   struct op op;
 *   op_begin(&op, store);
 *   do rc = attempt(..., &op.visit);
 *   while (rc == -EAGAIN && (rc = op_load(&op, base_index)) == 0);
 *   return op_finish(&op, rc);
 *
 * Attempts change nothing before they can no longer miss anything (spill I4), so that a wait
 * between them may also be the end. One thread. */
#ifndef MODULES_SPILL_FETCH_H
#define MODULES_SPILL_FETCH_H
#include "modules/spill/tree.h"

enum { FETCH_GROUP_MAX = 64 };

/* Blocks that must stay in memory. */
struct pins {
    struct block **blocks;
    unsigned count, capacity;
};
int pins_add(struct spill_store *store, struct pins *pins, struct block *block); /* -ENOMEM */
/* Unpins all and frees the table. */
void pins_release(struct spill_store *store, struct pins *pins);

struct op {
    struct spill_store *store;
    struct visit visit; /* of the attempt under way */
    struct pins pins;
};

void op_begin(struct op *op, struct spill_store *store);
/* Loads and pins what the last attempt missed; 0: try again. base_index: of the first element of
 * what visit.missing_index counts in, for the words of an error. */
int op_load(struct op *op, uint64_t base_index);
/* Unpins; after -EAGAIN what was seen stays in memory for some turns so that the caller's next try
 * gets further. Returns rc. */
int op_finish(struct op *op, int rc);

/* What for: somebody waits (such reads go first), the store itself, or what may come next. */
enum fetch_for { FETCH_WAITED, FETCH_UPKEEP, FETCH_AHEAD };

/* One read under way. */
struct fetch {
    struct spill_read read;
    struct list_link link; /* in the store's */
    struct spill_store *store;
    struct block *block;  /* a reference */
    struct deque *walker; /* its prefetch goes on when this has ended; NULL: nobody's */
    enum spill_end walker_end;
    uint32_t buffer_bytes; /* allocated at read.bytes */
    bool is_ahead;
    bool is_gathering; /* counted in the store's gathering_reads */
};

/* A checkpoint begins: what is read for nobody any more is none of its picture's. */
void fetches_leave_picture(struct spill_store *store);
/* Adds change to the references of all that is being read. */
void fetches_count(const struct spill_store *store, int change);
/* Starts reads of blocks that are on disk, in one request. Those for which there is no memory are
 * left out; the number started. out_last: the last one's fetch, for walkers; may be NULL. */
unsigned fetch_start(struct spill_store *store, struct block *const *blocks, unsigned count,
                     enum fetch_for purpose, struct fetch **out_last);
#endif
