#include "modules/stream/deleted.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"

enum { WORD_BITS = 64, LEAF_WORDS = DELETED_LEAF_BITS / WORD_BITS };

struct leaf {
    uint64_t *words;     /* NULL while word_count is 0 */
    uint32_t word_count; /* words behind that are zero, and not allocated */
    uint32_t bit_count;
};

struct deleted {
    struct leaf *leaves; /* leaves[begin + i] is the one with number first + i */
    uint64_t first;
    uint32_t begin, count, capacity;
    uint64_t bit_count;
    uint64_t memory_bytes;
};

static uint64_t leaf_number(uint64_t ordinal)
{
    return ordinal / DELETED_LEAF_BITS;
}

static uint32_t leaf_bit(uint64_t ordinal)
{
    return (uint32_t)(ordinal % DELETED_LEAF_BITS);
}

static struct leaf *leaf_at(const struct deleted *deleted, uint64_t number)
{
    if (!deleted || number < deleted->first || number - deleted->first >= deleted->count) {
        return NULL;
    }
    return &deleted->leaves[deleted->begin + (number - deleted->first)];
}

static uint64_t word_at(const struct leaf *leaf, uint32_t index)
{
    return leaf && index < leaf->word_count ? leaf->words[index] : 0;
}

static uint32_t bits_in(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

/* The bits from `from` on, before `to` (which is at most WORD_BITS). */
static uint64_t mask_between(uint32_t from, uint32_t to)
{
    uint64_t below_to = to == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << to) - 1;

    return below_to & ~((UINT64_C(1) << from) - 1);
}

/* ---- making room ---- */

static void charge(struct deleted *deleted, size_t before, size_t after)
{
    deleted->memory_bytes += (after > 0 ? alloc_size(after) : 0);
    deleted->memory_bytes -= (before > 0 ? alloc_size(before) : 0);
}

/* Leaves are there up to that number, and down to it. */
static int make_leaves(struct deleted *deleted, uint64_t number)
{
    uint64_t first = deleted->count == 0 ? number : deleted->first, count, capacity;
    uint32_t ahead = 0;
    struct leaf *leaves;

    if (number < first) {
        ahead = (uint32_t)(first - number);
        first = number;
    }
    count =
        number - first + 1 > deleted->count + ahead ? number - first + 1 : deleted->count + ahead;
    if (ahead == 0 && deleted->begin + count <= deleted->capacity) {
        memset(deleted->leaves + deleted->begin + deleted->count, 0,
               (count - deleted->count) * sizeof(*leaves));
        deleted->first = first;
        deleted->count = (uint32_t)count;
        return 0;
    }
    capacity = count + count / 2;
    if (capacity > UINT32_MAX) return -ENOMEM;
    leaves = calloc(capacity, sizeof(*leaves));
    if (!leaves) return -ENOMEM;
    if (deleted->count > 0) {
        memcpy(leaves + ahead, deleted->leaves + deleted->begin, deleted->count * sizeof(*leaves));
    }
    charge(deleted, deleted->capacity * sizeof(*leaves), capacity * sizeof(*leaves));
    free(deleted->leaves);
    deleted->leaves = leaves;
    deleted->begin = 0;
    deleted->first = first;
    deleted->count = (uint32_t)count;
    deleted->capacity = (uint32_t)capacity;
    return 0;
}

static int make_words(struct deleted *deleted, struct leaf *leaf, uint32_t word_count)
{
    uint32_t before = leaf->word_count, after;
    uint64_t *words;

    if (word_count <= before) return 0;
    after = before * 2 > word_count ? before * 2 : word_count;
    if (after > LEAF_WORDS) after = LEAF_WORDS;
    words = realloc(leaf->words, after * sizeof(*words));
    if (!words) return -ENOMEM;
    memset(words + before, 0, (after - before) * sizeof(*words));
    charge(deleted, before * sizeof(*words), after * sizeof(*words));
    leaf->words = words;
    leaf->word_count = after;
    return 0;
}

static void free_words(struct deleted *deleted, struct leaf *leaf)
{
    charge(deleted, leaf->word_count * sizeof(*leaf->words), 0);
    free(leaf->words);
    *leaf = (struct leaf){ 0 };
}

