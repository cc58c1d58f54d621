#include "server/durability/checkpoint_files.h"

#include "modules/base/number.h"
#include "modules/base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "checkpoint-", suffix[] = ".tmp";

enum { DIGITS_MAX = 20 };

char *checkpoint_files_path(const char *directory, uint64_t number, bool is_temporary)
{
    size_t size = strlen(directory) + sizeof(prefix) + DIGITS_MAX + sizeof(suffix) + 1;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s/%s%llu%s", directory, prefix, (unsigned long long)number,
                       is_temporary ? suffix : "");
    return path;
}

/* False: the name is none of ours. */
static bool parse(const char *name, uint64_t *out_number, bool *out_is_temporary)
{
    const char *digits = name + sizeof(prefix) - 1;
    size_t count;
    uint64_t number;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0) return false;
    count = strspn(digits, "0123456789");
    if (!number_parse_uint64(slice_of(digits, count), &number) || number == 0) return false;
    *out_number = number;
    *out_is_temporary = strcmp(digits + count, suffix) == 0;
    return *out_is_temporary || digits[count] == '\0';
}

static int look(void *context, const char *name)
{
    uint64_t *newest = context, number;
    bool is_temporary;
    if (parse(name, &number, &is_temporary) && !is_temporary && number > *newest) *newest = number;
    return 0;
}

int checkpoint_files_newest(struct os *os, const char *directory, uint64_t *out_number)
{
    *out_number = 0;
    return os->list(os, directory, look, out_number);
}

struct removal {
    struct os *os;
    const char *directory;
    uint64_t keep_number;
};

static int remove_one(void *context, const char *name)
{
    struct removal *removal = context;
    bool is_temporary;
    uint64_t number;
    char *path;
    int rc;
    if (!parse(name, &number, &is_temporary)) return 0;
    if (!is_temporary && number == removal->keep_number) return 0;
    path = checkpoint_files_path(removal->directory, number, is_temporary);
    if (!path) return -ENOMEM;
    rc = removal->os->unlink(removal->os, path);
    free(path);
    return rc == -ENOENT ? 0 : rc;
}

int checkpoint_files_remove(struct os *os, const char *directory, uint64_t keep_number)
{
    struct removal removal = { os, directory, keep_number };
    int rc = os->list(os, directory, remove_one, &removal);
    if (rc == 0) rc = os->fsync_directory(os, directory);
    return rc;
}
