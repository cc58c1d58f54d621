#include "server/commands/stream_tail.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "modules/base/alloc_size.h"
#include "modules/pool/chain.h"
#include "server/commands/parking.h"
#include "server/resp/reply.h"

enum {
    LITTLE_BYTES = 64 * 1024, /* is taken at any time: mostly it is sent at once */
    FEW_BYTES = 1024,         /* are kept at any time, as of other calls that wait */
    REGIONS = 16,
};

struct stream_tail_block {
    struct stream_tail_block *behind;
    size_t size;
    uint8_t bytes[];
};

void stream_tail_begin(struct stream_tail *tail, struct server *server)
{
    *tail = (struct stream_tail){ .server = server };
}

void stream_tail_drop(struct stream_tail *tail)
{
    struct stream_tail_block *block = tail->first;

    while (block) {
        struct stream_tail_block *behind = block->behind;

        free(block);
        block = behind;
    }
    parking_count_kept(tail->server, -(int64_t)tail->heap_bytes);
    stream_tail_begin(tail, tail->server);
}

void stream_tail_move(struct stream_tail *to, struct stream_tail *from)
{
    assert(!to->first);
    *to = *from;
    stream_tail_begin(from, from->server);
}

static void take_bytes(struct stream_tail_block *block, struct chain *chain)
{
    struct iovec regions[REGIONS];
    size_t at = 0;

    while (at < block->size) {
        unsigned count = chain_fill(chain, regions, REGIONS);
        size_t before = at;

        for (unsigned i = 0; i < count; i++) {
            memcpy(block->bytes + at, regions[i].iov_base, regions[i].iov_len);
            at += regions[i].iov_len;
        }
        chain_consume(chain, at - before);
    }
    assert(at == block->size);
}

int stream_tail_take(struct stream_tail *tail, struct chain *chain)
{
    size_t size = chain_bytes(chain), heap_bytes = alloc_size(sizeof(*tail->first) + size);
    struct stream_tail_block *block;

    if (size == 0) return 0;
    if (tail->text_bytes + size > LITTLE_BYTES && !parking_may_keep(tail->server, heap_bytes))
        return -ENOBUFS;
    block = malloc(sizeof(*block) + size);
    if (!block) return -ENOMEM;
    *block = (struct stream_tail_block){ .size = size };
    take_bytes(block, chain);
    if (tail->last)
        tail->last->behind = block;
    else
        tail->first = tail->next = block;
    tail->last = block;
    tail->text_bytes += size;
    tail->heap_bytes += heap_bytes;
    parking_count_kept(tail->server, (int64_t)heap_bytes);
    return 0;
}

uint64_t stream_tail_bytes(const struct stream_tail *tail)
{
    return tail->text_bytes;
}

bool stream_tail_may_stay(const struct stream_tail *tail)
{
    return tail->text_bytes <= FEW_BYTES || parking_may_keep(tail->server, 0);
}

size_t stream_tail_write(struct stream_tail *tail, struct reply *reply, size_t wanted)
{
    struct stream_tail_block *block = tail->next;
    size_t size;

    if (!block) return 0;
    size = block->size - tail->at < wanted ? block->size - tail->at : wanted;
    reply_raw(reply, slice_of(block->bytes + tail->at, size));
    tail->at += size;
    if (tail->at == block->size) {
        tail->next = block->behind;
        tail->at = 0;
    }
    return size;
}
