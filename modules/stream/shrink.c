/* shrink.c - streams in memory that nobody used for a while move to journals when memory is short.
 *
 * A clock's hand: the store's list of movable streams goes round. Who was used since it was looked
 * at last is spared once; another one begins to leave.
 *
 *   movable ──looked at, unused──▶ leaving ──its journal is open, with room──▶ it has files
 *      ▲                              │
 *      ╰──────── it cannot be ────────╯
 *
 * Whoever becomes small meanwhile stays; whoever goes, or has one block left, is in neither list
 * any more (blocks.c). */
#include <errno.h>

#include "modules/stream/blocks.h"
#include "modules/stream/files_internal.h"

enum {
    LEAVING_MAX = 32, /* at a time: each wants an open journal */
    LOOKS_MAX = 64,   /* a call */
    /* After a failure: the disk is full, or worse, and will be so for the next stream, too. */
    RETRY_MS = 1000,
};

/* A step. Its link, which has gone when it has files now, is in the list where it belongs. True: it
 * has left. */
static bool move_on(struct stream *stream, struct list_link *link)
{
    struct stream_store *store = stream->store;
    bool was_leaving = stream->is_leaving;
    int rc;

    stream->is_leaving = false;
    rc = stream_files_try_move(stream);
    if (rc == 0) return true;
    stream->is_leaving = rc == -EAGAIN;
    if (rc != -EAGAIN) store->shrink_at_ms = store->now_ms + RETRY_MS;
    if (rc == -ENOSPC || rc == -EDQUOT) stream_store_give_room(store); /* for the next attempt */
    if (stream->is_leaving == was_leaving) return false;
    list_remove(link);
    list_push_back(was_leaving ? &store->movable : &store->leaving, link);
    return false;
}

/* It may still have an array of blocks, and be listed; a journal takes as much. */
static bool is_small(const struct stream *stream)
{
    return stream->memory_bytes <= ENTRY_BLOCK_BYTES;
}

static void stay(struct stream *stream, struct list_link *link)
{
    stream->is_leaving = false;
    stream_files_forget(stream);
    list_remove(link);
    list_push_back(&stream->store->movable, link);
}

bool stream_shrink_tick(struct stream_store *store)
{
    bool has_left = false;

    list_for_each(link, &store->leaving)
    {
        struct stream *stream = stream_blocks_stream(link);
        if (is_small(stream))
            stay(stream, link);
        else if (move_on(stream, link))
            has_left = true;
    }
    return has_left;
}

static uint64_t count_leaving(const struct stream_store *store, uint64_t *out_bytes)
{
    uint64_t count = 0;

    *out_bytes = 0;
    list_for_each(link, &store->leaving)
    {
        *out_bytes += stream_blocks_stream(link)->memory_bytes;
        count++;
    }
    return count;
}

/* The next one that is to go, behind all others now; NULL: none is left to look at. */
static struct list_link *next_to_leave(struct stream_store *store, bool is_urgent, unsigned *looks,
                                       struct list_link **first_spared)
{
    for (; *looks > 0; --*looks) {
        struct list_link *link = list_front(&store->movable);
        struct stream *stream;

        if (!link || link == *first_spared) return NULL;
        list_remove(link);
        list_push_back(&store->movable, link);
        stream = stream_blocks_stream(link);
        if ((is_urgent || !stream->was_used) && !is_small(stream)) return link;
        stream->was_used = false;
        if (!*first_spared) *first_spared = link;
    }
    return NULL;
}

/* Some places are left for those that are used. */
static uint64_t leaving_max(const struct stream_store *store)
{
    unsigned half = store->options.open_max / 2;

    return half < 1 ? 1 : half < LEAVING_MAX ? half : LEAVING_MAX;
}

/* The clock may have been set back since. */
static bool has_failed_lately(const struct stream_store *store)
{
    return store->now_ms < store->shrink_at_ms && store->shrink_at_ms - store->now_ms <= RETRY_MS;
}

uint64_t stream_store_shrink(struct stream_store *store, uint64_t bytes, bool is_urgent)
{
    struct list_link *link, *first_spared = NULL;
    uint64_t leaving_bytes, moved_bytes = 0, leaving = count_leaving(store, &leaving_bytes);
    unsigned looks = LOOKS_MAX;

    if (!store->files || store->options.memory_bytes_max == UINT32_MAX) return 0;
    while (leaving < leaving_max(store) && leaving_bytes + moved_bytes < bytes &&
           !has_failed_lately(store) &&
           (link = next_to_leave(store, is_urgent, &looks, &first_spared)) != NULL) {
        struct stream *stream = stream_blocks_stream(link);
        uint64_t stream_bytes = stream->memory_bytes;
        looks--;
        if (move_on(stream, link)) {
            moved_bytes += stream_bytes;
        } else if (stream->is_leaving) {
            leaving_bytes += stream_bytes;
            leaving++;
        }
    }
    return leaving_bytes + moved_bytes;
}

int stream_store_wait(struct stream_store *store)
{
    return store->files ? stream_files_wait(store) : -EAGAIN;
}