/* ---- changing ---- */

static struct deleted *create(void)
{
    struct deleted *deleted = calloc(1, sizeof(*deleted));

    if (deleted) deleted->memory_bytes = alloc_size(sizeof(*deleted));
    return deleted;
}

void deleted_destroy(struct deleted *deleted)
{
    if (!deleted) return;
    for (uint32_t i = 0; i < deleted->count; i++)
        free(deleted->leaves[deleted->begin + i].words);
    free(deleted->leaves);
    free(deleted);
}

static int add(struct deleted *deleted, uint64_t ordinal)
{
    uint32_t bit = leaf_bit(ordinal), word = bit / WORD_BITS;
    struct leaf *leaf = leaf_at(deleted, leaf_number(ordinal));
    int rc = leaf ? 0 : make_leaves(deleted, leaf_number(ordinal));

    if (rc < 0) return rc;
    leaf = leaf_at(deleted, leaf_number(ordinal));
    rc = make_words(deleted, leaf, word + 1);
    if (rc < 0) return rc;
    assert(!(leaf->words[word] & mask_between(bit % WORD_BITS, bit % WORD_BITS + 1)));
    leaf->words[word] |= UINT64_C(1) << bit % WORD_BITS;
    leaf->bit_count++;
    deleted->bit_count++;
    return 0;
}

int deleted_add(struct deleted **deleted, uint64_t ordinal)
{
    struct deleted *created = NULL;
    int rc;

    if (!*deleted) {
        created = create();
        if (!created) return -ENOMEM;
    }
    rc = add(created ? created : *deleted, ordinal);
    if (rc < 0)
        deleted_destroy(created);
    else if (created)
        *deleted = created;
    return rc;
}

static void clear_between(struct deleted *deleted, struct leaf *leaf, uint32_t from, uint32_t to)
{
    uint32_t cleared = 0;

    for (uint32_t bit = from; bit < to;) {
        uint32_t word = bit / WORD_BITS, word_end = (word + 1) * WORD_BITS;
        uint32_t end = to < word_end ? to : word_end;
        uint64_t mask = mask_between(bit % WORD_BITS, end - word * WORD_BITS);
        if (word >= leaf->word_count) break;
        cleared += bits_in(leaf->words[word] & mask);
        leaf->words[word] &= ~mask;
        bit = end;
    }
    leaf->bit_count -= cleared;
    deleted->bit_count -= cleared;
    if (leaf->bit_count == 0) free_words(deleted, leaf);
}

static void drop_first_leaf(struct deleted *deleted)
{
    struct leaf *leaf = &deleted->leaves[deleted->begin];

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
    memmove(deleted->leaves, deleted->leaves + deleted->begin,
            deleted->count * sizeof(*deleted->leaves));
    deleted->begin = 0;
}

void deleted_drop_below(struct deleted **deleted_at, uint64_t from, uint64_t ordinal)
{
    struct deleted *deleted = *deleted_at;
    struct leaf *leaf;

    if (!deleted) return;
    while (deleted->count > 0 && deleted->first < leaf_number(ordinal))
        drop_first_leaf(deleted);
    leaf = leaf_at(deleted, leaf_number(ordinal));
    if (leaf) {
        bool is_same_leaf = leaf_number(from) == leaf_number(ordinal);
        clear_between(deleted, leaf, is_same_leaf ? leaf_bit(from) : 0, leaf_bit(ordinal));
    }
    if (deleted->bit_count == 0) {
        deleted_destroy(deleted);
        *deleted_at = NULL;
    } else {
        close_up(deleted);
    }
}

/* ---- asking ---- */

bool deleted_has(const struct deleted *deleted, uint64_t ordinal)
{
    const struct leaf *leaf = leaf_at(deleted, leaf_number(ordinal));
    uint32_t bit = leaf_bit(ordinal);

    return word_at(leaf, bit / WORD_BITS) >> bit % WORD_BITS & 1;
}

uint64_t deleted_count(const struct deleted *deleted)
{
    return deleted ? deleted->bit_count : 0;
}

