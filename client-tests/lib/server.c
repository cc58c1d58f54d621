#include "client-tests/lib/server.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT_TRIES_MAX = 20 };

struct argument_list {
    const char *items[SERVER_ARGUMENTS_MAX + 1];
    int count;
};

static void add_argument(struct argument_list *list, const char *argument)
{
    if (list->count >= SERVER_ARGUMENTS_MAX) ck_abort_msg("too many server arguments");
    list->items[list->count++] = argument;
    list->items[list->count] = NULL;
}

static void add_pair(struct argument_list *list, const char *name, const char *value)
{
    add_argument(list, name);
    add_argument(list, value);
}

static void add_all(struct argument_list *list, const char *const *arguments)
{
    for (; arguments && *arguments; arguments++)
        add_argument(list, *arguments);
}

static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        ck_abort_msg("no free port: %s", strerror(errno));
    (void)close(fd);
    return ntohs(address.sin_port);
}

static bool is_redis_program(const char *program)
{
    const char *base = strrchr(program, '/');

    return strcmp(base ? base + 1 : program, "redis-server") == 0;
}

static void make_directories(struct server *server)
{
    const char *data = server->options.data_directory;
    int length;

    (void)snprintf(server->directory, sizeof(server->directory), "%s/server-XXXXXX",
                   suite_directory());
    if (!mkdtemp(server->directory)) ck_abort_msg("mkdtemp: %s", strerror(errno));
    length = snprintf(server->unix_path, sizeof(server->unix_path), "%s/s", server->directory);
    if (length < 0 || (size_t)length >= sizeof(server->unix_path))
        ck_abort_msg("%s is too long for a unix socket", server->directory);
    if (snprintf(server->log_path, sizeof(server->log_path), "%s/log", server->directory) < 0 ||
        snprintf(server->data_path, sizeof(server->data_path), "%s%s",
                 data ? data : server->directory, data ? "" : "/data") < 0)
        ck_abort_msg("path too long");
    if (!data && mkdir(server->data_path, 0700) != 0)
        ck_abort_msg("%s: %s", server->data_path, strerror(errno));
}

/* Root keeps what it may exceed limits with across exec only if the bounding set has it. */
static void forbid_locked_memory(void)
{
    struct rlimit nothing = { 0, 0 };

    if (setrlimit(RLIMIT_MEMLOCK, &nothing) != 0) _exit(126);
    if (geteuid() == 0 && prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK) != 0) _exit(126);
}

/* In the child. Only what may be called after fork in any program. */
static void become_server(const struct server *server, struct argument_list *list, int log_fd)
{
    int limit = server->options.descriptor_limit;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != server->starter) _exit(126);
    if (limit > 0) {
        struct rlimit descriptors = { (rlim_t)limit, (rlim_t)limit };
        (void)setrlimit(RLIMIT_NOFILE, &descriptors);
    }
    if (server->options.may_lock_nothing) forbid_locked_memory();
    if (dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0) _exit(126);
    execvp(list->items[0], (char *const *)(void *)list->items);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", list->items[0], strerror(errno));
    _exit(127);
}

/* Every test is a test of each way to log, and of none, as it is asked for: what it says does not
 * change. */
static void add_durability(struct argument_list *list)
{
    const char *fsync = getenv("SLUICE_TEST_APPENDFSYNC");

    if (!fsync || !*fsync) return;
    add_pair(list, "--appendonly", strcmp(fsync, "off") == 0 ? "no" : "yes");
    if (strcmp(fsync, "off") != 0) add_pair(list, "--appendfsync", fsync);
}

/* Beside the log. As it was left when the server starts again. */
static void add_configuration(struct server *server, struct argument_list *list)
{
    static char path[sizeof(server->directory) + 16];
    FILE *file;

    if (!server->options.configuration) return;
    (void)snprintf(path, sizeof(path), "%s/server.conf", server->directory);
    add_argument(list, path);
    if (access(path, F_OK) == 0) return;
    file = fopen(path, "w");
    if (!file) ck_abort_msg("%s: %s", path, strerror(errno));
    (void)fputs(server->options.configuration, file);
    if (fclose(file) != 0) ck_abort_msg("%s: %s", path, strerror(errno));
}

static void launch(struct server *server, size_t *out_log_start)
{
    struct argument_list list = { .count = 0 };
    char port[16];
    int log_fd;
    off_t end;

    server->port = server->is_redis ? free_port() : 0;
    (void)snprintf(port, sizeof(port), "%d", server->port);
    add_argument(&list, server->program);
    add_configuration(server, &list);
    add_pair(&list, "--bind", "127.0.0.1");
    add_pair(&list, "--port", port);
    add_pair(&list, "--unixsocket", server->unix_path);
    add_pair(&list, "--dir", server->data_path);
    add_all(&list, server->options.arguments);
    if (server->is_redis) {
        add_pair(&list, "--save", "");
        add_all(&list, server->options.redis_arguments);
    } else {
        add_durability(&list);
        add_all(&list, server->options.own_arguments);
    }
    log_fd = open(server->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) ck_abort_msg("%s: %s", server->log_path, strerror(errno));
    end = lseek(log_fd, 0, SEEK_END);
    *out_log_start = end > 0 ? (size_t)end : 0;
    (void)fflush(NULL);
    server->starter = getpid();
    server->pid = fork();
    if (server->pid < 0) ck_abort_msg("fork: %s", strerror(errno));
    if (server->pid == 0) become_server(server, &list, log_fd);
    (void)close(log_fd);
}

static bool can_connect(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) (void)close(fd);
    return connected;
}

/* Of what a server of ours has logged since its start; 0: it does not listen yet. */
static int port_in(const char *fresh)
{
    static const char announcement[] = "Listening on 127.0.0.1:";
    const char *found = strstr(fresh, announcement);

    return found ? (int)strtol(found + sizeof(announcement) - 1, NULL, 10) : 0;
}

