/* blocks.h - the blocks of a stream that is in memory: an array in the order of their entries, and
 * perhaps a spare one without entries behind them. One block needs no array.
 *
 * Functions get a stream whose backend is memory.c's, and keep account of what it takes. Large
 * numbers of blocks that go at once are buried: freed by stream_graves_tick. Private to
 * modules/stream. */
#ifndef MODULES_STREAM_BLOCKS_H
#define MODULES_STREAM_BLOCKS_H
#include "modules/stream/block.h"
#include "modules/stream/stream_internal.h"

/* Where block index <= count is, the spare at count. */
static inline struct entry_block **stream_block_slot(const struct stream *stream, uint32_t index)
{
    const struct stream_blocks *blocks = &stream->blocks;

    if (blocks->capacity == 0) return (struct entry_block **)&blocks->one;
    return &blocks->many[blocks->begin + index];
}

static inline struct entry_block *stream_block_at(const struct stream *stream, uint32_t index)
{
    /* The analyzer mixes up a block that was freed and the array that it was in. */
    return *stream_block_slot(stream, index); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* A slot for one more, without a spare. -ENOMEM. */
int stream_blocks_reserve(struct stream *stream);
/* block goes to the slot that was reserved: as the spare; or among the others, as does the spare
 * by take_spare. */
void stream_blocks_set_spare(struct stream *stream, struct entry_block *block);
void stream_blocks_add(struct stream *stream, struct entry_block *block);
void stream_blocks_take_spare(struct stream *stream);
/* Nothing to do when there is none. */
void stream_blocks_drop_spare(struct stream *stream);

/* Makes the block one of this capacity, with one reference, closed up. -ENOMEM: it is as it was,
 * but perhaps closed up. */
int stream_blocks_resize(struct stream *stream, uint32_t index, uint32_t capacity);
/* The first so many; one. */
void stream_blocks_drop_first(struct stream *stream, uint32_t count);
void stream_blocks_drop(struct stream *stream, uint32_t index);
/* All with the spare; none are left. */
void stream_blocks_drop_all(struct stream *stream);
/* to, which has none, shares all blocks with entries. -ENOMEM. */
int stream_blocks_share(const struct stream *stream, struct stream *to);

/* The last block that begins with something not greater than that, or the first one: what is sought
 * lies in it or at the beginning of the next one. There are blocks. */
uint32_t stream_blocks_find_id(const struct stream *stream, struct stream_id id);
uint32_t stream_blocks_find_ordinal(const struct stream *stream, uint64_t ordinal);

/* Whose array the link in the store's list of movable streams is. */
struct stream *stream_blocks_stream(struct list_link *link);

/* What array and blocks take of the heap: counted, for tests. */
uint64_t stream_blocks_memory_bytes(const struct stream *stream);

/* Frees about so many blocks that were buried. True: there are more. */
bool stream_graves_tick(struct stream_store *store, uint32_t count);
#endif
