/* deleted_internal.h - the bits of deleted.h as they lie in memory.
 *
 * Private to deleted*.c. */
#ifndef MODULES_STREAM_DELETED_INTERNAL_H
#define MODULES_STREAM_DELETED_INTERNAL_H
#include "modules/stream/deleted.h"

enum { DELETED_WORD_BITS = 64, DELETED_LEAF_WORDS = DELETED_LEAF_BITS / DELETED_WORD_BITS };

struct deleted_words {
    uint64_t ref_count; /* above 1: copied before it is written to */
    uint64_t bits[];
};

struct deleted_leaf {
    struct deleted_words *words; /* NULL while word_count is 0 */
    uint32_t word_count;         /* words behind that are zero, and not allocated */
    uint32_t bit_count;          /* without those below low */
};

struct deleted {
    struct deleted_leaf *leaves; /* leaves[begin + i] is the one with number first + i */
    uint64_t first;
    uint64_t low; /* what is below is forgotten: bits there mean nothing */
    uint32_t begin, count, capacity;
    uint64_t bit_count;
    uint64_t memory_bytes;
};

static inline uint64_t leaf_number(uint64_t ordinal)
{
    return ordinal / DELETED_LEAF_BITS;
}

static inline uint32_t leaf_bit(uint64_t ordinal)
{
    return (uint32_t)(ordinal % DELETED_LEAF_BITS);
}

static inline struct deleted_leaf *deleted_leaf_at(const struct deleted *deleted, uint64_t number)
{
    if (!deleted || number < deleted->first || number - deleted->first >= deleted->count) {
        return NULL;
    }
    return &deleted->leaves[deleted->begin + (number - deleted->first)];
}

static inline uint64_t word_at(const struct deleted_leaf *leaf, uint32_t index)
{
    return leaf && index < leaf->word_count ? leaf->words->bits[index] : 0;
}

static inline uint32_t bits_in(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

/* The bits from `from` on, before `to` (which is at most DELETED_WORD_BITS). */
static inline uint64_t mask_between(uint32_t from, uint32_t to)
{
    uint64_t below_to = to == DELETED_WORD_BITS ? UINT64_MAX : (UINT64_C(1) << to) - 1;

    return below_to & ~((UINT64_C(1) << from) - 1);
}

/* The bits from `from` on that lie in word index of a leaf. */
static inline uint64_t mask_from(uint32_t from, uint32_t index)
{
    if (from <= index * DELETED_WORD_BITS) return UINT64_MAX;
    if (from >= (index + 1) * DELETED_WORD_BITS) return 0;
    return mask_between(from % DELETED_WORD_BITS, DELETED_WORD_BITS);
}

/* Where what means something begins in the leaf of that index. */
static inline uint32_t low_bit(const struct deleted *deleted, uint32_t index)
{
    return deleted->first + index == leaf_number(deleted->low) ? leaf_bit(deleted->low) : 0;
}

/* Bits from `from` on, before `to`. */
static inline uint64_t deleted_leaf_count(const struct deleted_leaf *leaf, uint32_t from,
                                          uint32_t to)
{
    uint64_t count = 0;

    for (uint32_t bit = from; bit < to && bit / DELETED_WORD_BITS < leaf->word_count;) {
        uint32_t word = bit / DELETED_WORD_BITS, word_end = (word + 1) * DELETED_WORD_BITS;
        uint32_t end = to < word_end ? to : word_end;
        count += bits_in(leaf->words->bits[word] &
                         mask_between(bit % DELETED_WORD_BITS, end - word * DELETED_WORD_BITS));
        bit = end;
    }
    return count;
}

/* Of that many words. */
static inline size_t deleted_words_bytes(uint32_t word_count)
{
    return word_count > 0 ? sizeof(struct deleted_words) + word_count * sizeof(uint64_t) : 0;
}

/* Empty. NULL: no memory. */
struct deleted *deleted_create(void);
/* The leaf with that number is there, and all between it and the others. -ENOMEM. */
int deleted_make_leaf(struct deleted *deleted, uint64_t number);
/* So many words, that nobody else has. -ENOMEM. */
int deleted_make_words(struct deleted *deleted, struct deleted_leaf *leaf, uint32_t word_count);
#endif
