#include "bench/lib/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/lib/cgroup.h"
#include "bench/lib/guard.h"

enum { STOP_WAIT_MS = 20 * 1000, STOP_POLL_MS = 5 };

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sleep_ms(unsigned duration_ms)
{
    struct timespec left = { .tv_sec = duration_ms / 1000,
                             .tv_nsec = (long)(duration_ms % 1000) * 1000000 };

    while (nanosleep(&left, &left) < 0 && errno == EINTR) {}
}

char *file_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0, got;

    if (!file) return NULL;
    do {
        text = realloc(text, size + 4097);
        if (!text) bench_fail("out of memory");
        got = fread(text + size, 1, 4096, file);
        size += got;
    } while (got > 0);
    text[size] = '\0';
    fclose(file);
    return text;
}

/* Between fork and exec; a failure here shows as exit status 127 and a line in the output file. */
static _Noreturn void become(char *const *argv, int output_fd, const struct cgroup *cgroup)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) _exit(127);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(output_fd, STDOUT_FILENO) < 0 || dup2(output_fd, STDERR_FILENO) < 0) _exit(127);
    if (cgroup) cgroup_enter(cgroup);
    execvp(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

pid_t process_start(char *const *argv, const char *output_path, const struct cgroup *cgroup)
{
    int fd = open(output_path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid;

    if (fd < 0) bench_fail_errno("%s", output_path);
    fflush(NULL);
    pid = fork();
    if (pid < 0) bench_fail_errno("fork");
    if (pid == 0) become(argv, fd, cgroup);
    close(fd);
    guard_note_process(pid);
    return pid;
}

bool process_has_ended(pid_t pid, int *out_status)
{
    pid_t ended = waitpid(pid, out_status, WNOHANG);

    if (ended < 0) bench_fail_errno("waitpid %d", (int)pid);
    if (ended == 0) return false;
    guard_forget_process(pid);
    return true;
}

void process_stop(pid_t pid)
{
    int status;

    if (kill(pid, SIGTERM) < 0) bench_fail_errno("kill %d", (int)pid);
    for (int waited_ms = 0; waited_ms < STOP_WAIT_MS; waited_ms += STOP_POLL_MS) {
        if (process_has_ended(pid, &status)) return;
        sleep_ms(STOP_POLL_MS);
    }
    fprintf(stderr, "process %d did not stop within %d s, killing it\n", (int)pid,
            STOP_WAIT_MS / 1000);
    (void)kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) < 0) bench_fail_errno("waitpid %d", (int)pid);
    guard_forget_process(pid);
}

void process_wait(pid_t pid, const char *name, const char *output_path)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) bench_fail_errno("waitpid %s", name);
    }
    guard_forget_process(pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char *output = file_text(output_path);
        bench_fail("%s ended with status 0x%x:\n%s", name, (unsigned)status, output ? output : "");
    }
}

/* ---- readings ----------------------------------------------------------------------------------
 */

static uint64_t cpu_from_stat(pid_t pid)
{
    char path[64];
    unsigned long user, system;
    char *text, *after;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    text = file_text(path);
    after = text ? strrchr(text, ')') : NULL; /* the name may hold anything, ')' too */
    if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                         &system) != 2)
        bench_fail("cannot read the CPU time of process %d", (int)pid);
    free(text);
    return (uint64_t)(user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_cpu_ns(pid_t pid)
{
    char path[300];
    uint64_t sum = 0, ran;
    struct dirent *entry;
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads) bench_fail_errno("%s", path);
    while ((entry = readdir(threads))) {
        char *text;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", (int)pid, entry->d_name);
        text = file_text(path);
        if (text && sscanf(text, "%" SCNu64, &ran) == 1) sum += ran;
        free(text);
    }
    closedir(threads);
    return sum > 0 ? sum : cpu_from_stat(pid);
}

static uint64_t status_kib(const char *text, const char *field)
{
    const char *line = strstr(text, field);
    uint64_t kib = 0;

    return line && sscanf(line + strlen(field), "%" SCNu64, &kib) == 1 ? kib : 0;
}

static uint64_t status_bytes(pid_t pid, const char *field, const char *other_field)
{
    char path[64];
    char *text;
    uint64_t kib;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    text = file_text(path);
    if (!text) return 0;
    kib = status_kib(text, field) + (other_field ? status_kib(text, other_field) : 0);
    free(text);
    return kib * 1024;
}

uint64_t process_memory_bytes(pid_t pid)
{
    return status_bytes(pid, "\nRssAnon:", "\nRssShmem:");
}

uint64_t process_mapped_bytes(pid_t pid)
{
    return status_bytes(pid, "\nRssFile:", NULL);
}

/* Field 12 of stat, counted from 1: the second is a name in brackets, which may hold anything. */
uint64_t process_major_faults(pid_t pid)
{
    char path[64];
    char *text, *name_end;
    uint64_t faults;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    text = file_text(path);
    name_end = text ? strrchr(text, ')') : NULL;
    if (!name_end ||
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %" SCNu64, &faults) != 1)
        bench_fail("cannot read %s", path);
    free(text);
    return faults;
}

uint64_t memory_available_bytes(void)
{
    char *text = file_text("/proc/meminfo");
    char *line = text ? strstr(text, "MemAvailable:") : NULL;
    uint64_t kib = 0;

    if (!line || sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
        bench_fail("cannot read /proc/meminfo");
    free(text);
    return kib * 1024;
}

/* ---- sampler -----------------------------------------------------------------------------------
 */

struct sampler {
    pthread_t thread;
    pid_t pid;
    unsigned interval_ms;
    atomic_bool is_stopping;
    _Atomic uint64_t max_bytes;
    atomic_ulong count;
};

static void *sampler_run(void *context)
{
    struct sampler *sampler = context;

    while (!atomic_load(&sampler->is_stopping)) {
        uint64_t bytes = process_memory_bytes(sampler->pid);
        if (bytes > atomic_load(&sampler->max_bytes)) atomic_store(&sampler->max_bytes, bytes);
        atomic_fetch_add(&sampler->count, 1);
        sleep_ms(sampler->interval_ms);
    }
    return NULL;
}

struct sampler *sampler_start(pid_t pid, unsigned interval_ms)
{
    struct sampler *sampler = calloc(1, sizeof(*sampler));

    if (!sampler) bench_fail("out of memory");
    sampler->pid = pid;
    sampler->interval_ms = interval_ms;
    errno = pthread_create(&sampler->thread, NULL, sampler_run, sampler);
    if (errno) bench_fail_errno("pthread_create");
    return sampler;
}

uint64_t sampler_max_bytes(struct sampler *sampler)
{
    return atomic_load(&sampler->max_bytes);
}

void sampler_reset(struct sampler *sampler)
{
    atomic_store(&sampler->max_bytes, 0);
    atomic_store(&sampler->count, 0);
}

unsigned long sampler_count(struct sampler *sampler)
{
    return atomic_load(&sampler->count);
}

void sampler_stop(struct sampler *sampler)
{
    atomic_store(&sampler->is_stopping, true);
    pthread_join(sampler->thread, NULL);
    free(sampler);
}
