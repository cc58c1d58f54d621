/* check_log.c - the operation log: every frame verified, its commands looked at; a torn tail, and
 * what goes with it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/journal/check.h"
#include "modules/journal/format.h"
#include "modules/journal/mend.h"
#include "server/check/check.h"
#include "server/durability/log_directory.h"
#include "server/durability/log_frame.h"
#include "server/durability/oplog.h"

struct walk {
    struct check *check;
    struct log_frame_reader *reader;
    uint64_t commands;
    uint64_t again_frames, again_commands; /* of these from the checkpoint's position on */
    uint64_t lost_commands;                /* of whole frames behind the end */
    uint64_t lost_bytes;                   /* of the same */
};

/* ---- frames ------------------------------------------------------------------------------------
 */

/* In which file, and where. */
static void print_place(const struct check *check, uint64_t position)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    journal_check_place(position, place);
    (void)fprintf(check->out, "%s/%s", check->log_path, place);
}

/* The command's name and key: what was lost must be told, not shown at any length. */
static void tell_lost(struct walk *walk, uint64_t position, uint64_t time_ms, unsigned database,
                      const struct slice *arguments, uint32_t count)
{
    time_t seconds = (time_t)(time_ms / 1000);
    char text[32] = "", quoted[CHECK_QUOTED_BYTES];
    FILE *out = walk->check->out;
    struct tm tm;

    if (gmtime_r(&seconds, &tm)) (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    (void)fprintf(out, "lost   %s database %u: ", text, database);
    for (uint32_t i = 0; i < count && i < 2; i++) {
        (void)fprintf(out, "%s%s", i > 0 ? " " : "", check_quote(arguments[i], quoted));
    }
    (void)fprintf(out, " (%u arguments), at ", count);
    print_place(walk->check, position);
    (void)fputc('\n', out);
}

static void tell_bad_frame(const struct walk *walk, uint64_t position, const char *why)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    journal_check_place(position, place);
    check_damage(walk->check, "log: the frame at %s/%s %s", walk->check->log_path, place, why);
}

static void judge(struct walk *walk, uint64_t position, const struct slice *arguments,
                  uint32_t count)
{
    const struct check *check = walk->check;
    const char *why = check->judge ? check->judge(check->judge_context, arguments, count) : NULL;

    walk->commands++;
    if (position >= check->log_position) walk->again_commands++;
    if (why) tell_bad_frame(walk, position, why);
}

/* 0, or -EBADMSG: it does not hold commands. */
static int look_at_commands(struct walk *walk, uint64_t position, uint64_t time_ms,
                            struct slice payload, bool is_behind_end)
{
    struct slice *arguments;
    uint32_t count;
    unsigned database;
    int rc = log_frame_reader_begin(walk->reader, payload);

    if (rc < 0) return rc;
    while ((rc = log_frame_reader_next(walk->reader, &database, &arguments, &count)) == 1) {
        if (is_behind_end) {
            walk->lost_commands++;
            tell_lost(walk, position, time_ms, database, arguments, count);
        } else {
            judge(walk, position, arguments, count);
        }
    }
    return rc;
}

