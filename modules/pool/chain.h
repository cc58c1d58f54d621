/* chain.h - what a client is still to be sent: small replies packed into pooled buffers, large ones
 * by reference, in order.
 *
 * Appending copies into the open buffer at the end; a full one is followed by the next. A packet
 * takes its place in the order without being copied, and the room behind it in the open buffer
 * stays in use. The owner writes what chain_fill shows and reports with chain_consume how much went
 * out. A chain that was consumed to its end holds no buffer.
 *
 * When the pool is dry the chain goes on with memory from the heap, which the pool counts as
 * overflow: output is never lost because of that. Only when the heap has none do calls fail, with
 * -ENOMEM or NULL, and then the chain is as before.
 *
 * One thread (the loop's). Nothing here logs. */
#ifndef MODULES_POOL_CHAIN_H
#define MODULES_POOL_CHAIN_H
#include "modules/base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct pool;
struct packet;
struct chain_region;
struct chain_buffer;
struct iovec;

/* Fields are for the inline functions below only. */
struct chain {
    uint8_t *write, *write_end;       /* the room of the open buffer; both NULL: none is open */
    struct chain_region *head, *tail; /* both NULL: empty; tail lies in the open buffer */
    size_t bytes_before_tail;
    size_t pooled_bytes, heap_bytes, packet_bytes;
    struct pool *pool;
};

/* pool must outlive the chain. */
void chain_init(struct chain *chain, struct pool *pool);
static inline struct pool *chain_pool(const struct chain *chain)
{
    return chain->pool;
}

/* Drops all it holds; it can be used again afterwards. */
void chain_clear(struct chain *chain);

int chain_append_slow(struct chain *chain, const void *bytes, size_t size);
uint8_t *chain_reserve_slow(struct chain *chain, size_t size);

/* Copies bytes behind what is there; they are not NULL even when size is 0. */
static inline int chain_append(struct chain *chain, const void *bytes, size_t size)
{
    /* Less, not "at most": so an empty chain, whose room is 0, always takes the slow way. */
    if (size < (size_t)(chain->write_end - chain->write)) {
        memcpy(chain->write, bytes, size);
        chain->write += size;
        return 0;
    }
    return chain_append_slow(chain, bytes, size);
}

static inline int chain_append_slice(struct chain *chain, struct slice bytes)
{
    return bytes.size > 0 ? chain_append(chain, bytes.bytes, bytes.size) : 0;
}

/* Room for size bytes in one piece, to be filled in place and then committed; good until the next
 * call on chain. Uncommitted room is not sent. size 0 is a mistake. */
static inline uint8_t *chain_reserve(struct chain *chain, size_t size)
{
    if (size <= (size_t)(chain->write_end - chain->write)) return chain->write;
    return chain_reserve_slow(chain, size);
}

/* What chain_reserve gives without opening a buffer: from chain->write on. */
static inline size_t chain_room(const struct chain *chain)
{
    return (size_t)(chain->write_end - chain->write);
}

/* size: at most what was reserved, or is chain_room. */
static inline void chain_commit(struct chain *chain, size_t size)
{
    chain->write += size;
}

/* Takes a reference of its own; the caller keeps theirs. The payload is sent from where it lies. */
int chain_append_packet(struct chain *chain, struct packet *packet);
/* The same for a part of the payload: size bytes from offset on. */
int chain_append_packet_part(struct chain *chain, struct packet *packet, size_t offset,
                             size_t size);

/* Moves all of from behind what chain holds; from is empty afterwards. Same pool. Never fails. */
void chain_move(struct chain *chain, struct chain *from);

/* Bytes still to be sent. */
size_t chain_bytes(const struct chain *chain);
/* Shows the first bytes of the chain in at most capacity pieces; the number of pieces. They stay
 * good until chain_consume, chain_clear, chain_cut. */
unsigned chain_fill(const struct chain *chain, struct iovec *pieces, unsigned capacity);
/* The first size bytes were sent (or are not wanted): at most chain_bytes. Gives back what they
 * held. */
void chain_consume(struct chain *chain, size_t size);

/* A place to come back to when a reply that was begun cannot be finished. */
struct chain_mark {
    struct chain_region *tail;
    struct chain_buffer *open;
    uint8_t *write, *write_end;
    size_t bytes_before_tail;
};
/* Good until chain_consume, chain_clear, chain_move or a cut to an earlier mark. */
struct chain_mark chain_mark(const struct chain *chain);
/* Drops all that was appended since the mark. */
void chain_cut(struct chain *chain, struct chain_mark mark);

struct chain_info {
    size_t pooled_bytes; /* memory of pooled buffers it holds */
    size_t heap_bytes;   /* memory of heap buffers it holds: the pool was dry */
    size_t packet_bytes; /* unsent payload held by reference */
};
void chain_info(const struct chain *chain, struct chain_info *out_info);
/* Asserts every invariant; for tests. */
void chain_check(const struct chain *chain);
#endif
