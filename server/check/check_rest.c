/* check_rest.c - what sluice-check has not looked at: files that do not count, and what no file
 * says.
 */
#include <string.h>

#include "modules/base/os.h"
#include "server/check/check.h"
#include "server/durability/backup_target.h"
#include "server/durability/log_directory.h"

static const char *name_in(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : "";
}

static bool begins_with(const char *name, const char *words)
{
    return strncmp(name, words, strlen(words)) == 0;
}

static bool was_looked_at(const struct check *check, const char *name)
{
    static const char *const others[] = { "spill", "sluice.lock", "log.reserve", LOG_MARK,
                                          BACKUP_MARK };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i]) == 0) return true;
    return strcmp(name, name_in(check->checkpoint_path)) == 0 ||
           strcmp(name, name_in(check->log_path)) == 0;
}

static int note_entry(void *context, const char *name)
{
    struct check *check = context;
    const char *what = "none of the files that this program knows";

    if (was_looked_at(check, name)) return 0;
    /* Those that the checkpoint refers to were; others go with the next start. */
    if (begins_with(name, "stream-") && check->has_checkpoint) return 0;
    if (begins_with(name, "checkpoint-"))
        what = "a checkpoint that does not count: an older one, or one that was not completed";
    else if (begins_with(name, "log"))
        what = "a log that does not count: an older one, or one without a checkpoint of its time";
    check_note(check, "not checked: %s/%s, %s", check->directory, name, what);
    return 0;
}

int check_rest(struct check *check)
{
    int rc = os_real()->list(os_real(), check->directory, note_entry, check);

    if (rc < 0) check_error(check, "%s: %s", check->directory, strerror(-rc));
    if (!check->has_checkpoint)
        check_note(check, "not checked: lists on disk, as no whole checkpoint leads to them");
    check_note(check, "not checked: whether the commands of the log do today what they did (only a "
                      "start tells), nor blocks of files that nothing refers to");
    return 0;
}
