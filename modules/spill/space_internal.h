/* space_internal.h - what space*.c share: the regions and their bits. */
#ifndef MODULES_SPILL_SPACE_INTERNAL_H
#define MODULES_SPILL_SPACE_INTERNAL_H
#include "modules/spill/space.h"
#include "modules/spill/space_kept.h"
#include "modules/spill/space_shared.h"

#include <assert.h>

enum { WORD_BLOCKS = 64, REGION_WORDS = SPILL_REGION_BLOCKS / WORD_BLOCKS };
static_assert((int)SPILL_PUNCH_WORD_BLOCKS == (int)WORD_BLOCKS, "a unit of punching is a word");

struct region_bits {
    uint64_t free[REGION_WORDS]; /* 1: free; blocks at and behind the end are 0 */
    uint64_t *holes; /* 1: free, and punched since it was last used; NULL: none was punched */
    struct spill_shared shared;
};

/* What checkpoints refer to: such blocks are not free, whatever becomes of their extents. */
struct region_kept {
    uint64_t saved[REGION_WORDS];    /* 1: the last complete checkpoint refers to the block */
    uint64_t next[REGION_WORDS];     /* 1: the running one does */
    uint64_t suspect[REGION_WORDS];  /* 1: written before a sync that failed, to be repaired */
    uint64_t deferred[REGION_WORDS]; /* 1: no extent is left, only one of these four */
    uint64_t *pinned;                /* 1: somebody copies it; NULL: nobody does here */
    struct spill_shared next_shared; /* how many extents the running one has in shared blocks */
};

/* How the running checkpoint ended. */
enum space_end { SPACE_COMPLETED, SPACE_ABORTED, SPACE_LEFT_OPEN /* it may be found */ };

/* Kept apart from the bits, so that a search looks at few cache lines. */
struct region {
    struct region_bits *bits;
    struct region_kept *kept;         /* NULL while there were no checkpoints */
    uint16_t free_count;              /* ones in bits->free; SPILL_REGION_BLOCKS fits */
    uint16_t longest, prefix, suffix; /* runs of ones: anywhere, from block 0 on, up to the last */
    bool is_stale;                    /* longest, prefix and suffix must be computed again */
    bool may_punch;                   /* something was freed since take_punchable found nothing */
};

struct spill_space {
    struct region *regions; /* those below end, the last one perhaps in part */
    size_t region_count, region_capacity;
    uint64_t end;           /* blocks of the file; the last one may be free until shrink */
    uint64_t free_count;    /* below end */
    uint64_t punched_count; /* of free_count */
    size_t hole_tables;     /* regions that have one */
    uint64_t cut_holes; /* behind it the end was moved down over holes; UINT64_MAX: it was not */
    uint64_t hand;      /* where the next search starts; <= end */
    size_t may_punch_count; /* regions with may_punch */
    size_t shared_bytes;    /* of all tables of shared blocks */
    uint64_t deferred_count;
    size_t pinned_tables; /* regions that have one */
    bool has_kept;        /* every region has its kept */
    bool is_settling;     /* a checkpoint has ended; regions from settled_count on do not know it */
    enum space_end how;   /* it has ended */
    size_t settled_count;
    bool avoids_holes; /* searches pass over what was punched */
};

/* A part of a run that lies in one word of one region. */
struct space_piece {
    struct region *region;
    unsigned word;
    uint64_t mask;
    unsigned count;
};
/* The first block from `from` on whose bit in a region's words is as wanted, or
 * SPILL_REGION_BLOCKS. */
uint32_t region_next_block(const uint64_t *words, uint32_t from, bool wanted);
/* Behind the last block whose bit is set, in the file, when the words (NULL: all 0) are of that
 * region; 0: there is none. */
uint64_t region_end(const uint64_t *words, size_t index);
/* Deferred blocks that nothing refers to any more are free: of a word, of all. */
void space_release_word(struct spill_space *space, size_t index, unsigned word);
void space_release_all(struct spill_space *space);
struct space_piece space_piece_at(const struct spill_space *space, uint64_t first, uint64_t count);
/* Blocks that are in use become free. */
void space_set_free(struct spill_space *space, struct spill_run run);
int space_add_region(struct spill_space *space); /* -ENOMEM */
static inline size_t space_regions_for(uint64_t end)
{
    return (size_t)((end + SPILL_REGION_BLOCKS - 1) / SPILL_REGION_BLOCKS);
}
static inline uint64_t region_holes(const struct region *region, unsigned word)
{
    return region->bits->holes ? region->bits->holes[word] : 0;
}
void space_note_punchable(struct spill_space *space, struct spill_run run);
/* The region's tables for checkpoints, all empty. -ENOMEM. */
int region_add_kept(struct region *region);
/* Of the blocks of a word that are given back, those that must stay: they are deferred. */
uint64_t region_defer(struct spill_space *space, struct region *region, unsigned word,
                      uint64_t mask);
void region_finish_kept(struct spill_space *space, struct region *region);
void space_check_kept(const struct spill_space *space);

/* The first run of wanted free blocks in [from, to), to <= end. False: there is none. */
bool space_find_run(struct spill_space *space, uint64_t from, uint64_t to, uint64_t wanted,
                    struct spill_run *out_run);
/* How many blocks are free from first on, at most count_max. */
uint64_t space_run_length(const struct spill_space *space, uint64_t first, uint64_t count_max);
/* Computes the three runs of a region anew. */
void region_measure(struct region *region);
#endif
