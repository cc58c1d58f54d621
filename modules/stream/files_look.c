/* files_look.c - at a start, the journals that were loaded are looked at before anything counts on
 * them: several jobs at a time, each one journal after the other. Only heads are read (check.h), so
 * thousands take less than a second; entries are verified by who reads them. What is packed is
 * known by that, and so what the streams take on the disk. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/journal/check.h"
#include "modules/stream/files_internal.h"

enum { LOOKS_AT_ONCE = 8 };

struct look {
    struct io_job job; /* first */
    struct files_looking *looking;
    struct stream_files *files; /* who stays as long as the store is not closing */
    uint64_t *starts;           /* of segments */
    uint64_t *packed_bytes;     /* of their files; 0: plain */
    uint32_t count;
    uint64_t end;
    char path[STREAM_PATH_BYTES_MAX];
    char text[JOURNAL_REPORT_TEXT_BYTES];
};

struct files_looking {
    struct stream_files_store *all;
    struct list_link *next; /* in all's: which is to be looked at */
    unsigned running;
    int rc;
    char text[STREAM_LOOK_TEXT_BYTES]; /* of the first failure */
    struct look looks[LOOKS_AT_ONCE];
};

static void fail(struct files_looking *looking, int rc, const char *path, const char *why)
{
    if (looking->rc < 0) return;
    looking->rc = rc;
    (void)snprintf(looking->text, sizeof(looking->text), "the stream in %s: %s%s%s", path, why,
                   *why && rc != -EBADMSG ? ": " : "", rc != -EBADMSG ? strerror(-rc) : "");
}

static void run_look(struct io_job *job, struct os *os)
{
    struct look *look = (struct look *)job;

    job->rc = journal_check_heads(os, look->path, look->starts, look->count, look->end,
                                  look->packed_bytes, look->text);
}

static void begin(struct look *look);

static void take_packed(const struct look *look)
{
    for (uint32_t i = 0; i < look->count; i++)
        if (look->packed_bytes[i] > 0)
            stream_files_count_packed(look->files, look->starts[i], look->packed_bytes[i]);
}

static void look_done(struct io_job *job)
{
    struct look *look = (struct look *)job;
    struct files_looking *looking = look->looking;
    struct stream_store *store = looking->all->store;

    looking->running--;
    if (job->rc == 0 && !looking->all->is_closing) take_packed(look);
    free(look->starts);
    if (job->rc < 0) fail(looking, job->rc, look->path, look->text);
    begin(look);
    stream_files_tell_ready(store);
}

static int prepare(struct look *look, struct stream_files *files)
{
    stream_files_path(files, look->path);
    look->count = files->segment_count;
    look->end = files->end;
    look->files = files;
    look->starts = malloc(2 * look->count * sizeof(*look->starts));
    if (!look->starts) return -ENOMEM;
    look->packed_bytes = look->starts + look->count;
    for (uint32_t i = 0; i < look->count; i++)
        look->starts[i] = files->segments[i].start;
    return 0;
}

/* The next one there is. */
static void begin(struct look *look)
{
    struct files_looking *looking = look->looking;
    int rc;

    while (looking->rc == 0 && looking->next != &looking->all->all) {
        struct stream_files *files = list_container(looking->next, struct stream_files, link);
        looking->next = looking->next->next;
        if (!files->saved.is_there || files->segment_count == 0) continue;
        rc = prepare(look, files);
        if (rc < 0) {
            fail(looking, rc, look->path, "");
            return;
        }
        looking->running++;
        look->job = (struct io_job){ .run = run_look, .done = look_done };
        io_submit(looking->all->store->io, &look->job);
        return;
    }
}

static int begin_all(struct stream_files_store *all)
{
    struct files_looking *looking = calloc(1, sizeof(*looking));

    if (!looking) return -ENOMEM;
    looking->all = all;
    looking->next = all->all.next;
    all->looking = looking;
    for (unsigned i = 0; i < LOOKS_AT_ONCE; i++) {
        looking->looks[i].looking = looking;
        begin(&looking->looks[i]);
    }
    return 0;
}

int stream_checkpoint_look(struct stream_store *store, char text[STREAM_LOOK_TEXT_BYTES])
{
    struct stream_files_store *all = store->files;
    int rc = 0;

    text[0] = '\0';
    if (!all) return 1;
    if (!all->looking) rc = begin_all(all);
    if (rc < 0) (void)snprintf(text, STREAM_LOOK_TEXT_BYTES, "%s", strerror(-rc));
    if (rc < 0) return rc;
    if (all->looking->running > 0) return 0;
    rc = all->looking->rc;
    memcpy(text, all->looking->text, sizeof(all->looking->text));
    free(all->looking);
    all->looking = NULL;
    return rc < 0 ? rc : 1;
}

bool stream_files_stop_looking(struct stream_files_store *all)
{
    if (!all->looking) return true;
    if (all->looking->rc == 0) all->looking->rc = -ECANCELED;
    if (all->looking->running > 0) return false;
    free(all->looking);
    all->looking = NULL;
    return true;
}
