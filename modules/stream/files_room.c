/* files_room.c - room that open journals have ahead of what was added, when it is wanted elsewhere.
 *
 *   room is refused ─▶ those that have much ahead begin to close ─▶ they have, which cuts their
 *   files behind the last frame ─▶ it is asked for again
 *
 * Who is closed so opens again when it is used, and takes little ahead while little is left
 * (room_left). A call asks so often only, and waits only for what was closing when it was refused:
 * a disk that is really full, or many that write to its last blocks, have it refused soon. */
#include <errno.h>

#include "modules/stream/files_internal.h"

/* Less is not worth opening a journal again. */
enum { MUCH_BYTES = 256 << 10 };

static struct stream_files *files_at(struct list_link *link)
{
    return list_container(link, struct stream_files, active_link);
}

static uint64_t spare_bytes(const struct stream_files *files)
{
    return files->journal ? journal_spare_bytes(files->journal) : 0;
}

bool stream_files_has_spare(const struct stream_files *files)
{
    return spare_bytes(files) >= MUCH_BYTES;
}

/* Of those that have as much ahead. */
static void begin_closing(struct stream_files_store *all, uint64_t bytes, const struct stream *but)
{
    list_for_each(link, &all->active)
    {
        struct stream_files *files = files_at(link);
        if (spare_bytes(files) >= bytes && !(but && files->stream == but))
            stream_files_begin_closing(files);
    }
}

/* It is leaving, and something will happen to it. Else it waits for memory: nobody waits for that.
 */
static bool is_under_way(const struct stream_files *files)
{
    return files->state == FILES_LEAVING &&
           (journal_is_busy(files->journal) || stream_files_is_read(files));
}

/* It is being closed, and has much. */
static bool is_giving(const struct stream_files *files)
{
    if (files->state == FILES_CLOSING) return files->gives_room;
    return is_under_way(files) && stream_files_has_spare(files);
}

static uint64_t count_giving(const struct stream_files_store *all)
{
    uint64_t count = 0;

    list_for_each(link, &all->active) count += is_giving(files_at(link));
    return count;
}

static int wait_for_givers(struct stream_store *store)
{
    struct stream_files_store *all = store->files;
    uint64_t goal = all->given_count + count_giving(all);
    int rc = 0;

    while (rc == 0 && all->given_count < goal && count_giving(all) > 0)
        rc = stream_files_wait(store);
    return rc;
}

int stream_files_find_room(struct stream_store *store, const struct stream *but, int rc,
                           unsigned asked)
{
    if ((rc != -ENOSPC && rc != -EDQUOT) || asked >= STREAM_FILES_ASK_MAX) return rc;
    if (asked > 1) return 0;
    begin_closing(store->files, MUCH_BYTES, but);
    return count_giving(store->files) > 0 ? wait_for_givers(store) : rc;
}

void stream_store_give_room(struct stream_store *store)
{
    if (store->files) begin_closing(store->files, MUCH_BYTES, NULL);
}

/* Any room helps who had it once. One that waits for memory to be closed with gives none. */
bool stream_store_free_room(struct stream_store *store, const struct stream *but)
{
    bool is_coming = false;

    if (!store->files) return false;
    begin_closing(store->files, 1, but);
    list_for_each(link, &store->files->active)
    {
        const struct stream_files *files = files_at(link);
        is_coming |= files->state == FILES_CLOSING || is_under_way(files);
    }
    return is_coming;
}
