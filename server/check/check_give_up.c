/* check_give_up.c - a log of which nothing is left that could be done again is given up: the
 * checkpoint becomes one that no log goes on from, and the directory one that a server starts on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "server/check/check.h"
#include "server/durability/checkpoint_copy.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/log_directory.h"

enum { STEP_BYTES = 4 << 20 };

static int copy_blocks(struct os *os, int from_fd, int to_fd, uint64_t number)
{
    struct checkpoint_copy *copy = NULL;
    int rc = checkpoint_copy_begin(os, from_fd, to_fd, number, &copy);

    if (rc == 0) {
        while ((rc = checkpoint_copy_step(copy, STEP_BYTES)) == 1) {}
        checkpoint_copy_end(copy);
    }
    return rc < 0 ? rc : os->fsync(os, to_fd);
}

/* What a crash leaves of the copy, the next start removes. */
static int copy_checkpoint(const char *from, const char *to, uint64_t number)
{
    struct os *os = os_real();
    int from_fd = os->open(os, from, O_RDONLY, 0), to_fd = -1, rc = from_fd;

    if (rc >= 0) rc = to_fd = os->open(os, to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (rc >= 0) rc = copy_blocks(os, from_fd, to_fd, number);
    if (to_fd >= 0) (void)os->close(os, to_fd); /* synced */
    if (from_fd >= 0) (void)os->close(os, from_fd);
    return rc;
}

/* The log goes first: together with the new checkpoint it would be done from its beginning. Whoever
 * is interrupted in between finds a log that is missing, and does this again. */
static int replace(const struct check *check, const char *temporary)
{
    struct os *os = os_real();
    int rc = log_directory_remove(os, check->directory, 0, UINT64_MAX);

    if (rc == 0) rc = log_directory_unmark(os, check->directory);
    if (rc == 0) rc = os->fsync_directory(os, check->directory);
    if (rc == 0) rc = os->rename(os, temporary, check->checkpoint_path);
    return rc < 0 ? rc : os->fsync_directory(os, check->directory);
}

static int give_up(const struct check *check)
{
    uint64_t number;
    int rc = checkpoint_files_newest(os_real(), check->directory, &number);
    char *temporary = rc == 0 ? checkpoint_files_path(check->directory, number, true) : NULL;

    if (rc == 0 && !temporary) rc = -ENOMEM;
    if (rc == 0) rc = copy_checkpoint(check->checkpoint_path, temporary, number);
    if (rc == 0) rc = replace(check, temporary);
    free(temporary);
    return rc;
}

bool check_give_up_log(struct check *check)
{
    int rc = give_up(check);

    if (rc < 0) {
        check_damage(check, "log: it cannot be given up: %s", strerror(-rc));
        return false;
    }
    check->log_position = 0;
    check_repair(check,
                 "log: all of it behind %s is given up; a server starts on what that checkpoint "
                 "holds",
                 check->checkpoint_path);
    return true;
}
