/* deleted_ask.c - counting and finding in the bits. */
#include "modules/stream/deleted_internal.h"

bool deleted_has(const struct deleted *deleted, uint64_t ordinal)
{
    const struct deleted_leaf *leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
    uint32_t bit = leaf_bit(ordinal);

    return word_at(leaf, bit / DELETED_WORD_BITS) >> bit % DELETED_WORD_BITS & 1;
}

uint64_t deleted_count(const struct deleted *deleted)
{
    return deleted ? deleted->bit_count : 0;
}

uint64_t deleted_count_between(const struct deleted *deleted, uint64_t first, uint64_t end)
{
    uint64_t count = 0, number, last;

    if (!deleted || first >= end) return 0;
    number = leaf_number(first) > deleted->first ? leaf_number(first) : deleted->first;
    last = leaf_number(end - 1);
    for (; number <= last && number - deleted->first < deleted->count; number++) {
        uint32_t from = number == leaf_number(first) ? leaf_bit(first) : 0;
        uint32_t to = number == last ? leaf_bit(end - 1) + 1 : DELETED_LEAF_BITS;
        const struct deleted_leaf *leaf = deleted_leaf_at(deleted, number);
        bool is_whole = from == 0 && to == DELETED_LEAF_BITS;
        count += is_whole ? leaf->bit_count : deleted_leaf_count(leaf, from, to);
    }
    return count;
}

uint64_t deleted_next_live(const struct deleted *deleted, uint64_t ordinal)
{
    for (;;) {
        const struct deleted_leaf *leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
        uint32_t bit = leaf_bit(ordinal);
        uint64_t live;

        if (!leaf || leaf->bit_count == 0) return ordinal;
        if (bit == 0 && leaf->bit_count == DELETED_LEAF_BITS) {
            ordinal += DELETED_LEAF_BITS;
            continue;
        }
        live = ~word_at(leaf, bit / DELETED_WORD_BITS) &
               mask_between(bit % DELETED_WORD_BITS, DELETED_WORD_BITS);
        ordinal -= bit % DELETED_WORD_BITS;
        if (live) return ordinal + (uint64_t)__builtin_ctzll(live);
        ordinal += DELETED_WORD_BITS;
    }
}

uint64_t deleted_previous_live(const struct deleted *deleted, uint64_t ordinal)
{
    while (ordinal > 0) {
        const struct deleted_leaf *leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
        uint32_t bit = leaf_bit(ordinal);
        uint64_t live;

        if (!leaf || leaf->bit_count == 0) return ordinal;
        if (bit == DELETED_LEAF_BITS - 1 && leaf->bit_count == DELETED_LEAF_BITS) {
            if (ordinal < DELETED_LEAF_BITS) return 0;
            ordinal -= DELETED_LEAF_BITS;
            continue;
        }
        live =
            ~word_at(leaf, bit / DELETED_WORD_BITS) & mask_between(0, bit % DELETED_WORD_BITS + 1);
        ordinal -= bit % DELETED_WORD_BITS;
        if (live) return ordinal + 63 - (uint64_t)__builtin_clzll(live);
        if (ordinal == 0) return 0;
        ordinal--;
    }
    return 0;
}

/* The place of the bit that is set and has so many set ones below it. */
static uint32_t select_bit(uint64_t word, uint64_t count)
{
    for (; count > 0; count--)
        word &= word - 1;
    return (uint32_t)__builtin_ctzll(word);
}

uint64_t deleted_select_live(const struct deleted *deleted, uint64_t first, uint64_t count)
{
    uint64_t ordinal = first;

    for (;;) {
        const struct deleted_leaf *leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
        uint32_t bit = leaf_bit(ordinal);
        uint64_t live, live_count;

        if (!leaf) {
            /* Before the first leaf and behind the last one all are live. */
            uint64_t leaves_begin = deleted ? deleted->first * DELETED_LEAF_BITS : 0;
            if (ordinal >= leaves_begin || leaves_begin - ordinal > count) return ordinal + count;
            count -= leaves_begin - ordinal;
            ordinal = leaves_begin;
            continue;
        }
        live_count = DELETED_LEAF_BITS - leaf->bit_count;
        if (bit == 0 && live_count <= count) {
            count -= live_count;
            ordinal += DELETED_LEAF_BITS;
            continue;
        }
        live = ~word_at(leaf, bit / DELETED_WORD_BITS) &
               mask_between(bit % DELETED_WORD_BITS, DELETED_WORD_BITS);
        ordinal -= bit % DELETED_WORD_BITS;
        if (bits_in(live) > count) return ordinal + select_bit(live, count);
        count -= bits_in(live);
        ordinal += DELETED_WORD_BITS;
    }
}

uint64_t deleted_memory_bytes(const struct deleted *deleted)
{
    return deleted ? deleted->memory_bytes : 0;
}
