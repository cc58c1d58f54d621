/* files_store.c - the directory that journals of streams are in: what a start finds there, and what
 * of it goes. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/stream/files_internal.h"

static const char prefix[] = "stream-";

/* The number of a journal's directory; 0: it is not one. */
static uint64_t number_of(const char *name)
{
    uint64_t number = 0;

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0) return 0;
    name += sizeof(prefix) - 1;
    if (*name < '1' || *name > '9') return 0;
    for (; *name != '\0'; name++) {
        if (*name < '0' || *name > '9' || number > UINT64_MAX / 10 - 1) return 0;
        number = number * 10 + (uint64_t)(*name - '0');
    }
    return number;
}

static int note_directory(void *context, const char *name)
{
    struct stream_files_store *all = context;
    uint64_t number = number_of(name), *found;

    if (number == 0) return 0;
    found = realloc(all->found, (all->found_count + 1) * sizeof(*found));
    if (!found) return -ENOMEM;
    all->found = found;
    all->found[all->found_count++] = number;
    if (number > all->last_number) all->last_number = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void free_store(struct stream_files_store *all)
{
    /* Nothing was written through it. */
    if (all->sync_fd >= 0) (void)all->store->os->close(all->store->os, all->sync_fd);
    free(all->found);
    free(all);
}

int stream_files_store_create(struct stream_store *store)
{
    struct stream_files_store *all;
    int rc;

    if (!store->io) return 0;
    all = calloc(1, sizeof(*all));
    if (!all) return -ENOMEM;
    all->store = store;
    list_init(&all->all);
    list_init(&all->due);
    list_init(&all->moving);
    list_init(&all->active);
    list_init(&all->unremoved);
    list_init(&all->suspect);
    list_init(&all->mending);
    list_init(&all->to_rewrite);
    all->disk_bytes_max = UINT64_MAX;
    all->window_bytes_max = UINT64_MAX;
    all->sync_fd = store->os->watch_filesystem(store->os, store->options.directory);
    if (all->sync_fd < 0) all->sync_fd = -1; /* then one by one */
    rc = store->os->list(store->os, store->options.directory, note_directory, all);
    if (rc < 0) {
        free_store(all);
        return rc;
    }
    if (all->found_count > 0)
        qsort(all->found, all->found_count, sizeof(*all->found), compare_numbers);
    store->files = all;
    return 0;
}

int stream_files_claim(struct stream_files_store *all, uint64_t number)
{
    uint64_t *found = all->found_count > 0 ? bsearch(&number, all->found, all->found_count,
                                                     sizeof(number), compare_numbers)
                                           : NULL;

    if (!found || number == 0) return 0;
    /* Those that are claimed leave the array, which stays in order. */
    all->found_count--;
    memmove(found, found + 1, (size_t)(all->found + all->found_count - found) * sizeof(*found));
    return 1;
}

void stream_checkpoint_loaded(struct stream_store *store)
{
    struct stream_files_store *all = store->files;
    uint64_t kept;

    if (!all) return;
    kept = all->last_number;
    while (all->found_count > 0) {
        struct stream_files *files;
        /* What there is no memory for is removed by the next start. */
        if (stream_files_create(store, &files) < 0) break;
        files->number = all->found[--all->found_count];
        stream_files_step(files);
    }
    all->last_number = kept;
    free(all->found);
    all->found = NULL;
    all->found_count = 0;
}

bool stream_files_tick(struct stream_store *store)
{
    if (!store->files) return false;
    store->files->tick++;
    stream_files_step_due(store->files);
    stream_files_shrink_windows(store->files);
    stream_files_tend_moves(store->files);
    stream_files_tend_suspects(store->files);
    stream_files_tend_removals(store->files);
    return stream_files_tend_rewrites(store->files);
}

uint64_t stream_store_window_bytes(const struct stream_store *store)
{
    return store->files ? store->files->window_bytes : 0;
}

void stream_store_set_windows_max(struct stream_store *store, uint64_t bytes)
{
    if (store->files) store->files->window_bytes_max = bytes;
}

void stream_files_store_destroy(struct stream_store *store)
{
    struct stream_files_store *all = store->files;

    if (!all) return;
    all->is_closing = true;
    for (;;) {
        list_for_each(link, &all->all)
        {
            stream_files_step(list_container(link, struct stream_files, link));
        }
        stream_files_step_due(all);
        if (stream_files_stop_looking(all) && list_is_empty(&all->all) && !all->is_syncing) break;
        (void)io_wait(store->io);
    }
    free_store(all);
    store->files = NULL;
}
