#include "bench/lib/peer.h"

#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "bench/lib/guard.h"
#include "bench/lib/process.h"

enum {
    START_WAIT_MS = 20 * 1000,
    RESTART_WAIT_MS = 300 * 1000,
    START_POLL_MS = 10,
    PATH_BYTES = 400
};

const char *peer_name(enum peer_kind kind)
{
    static const char *const names[PEER_KIND_COUNT] = { "floor", "redis", "sluice" };

    return names[kind];
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        bench_fail_errno("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

/* The floor lies beside the benchmark that runs: BUILD/bench/NAME/NAME and BUILD/bench/floor/floor.
 */
static void floor_path(char *out_path, size_t path_bytes)
{
    char self[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0) bench_fail_errno("/proc/self/exe");
    self[length] = '\0';
    snprintf(out_path, path_bytes, "%s/../floor/floor", dirname(self));
}

static const char *program_path(enum peer_kind kind, char *buffer, size_t buffer_bytes)
{
    const char *path;

    switch (kind) {
    case PEER_FLOOR:
        floor_path(buffer, buffer_bytes);
        return buffer;
    case PEER_REDIS:
        path = getenv("REDIS_SERVER");
        return path ? path : "redis-server";
    case PEER_SLUICE:
        path = getenv("SLUICE_SERVER");
        return path ? path : "build/sluice-server";
    }
    bench_fail("no such peer");
}

static pid_t start_program(struct peer *peer, const char *const *arguments,
                           const struct cgroup *cgroup)
{
    const char *argv[PEER_ARGUMENT_MAX + 16];
    char program[PATH_BYTES + 20], port[8], log[PATH_BYTES];
    int count = 0;

    /* Only Redis cannot say which port it found when it is given 0. */
    if (peer->kind == PEER_REDIS) peer->port = free_port();
    snprintf(port, sizeof(port), "%u", (unsigned)peer->port);
    snprintf(log, sizeof(log), "%s/output", peer->directory);
    argv[count++] = program_path(peer->kind, program, sizeof(program));
    argv[count++] = "--port";
    argv[count++] = port;
    if (peer->kind != PEER_FLOOR) {
        argv[count++] = "--bind";
        argv[count++] = "127.0.0.1";
        argv[count++] = "--dir";
        argv[count++] = peer->directory;
    }
    if (peer->kind == PEER_REDIS) {
        argv[count++] = "--save";
        argv[count++] = "";
    }
    if (peer->kind != PEER_FLOOR) { /* the last word on it holds */
        argv[count++] = "--appendonly";
        argv[count++] = "no";
    }
    for (int i = 0; arguments && arguments[i]; i++) {
        if (i == PEER_ARGUMENT_MAX) bench_fail("too many arguments");
        argv[count++] = arguments[i];
    }
    argv[count] = NULL;
    return process_start((char *const *)argv, log, cgroup);
}

static void fail_with_log(const struct peer *peer, const char *what)
{
    char path[PATH_BYTES];
    char *text;

    snprintf(path, sizeof(path), "%s/output", peer->directory);
    text = file_text(path);
    bench_fail("%s %s; it said:\n%s", peer_name(peer->kind), what, text ? text : "");
}

/* 0: the log does not say it yet. */
static uint16_t port_from_log(const struct peer *peer)
{
    static const char words[] = "Listening on 127.0.0.1:";
    char path[PATH_BYTES];
    char *text, *found;
    long port = 0;

    snprintf(path, sizeof(path), "%s/output", peer->directory);
    text = file_text(path);
    found = text ? strstr(text, words) : NULL;
    /* The line is complete only with its end. */
    if (found && strchr(found, '\n')) port = strtol(found + sizeof(words) - 1, NULL, 10);
    free(text);
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

static int answers_ping(uint16_t port)
{
    struct timeval timeout = { .tv_sec = 2 };
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, timeout);
    redisReply *reply = NULL;
    int is_pong = 0;

    if (context && !context->err) {
        (void)redisSetTimeout(context, timeout);
        reply = redisCommand(context, "PING");
        is_pong = reply && reply->type == REDIS_REPLY_STATUS && !strcmp(reply->str, "PONG");
    }
    if (reply) freeReplyObject(reply);
    if (context) redisFree(context);
    return is_pong;
}

void peer_start(struct peer *peer, enum peer_kind kind, const char *const *arguments,
                const char *base, const struct cgroup *cgroup)
{
    int status;

    *peer = (struct peer){ .kind = kind };
    if ((size_t)snprintf(peer->directory, sizeof(peer->directory), "%s/sluice-bench-XXXXXX",
                         base) >= sizeof(peer->directory))
        bench_fail("path too long: %s", base);
    if (!mkdtemp(peer->directory)) bench_fail_errno("%s", peer->directory);
    guard_note_directory(peer->directory);
    peer->pid = start_program(peer, arguments, cgroup);
    for (int waited_ms = 0; waited_ms < START_WAIT_MS; waited_ms += START_POLL_MS) {
        if (process_has_ended(peer->pid, &status)) fail_with_log(peer, "ended at its start");
        if (peer->port == 0) peer->port = port_from_log(peer);
        if (peer->port != 0 && answers_ping(peer->port)) return;
        sleep_ms(START_POLL_MS);
    }
    fail_with_log(peer, "answers no PING");
}

uint64_t peer_restart(struct peer *peer, const char *const *arguments)
{
    uint64_t began_ns;
    int status;

    if (kill(peer->pid, SIGKILL) < 0) bench_fail_errno("kill");
    while (!process_has_ended(peer->pid, &status))
        sleep_ms(1);
    began_ns = now_ns();
    peer->pid = start_program(peer, arguments, NULL);
    while (now_ns() - began_ns < RESTART_WAIT_MS * UINT64_C(1000000)) {
        if (process_has_ended(peer->pid, &status)) fail_with_log(peer, "ended at its start");
        if (answers_ping(peer->port)) return now_ns() - began_ns;
        sleep_ms(1);
    }
    fail_with_log(peer, "answers no PING");
    return 0;
}

void peer_stop(struct peer *peer)
{
    process_stop(peer->pid);
    guard_remove_tree(peer->directory);
    guard_forget_directory(peer->directory);
}
