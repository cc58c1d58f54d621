/* test_power_client.h - for test_power_work.h: a server in a process of its own, and a connection
 * to it that counts replies. */
#ifndef SERVER_TEST_POWER_CLIENT_H
#define SERVER_TEST_POWER_CLIENT_H
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "modules/base/os.h"
#include "server/boot.h"

enum { WAIT_MS = 60000, RECEIVE_BYTES = 65536, ANSWER_BYTES_MAX = 16 << 20 };

struct process {
    pid_t pid;  /* 0: there is none */
    int status; /* of one that has ended by itself */
    char socket_path[96], log_path[96];
};

struct connection {
    int fd;
    char *bytes; /* received; [used, size) is to be parsed, and a zero follows */
    size_t used, size, capacity;
    bool is_closed; /* by the server */
};

/* ---- a server ---------------------------------------------------------------------------------
 */

/* For the system calls of one in which some fail or wait: whether the file's path has that in it.
 */
static inline bool is_file_of(int fd, const char *part)
{
    char link[64], path[200];
    ssize_t size;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof(path) - 1);
    if (size < 0) return false;
    path[size] = '\0';
    return strstr(path, part) != NULL;
}

/* suffix: what tells its files from those of others in the directory. */
static inline void process_set_paths(struct process *process, const char *directory,
                                     const char *suffix)
{
    (void)snprintf(process->socket_path, sizeof(process->socket_path), "%s/socket%s", directory,
                   suffix);
    (void)snprintf(process->log_path, sizeof(process->log_path), "%s/log%s", directory, suffix);
}

/* serve: in the process that is made, with the server's arguments; its exit code. */
static inline void process_start_as(struct process *process,
                                    int (*serve)(void *context, int count, char *const *arguments),
                                    void *context, const char *directory, const char *fsync)
{
    char *arguments[] = { "sluice-server",
                          "--port",
                          "0",
                          "--unixsocket",
                          process->socket_path,
                          "--dir",
                          (char *)directory,
                          "--logfile",
                          process->log_path,
                          "--appendonly",
                          "yes",
                          "--appendfsync",
                          (char *)fsync,
                          "--list-memory-max",
                          "200kb",
                          "--spill-io-threads",
                          "2",
                          NULL };
    int count = (int)(sizeof(arguments) / sizeof(arguments[0])) - 1;

    (void)unlink(process->socket_path);
    process->pid = fork();
    ck_assert_int_ge(process->pid, 0);
    if (process->pid == 0) _exit(serve(context, count, arguments));
}

static inline int process_serve(void *os, int count, char *const *arguments)
{
    return boot_and_run(os, count, arguments);
}

static inline void process_start(struct process *process, struct os *os, const char *directory,
                                 const char *fsync)
{
    process_start_as(process, process_serve, os, directory, fsync);
}

static inline void process_kill(struct process *process)
{
    int status;

    if (process->pid <= 0) return;
    (void)kill(process->pid, SIGKILL);
    ck_assert_int_eq(waitpid(process->pid, &status, 0), process->pid);
    process->pid = 0;
}

static inline bool process_has_ended(struct process *process)
{
    if (process->pid == 0) return true;
    if (waitpid(process->pid, &process->status, WNOHANG) != process->pid) return false;
    process->pid = 0;
    return true;
}

/* ---- a connection -----------------------------------------------------------------------------
 */

static inline void connection_close(struct connection *connection)
{
    if (connection->fd >= 0) close(connection->fd);
    free(connection->bytes);
    connection->bytes = NULL;
    connection->used = connection->size = connection->capacity = 0;
    connection->fd = -1;
}

/* False: the server has ended instead. */
static inline bool connection_open(struct connection *connection, struct process *process)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    *connection = (struct connection){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    ck_assert_int_ge(connection->fd, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", process->socket_path);
    for (int i = 0; i < WAIT_MS; i++) {
        if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0) return true;
        if (process_has_ended(process)) return false;
        usleep(1000);
    }
    ck_abort_msg("no server");
    return false;
}

static inline void connection_send(struct connection *connection, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = send(connection->fd, bytes, size, MSG_NOSIGNAL);
        if (put <= 0) {
            ck_assert_msg(errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
            connection->is_closed = true;
            return;
        }
        bytes += put;
        size -= (size_t)put;
    }
}

/* Receives what is there, after at most so long. False: nothing came, or the server has closed. */
static inline bool connection_receive(struct connection *connection, int timeout_ms)
{
    struct pollfd wait = { .fd = connection->fd, .events = POLLIN };
    ssize_t got;

    if (poll(&wait, 1, timeout_ms) <= 0) return false;
    if (connection->capacity - connection->size <= RECEIVE_BYTES) {
        connection->capacity = 2 * connection->capacity + 131072;
        ck_assert_uint_lt(connection->capacity, ANSWER_BYTES_MAX);
        connection->bytes = realloc(connection->bytes, connection->capacity);
    }
    ck_assert_ptr_nonnull(connection->bytes);
    got = recv(connection->fd, connection->bytes + connection->size, RECEIVE_BYTES, 0);
    connection->is_closed = got <= 0;
    if (connection->is_closed) return false;
    connection->size += (size_t)got;
    connection->bytes[connection->size] = '\0'; /* behind it lies what came earlier, and longer */
    return true;
}

/* The end of the reply that begins at `at`; 0: it is not complete. */
static inline size_t reply_end(const struct connection *connection, size_t at)
{
    const char *begin = connection->bytes + at;
    const char *line = at < connection->size ? memchr(begin, '\n', connection->size - at) : NULL;
    size_t end;
    long number;

    if (!line) return 0;
    end = (size_t)(line + 1 - connection->bytes);
    number = strtol(begin + 1, NULL, 10);
    if (*begin == '$') {
        if (number < 0) return end;
        end += (size_t)number + 2;
        return end <= connection->size ? end : 0;
    }
    for (; *begin == '*' && number > 0; number--) {
        end = reply_end(connection, end);
        if (end == 0) return 0;
    }
    return end;
}

/* The next reply, whole, as it came, and then those that came with it, as a string; a view until
 * more is received. NULL: not yet. */
static inline const char *connection_next(struct connection *connection)
{
    size_t at = connection->used, end = reply_end(connection, at);

    if (end == 0) return NULL;
    connection->used = end;
    if (connection->used < connection->size) return connection->bytes + at;
    connection->used = connection->size = 0; /* the bytes stay until more come */
    return connection->bytes + at;
}

/* Sends a command of words, when no other is to be answered, and waits for its reply, which is the
 * whole string; "": the server has closed instead. */
static inline const char *connection_ask(struct connection *connection, const char *command)
{
    const char *reply;
    char line[256];
    int size = snprintf(line, sizeof(line), "%s\r\n", command);

    connection_send(connection, line, (size_t)size);
    while ((reply = connection_next(connection)) == NULL) {
        bool has_come = !connection->is_closed && connection_receive(connection, WAIT_MS);

        if (connection->is_closed) return "";
        ck_assert_msg(has_come, "no answer to %s", command);
    }
    ck_assert_uint_eq(connection->size, 0);
    return reply;
}
#endif
