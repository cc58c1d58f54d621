#include "modules/spill/root.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/spill/chunk.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/handle.h"
#include "modules/spill/node_image.h"
#include "modules/spill/persist.h"
#include "modules/spill/store_internal.h"

enum { KIND_RUN, KIND_PARTS, AT_CRC = 4, LIST_BYTES = 8 };

static_assert(ROOT_HEADER_BYTES + LIST_BYTES + PARTS_MAX * ROOT_PART_BYTES <= SPILL_ROOT_BYTES_MAX,
              "five parts fit");
static_assert(ROOT_HEADER_BYTES + ROOT_RUN_BYTES_MAX <= SPILL_ROOT_BYTES_MAX, "so does a run");

static uint32_t checksum(const uint8_t *root, size_t size)
{
    return crc32c(crc32c(0, root, AT_CRC), root + ROOT_HEADER_BYTES, size - ROOT_HEADER_BYTES);
}

static uint32_t seal(uint8_t *root, unsigned kind, unsigned count, uint32_t size)
{
    root[0] = ROOT_VERSION;
    root[1] = (uint8_t)kind;
    store_u16le(root + 2, (uint16_t)count);
    store_u32le(root + AT_CRC, checksum(root, size));
    return size;
}

uint32_t root_write_run(struct slice run, uint64_t element_count, uint8_t *root)
{
    assert(run.size <= ROOT_RUN_BYTES_MAX);
    if (run.size > 0) memcpy(root + ROOT_HEADER_BYTES, run.bytes, run.size);
    return seal(root, KIND_RUN, (unsigned)element_count, ROOT_HEADER_BYTES + (uint32_t)run.size);
}

void root_write_part(const struct block *block, unsigned place, uint8_t part[ROOT_PART_BYTES])
{
    assert(block->ref.generation != 0);
    part[0] = (uint8_t)place;
    part[1] = block->height;
    store_u16le(part + 2, 0);
    store_u32le(part + 4, block->ref.size_bytes);
    store_u64le(part + 8, block->ref.position_bytes);
    store_u32le(part + 16, block->ref.crc32c);
    store_u32le(part + 20, block->chunk_count);
    store_u64le(part + 24, block->ref.generation);
    store_u64le(part + 32, block->element_count);
    store_u64le(part + 40, block->element_bytes);
    store_u64le(part + 48, block_footprint(block));
}

