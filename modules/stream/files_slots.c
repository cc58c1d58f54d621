/* files_slots.c - the readers that all streams in journals share.
 *
 * What they hold to read again without fetching, up to hundreds of KiB each, is bounded: above that
 * the tick closes those that nobody needs, and who needs one takes another's place. What is being
 * fetched, or has come and is waited for, stays: of these there may be few more then. Who is closed
 * finds his place again by what is known of it (files_places.c). */
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/files_internal.h"

enum {
    BUSY_WHEN_FULL = 8 /* readers that I/O threads work for, while there is no room for more */
};

/* ---- one reader --------------------------------------------------------------------------------
 */

void stream_files_count_window(struct files_slot *slot)
{
    uint64_t bytes = journal_reader_window_bytes(slot->reader);

    slot->files->store->files->window_bytes += bytes - slot->window_bytes;
    slot->window_bytes = bytes;
}

static void on_ready(void *context)
{
    struct files_slot *slot = context;
    const struct stream_store *store = slot->files->store;

    stream_files_count_window(slot);
    stream_files_touch(slot->files);
    if (store->hooks.on_ready) store->hooks.on_ready(store->hooks.context);
}

static bool is_busy(const struct files_slot *slot)
{
    return slot->reader && journal_reader_is_busy(slot->reader);
}

static void close_slot(struct files_slot *slot)
{
    if (slot->files) slot->files->store->files->window_bytes -= slot->window_bytes;
    journal_reader_close(slot->reader);
    free(slot->falls.falls);
    *slot = (struct files_slot){ 0 };
}

bool stream_files_close_readers(struct stream_files *files)
{
    struct files_slot *slots = files->store->files->slots;
    bool is_closed = true;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        if (slots[i].files != files) continue;
        if (is_busy(&slots[i])) {
            is_closed = false;
        } else {
            close_slot(&slots[i]);
        }
    }
    return is_closed;
}

void stream_files_read_anew(const struct stream_files *files)
{
    struct files_slot *slots = files->store->files->slots;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++)
        if (slots[i].files == files) journal_reader_look_anew(slots[i].reader);
}

bool stream_files_is_read(const struct stream_files *files)
{
    const struct files_slot *slots = files->store->files->slots;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        if (slots[i].files == files && (is_busy(&slots[i]) || slots[i].is_awaited)) return true;
    }
    return false;
}

/* ---- which one -------------------------------------------------------------------------------
 */

/* They hold more than they may. */
static bool is_full(const struct stream_files_store *all)
{
    return all->window_bytes > all->window_bytes_max;
}

/* Which are taken first. */
static int rank(const struct stream_files_store *all, const struct files_slot *slot)
{
    if (slot->is_awaited) return 2;
    return !slot->files && is_full(all) ? 1 : 0;
}

/* The one that was not used for longest, of those that nobody waits for if there is one. NULL: all
 * are busy, or as many as may be while there is no memory for more: one of these will be free. */
static struct files_slot *idle_slot(struct stream_files_store *all)
{
    struct files_slot *best = NULL;
    unsigned busy_count = 0;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        struct files_slot *slot = &all->slots[i];
        int better;
        if (is_busy(slot)) {
            busy_count++;
            continue;
        }
        better = best ? rank(all, best) - rank(all, slot) : 1;
        if (better > 0 || (better == 0 && slot->used < best->used)) best = slot;
    }
    if (best && is_full(all) && rank(all, best) > 0 && busy_count >= BUSY_WHEN_FULL) return NULL;
    return best;
}

/* Who has read with it so far may come back. */
static void send_away(struct files_slot *slot)
{
    if (slot->behind.files) stream_files_know(&slot->behind);
    slot->behind.files = NULL;
}

static void use(struct stream_files_store *all, struct files_slot *slot)
{
    if (slot->tick != all->tick) journal_reader_look_again(slot->reader);
    slot->tick = all->tick;
    slot->used = ++all->turn;
}

/* The next that holds something which nobody needs now; NULL: none does. */
static struct files_slot *slot_to_close(struct stream_files_store *all)
{
    struct files_slot *oldest = NULL;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        struct files_slot *slot = &all->slots[i];
        if (slot->window_bytes == 0 || slot == all->last_slot) continue;
        if (is_busy(slot) || slot->is_awaited) continue;
        if (!oldest || slot->used < oldest->used) oldest = slot;
    }
    return oldest;
}

void stream_files_shrink_windows(struct stream_files_store *all)
{
    struct files_slot *slot;

    while (is_full(all) && (slot = slot_to_close(all)) != NULL) {
        struct stream_files *files = slot->files;
        send_away(slot);
        close_slot(slot);
        stream_files_touch(files);
    }
}

int stream_files_take_slot(struct stream_files *files, struct files_slot **out_slot)
{
    struct stream_files_store *all = files->store->files;
    struct files_slot *slot = idle_slot(all);
    struct stream_files *before;
    int rc = 0;

    if (!slot) return -EAGAIN;
    send_away(slot);
    before = slot->files;
    if (before != files) {
        close_slot(slot);
        if (before) stream_files_touch(before);
        rc = journal_reader_open_async(files->journal, on_ready, slot, &slot->reader);
        if (rc < 0) return rc;
        slot->files = files;
    } else {
        journal_reader_forget_error(slot->reader);
    }
    slot->is_awaited = false;
    slot->search.key = 0;
    slot->goal = 0;
    use(all, slot);
    *out_slot = slot;
    return 0;
}

static bool stands_at(const struct files_slot *slot, uint64_t position)
{
    return (slot->goal > 0 ? slot->goal : journal_reader_position(slot->reader)) == position;
}

/* Nobody waits for it, and it has the frame there. */
static bool has_frame(const struct files_slot *slot, uint64_t position)
{
    return slot->goal == 0 && journal_reader_has(slot->reader, position);
}

/* A reader that stands at the position, or one that has the frame there, or NULL. */
static struct files_slot *find_slot(struct stream_files *files, uint64_t position)
{
    struct files_slot *slots = files->store->files->slots, *near = NULL;

    for (unsigned i = 0; i < STREAM_READERS_MAX; i++) {
        struct files_slot *slot = &slots[i];
        if (slot->files != files || slot->search.key != 0) continue;
        if (stands_at(slot, position)) return slot;
        if (!near && has_frame(slot, position)) near = slot;
    }
    return near;
}

int stream_files_slot_at(struct stream_files *files, uint64_t position,
                         struct files_slot **out_slot)
{
    struct stream_files_store *all = files->store->files;
    struct files_slot *slot = all->last_slot;
    int rc = 0;

    /* Who reads on finds the reader that he had, and so does who looks at the same once more. */
    if (!slot || slot->files != files || slot->search.key != 0 ||
        !(stands_at(slot, position) || has_frame(slot, position)))
        slot = find_slot(files, position);
    if (!slot)
        rc = stream_files_take_slot(files, &slot);
    else if (!stands_at(slot, position))
        send_away(slot);
    if (rc < 0) return rc;
    use(all, slot);
    all->last_slot = *out_slot = slot;
    return 0;
}
