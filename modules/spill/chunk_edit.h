/* chunk_edit.h - chunks made of parts of others, and changed in the middle.
 *
 * Chunks that are given must be loaded. Functions return 0 or -ENOMEM, and then nothing has
 * changed. One thread. */
#ifndef MODULES_SPILL_CHUNK_EDIT_H
#define MODULES_SPILL_CHUNK_EDIT_H
#include "modules/spill/tree.h"

enum { RUNS_MAX = 3 };

/* A new chunk holding the runs one after another; as large as they are. */
int chunk_of_runs(struct spill_store *store, uint64_t list, const struct slice runs[RUNS_MAX],
                  struct block **out_chunk);
/* chunk without elements [begin, begin + count); NULL when none is left. chunk is as it was. */
int chunk_without(struct spill_store *store, const struct block *chunk, uint64_t begin,
                  uint64_t count, struct block **out_chunk);
/* chunk with an insertion or replacement at index, as 1 to 3 new chunks. chunk is as it was. */
int chunk_edited(struct spill_store *store, const struct block *chunk, uint64_t index,
                 const struct edit *edit, struct block **out_pieces, unsigned *out_count);
/* The same within an exclusive, dirty chunk. 1: done; 0: it would outgrow a chunk. */
int chunk_edit_in_place(struct spill_store *store, struct block *chunk, uint64_t index,
                        const struct edit *edit);
#endif