static uint64_t count_in_leaf(const struct leaf *leaf, uint32_t from, uint32_t to)
{
    uint64_t count = 0;

    if (from == 0 && to == DELETED_LEAF_BITS) return leaf->bit_count;
    for (uint32_t bit = from; bit < to && bit / WORD_BITS < leaf->word_count;) {
        uint32_t word = bit / WORD_BITS, word_end = (word + 1) * WORD_BITS;
        uint32_t end = to < word_end ? to : word_end;
        count += bits_in(leaf->words[word] & mask_between(bit % WORD_BITS, end - word * WORD_BITS));
        bit = end;
    }
    return count;
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
        count += count_in_leaf(leaf_at(deleted, number), from, to);
    }
    return count;
}

uint64_t deleted_next_live(const struct deleted *deleted, uint64_t ordinal)
{
    for (;;) {
        const struct leaf *leaf = leaf_at(deleted, leaf_number(ordinal));
        uint32_t bit = leaf_bit(ordinal);
        uint64_t live;

        if (!leaf || leaf->bit_count == 0) return ordinal;
        if (bit == 0 && leaf->bit_count == DELETED_LEAF_BITS) {
            ordinal += DELETED_LEAF_BITS;
            continue;
        }
        live = ~word_at(leaf, bit / WORD_BITS) & mask_between(bit % WORD_BITS, WORD_BITS);
        ordinal -= bit % WORD_BITS;
        if (live) return ordinal + (uint64_t)__builtin_ctzll(live);
        ordinal += WORD_BITS;
    }
}

uint64_t deleted_previous_live(const struct deleted *deleted, uint64_t ordinal)
{
    while (ordinal > 0) {
        const struct leaf *leaf = leaf_at(deleted, leaf_number(ordinal));
        uint32_t bit = leaf_bit(ordinal);
        uint64_t live;

        if (!leaf || leaf->bit_count == 0) return ordinal;
        live = ~word_at(leaf, bit / WORD_BITS) & mask_between(0, bit % WORD_BITS + 1);
        ordinal -= bit % WORD_BITS;
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
        const struct leaf *leaf = leaf_at(deleted, leaf_number(ordinal));
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
        live = ~word_at(leaf, bit / WORD_BITS) & mask_between(bit % WORD_BITS, WORD_BITS);
        ordinal -= bit % WORD_BITS;
        if (bits_in(live) > count) return ordinal + select_bit(live, count);
        count -= bits_in(live);
        ordinal += WORD_BITS;
    }
}

uint64_t deleted_memory_bytes(const struct deleted *deleted)
{
    return deleted ? deleted->memory_bytes : 0;
}

/* ---- images ---- */

enum { LEAF_HEADER_BYTES = 16 };

uint64_t deleted_image_size(const struct deleted *deleted)
{
    uint64_t size = 0;

    for (uint32_t i = 0; deleted && i < deleted->count; i++) {
        const struct leaf *leaf = &deleted->leaves[deleted->begin + i];
        if (leaf->bit_count > 0) size += LEAF_HEADER_BYTES + leaf->word_count * sizeof(uint64_t);
    }
    return size;
}

static void write_leaf(const struct leaf *leaf, uint64_t number,
                       void (*put)(void *context, struct slice piece), void *context)
{
    uint8_t bytes[LEAF_HEADER_BYTES + LEAF_WORDS * sizeof(uint64_t)], *at = bytes;

    store_u64le(at, number);
    store_u32le(at + 8, leaf->bit_count);
    store_u32le(at + 12, leaf->word_count);
    at += LEAF_HEADER_BYTES;
    for (uint32_t i = 0; i < leaf->word_count; i++, at += sizeof(uint64_t))
        store_u64le(at, leaf->words[i]);
    put(context, slice_of(bytes, (size_t)(at - bytes)));
}

void deleted_image_write(const struct deleted *deleted,
                         void (*put)(void *context, struct slice piece), void *context)
{
    for (uint32_t i = 0; deleted && i < deleted->count; i++) {
        const struct leaf *leaf = &deleted->leaves[deleted->begin + i];
        if (leaf->bit_count > 0) write_leaf(leaf, deleted->first + i, put, context);
    }
}

