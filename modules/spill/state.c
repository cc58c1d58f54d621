/* state.c - the state of a checkpoint: which blocks of the file it refers to, and what else a store
 * has to know to go on from it. Written in pieces, and a store opened from them.
 *
 *   0       4         8             12       16          24                32           40
 *   +-------+---------+-------------+--------+-----------+-----------------+------------+
 *   | magic | version | chunk bytes | dead   | last list | last generation | end blocks |
 *   +-------+---------+-------------+--------+-----------+-----------------+------------+
 *   the regions (space_state.c) · dead times: u64 list, a part (root.h) · crc32c of all before
 *
 * Dead are trees that nobody has, which were not taken apart yet at P: the next life goes on.
 * Little-endian. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/spill/checkpoint.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/format.h"
#include "modules/spill/root.h"
#include "modules/spill/space_kept.h"
#include "modules/spill/store_internal.h"

enum {
    STATE_MAGIC = 0x53786c53, /* "SlxS" */
    STATE_VERSION = 1,
    HEADER_BYTES = 40,
    DEAD_BYTES = 8 + ROOT_PART_BYTES,
    CRC_BYTES = 4,
    BUFFER_BYTES = SPILL_STATE_PIECE_BYTES,
    GATHER_NODES = 1024 /* looked at in one go */
};
static_assert((int)BUFFER_BYTES >= (int)SPILL_REGION_STATE_MAX, "a region fits into a piece");

struct state_writer {
    uint64_t end_blocks;
    size_t region, region_count;   /* the next one */
    uint32_t dead, dead_count;     /* the next one; of those found so far */
    struct list_link *next, *last; /* of the ring of the dead; next NULL: all were looked at */
    bool has_header, is_over;
    uint32_t crc;
    uint8_t *dead_bytes;
    uint8_t buffer[BUFFER_BYTES];
};

/* ---- writing --------------------------------------------------------------------------------- */

/* A tree of nobody at P, with its image still there: it was dropped before. */
static bool is_dead_of_picture(const struct spill_store *store, const struct block *node)
{
    bool has_image = !block_is_loaded(node) || node->is_garbage;

    return has_image && node->ref.generation != 0 && node->epoch < store->epoch;
}

static void write_dead(const struct block *node, uint8_t *bytes)
{
    store_u64le(bytes, node->list);
    root_write_part(node, 0, bytes + 8);
}

int state_add_dead(struct spill_store *store, const struct block *node)
{
    struct checkpoint *checkpoint = store->checkpoint;

    if (checkpoint->dead_count == checkpoint->dead_capacity) {
        uint32_t capacity = checkpoint->dead_capacity ? 2 * checkpoint->dead_capacity : 8;
        size_t size = (size_t)checkpoint->dead_count * DEAD_BYTES;
        uint8_t *bytes = store_allocate(store, (size_t)capacity * DEAD_BYTES);
        if (!bytes) return -ENOMEM;
        if (size > 0) memcpy(bytes, checkpoint->dead_bytes, size);
        free(checkpoint->dead_bytes);
        checkpoint->dead_bytes = bytes;
        checkpoint->dead_capacity = capacity;
    }
    write_dead(node, checkpoint->dead_bytes + (size_t)checkpoint->dead_count++ * DEAD_BYTES);
    return 0;
}

static void gather_one(const struct spill_store *store, struct state_writer *writer,
                       const struct list_link *link)
{
    const struct block *node = list_container(link, struct block, link);
    uint8_t *bytes = writer->dead_bytes + (size_t)writer->dead_count * DEAD_BYTES;

    if (!is_dead_of_picture(store, node)) return;
    write_dead(node, bytes);
    writer->dead_count++;
}

static uint64_t reclaiming_count(const struct spill_store *store)
{
    uint64_t count = 0;

    list_for_each(link, &store->reclaiming) count++;
    return count; /* a few reads */
}

/* Those being read now are looked at before they can be back in the ring of the dead. What dies
 * from now on is none of the picture's, and nothing is taken out of the ring before it was walked
 * through. */
static void start_gathering(struct spill_store *store, struct state_writer *writer)
{
    list_for_each(link, &store->reclaiming) gather_one(store, writer, link);
    writer->next = list_front(&store->dead);
    writer->last = list_back(&store->dead);
    store->counts_dead = true;
    (void)state_writer_gather(store, writer);
}

