/* deleted.c - making and dropping the bits. */
#include "modules/stream/deleted_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"

/* ---- making room ---- */

static void charge(struct deleted *deleted, size_t before, size_t after)
{
    deleted->memory_bytes += (after > 0 ? alloc_size(after) : 0);
    deleted->memory_bytes -= (before > 0 ? alloc_size(before) : 0);
}

/* Leaves first … first + count - 1 are there, which are all there were and others. */
static int move_leaves(struct deleted *deleted, uint64_t first, uint64_t count)
{
    uint64_t capacity = count + count / 2;
    uint64_t ahead = deleted->count > 0 ? deleted->first - first : 0;
    struct deleted_leaf *leaves;

    assert(deleted->leaves || deleted->count == 0);
    if (capacity > UINT32_MAX) return -ENOMEM;
    leaves = calloc(capacity, sizeof(*leaves));
    if (!leaves) return -ENOMEM;
    for (uint32_t i = 0; i < deleted->count; i++)
        leaves[ahead + i] = deleted->leaves[deleted->begin + i];
    charge(deleted, deleted->capacity * sizeof(*leaves), capacity * sizeof(*leaves));
    free(deleted->leaves);
    deleted->leaves = leaves;
    deleted->begin = 0;
    deleted->first = first;
    deleted->count = (uint32_t)count;
    deleted->capacity = (uint32_t)capacity;
    return 0;
}

int deleted_make_leaf(struct deleted *deleted, uint64_t number)
{
    uint64_t end = deleted->first + deleted->count;

    if (deleted->count == 0) return move_leaves(deleted, number, 1);
    if (number < deleted->first) return move_leaves(deleted, number, end - number);
    if (number - deleted->first >= deleted->capacity - deleted->begin) {
        return move_leaves(deleted, deleted->first, number - deleted->first + 1);
    }
    assert(deleted->leaves);
    for (; end <= number; end++)
        deleted->leaves[deleted->begin + deleted->count++] = (struct deleted_leaf){ 0 };
    return 0;
}

static void unref_words(struct deleted_words *words)
{
    if (words && --words->ref_count == 0) free(words);
}

int deleted_make_words(struct deleted *deleted, struct deleted_leaf *leaf, uint32_t word_count)
{
    uint32_t before = leaf->word_count, after = before;
    struct deleted_words *words;

    assert(word_count > 0);
    if (word_count > before) {
        after = before * 2 > word_count ? before * 2 : word_count;
        if (after > DELETED_LEAF_WORDS) after = DELETED_LEAF_WORDS;
    } else if (leaf->words->ref_count == 1) {
        return 0;
    }
    words = calloc(1, deleted_words_bytes(after));
    if (!words) return -ENOMEM;
    words->ref_count = 1;
    if (leaf->words) memcpy(words->bits, leaf->words->bits, before * sizeof(uint64_t));
    charge(deleted, deleted_words_bytes(before), deleted_words_bytes(after));
    unref_words(leaf->words);
    leaf->words = words;
    leaf->word_count = after;
    return 0;
}

static void free_words(struct deleted *deleted, struct deleted_leaf *leaf)
{
    charge(deleted, deleted_words_bytes(leaf->word_count), 0);
    unref_words(leaf->words);
    *leaf = (struct deleted_leaf){ 0 };
}

/* ---- changing ---- */

struct deleted *deleted_create(void)
{
    struct deleted *deleted = calloc(1, sizeof(*deleted));

    if (deleted) deleted->memory_bytes = alloc_size(sizeof(*deleted));
    return deleted;
}

void deleted_destroy(struct deleted *deleted)
{
    if (!deleted) return;
    assert(deleted->leaves || deleted->count == 0);
    for (uint32_t i = 0; i < deleted->count; i++)
        unref_words(deleted->leaves[deleted->begin + i].words);
    free(deleted->leaves);
    free(deleted);
}

