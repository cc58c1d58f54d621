#include "modules/base/log.h"
#include "modules/base/slice.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct log {
    atomic_int level;
    atomic_char role;
    atomic_int pid;
    atomic_ullong lost_lines;
    pthread_rwlock_t fd_lock; /* writers of lines read fd, log_reopen changes it */
    int fd;
    bool is_fd_ours; /* false: standard output or error, not ours to close */
};

enum { LINE_BYTES_MAX = 64 + 4 * LOG_MESSAGE_BYTES_MAX + 8 };

static int open_target(const char *path, int *out_fd, bool *out_is_ours)
{
    int fd;
    if (path[0] == '\0' || strcmp(path, "-") == 0) {
        *out_fd = path[0] == '\0' ? STDOUT_FILENO : STDERR_FILENO;
        *out_is_ours = false;
        return 0;
    }
    /* Not blocking: a pipe without reader as log file must not stop the server. */
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0) return -errno;
    *out_fd = fd;
    *out_is_ours = true;
    return 0;
}

int log_create(const char *path, enum log_level level, char role, struct log **out_log)
{
    struct log *log = calloc(1, sizeof(*log));
    int rc;
    if (!log) return -ENOMEM;
    rc = open_target(path, &log->fd, &log->is_fd_ours);
    if (rc < 0) {
        free(log);
        return rc;
    }
    atomic_init(&log->level, (int)level);
    atomic_init(&log->role, role);
    atomic_init(&log->pid, (int)getpid());
    atomic_init(&log->lost_lines, 0);
    pthread_rwlock_init(&log->fd_lock, NULL); /* with default attributes it cannot fail */
    *out_log = log;
    return 0;
}

void log_destroy(struct log *log)
{
    if (!log) return;
    if (log->is_fd_ours) (void)close(log->fd);
    pthread_rwlock_destroy(&log->fd_lock);
    free(log);
}

/* ---- a line
 * --------------------------------------------------------------------------------------- */

static size_t put_head(struct log *log, enum log_level level, char *line)
{
    struct timespec now;
    struct tm parts;
    char date[40];
    int size;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &parts);
    size = snprintf(line, 64, "%d:%c %s.%03ld %c ", atomic_load(&log->pid), atomic_load(&log->role),
                    date, now.tv_nsec / 1000000, ".-*#"[level]);
    assert(size > 0 && size < 64);
    return (size_t)size;
}

/* UTF-8 and other high bytes pass as they are; control characters do not. */
static size_t put_escaped(char *line, const char *message)
{
    static const char hex[] = "0123456789abcdef";
    size_t size = 0;
    for (const char *p = message; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c >= ' ' && c != 0x7f) {
            line[size++] = *p;
        } else {
            line[size++] = '\\';
            line[size++] = 'x';
            line[size++] = hex[c >> 4];
            line[size++] = hex[c & 15];
        }
    }
    return size;
}

static void write_line(struct log *log, const char *line, size_t size)
{
    ssize_t written;
    pthread_rwlock_rdlock(&log->fd_lock);
    do {
        written = write(log->fd, line, size);
    } while (written < 0 && errno == EINTR);
    pthread_rwlock_unlock(&log->fd_lock);
    /* The rest of a line that was cut is not sent after: it could land in another thread's. */
    if (written != (ssize_t)size) atomic_fetch_add(&log->lost_lines, 1);
}

void log_write_list(struct log *log, enum log_level level, const char *format, va_list arguments)
{
    char message[LOG_MESSAGE_BYTES_MAX + 1], line[LINE_BYTES_MAX];
    int error_of_caller = errno, full_size;
    size_t size;
    assert(level < LOG_NOTHING);
    if (!log || (int)level < atomic_load_explicit(&log->level, memory_order_relaxed)) return;
    full_size = vsnprintf(message, sizeof(message), format, arguments);
    if (full_size < 0) {
        strcpy(message, "(message that could not be formatted)");
    } else if ((size_t)full_size >= sizeof(message)) {
        memcpy(message + sizeof(message) - 4, "...", 4);
    }
    size = put_head(log, level, line);
    size += put_escaped(line + size, message);
    line[size++] = '\n';
    assert(size <= sizeof(line));
    write_line(log, line, size);
    errno = error_of_caller;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write_list(log, level, format, arguments);
    va_end(arguments);
}

/* ---- settings
 * ------------------------------------------------------------------------------------- */

int log_reopen(struct log *log, const char *path)
{
    int fd = -1, old_fd;
    bool is_ours = false, was_ours;
    int rc = open_target(path, &fd, &is_ours);
    if (rc != 0) return rc;
    pthread_rwlock_wrlock(&log->fd_lock);
    old_fd = log->fd;
    was_ours = log->is_fd_ours;
    log->fd = fd;
    log->is_fd_ours = is_ours;
    pthread_rwlock_unlock(&log->fd_lock);
    if (was_ours) (void)close(old_fd);
    return 0;
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store(&log->level, (int)level);
}

enum log_level log_get_level(const struct log *log)
{
    return (enum log_level)atomic_load(&log->level);
}

void log_set_role(struct log *log, char role)
{
    atomic_store(&log->role, role);
}

void log_update_pid(struct log *log)
{
    atomic_store(&log->pid, (int)getpid());
}

uint64_t log_lost_lines(const struct log *log)
{
    return atomic_load(&log->lost_lines);
}

static const char *const level_names[] = { "debug", "verbose", "notice", "warning", "nothing" };

bool log_parse_level(const char *name, enum log_level *out_level)
{
    for (int i = LOG_DEBUG; i <= LOG_NOTHING; i++) {
        if (!slice_equal_nocase(slice_of_string(name), slice_of_string(level_names[i]))) continue;
        *out_level = (enum log_level)i;
        return true;
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    assert(level >= LOG_DEBUG && level <= LOG_NOTHING);
    return level_names[level];
}
