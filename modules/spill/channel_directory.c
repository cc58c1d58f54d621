/* The directory of a channel: made, locked, looked through.
 *
 * The lock file stays when the channel goes. Were it removed, one process could lock the file that
 * is just being removed while another makes a new one, and both would own the directory. */
#include "modules/spill/channel_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/base/os.h"

#define LOCK_NAME "channel.lock"

static char *join_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + 1 + strlen(name) + 1;
    char *path = malloc(size);

    if (path) (void)snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* What the spill file's own cleaning will remove, or has just refused to. */
static bool is_spill_file(const char *name)
{
    size_t digits;

    if (strncmp(name, "spill-", 6) != 0) return false;
    digits = strspn(name + 6, "0123456789");
    return digits == 8 && strcmp(name + 6 + digits, ".dat") == 0;
}

static int note_foreign(void *context, const char *name)
{
    struct spill_channel *channel = context;

    if (strcmp(name, LOCK_NAME) == 0 || is_spill_file(name)) return 0;
    if (channel->foreign_file_count++ == 0) {
        (void)snprintf(channel->foreign_file, sizeof(channel->foreign_file), "%s", name);
    }
    return 0;
}

static int take_lock(struct spill_channel *channel, const char *path)
{
    struct os *os = channel->os;
    char *lock_path = join_path(path, LOCK_NAME);
    int fd, rc;

    if (!lock_path) return -ENOMEM;
    fd = os->open(os, lock_path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    free(lock_path);
    if (fd < 0) return fd;
    rc = os->lock(os, fd);
    if (rc < 0) {
        (void)os->close(os, fd);
        return rc;
    }
    channel->lock_fd = fd;
    return 0;
}

int channel_directory_take(struct spill_channel *channel, const char *directory, char **out_path)
{
    struct os *os = channel->os;
    char *path = join_path(directory, channel->name);
    int rc = -ENOMEM;

    if (!path) goto out;
    rc = os->mkdir(os, path, 0700);
    if (rc < 0 && rc != -EEXIST) goto out;
    rc = take_lock(channel, path);
    if (rc < 0) goto out;
    rc = os->list(os, path, note_foreign, channel);
    if (rc < 0) goto out;
    *out_path = path;
    path = NULL;
out:
    if (rc < 0) channel_directory_release(channel);
    free(path);
    return rc;
}

void channel_directory_release(struct spill_channel *channel)
{
    if (channel->lock_fd < 0) return;
    /* Nothing was written to it; the lock is gone either way. */
    (void)channel->os->close(channel->os, channel->lock_fd);
    channel->lock_fd = -1;
}
