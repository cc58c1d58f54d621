#include "server/check/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "server/durability/backup_target.h"

int check_lock(const char *directory)
{
    struct os *os = os_real();
    char *path;
    int fd, rc;

    if (asprintf(&path, "%s/sluice.lock", directory) < 0) return -ENOMEM;
    fd = os->open(os, path, O_RDWR, 0);
    free(path);
    if (fd < 0) return fd;
    rc = os->lock(os, fd);
    if (rc == 0) return fd;
    (void)os->close(os, fd); /* nothing was written */
    return rc;
}

int check_mark(struct check *check)
{
    struct os *os = os_real();
    char *path;
    int fd;

    if (asprintf(&path, "%s/" BACKUP_MARK, check->directory) < 0) return -ENOMEM;
    fd = os->open(os, path, O_RDONLY, 0);
    if (fd >= 0) (void)os->close(os, fd); /* nothing was done with it */
    if (fd != -ENOENT)
        check_damage(check, "%s is there: a backup that was not completed. No server starts on it",
                     path);
    free(path);
    return 0;
}

void check_finish(struct check *check)
{
    free(check->checkpoint_path);
    free(check->log_path);
    check->checkpoint_path = check->log_path = NULL;
}

const char *check_quote(struct slice bytes, char text[CHECK_QUOTED_BYTES])
{
    enum { SHOWN_BYTES = 60, ESCAPED_BYTES = 4 };
    static const char rest[] = "…";
    static_assert(ESCAPED_BYTES * SHOWN_BYTES + sizeof(rest) <= CHECK_QUOTED_BYTES, "all fits");
    char *at = text;

    for (size_t i = 0; i < bytes.size && i < SHOWN_BYTES; i++) {
        uint8_t byte = bytes.bytes[i];

        if (byte < ' ' || byte > '~')
            at += snprintf(at, ESCAPED_BYTES + 1, "\\x%02x", byte);
        else
            *at++ = (char)byte;
    }
    *at = '\0';
    if (bytes.size > SHOWN_BYTES) memcpy(at, rest, sizeof(rest));
    return text;
}

static void tell(struct check *check, const char *mark, const char *format, va_list list)
{
    (void)fprintf(check->out, "%s", mark);
    (void)vfprintf(check->out, format, list);
    (void)fputc('\n', check->out); /* whether all was written is asked at the end */
}

void check_damage(struct check *check, const char *format, ...)
{
    va_list list;

    check->damage_count++;
    va_start(list, format);
    tell(check, "DAMAGE ", format, list);
    va_end(list);
}

void check_error(struct check *check, const char *format, ...)
{
    va_list list;

    check->error_count++;
    va_start(list, format);
    tell(check, "ERROR  ", format, list);
    va_end(list);
}

void check_repair(struct check *check, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    tell(check, "REPAIR ", format, list);
    va_end(list);
}

void check_note(struct check *check, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    tell(check, "note   ", format, list);
    va_end(list);
}

void check_tell(struct check *check, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    tell(check, "ok     ", format, list);
    va_end(list);
}