uint32_t root_write_parts(struct block *const parts[PARTS_MAX], uint8_t *root)
{
    uint8_t *at = root + ROOT_HEADER_BYTES + LIST_BYTES;
    unsigned count = 0;

    for (unsigned place = 0; place < PARTS_MAX; place++) {
        if (!parts[place]) continue;
        store_u64le(root + ROOT_HEADER_BYTES, parts[place]->list);
        root_write_part(parts[place], place, at);
        at += ROOT_PART_BYTES;
        count++;
    }
    assert(count > 0);
    return seal(root, KIND_PARTS, count, (uint32_t)(at - root));
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool counts_are_possible(const struct block *block)
{
    if (block->element_count == 0 || block->chunk_count == 0) return false;
    if (block->chunk_count > block->element_count) return false;
    if (block->height == 0) return block->chunk_count == 1;
    return block->ref.size_bytes % NODE_ENTRY_BYTES == 0 &&
           block->ref.size_bytes <= NODE_IMAGE_BYTES_MAX;
}

int root_read_part(struct spill_store *store, uint64_t list, const uint8_t part[ROOT_PART_BYTES],
                   unsigned *out_place, struct block **out_block)
{
    struct spill_ref ref = { .size_bytes = load_u32le(part + 4),
                             .position_bytes = load_u64le(part + 8),
                             .crc32c = load_u32le(part + 16),
                             .generation = load_u64le(part + 24) };
    struct block *block;

    if (part[1] > TREE_HEIGHT_MAX || load_u16le(part + 2) != 0) return -EBADMSG;
    if (ref.generation == 0 || ref.generation > store->next_generation) return -EBADMSG;
    if (list == 0 || list > store->next_list) return -EBADMSG;
    if (!spill_file_may_hold(store->file, &ref)) return -EBADMSG;
    block = block_create_on_disk(store, list, part[1], &ref);
    if (!block) return -ENOMEM;
    block->chunk_count = load_u32le(part + 20);
    block->element_count = load_u64le(part + 32);
    block->element_bytes = load_u64le(part + 40);
    block->disk_bytes = load_u64le(part + 48);
    if (!counts_are_possible(block)) {
        block_forget(store, block);
        return -EBADMSG;
    }
    store->chunk_count += block->chunk_count;
    *out_place = part[0];
    *out_block = block;
    return 0;
}

static void forget_part(struct spill_store *store, struct block *block)
{
    if (!block) return;
    store->chunk_count -= block->chunk_count;
    block_forget(store, block);
}

static int read_parts(struct spill_store *store, struct slice bytes, unsigned count,
                      struct block *parts[PARTS_MAX])
{
    uint64_t list = load_u64le(bytes.bytes);
    const uint8_t *at = bytes.bytes + LIST_BYTES;
    unsigned place = 0, behind = 0;

    for (; count > 0; count--, at += ROOT_PART_BYTES) {
        struct block *block;
        int rc = root_read_part(store, list, at, &place, &block);
        if (rc < 0) return rc;
        bool is_end = place == 0 || place == PARTS_MAX - 1;
        if (place < behind || place >= PARTS_MAX || (is_end && block->height > 0)) {
            forget_part(store, block);
            return -EBADMSG;
        }
        parts[place] = block;
        behind = place + 1;
    }
    return 0;
}

/* Sides exist only in memory: they are joined to the root, whose edge is on disk. */
static int join_all(struct deque *deque, struct block *parts[PARTS_MAX])
{
    static const enum spill_end ends[] = { SPILL_HEAD, SPILL_TAIL };
    static const unsigned places[] = { 1, 3 };
    int rc;

    deque->root = parts[2];
    parts[2] = NULL;
    for (unsigned i = 0; i < 2; i++) {
        struct block **side = &parts[places[i]];
        if (!*side) continue;
        rc = tree_join_unseen(deque->store, &deque->root, ends[i], *side);
        if (rc < 0) return rc == -EFBIG ? -EBADMSG : rc;
        *side = NULL;
    }
    deque->ends[SPILL_HEAD] = parts[0];
    deque->ends[SPILL_TAIL] = parts[4];
    parts[0] = parts[4] = NULL;
    return 0;
}

/* Forgets what is on disk, and the nodes above it that were made to join sides. */
static void forget_tree(struct spill_store *store, struct block *block)
{
    if (!block) return;
    if (block->state == BLOCK_ON_DISK) {
        forget_part(store, block);
        return;
    }
    while (block->end > 0)
        forget_tree(store, node_remove_child(block, block->end - 1));
    node_discard_shell(store, block);
}

/* Takes a deque apart that could not be made whole: its extents stay the file's. */
static void forget_all(struct deque *deque, struct block *parts[PARTS_MAX])
{
    for (unsigned i = 0; i < PARTS_MAX; i++)
        forget_part(deque->store, parts[i]);
    forget_tree(deque->store, deque->root);
    deque->root = NULL;
}

void root_forget(struct spill_deque *handle)
{
    struct block *parts[PARTS_MAX] = { NULL };
    struct deque *deque = handle->grown;

    if (deque && deque_is_single(deque)) deque->ends[SPILL_TAIL] = NULL; /* one reference */
    for (unsigned end = 0; deque && end < 2; end++) {
        struct block *chunk = deque->ends[end];
        if (!chunk || chunk->state != BLOCK_ON_DISK) continue; /* a run's has no extent */
        parts[end] = chunk;
        deque->ends[end] = NULL;
    }
    if (deque) forget_all(deque, parts);
    spill_deque_destroy(handle);
}

static int load_parts(struct spill_deque *handle, struct slice bytes, unsigned count)
{
    struct spill_store *store = handle->store;
    struct block *parts[PARTS_MAX] = { NULL };
    struct deque *deque;
    int rc;

    if (count == 0 || count > PARTS_MAX) return -EBADMSG;
    if (bytes.size != LIST_BYTES + (size_t)count * ROOT_PART_BYTES) return -EBADMSG;
    rc = deque_create(store, &deque);
    if (rc < 0) return rc;
    store->next_list--; /* it has a number */
    deque->list = load_u64le(bytes.bytes);
    rc = read_parts(store, bytes, count, parts);
    if (rc == 0) rc = join_all(deque, parts);
    if (rc < 0) {
        forget_all(deque, parts);
        deque_destroy(deque);
        return rc;
    }
    deque->is_spilled = true;
    deque_settle(deque);
    deque_recount(deque);
    handle->grown = deque;
    return 0;
}

static int load_run(struct spill_deque *handle, struct slice run, unsigned count)
{
    struct spill_store *store = handle->store;
    uint64_t element_bytes;
    struct slice item;
    bool used_reserve = store->uses_reserve;
    int rc = 0;

    if (run.size > ROOT_RUN_BYTES_MAX) return -EBADMSG;
    if (chunk_validate(run.bytes, run.size, count, &element_bytes) < 0) return -EBADMSG;
    store->uses_reserve = true; /* they were taken once */
    for (size_t offset = 0; offset < run.size && rc == 0;) {
        offset += chunk_first(run.bytes + offset, &item);
        rc = spill_deque_push(handle, SPILL_TAIL, &item, 1);
    }
    store->uses_reserve = used_reserve;
    return rc;
}

int spill_deque_load(struct spill_store *store, struct slice root, struct spill_deque **out_deque)
{
    struct spill_deque *handle;
    struct slice rest;
    unsigned count;
    int rc;

    if (root.size < ROOT_HEADER_BYTES || root.size > SPILL_ROOT_BYTES_MAX) return -EBADMSG;
    if (load_u32le(root.bytes + AT_CRC) != checksum(root.bytes, root.size)) return -EBADMSG;
    if (root.bytes[0] != ROOT_VERSION) return -EPROTONOSUPPORT;
    if (root.bytes[1] > KIND_PARTS) return -EBADMSG;
    rc = spill_deque_create(store, &handle);
    if (rc < 0) return rc;
    rest = slice_of(root.bytes + ROOT_HEADER_BYTES, root.size - ROOT_HEADER_BYTES);
    count = load_u16le(root.bytes + 2);
    rc =
        root.bytes[1] == KIND_RUN ? load_run(handle, rest, count) : load_parts(handle, rest, count);
    if (rc < 0) {
        spill_deque_destroy(handle);
        return rc;
    }
    *out_deque = handle;
    return 0;
}
