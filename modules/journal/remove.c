/* Removing a whole journal: its segments first, oldest first, meta and the directory last, so that
 * what is left when it is broken off is a journal still, and is removed by the next attempt. */
#include "modules/journal/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/journal/meta.h"

struct sweep {
    struct os *os;
    const char *path;
    bool has_removed;
};

static int remove_entry(void *context, const char *name)
{
    struct sweep *sweep = context;
    char *file = strcmp(name, "meta") == 0 ? NULL : journal_join_path(sweep->path, name);
    int rc;

    if (!file) return strcmp(name, "meta") == 0 ? 0 : -ENOMEM;
    rc = sweep->os->unlink(sweep->os, file);
    free(file);
    if (rc == -ENOENT || rc == -EISDIR) return 0; /* a directory is not the journal's */
    sweep->has_removed = rc == 0;
    return rc;
}

/* Indexes, names, whatever stands in the directory; a listing may miss some of what it changes. */
static int remove_entries(struct os *os, const char *path)
{
    struct sweep sweep = { .os = os, .path = path };
    int rc = 0;

    do {
        sweep.has_removed = false;
        rc = os->list(os, path, remove_entry, &sweep);
    } while (rc == 0 && sweep.has_removed);
    return rc;
}

static int remove_segments(struct os *os, const struct journal_places *places)
{
    struct journal_survey survey;
    int rc = journal_places_survey(os, places, &survey);

    if (rc == 0 && survey.first > 0) {
        rc = journal_places_remove(os, places, survey.first, survey.last + 1);
    }
    if (rc == 0) rc = journal_places_clean(os, places);
    for (unsigned i = JOURNAL_COOL; rc == 0 && i < JOURNAL_TIER_COUNT; i++) {
        if (!places->paths[i]) continue;
        rc = os->rmdir(os, places->paths[i]);
        if (rc == -ENOENT) rc = 0;
    }
    return rc;
}

/* The directory above the journal's, which is gone: without "..". */
static int sync_above(struct os *os, const char *path)
{
    char *above = strdup(path), *slash;
    size_t size;
    int rc;

    if (!above) return -ENOMEM;
    for (size = strlen(above); size > 1 && above[size - 1] == '/'; size--)
        above[size - 1] = '\0';
    slash = strrchr(above, '/');
    if (slash) slash[slash == above ? 1 : 0] = '\0';
    rc = os->fsync_directory(os, slash ? above : ".");
    free(above);
    return rc;
}

/* 0 also when it is not there. */
static int remove_file(struct os *os, const char *path, const char *name)
{
    char *file = journal_join_path(path, name);
    int rc = file ? os->unlink(os, file) : -ENOMEM;

    free(file);
    return rc == -ENOENT ? 0 : rc;
}

static int remove_meta(struct os *os, const char *path)
{
    int rc = remove_file(os, path, "meta");

    if (rc == 0) rc = os->rmdir(os, path);
    return rc < 0 ? rc : sync_above(os, path);
}

/* Removing or making it was broken off there, or what was never synced is there in part. */
static int remove_rest(struct os *os, const char *path)
{
    int rc = remove_entries(os, path);

    return rc < 0 ? rc : remove_meta(os, path);
}

int journal_remove(struct os *os, const char *path)
{
    struct journal_meta meta;
    int rc = journal_meta_open_alone(os, path, &meta);

    if (rc == -ENOENT || rc == -EBADMSG) return remove_rest(os, path);
    if (rc < 0) return rc;
    rc = remove_segments(os, &meta.places);
    if (rc == 0) rc = remove_entries(os, path);
    if (rc == 0) rc = remove_meta(os, path);
    journal_meta_close(os, &meta);
    return rc;
}
