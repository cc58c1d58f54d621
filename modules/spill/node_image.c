#include "modules/spill/node_image.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/endian.h"
#include "modules/spill/store_internal.h"

static_assert(NODE_IMAGE_BYTES_MAX <= SPILL_BLOCK_BYTES - 64, "a node fits one block");

struct spill_identity block_identity(const struct block *block, uint64_t generation)
{
    return (struct spill_identity){
        .list = block->list,
        .generation = generation,
        .element_count = (uint32_t)block->element_count,
        .kind = block->height,
    };
}

uint64_t block_footprint(const struct block *block)
{
    uint64_t own = block->ref.generation ? spill_file_footprint(block->ref.size_bytes) : 0;

    if (block->height == 0) return own;
    if (block->ref.generation) return block->disk_bytes;
    for (unsigned i = 0; i < block->end; i++)
        own += block_footprint(block->slots[i].block);
    return own;
}

uint32_t node_image_write(const struct block *node, uint8_t image[NODE_IMAGE_BYTES_MAX])
{
    uint8_t *at = image;

    for (unsigned i = 0; i < node->end; i++, at += NODE_ENTRY_BYTES) {
        const struct block *child = node->slots[i].block;
        assert(child->ref.generation != 0);
        store_u64le(at, child->ref.position_bytes);
        store_u32le(at + 8, child->ref.size_bytes);
        store_u32le(at + 12, child->ref.crc32c);
        store_u64le(at + 16, child->ref.generation);
        store_u64le(at + 24, child->element_count);
        store_u64le(at + 32, child->element_bytes);
        store_u64le(at + 40, block_footprint(child));
        store_u32le(at + 48, child->chunk_count);
    }
    return (uint32_t)(at - image);
}

static int entry_read(struct spill_store *store, const struct block *node, const uint8_t *at,
                      struct block **out_child)
{
    struct spill_ref ref = { .position_bytes = load_u64le(at),
                             .size_bytes = load_u32le(at + 8),
                             .crc32c = load_u32le(at + 12),
                             .generation = load_u64le(at + 16) };
    struct block *child;

    if (ref.generation == 0 || ref.size_bytes == 0) return -EBADMSG;
    child = block_create_on_disk(store, node->list, node->height - 1u, &ref);
    if (!child) return -ENOMEM;
    child->epoch = node->epoch; /* at the latest */
    child->element_count = load_u64le(at + 24);
    child->element_bytes = load_u64le(at + 32);
    child->disk_bytes = load_u64le(at + 40);
    child->chunk_count = load_u32le(at + 48);
    *out_child = child;
    return 0;
}

/* The entries must add up to what the node's own reference says. */
static bool adds_up(const struct block *node, const struct slot *slots, unsigned count)
{
    uint64_t elements = 0, bytes = 0, chunks = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct block *child = slots[i].block;
        if (child->element_count == 0 || child->element_count > node->element_count) return false;
        if (child->chunk_count == 0 || (child->height == 0 && child->chunk_count != 1))
            return false;
        elements += child->element_count;
        bytes += child->element_bytes;
        chunks += child->chunk_count;
    }
    return elements == node->element_count && bytes == node->element_bytes &&
           chunks == node->chunk_count;
}

int node_image_read(struct spill_store *store, const struct block *node, struct slice image,
                    struct slot **out_slots, unsigned *out_count)
{
    unsigned count = (unsigned)(image.size / NODE_ENTRY_BYTES), made = 0;
    struct slot *slots;
    int rc = 0;

    if (count == 0 || count > NODE_CHILDREN_MAX || image.size % NODE_ENTRY_BYTES != 0) {
        return -EBADMSG;
    }
    slots = store_allocate(store, NODE_CHILDREN_MAX * sizeof(*slots));
    if (!slots) return -ENOMEM;
    for (; made < count; made++) {
        struct block *child;
        rc = entry_read(store, node, image.bytes + made * NODE_ENTRY_BYTES, &child);
        if (rc < 0) break;
        slots[made] = (struct slot){ child, child->element_count };
    }
    if (rc == 0 && !adds_up(node, slots, count)) rc = -EBADMSG;
    if (rc == 0) {
        *out_slots = slots;
        *out_count = count;
        return 0;
    }
    for (unsigned i = 0; i < made; i++)
        block_forget(store, slots[i].block);
    free(slots);
    return rc;
}
