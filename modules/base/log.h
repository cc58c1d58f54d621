/* log.h - the server's log: one line a message, to a file, standard output or standard error.
 *
 *     4711:M 21 Nov 2026 08:27:28.123 * Ready to accept connections
 *     PID:ROLE  local time            LEVEL (. debug, - verbose, * notice, # warning)
 *
 * Modules do not log; they return codes, and the server writes one line where it decides. A log is
 * handed down to who needs it. Writing is safe from any thread and never fails towards the caller:
 * a line that could not be written is counted. Each line is one write(2), so lines of several
 * threads or processes do not mix. Message bytes that are not printable are escaped: nobody who
 * gets a name into a message can forge lines or steer a terminal. */
#ifndef MODULES_BASE_LOG_H
#define MODULES_BASE_LOG_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct log;

/* LOG_NOTHING as a log's level silences it; no message has it. */
enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };

/* A longer message is cut there, and ends in "...". */
enum { LOG_MESSAGE_BYTES_MAX = 1024 };

/* path: a file to append to (made if missing), "" for standard output, "-" for standard error.
 * role: the letter behind the pid, 'M' for a server that answers, 'C' while it starts. -ENOMEM or
 * why the file could not be opened. */
int log_create(const char *path, enum log_level level, char role, struct log **out_log);
void log_destroy(struct log *log); /* accepts NULL */

/* Drops messages below level. log NULL: drops all. */
void log_write(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_write_list(struct log *log, enum log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

/* Opens the file anew: after it was renamed by a log rotation, or to change where lines go. On
 * error the log goes on as before. */
int log_reopen(struct log *log, const char *path);
void log_set_level(struct log *log, enum log_level level);
enum log_level log_get_level(const struct log *log);
void log_set_role(struct log *log, char role);
/* The pid in the lines is that at creation; call after fork. */
void log_update_pid(struct log *log);

/* Lines that could not be written, since creation. */
uint64_t log_lost_lines(const struct log *log);

/* "debug", "verbose", "notice", "warning", "nothing", in any case. False: none of them. */
bool log_parse_level(const char *name, enum log_level *out_level);
const char *log_level_name(enum log_level level);
#endif
