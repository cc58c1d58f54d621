/* Regions and buffers.
 *
 * A region is a run of bytes to be sent: a part of a buffer, or of a packet. A buffer (pooled, or
 * from the heap) starts with its first region's descriptor; the bytes follow. Appending a packet
 * takes two descriptors from the end of the open buffer's room: one for the packet, one for the
 * bytes that will come behind it in the same buffer:
 *
 *     +-----------+--------------------+----------------+ - - - - -+--------------+---------------+
 *     | buffer    | bytes of the       | bytes of the   |  room    | region:      | region:       |
 *     | and first | first region       | third region   |          | third (tail) | second, a     |
 *     | region    |                    |                |          |              | packet        |
 *     +-----------+--------------------+----------------+ - - - - -+--------------+---------------+
 *                                                       ^ write    ^ write_end
 * Regions are consumed in order, so the last region of a buffer outlives all descriptors in it:
 * that region names the buffer in `last_of` and gives it back. The tail region is always bytes of
 * the open buffer; where it ends is chain->write, not its own `end`. */
#include "modules/pool/chain.h"
#include "modules/base/checked.h"
#include "modules/pool/packet.h"
#include "modules/pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <sys/uio.h>

struct chain_region {
    struct chain_region *next;
    uint8_t *begin, *end;         /* end of the tail: see above */
    struct packet *packet;        /* NULL: bytes of a buffer */
    struct chain_buffer *last_of; /* given back when this region has been consumed */
};

struct chain_buffer {
    size_t heap_bytes; /* 0: pooled */
    struct chain_region first;
    uint8_t bytes[];
};

/* Of a buffer from the heap: enough to hold many small replies, as the pool may stay dry for long.
 */
enum {
    HEAP_BUFFER_BYTES_MIN = 4096,
    DESCRIPTORS_BYTES = 2 * sizeof(struct chain_region),
    POOLED_ROOM_BYTES = POOL_BUFFER_BYTES - sizeof(struct chain_buffer),
};

void chain_init(struct chain *chain, struct pool *pool)
{
    *chain = (struct chain){ .pool = pool };
}

static const uint8_t *region_end(const struct chain *chain, const struct chain_region *region)
{
    return region == chain->tail ? chain->write : region->end;
}

static size_t region_bytes(const struct chain *chain, const struct chain_region *region)
{
    return (size_t)(region_end(chain, region) - region->begin);
}

static size_t tail_bytes(const struct chain *chain)
{
    return chain->tail ? region_bytes(chain, chain->tail) : 0;
}

size_t chain_bytes(const struct chain *chain)
{
    return chain->bytes_before_tail + tail_bytes(chain);
}

/* ---- growing
 * -------------------------------------------------------------------------------------- */

static struct chain_buffer *acquire_buffer(struct chain *chain, size_t bytes_min, size_t *out_room)
{
    size_t heap_bytes;
    struct chain_buffer *buffer = NULL;
    if (bytes_min <= POOLED_ROOM_BYTES) {
        buffer = pool_acquire(chain->pool);
        if (buffer) {
            buffer->heap_bytes = 0;
            chain->pooled_bytes += POOL_BUFFER_BYTES;
            *out_room = POOLED_ROOM_BYTES;
            return buffer;
        }
    }
    if (!checked_add_size(bytes_min, sizeof(*buffer), &heap_bytes)) return NULL;
    if (heap_bytes < HEAP_BUFFER_BYTES_MIN) heap_bytes = HEAP_BUFFER_BYTES_MIN;
    buffer = pool_overflow_allocate(chain->pool, heap_bytes);
    if (!buffer) return NULL;
    buffer->heap_bytes = heap_bytes;
    chain->heap_bytes += heap_bytes;
    *out_room = heap_bytes - sizeof(*buffer);
    return buffer;
}

static void release_buffer(struct chain *chain, struct chain_buffer *buffer)
{
    if (buffer->heap_bytes > 0) {
        assert(chain->heap_bytes >= buffer->heap_bytes);
        chain->heap_bytes -= buffer->heap_bytes;
        pool_overflow_free(chain->pool, buffer, buffer->heap_bytes);
    } else {
        assert(chain->pooled_bytes >= POOL_BUFFER_BYTES);
        chain->pooled_bytes -= POOL_BUFFER_BYTES;
        pool_release(chain->pool, buffer);
    }
}

/* The tail is about to have a successor. */
static void close_tail(struct chain *chain)
{
    chain->bytes_before_tail += tail_bytes(chain);
    chain->tail->end = chain->write;
}

