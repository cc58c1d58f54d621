/* check_main.c - sluice-check: is a data directory whole? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "server/check/check.h"
#include "server/commands/table.h"

enum { EXIT_WHOLE = 0, EXIT_DAMAGED = 1, EXIT_UNKNOWN = 2 };

static int usage(FILE *out)
{
    (void)fputs(
        "Usage: sluice-check [--repair | --cut-damage] DIR\n"
        "\n"
        "Looks through the data directory of a server that is not running: the newest checkpoint,\n"
        "the operation log behind it, command by command, every list on disk, checksum by\n"
        "checksum, and every stream. Each line says what is whole (ok), what is not and where "
        "(DAMAGE), what would\n"
        "be lost (lost), what was not checked (note), and what could not be looked at (ERROR).\n"
        "Nothing is changed.\n"
        "\n"
        "  --repair      cuts the torn tail of a log, and says what is lost by that; passes over\n"
        "                damage before the place where the checkpoint goes on, where nothing is "
        "lost;\n"
        "                makes the meta of a log's or a stream's journal anew from its segments\n"
        "  --cut-damage  the same, and ends a log before damage of what was on the device: gives "
        "up\n"
        "                all commands behind it, though they were acknowledged, and says which.\n"
        "                Keep a copy of DIR before\n"
        "\n"
        "Exit code: 0 all is whole; 1 something is damaged; 2 it could not be found out.\n",
        out);
    return out == stdout ? EXIT_WHOLE : EXIT_UNKNOWN;
}

/* As loading refuses it (server/commands/loading.c). */
static const char *judge(void *context, const struct slice *arguments, uint32_t count)
{
    const struct command *command = command_of(context, arguments, count);

    if (!command || !command_changes_at_once(command))
        return "holds a command that is none that changes anything at once";
    return command_takes(command, count) ? NULL
                                         : "holds a command with a wrong number of arguments";
}

static int check_all(struct check *check)
{
    int rc = check_mark(check);

    if (rc == 0) rc = check_checkpoint(check);
    if (rc == 0) rc = check_log(check);
    if (rc == 0) rc = check_lists(check);
    if (rc == 0) rc = check_streams(check);
    return rc == 0 ? check_rest(check) : rc;
}

static int check_directory(struct check *check)
{
    struct command_table *table;
    int lock = check_lock(check->directory), rc;

    if (lock == -EWOULDBLOCK)
        check_error(check, "a server works in %s: end it first", check->directory);
    else if (lock < 0)
        check_error(check, "%s/sluice.lock: %s (is this a data directory?)", check->directory,
                    strerror(-lock));
    if (lock < 0) return 0;
    rc = command_table_create(&table);
    if (rc == 0) {
        check->judge = judge;
        check->judge_context = table;
        rc = check_all(check);
        command_table_destroy(table);
    }
    (void)os_real()->close(os_real(), lock); /* nothing was written to it */
    return rc;
}

int main(int argument_count, char **arguments)
{
    struct check check = { .out = stdout };
    int rc;

    for (int i = 1; i < argument_count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
            return usage(stdout);
        if (strcmp(arguments[i], "--repair") == 0)
            check.repairs = true;
        else if (strcmp(arguments[i], "--cut-damage") == 0)
            check.repairs = check.cuts_damage = true;
        else if (arguments[i][0] == '-' || check.directory)
            return usage(stderr);
        else
            check.directory = arguments[i];
    }
    if (!check.directory) return usage(stderr);
    rc = check_directory(&check);
    if (rc < 0) check_error(&check, "%s", strerror(-rc));
    check_finish(&check);
    if (fflush(stdout) != 0) return EXIT_UNKNOWN;
    if (check.error_count > 0) return EXIT_UNKNOWN;
    return check.damage_count > 0 ? EXIT_DAMAGED : EXIT_WHOLE;
}