/* It listens at all its addresses, the unix socket too: that is what the last line of a start says.
 */
static bool is_ready(struct server *server, const struct text *log, size_t log_start)
{
    const char *fresh = text_string(log) + (log->size < log_start ? log->size : log_start);

    if (!strstr(fresh, "Ready to accept connections")) return false;
    if (server->is_redis) return can_connect(server->port);
    server->port = port_in(fresh);
    return server->port > 0;
}

/* True: it runs. False: the port was taken by somebody else. Anything else fails the test. */
static bool wait_until_ready(struct server *server, size_t log_start)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text log = { 0 };
    bool ready = false, taken = false;
    int status = 0;

    do {
        bool ended = waitpid(server->pid, &status, WNOHANG) == server->pid;
        text_clear(&log);
        (void)text_add_file(&log, server->log_path);
        if (ended) {
            server->pid = 0;
            taken = server->is_redis && strstr(text_string(&log), "Address already in use");
            if (!taken)
                ck_abort_msg("%s ended at its start (status 0x%x):\n%s", server->program,
                             (unsigned)status, text_string(&log));
            break;
        }
        ready = is_ready(server, &log, log_start);
        if (ready) break;
    } while (clock_probe(deadline_ms));
    if (!ready && !taken)
        ck_abort_msg("%s does not listen:\n%s", server->program, text_string(&log));
    text_finish(&log);
    return ready;
}

static void start_prepared(struct server *server)
{
    size_t log_start = 0;

    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        launch(server, &log_start);
        if (wait_until_ready(server, log_start)) return;
    }
    ck_abort_msg("no port stayed free in %d tries", (int)PORT_TRIES_MAX);
}

static void prepare(struct server *server, const struct server_options *options,
                    const char *program)
{
    *server = (struct server){ .pid = 0 };
    if (options) server->options = *options;
    if (snprintf(server->program, sizeof(server->program), "%s", program) < 0)
        ck_abort_msg("bad program name");
    server->is_redis = is_redis_program(server->program);
    make_directories(server);
}

static void prepare_ours(struct server *server, const struct server_options *options)
{
    const char *program = options ? options->program : NULL;
    char built[PATH_MAX + 32];

    if (!program) program = getenv("SLUICE_SERVER");
    if (!program) {
        (void)snprintf(built, sizeof(built), "%ssluice-server", suite_build_directory());
        program = built;
    }
    prepare(server, options, program);
}

void server_start(struct server *server, const struct server_options *options)
{
    prepare_ours(server, options);
    start_prepared(server);
}

void server_start_with(struct server *server, const char *const *arguments)
{
    struct server_options options = { .arguments = arguments };

    server_start(server, &options);
}

void server_start_redis(struct server *server, const struct server_options *options)
{
    prepare(server, options, "redis-server");
    start_prepared(server);
}

/* Waits for the end of the process; false when it does not come. */
static bool wait_for_end(struct server *server, int *out_status)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do {
        pid_t pid = waitpid(server->pid, out_status, WNOHANG);
        if (pid == server->pid || (pid < 0 && errno == ECHILD)) {
            server->pid = 0;
            return true;
        }
    } while (clock_probe(deadline_ms));
    return false;
}

void server_start_refused(struct server *server, const struct server_options *options)
{
    size_t log_start = 0;
    int status = 0;

    prepare_ours(server, options);
    launch(server, &log_start);
    if (!wait_for_end(server, &status)) {
        server_kill(server);
        ck_abort_msg("%s should have refused to start, but runs", server->program);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 0 || WEXITSTATUS(status) > 100)
        ck_abort_msg("%s should have refused to start; status 0x%x", server->program,
                     (unsigned)status);
}

void server_stop(struct server *server)
{
    int status = 0;

    if (server->pid == 0 || server->starter != getpid()) return;
    (void)kill(server->pid, SIGTERM);
    if (!wait_for_end(server, &status)) {
        server_kill(server);
        suite_fail("%s did not end after SIGTERM", server->program);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        suite_fail("%s ended with status 0x%x (log: %s)", server->program, (unsigned)status,
                   server->log_path);
    }
}

void server_kill(struct server *server)
{
    int status;

    if (server->pid == 0 || server->starter != getpid()) return;
    (void)kill(server->pid, SIGKILL);
    while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR) {}
    server->pid = 0;
}

void server_restart(struct server *server)
{
    start_prepared(server);
}

void server_restart_unready(struct server *server)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text log = { 0 };
    size_t log_start = 0;

    launch(server, &log_start);
    do {
        text_clear(&log);
        (void)text_add_file(&log, server->log_path);
        server->port = log.size > log_start ? port_in(text_string(&log) + log_start) : 0;
    } while (server->port == 0 && clock_probe(deadline_ms));
    text_finish(&log);
    if (server->port == 0) ck_abort_msg("%s does not listen", server->program);
}

void server_must_live(const struct server *server)
{
    char path[64], state = 'X';
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)server->pid);
    file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'X';
        (void)fclose(file);
    }
    if (server->pid == 0 || state == 'X' || state == 'Z')
        ck_abort_msg("%s died (log: %s)", server->program, server->log_path);
}

bool server_log_has(const struct server *server, const char *text)
{
    struct text log = { 0 };
    bool found;

    (void)text_add_file(&log, server->log_path);
    found = strstr(text_string(&log), text) != NULL;
    text_finish(&log);
    return found;
}

void server_wait_log(const struct server *server, const char *text)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do {
        if (server_log_has(server, text)) return;
        server_must_live(server);
    } while (clock_probe(deadline_ms));
    ck_abort_msg("the log does not say \"%s\"", text);
}