bool state_writer_gather(struct spill_store *store, struct state_writer *writer)
{
    for (unsigned i = 0; writer->next && i < GATHER_NODES; i++) {
        const struct list_link *link = writer->next;
        writer->next = link == writer->last ? NULL : link->next;
        gather_one(store, writer, link);
    }
    if (!writer->next) store->counts_dead = false;
    return writer->next != NULL;
}

int state_writer_create(struct spill_store *store, struct state_writer **out_writer)
{
    const struct spill_space *space = spill_file_space(store->file);
    const struct checkpoint *checkpoint = store->checkpoint;
    struct state_writer *writer = store_allocate_zeroed(store, sizeof(*writer));
    uint64_t capacity = store->dead_count + reclaiming_count(store) + checkpoint->dead_count;

    if (!writer) return -ENOMEM;
    writer->dead_bytes = store_allocate(store, (size_t)capacity * DEAD_BYTES + 1);
    if (!writer->dead_bytes) {
        free(writer);
        return -ENOMEM;
    }
    if (checkpoint->dead_count > 0)
        memcpy(writer->dead_bytes, checkpoint->dead_bytes,
               (size_t)checkpoint->dead_count * DEAD_BYTES);
    writer->dead_count = checkpoint->dead_count;
    start_gathering(store, writer);
    writer->end_blocks = spill_space_kept_end(space);
    writer->region_count =
        (size_t)((writer->end_blocks + SPILL_REGION_BLOCKS - 1) / SPILL_REGION_BLOCKS);
    *out_writer = writer;
    return 0;
}

void state_writer_destroy(struct spill_store *store, struct state_writer *writer)
{
    if (!writer) return;
    if (writer->next) store->counts_dead = false;
    free(writer->dead_bytes);
    free(writer);
}

static size_t write_header(const struct spill_store *store, const struct state_writer *writer,
                           uint8_t *at)
{
    store_u32le(at, STATE_MAGIC);
    store_u32le(at + 4, STATE_VERSION);
    store_u32le(at + 8, store->chunk_bytes + SPILL_HEADER_BYTES);
    store_u32le(at + 12, writer->dead_count);
    store_u64le(at + 16, store->next_list);
    store_u64le(at + 24, store->next_generation);
    store_u64le(at + 32, writer->end_blocks);
    return HEADER_BYTES;
}

/* The next thing, if there is room for it. Its bytes, or 0. */
static size_t write_next(const struct spill_store *store, struct state_writer *writer, size_t room)
{
    uint8_t *at = writer->buffer + sizeof(writer->buffer) - room;

    if (!writer->has_header) {
        writer->has_header = true;
        return write_header(store, writer, at);
    }
    if (writer->region < writer->region_count) {
        if (room < SPILL_REGION_STATE_MAX) return 0;
        return spill_space_region_state(spill_file_space(store->file), writer->region++, at);
    }
    if (writer->dead < writer->dead_count && room >= DEAD_BYTES) {
        memcpy(at, writer->dead_bytes + (size_t)writer->dead++ * DEAD_BYTES, DEAD_BYTES);
        return DEAD_BYTES;
    }
    return 0;
}

int state_writer_next(struct spill_store *store, struct state_writer *writer,
                      struct slice *out_piece)
{
    size_t size = 0, added;