/* Opens a buffer with room for at least bytes_min behind what is there. */
static int open_buffer(struct chain *chain, size_t bytes_min)
{
    size_t room;
    struct chain_buffer *buffer = acquire_buffer(chain, bytes_min, &room);
    if (!buffer) return -ENOMEM;
    buffer->first = (struct chain_region){ .begin = buffer->bytes, .last_of = buffer };
    if (chain->tail) {
        close_tail(chain);
        chain->tail->next = &buffer->first;
    } else {
        chain->head = &buffer->first;
    }
    chain->tail = &buffer->first;
    chain->write = buffer->bytes;
    chain->write_end = buffer->bytes + room;
    return 0;
}

int chain_append_slow(struct chain *chain, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    struct chain_mark mark = chain_mark(chain);
    while (size > 0) {
        size_t room = (size_t)(chain->write_end - chain->write);
        size_t part = size < room ? size : room;
        if (room == 0) {
            if (open_buffer(chain, size < POOLED_ROOM_BYTES ? size : POOLED_ROOM_BYTES) < 0) {
                chain_cut(chain, mark);
                return -ENOMEM;
            }
            continue;
        }
        memcpy(chain->write, from, part);
        chain->write += part;
        from += part;
        size -= part;
    }
    return 0;
}

uint8_t *chain_reserve_slow(struct chain *chain, size_t size)
{
    assert(size > 0);
    return open_buffer(chain, size) < 0 ? NULL : chain->write;
}

int chain_append_packet(struct chain *chain, struct packet *packet)
{
    return chain_append_packet_part(chain, packet, 0, packet->payload.size);
}

/* Two descriptors from the end of the open buffer's room, or NULL when there is not enough. */
static struct chain_region *carve_descriptors(struct chain *chain)
{
    size_t room = (size_t)(chain->write_end - chain->write);
    uint8_t *at;
    if (room < DESCRIPTORS_BYTES + alignof(struct chain_region)) return NULL;
    at = chain->write_end - DESCRIPTORS_BYTES;
    at -= (uintptr_t)at % alignof(struct chain_region);
    chain->write_end = at;
    return (struct chain_region *)(void *)at;
}

int chain_append_packet_part(struct chain *chain, struct packet *packet, size_t offset, size_t size)
{
    struct chain_region *regions;
    struct chain_buffer *open;
    assert(offset <= packet->payload.size && size <= packet->payload.size - offset);
    if (size == 0) return 0;
    regions = carve_descriptors(chain);
    if (!regions) {
        int rc = open_buffer(chain, DESCRIPTORS_BYTES + 2 * alignof(struct chain_region));
        if (rc < 0) return rc;
        regions = carve_descriptors(chain);
        assert(regions);
    }
    close_tail(chain);
    open = chain->tail->last_of;
    chain->tail->last_of = NULL;
    /* The cast drops a const that the descriptor cannot keep: packets are never written to. */
    regions[1] = (struct chain_region){
        .next = &regions[0],
        .begin = (uint8_t *)(uintptr_t)packet->payload.bytes + offset,
        .end = (uint8_t *)(uintptr_t)packet->payload.bytes + offset + size,
        .packet = packet_ref(packet),
    };
    regions[0] = (struct chain_region){ .begin = chain->write, .last_of = open };
    chain->tail->next = &regions[1];
    chain->tail = &regions[0];
    chain->bytes_before_tail += size;
    chain->packet_bytes += size;
    return 0;
}

/* ---- shrinking
 * ------------------------------------------------------------------------------------ */

/* Gives back what a region holds; its descriptor may be gone afterwards. It is no longer linked. */
static void drop_region(struct chain *chain, struct chain_region *region)
{
    struct packet *packet = region->packet;
    if (packet) chain->packet_bytes -= (size_t)(region->end - region->begin);
    if (region->last_of) release_buffer(chain, region->last_of);
    packet_unref(packet);
}

static void become_empty(struct chain *chain)
{
    chain->head = chain->tail = NULL;
    chain->write = chain->write_end = NULL;
    chain->bytes_before_tail = 0;
}

void chain_clear(struct chain *chain)
{
    struct chain_region *region = chain->head;
    become_empty(chain);
    while (region) {
        struct chain_region *next = region->next;
        drop_region(chain, region);
        region = next;
    }
    assert(chain->pooled_bytes == 0 && chain->heap_bytes == 0 && chain->packet_bytes == 0);
}

