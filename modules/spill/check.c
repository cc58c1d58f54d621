#include "modules/spill/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/spill/chunk.h"
#include "modules/spill/extent_map.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/format.h"
#include "modules/spill/handle.h"
#include "modules/spill/node_image.h"
#include "modules/spill/persist.h"
#include "modules/spill/root.h"
#include "modules/spill/space.h"
#include "modules/spill/store_internal.h"

struct spill_check {
    struct os *os;
    struct spill_store *store;
    spill_check_tell tell;
    void *context;
    int fd;
    struct extent_map *map;
    uint8_t *bytes; /* of the extent that is looked at */
    size_t capacity;
    uint64_t element; /* of the list: the first one of what is looked at */
    struct spill_check_counts *counts;
};

/* ---- one extent -------------------------------------------------------------------------------
 */

static void damaged(struct spill_check *check, const struct block *block, const char *why)
{
    struct spill_check_damage damage = { .offset_bytes = block->ref.position_bytes,
                                         .first_element = check->element,
                                         .element_count = block->element_count,
                                         .why = why };

    check->counts->damage_count++;
    check->counts->lost_count += block->element_count;
    check->tell(check->context, &damage);
}

/* 1: it lies where it may. 0: it does not, and that was told. */
static int find_place(struct spill_check *check, const struct block *block)
{
    const struct spill_store *store = check->store;
    int rc;

    if (block->ref.generation > store->next_generation ||
        !spill_file_may_hold(store->file, &block->ref)) {
        damaged(check, block, "it is said to lie where the checkpoint has nothing in use");
        return 0;
    }
    rc = extent_map_add(check->map, &block->ref);
    if (rc == 0) damaged(check, block, "another extent lies in the same place");
    return rc;
}

static int make_room(struct spill_check *check, size_t size)
{
    uint8_t *bytes;

    if (size <= check->capacity) return 0;
    bytes = realloc(check->bytes, size);
    if (!bytes) return -ENOMEM;
    check->bytes = bytes;
    check->capacity = size;
    return 0;
}

/* 1: *out_payload is what was written, good until the next one is read. 0: damaged, and told. */
static int read_extent(struct spill_check *check, const struct block *block,
                       struct slice *out_payload)
{
    struct spill_identity identity = block_identity(block, block->ref.generation);
    size_t size = (size_t)SPILL_HEADER_BYTES + block->ref.size_bytes;
    int rc = make_room(check, size);

    if (rc < 0) return rc;
    rc = os_read_all(check->os, check->fd, check->bytes, size, block->ref.position_bytes);
    if (rc < 0) {
        damaged(check, block, strerror(-rc));
        return 0;
    }
    check->counts->extent_count++;
    rc = spill_extent_verify(slice_of(check->bytes, size), &block->ref, &identity, out_payload);
    if (rc < 0) damaged(check, block, "its checksum or its header is not what was written");
    return rc == 0;
}

/* ---- trees ------------------------------------------------------------------------------------
 */

static int walk(struct spill_check *check, struct block *block);

static void look_at_chunk(struct spill_check *check, const struct block *chunk,
                          struct slice payload)
{
    uint64_t element_bytes;

    if (chunk_validate(payload.bytes, payload.size, chunk->element_count, &element_bytes) < 0 ||
        element_bytes != chunk->element_bytes)
        damaged(check, chunk, "its elements are not those that are counted");
}

/* Recursion ends as a child is lower than its node, which is no higher than TREE_HEIGHT_MAX. */
static int walk_node(struct spill_check *check, const struct block *node, struct slice image)
{
    struct slot *slots;
    unsigned count;
    int rc = node_image_read(check->store, node, image, &slots, &count);

    if (rc == -EBADMSG) {
        damaged(check, node, "what it leads to does not add up to what is said of it");
        return 0;
    }
    if (rc < 0) return rc;
    for (unsigned i = 0; i < count; i++) {
        if (rc == 0) rc = walk(check, slots[i].block);
        block_forget(check->store, slots[i].block);
    }
    free(slots);
    return rc;
}

