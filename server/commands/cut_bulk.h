/* cut_bulk.h - a bulk string in an answer that is sent in pieces: a long one goes on in the next
 * piece, so that none is much longer than is wanted. Its bytes stay where they are meanwhile. */
#ifndef SERVER_COMMANDS_CUT_BULK_H
#define SERVER_COMMANDS_CUT_BULK_H
#include "modules/base/slice.h"
#include "server/resp/reply.h"

enum { WHOLE_BULK_BYTES = 1024 /* up to here not cut, wherever a piece ends */ };

/* Zeroed: none is open. */
struct cut_bulk {
    struct slice rest;
    bool is_open;
};

/* None is open. Returns how many bytes were written. */
static inline size_t cut_bulk_begin(struct cut_bulk *bulk, struct reply *reply, struct slice bytes)
{
    if (bytes.size <= WHOLE_BULK_BYTES) {
        reply_bulk(reply, bytes);
        return bytes.size;
    }
    reply_bulk_begin(reply, bytes.size);
    *bulk = (struct cut_bulk){ .rest = bytes, .is_open = true };
    return 0;
}

/* One is open: writes wanted bytes more of it, or all that are left. Returns how many. */
static inline size_t cut_bulk_go_on(struct cut_bulk *bulk, struct reply *reply, size_t wanted)
{
    size_t size = bulk->rest.size < wanted ? bulk->rest.size : wanted;

    reply_raw(reply, slice_of(bulk->rest.bytes, size));
    bulk->rest = slice_of(bulk->rest.bytes + size, bulk->rest.size - size);
    if (bulk->rest.size == 0) {
        reply_raw(reply, SLICE_LITERAL("\r\n"));
        bulk->is_open = false;
    }
    return size;
}
#endif
