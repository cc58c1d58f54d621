/* check.h - the files of a data directory looked through while no server works in it: checkpoint,
 * operation log, lists on disk. What is wrong is told in lines, with file, offset and key.
 *
 * Nothing is changed, but by check_log when it is told to: a log is mended or given up. One thread.
 */
#ifndef SERVER_CHECK_CHECK_H
#define SERVER_CHECK_CHECK_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "modules/base/slice.h"

struct check {
    const char *directory;
    FILE *out;
    bool repairs;     /* what can be mended without losing what was acknowledged */
    bool cuts_damage; /* also ends the log where it is damaged */
    /* NULL, or why no server does such a command of the log again. */
    const char *(*judge)(void *context, const struct slice *arguments, uint32_t count);
    void *judge_context;
    unsigned damage_count; /* lines that told of damage that is still there */
    unsigned error_count;  /* what could not be looked at */

    /* of the newest checkpoint, by check_checkpoint: */
    bool has_checkpoint;   /* it is whole */
    bool knows_position;   /* log_position is known: its head is whole, or there is none */
    char *checkpoint_path; /* NULL: there is none */
    uint64_t log_position; /* that it goes on from */
    char *log_path;        /* by check_log: the log that counts; NULL: none does */
};

/* Takes the lock of the data directory: a descriptor to be closed at the end. -EWOULDBLOCK: a
 * server works there. -ENOENT: no server ever did. */
int check_lock(const char *directory);
void check_finish(struct check *check);

/* In this order. Each tells what it has found; a negative errno: no memory. */
int check_mark(struct check *check);
int check_checkpoint(struct check *check);
int check_log(struct check *check);
int check_lists(struct check *check);
int check_streams(struct check *check);
/* What no line before tells of. */
int check_rest(struct check *check);

/* Gives up the log behind a whole checkpoint that goes on with one: removes all logs, and has the
 * checkpoint go on with none. False: that failed, and was told. */
bool check_give_up_log(struct check *check);

/* A client's bytes for a line of ours: what does not print is escaped, and much is cut. Returns
 * text. */
enum { CHECK_QUOTED_BYTES = 260 };
const char *check_quote(struct slice bytes, char text[CHECK_QUOTED_BYTES]);

/* A line that tells of damage, or of what could not be looked at. */
void check_damage(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void check_error(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of what is being mended. */
void check_repair(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of what was not checked. */
void check_note(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of anything else. */
void check_tell(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