static int add(struct deleted *deleted, uint64_t ordinal)
{
    uint32_t bit = leaf_bit(ordinal), word = bit / DELETED_WORD_BITS;
    struct deleted_leaf *leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
    int rc = leaf ? 0 : deleted_make_leaf(deleted, leaf_number(ordinal));

    if (rc < 0) return rc;
    leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
    assert(leaf);
    rc = deleted_make_words(deleted, leaf, word + 1);
    if (rc < 0) return rc;
    assert(leaf->words);
    assert(!(leaf->words->bits[word] &
             mask_between(bit % DELETED_WORD_BITS, bit % DELETED_WORD_BITS + 1)));
    leaf->words->bits[word] |= UINT64_C(1) << bit % DELETED_WORD_BITS;
    leaf->bit_count++;
    deleted->bit_count++;
    return 0;
}

int deleted_add(struct deleted **deleted, uint64_t ordinal)
{
    struct deleted *created = NULL;
    int rc;

    if (!*deleted) {
        created = deleted_create();
        if (!created) return -ENOMEM;
    }
    rc = add(created ? created : *deleted, ordinal);
    if (rc < 0)
        deleted_destroy(created);
    else if (created)
        *deleted = created;
    return rc;
}

static void drop_first_leaf(struct deleted *deleted)
{
    struct deleted_leaf *leaf = &deleted->leaves[deleted->begin];

    deleted->bit_count -= leaf->bit_count;
    free_words(deleted, leaf);
    deleted->begin++;
    deleted->first++;
    deleted->count--;
}

/* What was dropped at the front is given back once it is most of the array. */
static void close_up(struct deleted *deleted)
{
    if (deleted->begin == 0 || deleted->begin < deleted->capacity / 2) return;
    assert(deleted->leaves);
    for (uint32_t i = 0; i < deleted->count; i++)
        deleted->leaves[i] = deleted->leaves[deleted->begin + i];
    deleted->begin = 0;
}

void deleted_drop_below(struct deleted **deleted_at, uint64_t ordinal)
{
    struct deleted *deleted = *deleted_at;
    struct deleted_leaf *leaf;

    if (!deleted || ordinal <= deleted->low) return;
    while (deleted->count > 0 && deleted->first < leaf_number(ordinal))
        drop_first_leaf(deleted);
    leaf = deleted_leaf_at(deleted, leaf_number(ordinal));
    if (leaf) {
        bool is_same_leaf = leaf_number(deleted->low) == leaf_number(ordinal);
        uint32_t from = is_same_leaf ? leaf_bit(deleted->low) : 0;
        uint32_t dropped = (uint32_t)deleted_leaf_count(leaf, from, leaf_bit(ordinal));
        leaf->bit_count -= dropped;
        deleted->bit_count -= dropped;
        if (leaf->bit_count == 0) free_words(deleted, leaf);
    }
    deleted->low = ordinal;
    if (deleted->bit_count == 0) {
        deleted_destroy(deleted);
        *deleted_at = NULL;
    } else {
        close_up(deleted);
    }
}

int deleted_snapshot(const struct deleted *deleted, struct deleted **out_snapshot)
{
    struct deleted *snapshot;

    *out_snapshot = NULL;
    if (!deleted) return 0;
    snapshot = malloc(sizeof(*snapshot));
    if (!snapshot) return -ENOMEM;
    *snapshot = *deleted;
    snapshot->leaves = calloc(deleted->capacity, sizeof(*snapshot->leaves));
    if (!snapshot->leaves) {
        free(snapshot);
        return -ENOMEM;
    }
    for (uint32_t i = deleted->begin; i < deleted->begin + deleted->count; i++) {
        snapshot->leaves[i] = deleted->leaves[i];
        if (snapshot->leaves[i].words) snapshot->leaves[i].words->ref_count++;
    }
    *out_snapshot = snapshot;
    return 0;
}
