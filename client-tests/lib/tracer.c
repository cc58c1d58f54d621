#include "client-tests/lib/tracer.h"
#include "client-tests/lib/clock.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_traced(const char *path, pid_t tracer)
{
    struct text status = { 0 };
    char needle[32];
    bool traced;

    (void)snprintf(needle, sizeof(needle), "TracerPid:\t%d\n", (int)tracer);
    traced = text_add_file(&status, path) < 0 || strstr(text_string(&status), needle) != NULL;
    text_finish(&status);
    return traced;
}

static bool all_are_traced(const struct server *server, pid_t tracer)
{
    char path[64], thread[PATH_MAX];
    struct dirent *entry;
    bool all = true;
    DIR *directory;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)server->pid);
    directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(thread, sizeof(thread), "%s/%s/status", path, entry->d_name);
        all &= is_traced(thread, tracer);
    }
    closedir(directory);
    return all;
}

static void become_strace(const struct tracer *tracer, const struct server *server,
                          const char *calls, const char *inject, bool with_stacks)
{
    char pid[16], trace[256], failing[256];
    const char *items[16] = { "strace", "-q",         with_stacks ? "-fk" : "-f",
                              "-y",     "-s",         "200",
                              "-o",     tracer->path, "-p",
                              pid,      "-e",         trace };

    (void)snprintf(pid, sizeof(pid), "%d", (int)server->pid);
    (void)snprintf(trace, sizeof(trace), "trace=%s", calls);
    (void)snprintf(failing, sizeof(failing), "inject=%s", inject ? inject : "");
    if (inject) {
        items[12] = "-e";
        items[13] = failing;
    }
    (void)execvp("strace", (char *const *)(void *)items);
    _exit(127);
}

static void end(const struct tracer *tracer, int number)
{
    (void)kill(tracer->pid, number);
    while (waitpid(tracer->pid, NULL, 0) < 0 && errno == EINTR) {}
}

/* A thread that is made by one that strace comes to later may be missed, and then is for good: it
 * is let go of, and tried anew, as often as a test has time for. */
enum { ATTACH_TRIES = 5 };

static bool start(struct tracer *tracer, const struct server *server, const char *calls,
                  const char *inject, bool with_stacks)
{
    (void)snprintf(tracer->path, sizeof(tracer->path), "%s/trace", server->directory);
    for (unsigned i = 0; i < ATTACH_TRIES; i++) {
        int64_t deadline_ms = clock_ms() + WAIT_MS;

        (void)fflush(NULL);
        tracer->pid = fork();
        if (tracer->pid == 0) become_strace(tracer, server, calls, inject, with_stacks);
        ck_assert_int_gt(tracer->pid, 0);
        do {
            if (waitpid(tracer->pid, NULL, WNOHANG) == tracer->pid) return false;
            if (all_are_traced(server, tracer->pid)) return true;
        } while (clock_probe(deadline_ms));
        end(tracer, SIGKILL); /* it may not be strace yet */
    }
    ck_abort_msg("strace does not attach");
}

bool tracer_start(struct tracer *tracer, const struct server *server, const char *calls,
                  const char *inject)
{
    return start(tracer, server, calls, inject, false);
}

bool tracer_start_with_stacks(struct tracer *tracer, const struct server *server, const char *calls)
{
    return start(tracer, server, calls, NULL, true);
}

void tracer_stop(struct tracer *tracer, struct text *out)
{
    end(tracer, SIGTERM);
    if (out) ck_assert_int_eq(text_add_file(out, tracer->path), 0);
}