void chain_consume(struct chain *chain, size_t size)
{
    assert(size <= chain_bytes(chain));
    while (chain->head) {
        struct chain_region *region = chain->head;
        size_t held = region_bytes(chain, region);
        size_t taken = size < held ? size : held;
        bool is_tail = region == chain->tail;
        region->begin += taken;
        size -= taken;
        if (!is_tail) chain->bytes_before_tail -= taken;
        if (region->packet) chain->packet_bytes -= taken;
        if (taken < held) return;
        chain->head = region->next;
        if (is_tail) become_empty(chain);
        drop_region(chain, region);
    }
    assert(size == 0);
}

unsigned chain_fill(const struct chain *chain, struct iovec *pieces, unsigned capacity)
{
    unsigned count = 0;
    for (const struct chain_region *region = chain->head; region && count < capacity;
         region = region->next) {
        size_t held = region_bytes(chain, region);
        if (held == 0) continue;
        pieces[count++] = (struct iovec){ .iov_base = region->begin, .iov_len = held };
    }
    return count;
}

/* ---- marks and moves
 * ------------------------------------------------------------------------------ */

struct chain_mark chain_mark(const struct chain *chain)
{
    return (struct chain_mark){
        .tail = chain->tail,
        .open = chain->tail ? chain->tail->last_of : NULL,
        .write = chain->write,
        .write_end = chain->write_end,
        .bytes_before_tail = chain->bytes_before_tail,
    };
}

void chain_cut(struct chain *chain, struct chain_mark mark)
{
    struct chain_region *region;
    if (!mark.tail) {
        chain_clear(chain);
        return;
    }
    region = mark.tail->next;
    while (region) {
        struct chain_region *next = region->next;
        if (region->last_of == mark.open) region->last_of = NULL; /* goes back to the mark's tail */
        drop_region(chain, region);
        region = next;
    }
    mark.tail->next = NULL;
    mark.tail->last_of = mark.open;
    chain->tail = mark.tail;
    chain->write = mark.write;
    chain->write_end = mark.write_end;
    chain->bytes_before_tail = mark.bytes_before_tail;
}

void chain_move(struct chain *chain, struct chain *from)
{
    size_t from_bytes = chain_bytes(from);
    assert(chain->pool == from->pool && chain != from);
    if (from_bytes == 0) {
        chain_clear(from);
        return;
    }
    /* What fits into the open buffer is copied, so that small replies stay packed. */
    if (from->packet_bytes == 0 && from_bytes <= (size_t)(chain->write_end - chain->write)) {
        for (const struct chain_region *region = from->head; region; region = region->next) {
            size_t held = region_bytes(from, region);
            memcpy(chain->write, region->begin, held);
            chain->write += held;
        }
        chain_clear(from);
        return;
    }
    if (chain->tail) {
        close_tail(chain);
        chain->tail->next = from->head;
    } else {
        chain->head = from->head;
    }
    chain->tail = from->tail;
    chain->write = from->write;
    chain->write_end = from->write_end;
    chain->bytes_before_tail += from->bytes_before_tail;
    chain->pooled_bytes += from->pooled_bytes;
    chain->heap_bytes += from->heap_bytes;
    chain->packet_bytes += from->packet_bytes;
    chain_init(from, from->pool);
}

/* ---- figures
 * -------------------------------------------------------------------------------------- */

void chain_info(const struct chain *chain, struct chain_info *out_info)
{
    *out_info = (struct chain_info){
        .pooled_bytes = chain->pooled_bytes,
        .heap_bytes = chain->heap_bytes,
        .packet_bytes = chain->packet_bytes,
    };
}

void chain_check(const struct chain *chain)
{
    size_t before_tail = 0, pooled = 0, heap = 0, packets = 0;
    assert((chain->head == NULL) == (chain->tail == NULL));
    assert(chain->write <= chain->write_end);
    if (!chain->tail) assert(!chain->write && !chain->write_end);
    for (const struct chain_region *region = chain->head; region; region = region->next) {
        assert(region->begin <= region_end(chain, region));
        if (region != chain->tail) before_tail += region_bytes(chain, region);
        if (region->packet) {
            assert(region->packet->ref_count > 0 && !region->last_of);
            packets += region_bytes(chain, region);
        }
        if (region->last_of) {
            heap += region->last_of->heap_bytes;
            if (region->last_of->heap_bytes == 0) pooled += POOL_BUFFER_BYTES;
        }
        if (!region->next) assert(region == chain->tail && !region->packet && region->last_of);
    }
    assert(before_tail == chain->bytes_before_tail);
    assert(pooled == chain->pooled_bytes && heap == chain->heap_bytes);
    assert(packets == chain->packet_bytes);
}
