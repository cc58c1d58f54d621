/* deleted_image.c - the bits as a checkpoint keeps them: deleted.h has the format. */
#include "modules/stream/deleted_internal.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"

enum { LEAF_HEADER_BYTES = 16 };

uint64_t deleted_image_size(const struct deleted *deleted)
{
    uint64_t size = 0;

    for (uint32_t i = 0; deleted && i < deleted->count; i++) {
        const struct deleted_leaf *leaf = &deleted->leaves[deleted->begin + i];
        if (leaf->bit_count > 0) size += LEAF_HEADER_BYTES + leaf->word_count * sizeof(uint64_t);
    }
    return size;
}

/* Without the bits below `from`, which mean nothing. */
static void write_leaf(const struct deleted_leaf *leaf, uint64_t number, uint32_t from,
                       void (*put)(void *context, struct slice piece), void *context)
{
    uint8_t bytes[LEAF_HEADER_BYTES + DELETED_LEAF_WORDS * sizeof(uint64_t)], *at = bytes;

    store_u64le(at, number);
    store_u32le(at + 8, leaf->bit_count);
    store_u32le(at + 12, leaf->word_count);
    at += LEAF_HEADER_BYTES;
    for (uint32_t i = 0; i < leaf->word_count; i++, at += sizeof(uint64_t))
        store_u64le(at, leaf->words->bits[i] & mask_from(from, i));
    put(context, slice_of(bytes, (size_t)(at - bytes)));
}

void deleted_image_write(const struct deleted *deleted,
                         void (*put)(void *context, struct slice piece), void *context)
{
    for (uint32_t i = 0; deleted && i < deleted->count; i++) {
        const struct deleted_leaf *leaf = &deleted->leaves[deleted->begin + i];
        if (leaf->bit_count > 0) {
            write_leaf(leaf, deleted->first + i, low_bit(deleted, i), put, context);
        }
    }
}

/* One leaf from the front of image, which is cut. */
static int load_leaf(struct deleted *deleted, struct slice *image)
{
    const uint8_t *at = image->bytes;
    uint64_t number, bit_count = 0;
    uint32_t word_count;
    struct deleted_leaf *leaf;
    int rc;

    if (image->size < LEAF_HEADER_BYTES) return -EBADMSG;
    number = load_u64le(at);
    word_count = load_u32le(at + 12);
    if (word_count == 0 || word_count > DELETED_LEAF_WORDS) return -EBADMSG;
    if (image->size - LEAF_HEADER_BYTES < word_count * sizeof(uint64_t)) return -EBADMSG;
    /* Ascending; and no array that the bits do not pay for. */
    if (deleted->count > 0 && number < deleted->first + deleted->count) return -EBADMSG;
    rc = deleted_make_leaf(deleted, number);
    if (rc < 0) return rc;
    leaf = deleted_leaf_at(deleted, number);
    rc = deleted_make_words(deleted, leaf, word_count);
    if (rc < 0) return rc;
    at += LEAF_HEADER_BYTES;
    for (uint32_t i = 0; i < word_count; i++, at += sizeof(uint64_t)) {
        leaf->words->bits[i] = load_u64le(at);
        bit_count += bits_in(leaf->words->bits[i]);
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
    deleted = deleted_create();
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
    if (deleted->capacity > 0) bytes += alloc_size(deleted->capacity * sizeof(struct deleted_leaf));
    assert(deleted->begin + deleted->count <= deleted->capacity);
    for (uint32_t i = 0; i < deleted->count; i++) {
        const struct deleted_leaf *leaf = &deleted->leaves[deleted->begin + i];
        uint64_t bits = deleted_leaf_count(leaf, low_bit(deleted, i), DELETED_LEAF_BITS);
        assert(bits == leaf->bit_count);
        assert((leaf->words != NULL) == (leaf->word_count > 0));
        if (leaf->word_count > 0) bytes += alloc_size(deleted_words_bytes(leaf->word_count));
        bit_count += bits;
    }
    assert(bit_count == deleted->bit_count);
    assert(bit_count > 0);
    assert(bytes == deleted->memory_bytes);
}