static int look_at_frame(void *context, uint64_t position, uint64_t time_ms, struct slice payload,
                         bool is_behind_end)
{
    struct walk *walk = context;
    int rc;

    if (is_behind_end)
        walk->lost_bytes += journal_frame_bytes(payload.size);
    else if (position >= walk->check->log_position)
        walk->again_frames++;
    rc = look_at_commands(walk, position, time_ms, payload, is_behind_end);
    if (rc == -EPROTONOSUPPORT)
        tell_bad_frame(walk, position, "is of a kind that another version writes");
    else if (rc < 0 && rc != -ENOMEM)
        tell_bad_frame(walk, position, "does not hold the commands that it says");
    return rc == -ENOMEM ? rc : 0;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static int open_and_close(const char *path, const struct journal_check *found,
                          struct journal_report *out_report)
{
    struct journal_options options = { .path = path, .synced_position = found->synced };
    struct journal *journal;
    struct io *io;
    int rc = io_create(os_real(), 0, &io);

    *out_report = (struct journal_report){ 0 };
    if (rc < 0) return rc;
    rc = journal_open(os_real(), io, &options, out_report, &journal);
    if (rc == 0) rc = journal_close(journal);
    io_destroy(io);
    return rc;
}

/* As a server that starts: on a full disk with the room that was kept for the log. */
static int cut_tail(struct check *check, const char *path, const struct journal_check *found)
{
    struct journal_report report;
    int rc = open_and_close(path, found, &report);

    if ((rc == -ENOSPC || rc == -EDQUOT) && oplog_give_reserve(os_real(), check->directory) == 0)
        rc = open_and_close(path, found, &report);
    if (rc == -ENOMEM) return rc;
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
    /* The zeros that fill the last frame up are none of the tail's bytes. */
    uint64_t unknown =
        found->tail_bytes > walk->lost_bytes ? found->tail_bytes - walk->lost_bytes : 0;

    journal_check_place(found->end, place);
    say(check,
        "log: behind %s/%s lies a torn tail of %llu bytes, never known to be on the device: %llu "
        "whole frames with %llu commands are in it (told above as lost), and %llu bytes of which "
        "nothing can be told%s",
        path, place, (unsigned long long)found->tail_bytes,
        (unsigned long long)found->tail_frame_count, (unsigned long long)walk->lost_commands,
        (unsigned long long)unknown,
        check->repairs ? "" : "; --repair cuts it, as a server does that starts");
    return check->repairs ? cut_tail(check, path, found) : 0;
}

/* What no checksum says: that it goes on where the checkpoint ends, in order. */
static void check_order(struct check *check, const char *path, const struct journal_check *found)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    if (check->log_position > 0 && !found->has_synced_place) {
        journal_check_place(check->log_position, place);
        check_damage(check, "log: the checkpoint goes on at %s/%s, where no frame begins", path,
                     place);
    }
    if (check->log_position == 0 && found->first_segment > 1)
        check_damage(check,
                     "log: %s begins with segment %llu: what it goes on from, a checkpoint or the "
                     "segments before, is missing",
                     path, (unsigned long long)found->first_segment);
    if (found->unordered_position == 0) return;
    journal_check_place(found->unordered_position, place);
    check_damage(check, "log: the frame at %s/%s is older than the one before it", path, place);
}

/* ---- damage ------------------------------------------------------------------------------------
 */

/* The checkpoint is whole, and what is left of the log nothing that it could go on with. */
static bool may_give_up(const struct check *check)
{
    return check->cuts_damage && check->has_checkpoint && check->log_position > 0;
}

/* False: it is damaged as before, and was told so. */
static bool cut_damage(struct check *check, const char *path, const struct journal_check *found)
{
    struct journal_report report;
    char place[JOURNAL_REPORT_TEXT_BYTES];
    int rc;

    if (found->end < check->log_position && may_give_up(check)) return check_give_up_log(check);
    rc = journal_mend_cut(os_real(), path, check->log_position, &report);
    if (rc < 0) {
        check_damage(check, "log: %s: it cannot be cut: %s", path, strerror(-rc));
        return false;
    }
    journal_check_place(report.end, place);
    check_repair(check, "log: it ends at %s/%s; %llu bytes and %llu segments were cut off", path,
                 place, (unsigned long long)report.cut_bytes,
                 (unsigned long long)report.dropped_segment_count);
    return true;
}

static void tell_corrupt(struct check *check, const char *path, const struct walk *walk,
                         const struct journal_check *found)
{
    bool is_cut = check->cuts_damage && cut_damage(check, path, found);
    void (*say)(struct check *, const char *, ...) = is_cut ? check_repair : check_damage;

    say(check, "log: %s: %s; behind that %llu bytes with %llu whole frames, %llu commands. %s",
        path, found->text, (unsigned long long)found->tail_bytes,
        (unsigned long long)found->tail_frame_count, (unsigned long long)walk->lost_commands,
        is_cut ? "They are given up (told above as lost)"
               : "This is no torn tail: restore a backup, or give up all that (told "
                 "above as lost) by --cut-damage");
}

static bool is_there(const char *path)
{
    struct os *os = os_real();
    int fd = os->open(os, path, O_RDONLY | O_DIRECTORY, 0);

    if (fd >= 0) (void)os->close(os, fd); /* only looked for */
    return fd != -ENOENT;
}

/* Of a log whose meta is of no use. */
static void tell_meta(struct check *check, const char *path, const char *what)
{
    check_damage(check, "log: %s/meta is %s%s", path, what,
                 check->repairs ? "" : ": --repair makes it anew if the segments are whole");
}

/* There is no meta. Segments without it are kept. */
static void tell_missing(struct check *check, const char *path)
{
    if (is_there(path)) {
        tell_meta(check, path, "missing");
        return;
    }
    if (check->log_position == 0) {
        check_tell(check, "log: there is none (appendonly no)");
        return;
    }
    if (may_give_up(check) && check_give_up_log(check)) return;
    check_damage(check,
                 "log: the checkpoint goes on with %s, which is not there: restore a backup, "
                 "or give up what was acknowledged behind the checkpoint by --cut-damage",
                 path);
}

