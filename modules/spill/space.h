/* space.h - which 4 KiB blocks of the spill file are free.
 *
 * In memory only: what the file held dies with the process. One bit a block, kept in regions of 128
 * MiB of file that come and go with the file's end, so that memory follows the file (34 bytes a
 * MiB; as much again where something was punched). Room is found next-fit from a hand that moves on
 * with every allocation: what is taken together lies together, and what was freed last is
 * overwritten last.
 *
 * Blocks that hold several small extents are counted (spill_space_share); the others are not.
 *
 * One thread. Nothing here logs, waits or touches a file. Functions return 0 or a negative errno;
 * after an error nothing has changed. */
#ifndef MODULES_SPILL_SPACE_H
#define MODULES_SPILL_SPACE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPILL_REGION_BLOCKS = 32768,  /* 128 MiB of file */
    SPILL_PUNCH_WORD_BLOCKS = 64, /* punching keeps books in units of this */
    SPILL_PUNCH_WORDS_MIN = 3     /* every free run of 1 MiB contains three whole units */
};

struct spill_space;

struct spill_run {
    uint64_t first; /* block number; block 0 is the first of the file */
    uint64_t count;
};

/* Empty: no block is used, the end is 0. */
int spill_space_create(struct spill_space **out_space);
void spill_space_destroy(struct spill_space *space); /* accepts NULL */

/* Takes a run of wanted blocks, or of fewer but at least minimum (1 <= minimum <= wanted): in this
 * order a run of wanted inside the file; behind the end, unless a quarter of the file is free; ever
 * smaller pieces inside; behind the end after all. The end never passes end_max.
 * -ENOSPC: no run of minimum blocks; -ENOMEM. */
int spill_space_take(struct spill_space *space, uint64_t wanted, uint64_t minimum, uint64_t end_max,
                     struct spill_run *out_run);
/* Gives back blocks that are all in use and not shared. */
void spill_space_free(struct spill_space *space, struct spill_run run);

/* Says that a used block holds count extents (1 to 255), none of which was counted before. -ENOMEM.
 */
int spill_space_share(struct spill_space *space, uint64_t block, unsigned count);
/* One extent of a shared block is gone; the last one frees the block. */
void spill_space_unshare(struct spill_space *space, uint64_t block);

/* Moves the end down to behind the last used block, or hole while these are avoided, and returns
 * it.
 */
uint64_t spill_space_shrink(struct spill_space *space);
/* From where on there may be holes behind the end, as that was moved down over some since the last
 * call; UINT64_MAX: it was not. */
uint64_t spill_space_cut_holes(struct spill_space *space);

/* A run worth punching: whole units, free, not punched since they were last used, at least
 * SPILL_PUNCH_WORDS_MIN together within a region and at most count_max blocks; those that the hand
 * reaches last come first. The run is taken: it counts as used until one of the two calls below.
 * False: none was found, but there may be one as long as spill_space_may_punch says so: a call
 * looks at a bounded part of the file. */
bool spill_space_take_punchable(struct spill_space *space, uint64_t count_max,
                                struct spill_run *out_run);
bool spill_space_may_punch(const struct spill_space *space);
/* Takes free blocks that are no holes: the first that lie in [from, to), as far as they hang
 * together but at most count_max. They count as used until they are freed, punched or not. False:
 * none. */
bool spill_space_take_piece(struct spill_space *space, uint64_t from, uint64_t to,
                            uint64_t count_max, struct spill_run *out_run);
/* Frees what was taken to be punched, and was; it will not be offered again until it was used. */
void spill_space_free_punched(struct spill_space *space, struct spill_run run);
/* From now on, or no longer, nothing is taken from what was punched. */
void spill_space_avoid_holes(struct spill_space *space, bool is_on);
/* A write into that run, which is free again, has found no room on the disk: what of it is free
 * counts as punched. */
void spill_space_note_holes(struct spill_space *space, struct spill_run run);

uint64_t spill_space_end(const struct spill_space *space);     /* blocks */
uint64_t spill_space_used(const struct spill_space *space);    /* blocks, runs being punched too */
uint64_t spill_space_punched(const struct spill_space *space); /* free blocks that are holes */
bool spill_space_is_used(const struct spill_space *space, uint64_t block);
size_t spill_space_memory_bytes(const struct spill_space *space);
void spill_space_check(const struct spill_space *space); /* asserts every invariant, slowly */
#endif
