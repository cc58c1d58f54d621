/* Any bytes as the state of a spill file and as the root of a list: they are refused or taken, and
 * what is taken can be looked at and given up.
 *
 * The first byte says what the others are. The checksums are made right, so that what lies behind
 * them is reached. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/check.h"
#include "modules/spill/handle.h"
#include "modules/spill/persist.h"
#include "modules/spill/store_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 64 * 1024 };

static struct io *io;
static char directory[64];
static uint8_t good_state[SPILL_STATE_PIECE_BYTES];
static size_t good_state_size;
static uint8_t good_root[SPILL_ROOT_BYTES_MAX];
static size_t good_root_size;
static struct spill_options options = { .memory_bytes = 256 << 10, .chunk_bytes = 512 };

static void require(bool is_true)
{
    if (!is_true) abort();
}

static int wait_hook(void *context)
{
    (void)context;
    (void)io_wait(io);
    return 0;
}

static const struct spill_hooks hooks = { .wait = wait_hook };

static void remove_directory(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/spill-00000001.dat", directory);
    (void)unlink(path);
    (void)rmdir(directory);
}

static void keep_root(void *context, int rc, struct slice root)
{
    (void)context;
    require(rc == 0 && root.size <= sizeof(good_root));
    memcpy(good_root, root.bytes, root.size);
    good_root_size = root.size;
}

static void note_sync(void *context, int rc)
{
    *(int *)context = rc;
}

/* A file with a few lists in it, and its state. */
static void make_good(void)
{
    struct spill_store *store;
    struct spill_deque *list;
    struct slice piece;
    int synced = 1;

    require(spill_store_create(os_real(), io, &options, &hooks, &store) == 0);
    require(spill_deque_create(store, &list) == 0);
    for (unsigned i = 0; i < 4000; i++) {
        piece = slice_of("0123456789", 10);
        require(spill_deque_push(list, SPILL_TAIL, &piece, 1) == 0);
    }
    require(spill_checkpoint_begin(store) == 0);
    require(spill_checkpoint_save(list, keep_root, NULL) == 0);
    while (spill_checkpoint_pending(store) > 0) {
        (void)spill_store_tick(store, 0);
        (void)io_poll(io);
    }
    spill_checkpoint_sync(store, note_sync, &synced);
    while (synced == 1)
        (void)io_wait(io);
    require(spill_checkpoint_state(store, &piece) == 1 && piece.size <= sizeof(good_state));
    memcpy(good_state, piece.bytes, piece.size);
    good_state_size = piece.size;
    require(spill_checkpoint_state(store, &piece) == 0);
    spill_checkpoint_complete(store);
    spill_deque_destroy(list);
    spill_store_close(store);
}

static void set_up(void)
{
    strcpy(directory, "/tmp/spill-fuzz-XXXXXX");
    require(mkdtemp(directory) != NULL);
    require(atexit(remove_directory) == 0);
    options.directory = directory;
    require(io_create(os_real(), 0, &io) == 0);
    make_good();
}

static int open_with(const uint8_t *state, size_t size, struct spill_store **out_store)
{
    char why[SPILL_WHY_BYTES];

    return spill_store_open(os_real(), io, &options, &hooks, slice_of(state, size), out_store, why);
}

static void ignore_damage(void *context, const struct spill_check_damage *damage)
{
    (void)context;
    require(damage->why != NULL);
}

/* Looked through as sluice-check does, which frees nothing: of what is damaged it is told. */
static void look_through(struct spill_store *store, struct slice root)
{
    struct spill_check_counts counts;
    struct spill_check *check;
    uint64_t bytes;

    require(spill_check_create(os_real(), store, ignore_damage, NULL, &check) == 0);
    require(spill_check_dropped(check, &counts) == 0);
    (void)spill_check_list(check, root, &counts);
    require(spill_check_unreached(check, &bytes) == 0);
    spill_check_destroy(check);
}

static void try_state(uint8_t *state, size_t size)
{
    struct spill_store *store;

    if (size >= 4) store_u32le(state + size - 4, crc32c(0, state, size - 4));
    if (open_with(state, size, &store) < 0) return;
    spill_store_check(store);
    look_through(store, slice_of(good_root, good_root_size));
    spill_store_close(store);
}

/* Two parts may name one node, and be read: what lies below is claimed twice as well. */
static void disclaim(struct block *block)
{
    block->ref.generation = 0;
    if (block->height == 0 || !block_is_loaded(block)) return;
    for (unsigned i = block->begin; i < block->end; i++)
        disclaim(block->slots[i].block);
}

/* What is loaded claims extents that may be others': its destruction must not give them back. */
static void give_up(struct spill_deque *list)
{
    struct block **places[PARTS_MAX];
    unsigned count = list->grown ? deque_parts(list->grown, places) : 0;

    for (unsigned i = 0; i < count; i++)
        disclaim(*places[i]);
    spill_deque_destroy(list);
}

static void try_root(uint8_t *root, size_t size)
{
    struct spill_store *store;
    struct spill_deque *list;
    struct slice item;

    if (size >= 8) store_u32le(root + 4, crc32c(crc32c(0, root, 4), root + 8, size - 8));
    require(open_with(good_state, good_state_size, &store) == 0);
    look_through(store, slice_of(root, size));
    if (spill_deque_load(store, slice_of(root, size), &list) == 0) {
        (void)spill_deque_get(list, 0, &item);
        (void)spill_deque_get(list, spill_deque_count(list) / 2, &item);
        give_up(list);
    }
    spill_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes;

    if (!io) set_up();
    if (size < 1 || size > BYTES_MAX) return 0;
    bytes = malloc(size > 1 ? size - 1 : 1);
    require(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] % 2)
        try_state(bytes, size - 1);
    else
        try_root(bytes, size - 1);
    free(bytes);
    return 0;
}
