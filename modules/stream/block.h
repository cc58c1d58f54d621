/* block.h - frames (frame.h) one behind the other in one allocation.
 *
 *   +--------------------+-----------+----------------------+---------------+
 *   | struct entry_block | what went | frames               | room          |
 *   +--------------------+-----------+----------------------+---------------+
 *                        0           begin                  end             capacity
 *
 * Frames go at the front when they are trimmed away, and anywhere once they are deleted and the
 * block is packed; what a frame's ordinal is follows from the one before it. A block is allocated
 * with room for what comes next and grows up to ENTRY_BLOCK_BYTES; an entry that is longer has one
 * to itself.
 *
 * Blocks are shared by a stream and its snapshots, and only those with one reference are written
 * to. One thread. */
#ifndef MODULES_STREAM_BLOCK_H
#define MODULES_STREAM_BLOCK_H
#include "modules/stream/frame.h"
#include "modules/stream/stream.h"

struct deleted;

enum { ENTRY_BLOCK_BYTES = 4096 /* with the header, unless one entry is longer */ };

struct entry_block {
    struct stream_id base;  /* of the first frame there ever was; later ids are greater */
    uint64_t first_ordinal; /* of the frame at begin, whose gap means nothing */
    uint32_t span;          /* the last frame's ordinal is so much greater */
    uint32_t begin, end, capacity;
    uint16_t entry_count; /* frames; 0 only in a spare */
    uint16_t dead_count;  /* frames that somebody has said are deleted: to be looked at when many */
    uint32_t ref_count;
    uint8_t bytes[];
};

/* Between two frames: the next one begins at offset, and ordinal is that of the one before it, or
 * anything at a block's begin. */
struct entry_spot {
    uint32_t offset;
    uint64_t ordinal;
};

/* Without entries, with one reference and at least so much room. NULL: no memory. */
struct entry_block *entry_block_create(uint32_t room);
/* Appends; there is room. The first one's id becomes the base. */
void entry_block_append(struct entry_block *block, const struct stream_entry *entry);

/* What it takes of the heap. */
uint64_t entry_block_memory_bytes(const struct entry_block *block);
/* Behind the last frame, without moving anything. */
static inline uint32_t entry_block_room(const struct entry_block *block)
{
    return block->capacity - block->end;
}
static inline uint32_t entry_block_used(const struct entry_block *block)
{
    return block->end - block->begin;
}
static inline uint64_t entry_block_last_ordinal(const struct entry_block *block)
{
    return block->first_ordinal + block->span;
}
/* Frames move to where the bytes begin: places in it are worth nothing then. */
void entry_block_close_up(struct entry_block *block);
/* The same frames, closed up, in a block of another size, at least what is used. It takes the place
 * of a block with one reference, which is gone then. NULL: no memory; the frames are as before. */
struct entry_block *entry_block_resize(struct entry_block *block, uint32_t capacity);
/* A copy with one reference. NULL: no memory. */
struct entry_block *entry_block_copy(const struct entry_block *block, uint32_t capacity);

/* ---- reading: of blocks with entries ---- */

/* Before the first frame whose id (ordinal) is not less; behind the last, if there is none. */
struct entry_spot entry_block_seek_id(const struct entry_block *block, struct stream_id id);
struct entry_spot entry_block_seek_ordinal(const struct entry_block *block, uint64_t ordinal);
struct entry_spot entry_block_begin(const struct entry_block *block);
struct entry_spot entry_block_end(const struct entry_block *block);
/* The frame behind the spot (before it), which moves behind (before) it. False: there is none. */
bool entry_block_next(const struct entry_block *block, struct entry_spot *spot,
                      struct stream_entry *out_entry);
bool entry_block_previous(const struct entry_block *block, struct entry_spot *spot,
                          struct stream_entry *out_entry);

/* ---- removing ---- */

/* Frames below ordinal go; the last one is not below it. */
void entry_block_trim(struct entry_block *block, uint64_t ordinal);
/* Frames of ordinals below start, or that are deleted. */
uint32_t entry_block_count_dead(const struct entry_block *block, uint64_t start,
                                const struct deleted *deleted);
/* These go; others are there. */
void entry_block_pack(struct entry_block *block, uint64_t start, const struct deleted *deleted);
#endif