/* One leaf from the front of image, which is cut. */
static int load_leaf(struct deleted *deleted, struct slice *image)
{
    const uint8_t *at = image->bytes;
    uint64_t number, bit_count = 0;
    uint32_t word_count;
    struct leaf *leaf;
    int rc;

    if (image->size < LEAF_HEADER_BYTES) return -EBADMSG;
    number = load_u64le(at);
    word_count = load_u32le(at + 12);
    if (word_count == 0 || word_count > LEAF_WORDS) return -EBADMSG;
    if (image->size - LEAF_HEADER_BYTES < word_count * sizeof(uint64_t)) return -EBADMSG;
    /* Ascending; and no array that the bits do not pay for. */
    if (deleted->count > 0 && number < deleted->first + deleted->count) return -EBADMSG;
    rc = make_leaves(deleted, number);
    if (rc < 0) return rc;
    leaf = leaf_at(deleted, number);
    rc = make_words(deleted, leaf, word_count);
    if (rc < 0) return rc;
    at += LEAF_HEADER_BYTES;
    for (uint32_t i = 0; i < word_count; i++, at += sizeof(uint64_t)) {
        leaf->words[i] = load_u64le(at);
        bit_count += bits_in(leaf->words[i]);
    }
    if (bit_count == 0 || bit_count != load_u32le(image->bytes + 8)) return -EBADMSG;
    leaf->bit_count = (uint32_t)bit_count;
    deleted->bit_count += bit_count;
    *image = slice_of(at, image->size - (size_t)(at - image->bytes));
    return 0;
}

/* Leaves lie within these ordinals: checked before memory is asked for. */
static bool leaves_are_between(struct slice image, uint64_t first, uint64_t end)
{
    while (image.size >= LEAF_HEADER_BYTES) {
        uint64_t number = load_u64le(image.bytes);
        uint64_t bytes = LEAF_HEADER_BYTES + (uint64_t)load_u32le(image.bytes + 12) * 8;
        if (number < leaf_number(first) || number > leaf_number(end - 1)) return false;
        if (image.size < bytes) return false;
        image = slice_of(image.bytes + bytes, image.size - bytes);
    }
    return image.size == 0;
}

int deleted_image_load(struct slice image, uint64_t first, uint64_t end,
                       struct deleted **out_deleted)
{
    struct deleted *deleted = NULL;
    int rc = 0;

    if (image.size == 0) {
        *out_deleted = NULL;
        return 0;
    }
    if (first >= end || !leaves_are_between(image, first, end)) return -EBADMSG;
    deleted = create();
    if (!deleted) return -ENOMEM;
    while (rc == 0 && image.size > 0)
        rc = load_leaf(deleted, &image);
    if (rc == 0 && deleted_count_between(deleted, first, end) != deleted->bit_count) rc = -EBADMSG;
    if (rc < 0)
        deleted_destroy(deleted);
    else
        *out_deleted = deleted;
    return rc;
}

void deleted_check(const struct deleted *deleted)
{
    uint64_t bit_count = 0, bytes;

    if (!deleted) return;
    bytes = alloc_size(sizeof(*deleted));
    if (deleted->capacity > 0) bytes += alloc_size(deleted->capacity * sizeof(struct leaf));
    assert(deleted->begin + deleted->count <= deleted->capacity);
    for (uint32_t i = 0; i < deleted->count; i++) {
        const struct leaf *leaf = &deleted->leaves[deleted->begin + i];
        uint64_t bits = 0;
        for (uint32_t word = 0; word < leaf->word_count; word++)
            bits += bits_in(leaf->words[word]);
        assert(bits == leaf->bit_count);
        assert((leaf->words != NULL) == (leaf->word_count > 0));
        if (leaf->word_count > 0) bytes += alloc_size(leaf->word_count * sizeof(uint64_t));
        bit_count += bits;
    }
    assert(bit_count == deleted->bit_count);
    assert(bit_count > 0);
    assert(bytes == deleted->memory_bytes);
}