static int walk_extent(struct spill_check *check, const struct block *block)
{
    struct slice payload;
    int rc = find_place(check, block);

    if (rc == 1) rc = read_extent(check, block, &payload);
    if (rc != 1) return rc;
    if (block->height > 0) return walk_node(check, block, payload);
    look_at_chunk(check, block, payload);
    return 0;
}

/* What is in memory was made of the root: the elements of a short list, or nodes above what was
 * saved as several parts. */
static int walk(struct spill_check *check, struct block *block)
{
    uint64_t end = check->element + block->element_count;
    int rc = 0;

    if (!block_is_loaded(block)) {
        rc = walk_extent(check, block);
    } else if (block->height > 0) {
        for (uint32_t i = 0; i < block->end && rc == 0; i++)
            rc = walk(check, block->slots[i].block);
    }
    check->element = end;
    return rc;
}

/* ---- all --------------------------------------------------------------------------------------
 */

int spill_check_create(struct os *os, struct spill_store *store, spill_check_tell tell,
                       void *context, struct spill_check **out_check)
{
    struct spill_check *check = calloc(1, sizeof(*check));
    int rc;

    if (!check) return -ENOMEM;
    *check = (struct spill_check){
        .os = os, .store = store, .tell = tell, .context = context, .fd = -1
    };
    rc = extent_map_create(spill_space_end(spill_file_space(store->file)), &check->map);
    if (rc == 0) rc = os->open(os, spill_store_path(store), O_RDONLY, 0);
    if (rc < 0) {
        spill_check_destroy(check);
        return rc;
    }
    check->fd = rc;
    *out_check = check;
    return 0;
}

void spill_check_destroy(struct spill_check *check)
{
    if (!check) return;
    if (check->fd >= 0) (void)check->os->close(check->os, check->fd); /* read only */
    extent_map_destroy(check->map);
    free(check->bytes);
    free(check);
}

static void begin(struct spill_check *check, struct spill_check_counts *counts)
{
    *counts = (struct spill_check_counts){ 0 };
    check->counts = counts;
    check->element = 0;
}

int spill_check_list(struct spill_check *check, struct slice root,
                     struct spill_check_counts *out_counts)
{
    struct block **places[PARTS_MAX];
    struct spill_deque *handle;
    unsigned count;
    int rc;

    begin(check, out_counts);
    rc = spill_deque_load(check->store, root, &handle);
    if (rc < 0) return rc;
    out_counts->element_count = spill_deque_count(handle);
    out_counts->element_bytes = spill_deque_bytes(handle);
    count = handle->grown ? deque_parts(handle->grown, places) : 0;
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = walk(check, *places[i]);
    root_forget(handle);
    return rc;
}

int spill_check_dropped(struct spill_check *check, struct spill_check_counts *out_counts)
{
    int rc = 0;

    begin(check, out_counts);
    list_for_each(link, &check->store->dead)
    {
        struct block *node = list_container(link, struct block, link);

        out_counts->element_count += node->element_count;
        out_counts->element_bytes += node->element_bytes;
        if (rc == 0) rc = walk(check, node);
    }
    return rc;
}

int spill_check_unreached(struct spill_check *check, uint64_t *out_bytes)
{
    struct spill_range range = { 0 };
    uint64_t blocks = 0;
    int rc = spill_checkpoint_pin(check->store);

    if (rc < 0) return rc;
    while (spill_checkpoint_pinned(check->store, range.offset_bytes + range.size_bytes,
                                   SPILL_BATCH_BYTES, &range)) {
        uint64_t first = range.offset_bytes / SPILL_BLOCK_BYTES;
        uint64_t end = first + range.size_bytes / SPILL_BLOCK_BYTES;

        for (uint64_t block = first; block < end; block++)
            blocks += !extent_map_has(check->map, block);
    }
    spill_checkpoint_unpin(check->store);
    *out_bytes = blocks * SPILL_BLOCK_BYTES;
    return 0;
}
