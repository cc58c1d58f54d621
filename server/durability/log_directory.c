#include "server/durability/log_directory.h"

#include "modules/base/number.h"
#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "modules/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char log_name[] = "log";
static const char mark_name[] = LOG_MARK;

enum { DIGITS_MAX = 20 };

char *log_directory_path(const char *directory, uint64_t first_segment)
{
    size_t size = strlen(directory) + sizeof(log_name) + DIGITS_MAX + 3;
    char *path = malloc(size);

    if (path && first_segment > 0)
        (void)snprintf(path, size, "%s/%s-%llu", directory, log_name,
                       (unsigned long long)first_segment);
    else if (path)
        (void)snprintf(path, size, "%s/%s", directory, log_name);
    return path;
}

/* False: the name is none of ours (log.reserve is not). */
static bool parse(const char *name, uint64_t *out_number)
{
    size_t size = sizeof(log_name) - 1;

    *out_number = 0;
    if (strncmp(name, log_name, size) != 0) return false;
    if (name[size] == '\0') return true;
    return name[size] == '-' && number_parse_uint64(slice_of_string(name + size + 1), out_number) &&
           *out_number > 0;
}

struct search {
    uint64_t segment;
    uint64_t found;
    bool has_found, has_any, has_mark;
};

static int look(void *context, const char *name)
{
    struct search *search = context;
    uint64_t number;

    if (strcmp(name, mark_name) == 0) search->has_mark = true;
    if (!parse(name, &number)) return 0;
    search->has_any = true;
    if (number > search->segment || number < search->found) return 0;
    search->found = number;
    search->has_found = true;
    return 0;
}

int log_directory_find(struct os *os, const char *directory, uint64_t position,
                       uint64_t *out_first_segment)
{
    struct search search = { .segment = journal_segment_of(position) };
    int rc = os->list(os, directory, look, &search);

    *out_first_segment = search.found;
    if (rc < 0 || search.has_found) return rc;
    return search.has_any && !search.has_mark ? -ESTALE : -ENOENT;
}

struct removal {
    struct os *os;
    const char *directory;
    uint64_t from, to;
};

static int remove_one(void *context, const char *name)
{
    const struct removal *removal = context;
    uint64_t number;
    char *path;
    int rc;

    if (!parse(name, &number) || number < removal->from || number >= removal->to) return 0;
    path = log_directory_path(removal->directory, number);
    if (!path) return -ENOMEM;
    rc = journal_remove(removal->os, path);
    free(path);
    return rc == -ENOENT ? 0 : rc;
}

int log_directory_remove(struct os *os, const char *directory, uint64_t from, uint64_t to)
{
    struct removal removal = { os, directory, from, to };

    return os->list(os, directory, remove_one, &removal);
}

/* ---- the mark, and what a log is begun with ---------------------------------------------------
 */

static char *mark_path(const char *directory)
{
    size_t size = strlen(directory) + sizeof(mark_name) + 1;
    char *path = malloc(size);

    if (path) (void)snprintf(path, size, "%s/%s", directory, mark_name);
    return path;
}

int log_directory_mark(struct os *os, const char *directory)
{
    char *path = mark_path(directory);
    int fd = path ? os->open(os, path, O_RDWR | O_CREAT, 0600) : -ENOMEM;

    free(path);
    if (fd < 0) return fd;
    (void)os->close(os, fd); /* nothing was written */
    return os->fsync_directory(os, directory);
}

int log_directory_unmark(struct os *os, const char *directory)
{
    char *path = mark_path(directory);
    int rc = path ? os->unlink(os, path) : -ENOMEM;

    free(path);
    return rc == -ENOENT ? 0 : rc;
}

uint64_t log_directory_roll_bytes(struct os *os, const char *directory)
{
    enum { PARTS = 64, GRAIN = 4096, LEAST = 1 << 20 };
    uint64_t bytes;

    if (os->free_bytes(os, directory, &bytes) < 0) return 0; /* opening says why */
    bytes = bytes / PARTS / GRAIN * GRAIN;
    if (bytes >= JOURNAL_ROLL_BYTES_DEFAULT) return 0;
    return bytes > LEAST ? bytes : LEAST;
}