/* What segments say is all that a meta says; how far they were synced perhaps not. */
static void mend_meta(struct check *check, const char *path)
{
    struct journal_report report;
    char place[JOURNAL_REPORT_TEXT_BYTES];
    int rc = journal_mend_meta(os_real(), path, check->log_position, &report);

    if (rc == -EEXIST || rc == -ENOENT || rc == -EPROTONOSUPPORT) return; /* told below */
    if (rc < 0) {
        check_damage(check, "log: %s/meta cannot be made anew: %s", path,
                     report.text[0] ? report.text : strerror(-rc));
        return;
    }
    journal_check_place(report.end, place);
    check_repair(check,
                 "log: %s/meta was made anew from the segments, whose frames are whole up to %s",
                 path, place);
    if (report.synced_position > report.end)
        check_note(check, "log: how far it had been synced is not known any more, so what lies "
                          "behind that counts as damage, not as a torn tail");
}

/* What lies before the place where the checkpoint goes on is not done again. */
static void pass_over_damage(struct check *check, const char *path)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];
    uint64_t bytes;
    int rc;

    if (check->log_position == 0) return;
    rc = journal_mend_before(os_real(), path, check->log_position, &bytes);
    if (rc < 0 || bytes == 0) return; /* what is wrong is told where the log is looked through */
    journal_check_place(check->log_position, place);
    check_repair(check,
                 "log: %llu damaged bytes before %s/%s, where the checkpoint goes on, are passed "
                 "over: nothing that counts was in them",
                 (unsigned long long)bytes, path, place);
}

static int tell_log(struct check *check, const char *path, const struct walk *walk,
                    const struct journal_check *found)
{
    char place[JOURNAL_REPORT_TEXT_BYTES];

    if (found->is_corrupt) {
        tell_corrupt(check, path, walk, found);
        return 0;
    }
    if (found->first_segment == 0) {
        check_tell(check, "log: it is empty");
        return 0;
    }
    check_order(check, path, found);
    journal_check_place(found->end, place);
    check_tell(check,
               "log: %llu frames with %llu commands are whole, up to %s; %llu with %llu are done "
               "again behind the checkpoint",
               (unsigned long long)found->frame_count, (unsigned long long)walk->commands, place,
               (unsigned long long)walk->again_frames, (unsigned long long)walk->again_commands);
    return found->tail_bytes > 0 ? tell_tail(check, path, walk, found) : 0;
}

static int check_path(struct check *check, const char *path, struct walk *walk)
{
    struct journal_check found;
    int rc = journal_check(os_real(), path, check->log_position, look_at_frame, walk, &found);

    if (rc == -ENOMEM) return rc;
    if (rc == -ENOENT) {
        tell_missing(check, path);
    } else if (rc == -EBADMSG && !found.text[0]) {
        tell_meta(check, path, "damaged");
    } else if (rc == -EBADMSG) {
        check_damage(check, "log: %s: %s", path, found.text);
    } else if (rc == -EPROTONOSUPPORT) {
        check_error(check, "log: %s: it was made by another version, or that is damaged", path);
    } else if (rc < 0) {
        check_error(check, "log: %s: %s", path, strerror(-rc));
    } else {
        return tell_log(check, path, walk, &found);
    }
    return 0;
}

/* 0, and check->log_path unless that could not be found out. */
static int find_path(struct check *check)
{
    uint64_t first_segment;
    int rc = log_directory_find(os_real(), check->directory, check->log_position, &first_segment);

    if (rc == 0 || rc == -ENOENT) {
        check->log_path = log_directory_path(check->directory, first_segment);
        return check->log_path ? 0 : -ENOMEM;
    }
    if (rc == -ENOMEM) return rc;
    if (rc == -ESTALE)
        check_damage(check, "log: the checkpoint that it goes on from is missing in %s",
                     check->directory);
    else
        check_error(check, "log: %s", strerror(-rc));
    return 0;
}

int check_log(struct check *check)
{
    struct walk walk = { .check = check };
    int rc;

    if (!check->knows_position) {
        check_note(check, "not checked: the log, as the checkpoint should say which one counts");
        return 0;
    }
    rc = find_path(check);
    if (rc < 0 || !check->log_path) return rc;
    if (check->repairs) mend_meta(check, check->log_path);
    if (check->repairs) pass_over_damage(check, check->log_path);
    rc = log_frame_reader_create(&walk.reader);
    if (rc == 0) rc = check_path(check, check->log_path, &walk);
    log_frame_reader_destroy(walk.reader);
    return rc;
}