    assert(!writer->next);
    if (writer->is_over) return 0;
    while ((added = write_next(store, writer, sizeof(writer->buffer) - size)) > 0)
        size += added;
    writer->crc = crc32c(writer->crc, writer->buffer, size);
    if (writer->region == writer->region_count && writer->dead == writer->dead_count &&
        sizeof(writer->buffer) - size >= CRC_BYTES) {
        store_u32le(writer->buffer + size, writer->crc);
        size += CRC_BYTES;
        writer->is_over = true;
    }
    *out_piece = slice_of(writer->buffer, size);
    return 1;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct header {
    uint32_t chunk_bytes, dead_count;
    uint64_t last_list, last_generation, end_blocks;
};

static int say(char *why, int rc, const char *words)
{
    if (why) (void)snprintf(why, SPILL_WHY_BYTES, "%s", words);
    return rc;
}

/* Takes the header and the checksum off *state. */
static int read_header(struct slice *state, struct header *out_header, char *why)
{
    const uint8_t *at = state->bytes;
    size_t body;

    if (state->size < HEADER_BYTES + CRC_BYTES || load_u32le(at) != STATE_MAGIC)
        return say(why, -EBADMSG, "the state of the spill file is none");
    if (load_u32le(at + 4) != STATE_VERSION) {
        if (why) {
            (void)snprintf(why, SPILL_WHY_BYTES,
                           "the state of the spill file has version %u, this program knows %d",
                           (unsigned)load_u32le(at + 4), STATE_VERSION);
        }
        return -EPROTONOSUPPORT;
    }
    body = state->size - CRC_BYTES;
    if (load_u32le(at + body) != crc32c(0, at, body))
        return say(why, -EBADMSG, "the checksum of the spill file's state does not match");
    *out_header = (struct header){ .chunk_bytes = load_u32le(at + 8),
                                   .dead_count = load_u32le(at + 12),
                                   .last_list = load_u64le(at + 16),
                                   .last_generation = load_u64le(at + 24),
                                   .end_blocks = load_u64le(at + 32) };
    *state = slice_of(at + HEADER_BYTES, body - HEADER_BYTES);
    return 0;
}

static int read_dead(struct spill_store *store, struct slice state, uint32_t count)
{
    const uint8_t *at = state.bytes;

    if (state.size != (uint64_t)count * DEAD_BYTES) return -EBADMSG;
    for (; count > 0; count--, at += DEAD_BYTES) {
        struct block *node;
        unsigned place;
        int rc = root_read_part(store, load_u64le(at), at + 8, &place, &node);
        if (rc < 0) return rc;
        if (node->height == 0) {
            store->chunk_count--;
            block_forget(store, node);
            return -EBADMSG;
        }
        block_unref(store, node); /* it goes to the dead again */
    }
    return 0;
}

static int explain(char *why, int rc)
{
    switch (rc) {
    case -ENOENT:
        return say(why, rc, "there is no spill file");
    case -EWOULDBLOCK:
        return say(why, rc, "another process has the spill file");
    case -ENODATA:
        return say(why, -EBADMSG, "the spill file is shorter than its state says");
    case -EBADMSG:
        return say(why, rc, "the state of the spill file is damaged");
    default:
        return say(why, rc, strerror(-rc));
    }
}

/* So many numbers are left out that extents of the life that ended are never mistaken for ours. */
static uint64_t generation_after(uint64_t last)
{
    return ((last >> 32) + 1) << 32;
}

int spill_state_chunk_bytes(struct slice state, uint32_t *out_bytes, char out_why[SPILL_WHY_BYTES])
{
    struct header header;
    int rc = read_header(&state, &header, out_why);

    if (rc == 0) *out_bytes = header.chunk_bytes;
    return rc;
}

int spill_store_open(struct os *os, struct io *io, const struct spill_options *options,
                     const struct spill_hooks *hooks, struct slice state,
                     struct spill_store **out_store, char out_why[SPILL_WHY_BYTES])
{
    uint32_t chunk_bytes = store_chunk_class(options->chunk_bytes);
    struct spill_store *store;
    struct spill_file *file;
    struct header header;
    int rc = read_header(&state, &header, out_why);

    if (rc < 0) return rc;
    if (chunk_bytes != header.chunk_bytes) {
        if (out_why) {
            (void)snprintf(out_why, SPILL_WHY_BYTES,
                           "the spill file has chunks of %u bytes, not %u", header.chunk_bytes,
                           chunk_bytes);
        }
        return -EINVAL;
    }
    rc = spill_file_open(os, io, options->directory, options->disk_bytes_max, header.end_blocks,
                         &state, &file);
    if (rc < 0) return explain(out_why, rc);
    store = store_of_file(io, options, hooks, file);
    if (!store) {
        spill_file_close(file);
        return explain(out_why, -ENOMEM);
    }
    store->is_persistent = true;
    store->was_opened = true;
    store->next_list = header.last_list;
    store->next_generation = header.last_generation;
    rc = read_dead(store, state, header.dead_count);
    if (rc < 0) {
        spill_store_close(store);
        return explain(out_why, rc);
    }
    store->next_generation = generation_after(header.last_generation);
    *out_store = store;
    return 0;
}
