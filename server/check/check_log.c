/* check_log.c - the operation log: every frame verified, its commands looked at; a torn tail, and
 * what goes with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/check.h"
#include "server/check/check.h"
#include "server/durability/log_directory.h"
#include "server/durability/log_frame.h"

enum { LOST_LINES_MAX = 100, SHOWN_BYTES = 60 };

struct walk {
    struct check *check;
    struct log_frame_reader *reader;
    uint64_t commands;
    uint64_t lost_commands; /* of whole frames behind the end */
};

/* ---- frames ------------------------------------------------------------------------------------
 */

/* Bytes of a client in a line of ours. */
static void print_text(FILE *out, struct slice text)
{
    for (size_t i = 0; i < text.size && i < SHOWN_BYTES; i++) {
        uint8_t byte = text.bytes[i];
        if (byte < ' ' || byte > '~')
            (void)fprintf(out, "\\x%02x", byte);
        else
            (void)fputc(byte, out);
    }
    if (text.size > SHOWN_BYTES) (void)fputs("…", out);
}

/* The command's name and key: what was lost must be told, not shown at any length. */
static void tell_lost(struct walk *walk, uint64_t time_ms, unsigned database,
                      const struct slice *arguments, uint32_t count)
{
    time_t seconds = (time_t)(time_ms / 1000);
    FILE *out = walk->check->out;
    char text[32] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm)) (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    (void)fprintf(out, "lost   %s database %u: ", text, database);
    for (uint32_t i = 0; i < count && i < 2; i++) {
        if (i > 0) (void)fputc(' ', out);
        print_text(out, arguments[i]);
    }
    (void)fprintf(out, " (%u arguments)\n", count);
}

static int look_at_frame(void *context, uint64_t position, uint64_t time_ms, struct slice payload,
                         bool is_behind_end)
{
    struct walk *walk = context;
    struct slice *arguments;
    uint32_t count;
    unsigned database;
    int rc = log_frame_reader_begin(walk->reader, payload);

    while (rc == 0 &&
           (rc = log_frame_reader_next(walk->reader, &database, &arguments, &count)) == 1) {
        rc = 0;
        if (!is_behind_end) {
            walk->commands++;
            continue;
        }
        if (walk->lost_commands++ < LOST_LINES_MAX)
            tell_lost(walk, time_ms, database, arguments, count);
    }
    if (rc < 0 && rc != -ENOMEM) {
        char place[JOURNAL_REPORT_TEXT_BYTES];
        journal_check_place(position, place);
        check_damage(walk->check, "log: the frame at %s does not hold commands: %s", place,
                     strerror(-rc));
        rc = 0;
    }
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static int cut_tail(struct check *check, const char *path, const struct journal_check *found)
{
    struct journal_options options = { .path = path, .synced_position = found->synced };
    struct journal_report report;
    struct journal *journal;
    struct io *io;
    int rc = io_create(os_real(), 0, &io);

    if (rc < 0) return rc;
    rc = journal_open(os_real(), io, &options, &report, &journal);
    if (rc == 0) rc = journal_close(journal);
    io_destroy(io);
    if (rc < 0)
        check_error(check, "log: the tail could not be cut: %s",
                    report.text[0] ? report.text : strerror(-rc));
    else
        check_repair(check, "log: %llu bytes and %llu segments were cut off",
                     (unsigned long long)report.cut_bytes,
                     (unsigned long long)report.dropped_segment_count);
    return 0;
}

static int tell_tail(struct check *check, const char *path, const struct walk *walk,
                     const struct journal_check *found)
{
    void (*say)(struct check *, const char *, ...) = check->repairs ? check_repair : check_damage;
    char place[JOURNAL_REPORT_TEXT_BYTES];

    journal_check_place(found->end, place);
    say(check,
        "log: behind %s lies a torn tail of %llu bytes, never known to be on the device: %llu "
        "whole frames with %llu commands are in it%s",
        place, (unsigned long long)found->tail_bytes, (unsigned long long)found->tail_frame_count,
        (unsigned long long)walk->lost_commands,
        check->repairs ? "" : "; --repair cuts it, as a server does that starts");
    return check->repairs ? cut_tail(check, path, found) : 0;
}

static int tell_log(struct check *check, const char *path, const struct walk *walk,
                    const struct journal_check *found)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    if (found->is_corrupt) {
        check_damage(check,
                     "log: %s/%s; behind that %llu bytes with %llu whole frames, %llu commands. "
                     "This is no torn tail: restore a backup, or remove what is damaged by hand",
                     path, found->text, (unsigned long long)found->tail_bytes,
                     (unsigned long long)found->tail_frame_count,
                     (unsigned long long)walk->lost_commands);
        return 0;
    }
    if (found->first_segment == 0) {
        check_tell(check, "log: it is empty");
        return 0;
    }
    journal_check_place(found->end, place);
    check_tell(check, "log: %llu frames with %llu commands are whole, up to %s",
               (unsigned long long)found->frame_count, (unsigned long long)walk->commands, place);
    return found->tail_bytes > 0 ? tell_tail(check, path, walk, found) : 0;
}

static int check_path(struct check *check, const char *path, struct walk *walk)
{
    struct journal_check found;
    int rc = journal_check(os_real(), path, check->log_position, look_at_frame, walk, &found);

    if (rc == -ENOMEM) return rc;
    if (rc == -ENOENT) {
        check_tell(check, "log: there is none (appendonly no)");
    } else if (rc == -EBADMSG) {
        check_damage(check, "log: %s: %s", path,
                     found.text[0] ? found.text : "its meta is damaged");
    } else if (rc == -EPROTONOSUPPORT) {
        check_error(check, "log: %s: it was made by another version, or that is damaged", path);
    } else if (rc < 0) {
        check_error(check, "log: %s: %s", path, strerror(-rc));
    } else {
        return tell_log(check, path, walk, &found);
    }
    return 0;
}

static int find_path(struct check *check, char **out_path)
{
    uint64_t first_segment;
    int rc = log_directory_find(os_real(), check->directory, check->log_position, &first_segment);

    *out_path = NULL;
    if (rc == 0 || rc == -ENOENT) {
        *out_path = log_directory_path(check->directory, first_segment);
        return *out_path ? 0 : -ENOMEM;
    }
    if (rc == -ENOMEM) return rc;
    check_error(check, "log: %s",
                rc == -ESTALE ? "the checkpoint that it goes on from is missing" : strerror(-rc));
    return 0;
}

int check_log(struct check *check)
{
    struct walk walk = { .check = check };
    char *path;
    int rc = find_path(check, &path);

    if (rc < 0 || !path) return rc;
    rc = log_frame_reader_create(&walk.reader);
    if (rc == 0) rc = check_path(check, path, &walk);
    log_frame_reader_destroy(walk.reader);
    free(path);
    return rc;
}
